// Functions in integers alone (design.md N8, --integer-only): no float, no double, no library.
//
// Part of subbyte_numerics.h, which includes it. The definitions are compiler/numerics/rounding.py (shift_half_even),
// integer_normalization.py, integer_softmax.py and piecewise.py.

#ifndef SUBBYTE_INTEGER_FUNCTIONS_H
#define SUBBYTE_INTEGER_FUNCTIONS_H

#include <stdint.h>

// rne(x / 2^shift), half to even. Requires 1 <= shift <= 62.
static inline int64_t subbyte_shift_rne_s64(int64_t x, int shift) {
    const int64_t whole = x >> shift, rest = x - whole * ((int64_t)1 << shift), half = (int64_t)1 << (shift - 1);
    return whole + (rest > half || (rest == half && (whole & 1)));
}

// clamp(whole + zp, qmin, qmax).
static inline int32_t subbyte_code_of_s64(int64_t whole, int32_t zp, int32_t qmin, int32_t qmax) {
    const int64_t low = (int64_t)qmin - zp, high = (int64_t)qmax - zp;
    return (int32_t)(whole < low ? low : whole > high ? high : whole) + zp;
}

// floor(sqrt(x)), by Newton's steps down from above.
static inline uint32_t subbyte_isqrt_u64(uint64_t x) {
    uint64_t root = 0xffffffffu, next;
    if (x == 0) return 0;
    for (;;) {
        next = (root + x / root) >> 1;
        if (next >= root) return (uint32_t)root;
        root = next;
    }
}

// 1 / sqrt(whole + part / 2^32) is `inverse` * 2^(exponent - 63), off by less than 2^-30 of itself.
struct subbyte_root {
    uint64_t inverse;  // 2^31 .. 2^32
    int32_t exponent;
};

// Requires 1 <= whole < 2^63.
static inline struct subbyte_root subbyte_inverse_root(uint64_t whole, uint32_t part) {
    struct subbyte_root result = {0, 0};
    uint64_t root, rest;
    while (whole >> 62 == 0) {
        whole = whole << 2 | part >> 30;
        part <<= 2;
        ++result.exponent;
    }
    root = subbyte_isqrt_u64(whole);
    result.inverse = ((uint64_t)1 << 63) / root;
    rest = ((uint64_t)1 << 63) - result.inverse * root;
    result.inverse += 2u * rest > root || (2u * rest == root && (result.inverse & 1u));
    return result;
}

// One element of a normalized row: its deviation (|.| < 2^31) over the root of the row, times gain, plus offset.
static inline int32_t subbyte_normalized_code(int64_t deviation, struct subbyte_root root, int32_t gain, int64_t offset,
                                              int f, int h, int32_t zp, int32_t qmin, int32_t qmax) {
    const int64_t normalized = subbyte_shift_rne_s64(deviation * (int64_t)root.inverse, 63 - root.exponent - f);
    return subbyte_code_of_s64(subbyte_shift_rne_s64(normalized * gain + offset, f + h), zp, qmin, qmax);
}

// exp(-scale * d) in unsigned Q31. tables: [2][256], of 256 * i and of j. Requires 0 <= d < 2^16.
static inline uint32_t subbyte_exponential_q31(const uint32_t* tables, int32_t d) {
    const uint64_t product = (uint64_t)tables[d >> 8] * tables[256 + (d & 255)];
    return (uint32_t)subbyte_shift_rne_s64((int64_t)product, 31);
}

// The function of index u = code - (lowest code of the type) that the pieces hold: segments[u >> 8] is 16 * (first piece)
// + b, coefficients are three a piece in units of 2^-12 steps.
static inline int32_t subbyte_piecewise_code(int32_t u, const int32_t* segments, const int32_t* coefficients,
                                             int32_t zp, int32_t qmin, int32_t qmax) {
    const int32_t segment = segments[u >> 8], b = segment & 15, r = u & ((1 << b) - 1);
    const int32_t* c = coefficients + 3 * ((segment >> 4) + ((u & 255) >> b));
    const int64_t one = (int64_t)1 << b;
    return subbyte_code_of_s64(
        subbyte_shift_rne_s64((int64_t)c[0] * one * one + (int64_t)c[1] * r * one + (int64_t)c[2] * r * r, 12 + 2 * b),
        zp, qmin, qmax);
}

#endif  // SUBBYTE_INTEGER_FUNCTIONS_H
