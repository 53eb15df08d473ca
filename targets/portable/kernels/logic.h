// Comparisons, selection, and whole-number arithmetic that may refuse its operands; remainders of floats.

#ifndef SUBBYTE_LOGIC_H
#define SUBBYTE_LOGIC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "codes.h"
#include "integers.h"
#include "refused.h"
#include "span.h"

enum subbyte_relation { SUBBYTE_EQUAL = 0, SUBBYTE_LESS = 1, SUBBYTE_LESS_OR_EQUAL = 2 };

// Elements of `type` as float, which holds f32 and f16 exactly.
static inline float subbyte_load_real(const void* x, int32_t type, int32_t at) {
    return type == SUBBYTE_TYPE_F32 ? ((const float*)x)[at] : subbyte_f16_to_f32(((const uint16_t*)x)[at]);
}

// y = whether a stands in the relation to b; f64 where `doubles`, else of `type`. Tiles: those of the span.
static inline void subbyte_compare(const void* a, const void* b, void* y, int32_t relation, int32_t type,
                                   int32_t doubles, const struct subbyte_span* span, int32_t begin, int32_t end) {
    SUBBYTE_COMPARES_FLOATS
    const int32_t reals = type == SUBBYTE_TYPE_F32 || type == SUBBYTE_TYPE_F16;
    const uint64_t turn = type == SUBBYTE_TYPE_U64 ? 0 : (uint64_t)1 << 63;  // s64 in the order of u64
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; ++i) {
            const int32_t at_a = run.a + i * run.a_stride, at_b = run.b + i * run.b_stride;
            int32_t equal, less;
            if (doubles) {
                const double left = ((const double*)a)[at_a], right = ((const double*)b)[at_b];
                equal = left == right;
                less = left < right;
            } else if (reals) {
                const float left = subbyte_load_real(a, type, at_a), right = subbyte_load_real(b, type, at_b);
                equal = left == right;
                less = left < right;
            } else {
                const uint64_t left = (uint64_t)subbyte_load_integer(a, type, at_a) ^ turn;
                const uint64_t right = (uint64_t)subbyte_load_integer(b, type, at_b) ^ turn;
                equal = left == right;
                less = left < right;
            }
            ((uint8_t*)y)[run.y + i] =
                (uint8_t)((relation != SUBBYTE_LESS && equal) || (relation != SUBBYTE_EQUAL && less));
        }
    }
}

enum { SUBBYTE_SELECT_AXES = 8 };

// Loops over y, which is contiguous, slowest first; strides of the operands in elements, 0 where they are repeated.
struct subbyte_select {
    int32_t extents[SUBBYTE_SELECT_AXES];
    int32_t condition[SUBBYTE_SELECT_AXES], a[SUBBYTE_SELECT_AXES], b[SUBBYTE_SELECT_AXES];
    int32_t bytes;  // of an element
};

// y = a where the condition is not 0, else b. Tiles: the product of all extents but the last.
static inline void subbyte_select(const void* condition, const void* a, const void* b, void* y,
                                  const struct subbyte_select* g, int32_t begin, int32_t end) {
    const int32_t last = SUBBYTE_SELECT_AXES - 1;
    const size_t size = (size_t)g->bytes;
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        unsigned char* to = (unsigned char*)y + (size_t)tile * (size_t)g->extents[last] * size;
        int32_t at = 0, at_a = 0, at_b = 0, row = tile, axis;
        for (axis = last - 1; row > 0; --axis) {
            const int32_t index = row % g->extents[axis];
            row /= g->extents[axis];
            at += index * g->condition[axis];
            at_a += index * g->a[axis];
            at_b += index * g->b[axis];
        }
        for (i = 0; i < g->extents[last]; ++i, to += size) {
            const int32_t first = ((const uint8_t*)condition)[at + i * g->condition[last]] != 0;
            const unsigned char* from = (const unsigned char*)(first ? a : b);
            memcpy(to, from + (size_t)(first ? at_a + i * g->a[last] : at_b + i * g->b[last]) * size, size);
        }
    }
}

enum subbyte_whole_function {
    SUBBYTE_WHOLE_DIV = 0,
    SUBBYTE_WHOLE_REMAINDER = 1,
    SUBBYTE_WHOLE_MOD = 2,
    SUBBYTE_WHOLE_POW = 3,
    SUBBYTE_WHOLE_AND = 4,
    SUBBYTE_WHOLE_OR = 5,
    SUBBYTE_WHOLE_XOR = 6,
    SUBBYTE_WHOLE_SHIFT_LEFT = 7,
    SUBBYTE_WHOLE_SHIFT_RIGHT = 8,
    SUBBYTE_WHOLE_MIN = 9,
    SUBBYTE_WHOLE_MAX = 10
};

// floor(value / 2^shift) for shifts below 64, without relying on what >> makes of negative numbers.
static inline int64_t subbyte_shift_down(int64_t value, int32_t shift) {
    return value < 0 ? ~(~value >> shift) : value >> shift;
}

// a to the power b >= 0, modulo 2^64.
static inline uint64_t subbyte_whole_power(uint64_t a, uint64_t b) {
    uint64_t power = 1;
    for (; b != 0; b >>= 1, a *= a)
        if (b & 1) power *= a;
    return power;
}

// Signed: operands widened to 64 bits, results modulo 2^64. Requires b other than 0 to divide, and not below 0 as a power.
static inline uint64_t subbyte_whole_signed(int32_t function, int64_t a, int64_t b, int32_t bits) {
    const int32_t inside = b >= 0 && b < bits;
    switch (function) {
        case SUBBYTE_WHOLE_DIV:
            return b == -1 ? 0 - (uint64_t)a : (uint64_t)(a / b);
        case SUBBYTE_WHOLE_REMAINDER:
            return b == -1 ? 0 : (uint64_t)(a % b);
        case SUBBYTE_WHOLE_MOD: {
            const int64_t rest = b == -1 ? 0 : a % b;
            return (uint64_t)(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
        }
        case SUBBYTE_WHOLE_POW:
            return subbyte_whole_power((uint64_t)a, (uint64_t)b);
        case SUBBYTE_WHOLE_AND:
            return (uint64_t)a & (uint64_t)b;
        case SUBBYTE_WHOLE_OR:
            return (uint64_t)a | (uint64_t)b;
        case SUBBYTE_WHOLE_XOR:
            return (uint64_t)a ^ (uint64_t)b;
        case SUBBYTE_WHOLE_SHIFT_LEFT:
            return inside ? (uint64_t)a << b : 0;
        case SUBBYTE_WHOLE_SHIFT_RIGHT:
            return (uint64_t)(inside ? subbyte_shift_down(a, (int32_t)b) : a < 0 ? -1 : 0);
        case SUBBYTE_WHOLE_MIN:
            return (uint64_t)(b < a ? b : a);
        default:
            return (uint64_t)(b > a ? b : a);
    }
}

// Unsigned: the same.
static inline uint64_t subbyte_whole_unsigned(int32_t function, uint64_t a, uint64_t b, int32_t bits) {
    switch (function) {
        case SUBBYTE_WHOLE_DIV:
            return a / b;
        case SUBBYTE_WHOLE_REMAINDER:
        case SUBBYTE_WHOLE_MOD:
            return a % b;
        case SUBBYTE_WHOLE_POW:
            return subbyte_whole_power(a, b);
        case SUBBYTE_WHOLE_AND:
            return a & b;
        case SUBBYTE_WHOLE_OR:
            return a | b;
        case SUBBYTE_WHOLE_XOR:
            return a ^ b;
        case SUBBYTE_WHOLE_SHIFT_LEFT:
            return b < (uint64_t)bits ? a << b : 0;
        case SUBBYTE_WHOLE_SHIFT_RIGHT:
            return b < (uint64_t)bits ? a >> b : 0;
        case SUBBYTE_WHOLE_MIN:
            return b < a ? b : a;
        default:
            return b > a ? b : a;
    }
}

// y = function(a, b), integers of one type, modulo 2^bits; bools are u8. Returns 0, or SUBBYTE_REFUSED for a division by 0
// and a negative exponent. Tiles: those of the span.
static inline int32_t subbyte_whole_binary(const void* a, const void* b, void* y, int32_t function, int32_t type,
                                           int32_t bits, const struct subbyte_span* span, int32_t begin, int32_t end) {
    const int32_t is_signed = type & 1;  // the enumerators of signed types are odd
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; ++i) {
            const int64_t left = subbyte_load_integer(a, type, run.a + i * run.a_stride);
            const int64_t right = subbyte_load_integer(b, type, run.b + i * run.b_stride);
            if (function <= SUBBYTE_WHOLE_MOD && right == 0) return SUBBYTE_REFUSED;
            if (function == SUBBYTE_WHOLE_POW && is_signed && right < 0) return SUBBYTE_REFUSED;
            subbyte_store_integer(y, type, run.y + i,
                                  is_signed ? subbyte_whole_signed(function, left, right, bits)
                                            : subbyte_whole_unsigned(function, (uint64_t)left, (uint64_t)right, bits));
        }
    }
    return 0;
}

// The exponent of a positive finite float, whose mantissa is left in `mantissa` with its bit 23 set: subnormals have
// exponents below 1.
static inline int32_t subbyte_normalized_f32(uint32_t bits, uint32_t* mantissa) {
    int32_t exponent = (int32_t)(bits >> 23);
    *mantissa = (bits & 0x007fffffu) | 0x00800000u;
    if (exponent == 0)
        for (exponent = 1, *mantissa = bits; *mantissa < 0x00800000u; *mantissa <<= 1) --exponent;
    return exponent;
}

// a - trunc(a / b) * b, exactly, by long division of the mantissas: NaN for an infinite a, for b = 0 and for a NaN.
static inline float subbyte_remainder_f32(float a, float b) {
    const uint32_t dividend = subbyte_bits_f32(a) & 0x7fffffffu, divisor = subbyte_bits_f32(b) & 0x7fffffffu;
    const uint32_t sign = subbyte_bits_f32(a) & 0x80000000u;
    uint32_t rest, step;
    int32_t exponent, lowest;
    if (dividend >= 0x7f800000u || divisor > 0x7f800000u || divisor == 0) return subbyte_nan_f32();
    if (dividend < divisor) return a;
    exponent = subbyte_normalized_f32(dividend, &rest);
    lowest = subbyte_normalized_f32(divisor, &step);
    for (; exponent > lowest; --exponent) {
        if (rest >= step) rest -= step;
        rest <<= 1;
    }
    if (rest >= step) rest -= step;
    if (rest == 0) return subbyte_from_bits_f32(sign);
    for (; rest < 0x00800000u; rest <<= 1) --exponent;
    rest = exponent > 0 ? (rest & 0x007fffffu) | (uint32_t)exponent << 23 : rest >> (1 - exponent);
    return subbyte_from_bits_f32(rest | sign);
}

// Mod: the remainder moved by one b where its sign is not that of b; a zero takes the sign of b.
static inline float subbyte_mod_f32(float a, float b) {
    const float rest = subbyte_remainder_f32(a, b);
    if (rest == 0.0f) return subbyte_copysign_f32(rest, b);
    return (rest < 0.0f) != (b < 0.0f) ? subbyte_add_f32(rest, b) : rest;
}

// y = the remainder of a / b, of the sign of a, or of b where `floored`; f32 or f16. Tiles: those of the span.
static inline void subbyte_remainder_floats(const void* a, const void* b, void* y, int32_t floored, int32_t type,
                                            const struct subbyte_span* span, int32_t begin, int32_t end) {
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    int32_t tile, i;
    grid.type = type;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; ++i) {
            const float left = subbyte_load_real(a, type, run.a + i * run.a_stride);
            const float right = subbyte_load_real(b, type, run.b + i * run.b_stride);
            const float rest = floored ? subbyte_mod_f32(left, right) : subbyte_remainder_f32(left, right);
            subbyte_store_reals(y, &grid, run.y + i, &rest, 1);
        }
    }
}

#endif  // SUBBYTE_LOGIC_H
