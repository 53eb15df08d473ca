// Typed memory for kernels that compute on blocks of int32 or float: loads and stores of every element type.
//
// A kernel holds at most SUBBYTE_BLOCK elements of each operand at once; the type is looked at once a block.

#ifndef SUBBYTE_CODES_H
#define SUBBYTE_CODES_H

#include <stdint.h>
#include <string.h>

#include "subbyte_numerics.h"

enum { SUBBYTE_BLOCK = 64 };

// `static inline` for functions that are called once a block: inlined copies in every kernel would only cost space.
#if defined(__GNUC__)
#define SUBBYTE_ONE_COPY static __attribute__((noinline, unused))
#else
#define SUBBYTE_ONE_COPY static inline
#endif

enum subbyte_type {
    SUBBYTE_TYPE_U8 = 0,
    SUBBYTE_TYPE_S8 = 1,
    SUBBYTE_TYPE_U16 = 2,
    SUBBYTE_TYPE_S16 = 3,
    SUBBYTE_TYPE_U32 = 4,
    SUBBYTE_TYPE_S32 = 5,
    SUBBYTE_TYPE_U64 = 6,
    SUBBYTE_TYPE_S64 = 7,
    SUBBYTE_TYPE_F16 = 8,
    SUBBYTE_TYPE_F32 = 9,
    // Codes of 1, 2 and 4 bits, as many as a byte holds in each byte, the first in its lowest bits.
    SUBBYTE_TYPE_U1 = 10,
    SUBBYTE_TYPE_U2 = 11,
    SUBBYTE_TYPE_U4 = 12,
    SUBBYTE_TYPE_S1 = 13,
    SUBBYTE_TYPE_S2 = 14,
    SUBBYTE_TYPE_S4 = 15
};

static inline int32_t subbyte_smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// subbyte_load_codes of codes that share bytes.
SUBBYTE_ONE_COPY void subbyte_load_packed_codes(int32_t* codes, const void* x, int type, int32_t at, int32_t stride,
                                                int32_t n, int32_t zero) {
#define SUBBYTE_LOAD(bits)                                                          \
    for (i = 0; i < n; ++i, place += (uint32_t)stride) {                            \
        const int32_t code = from[place / (8 / bits)] >> place % (8 / bits) * bits; \
        codes[i] = (((code & ((1 << bits) - 1)) ^ half) - half) - zero;             \
    }
    const uint8_t* from = (const uint8_t*)x;
    const int32_t bits = 1 << (type - SUBBYTE_TYPE_U1) % 3, half = type >= SUBBYTE_TYPE_S1 ? 1 << (bits - 1) : 0;
    uint32_t place = (uint32_t)at;
    int32_t i;
    if (bits == 1)
        SUBBYTE_LOAD(1)
    else if (bits == 2)
        SUBBYTE_LOAD(2)
    else
        SUBBYTE_LOAD(4)
#undef SUBBYTE_LOAD
}

// subbyte_store_codes of codes that share bytes; those that are not written keep their value.
SUBBYTE_ONE_COPY void subbyte_store_packed_codes(void* y, int type, int32_t at, const int32_t* codes, int32_t n) {
#define SUBBYTE_STORE(bits)                                                               \
    for (i = 0; i < n; ++i, ++place) {                                                    \
        uint8_t* to = (uint8_t*)y + place / (8 / bits);                                   \
        const uint32_t shift = place % (8 / bits) * bits, mask = (1u << bits) - 1u;       \
        *to = (uint8_t)((*to & ~(mask << shift)) | ((uint32_t)codes[i] & mask) << shift); \
    }
    const int32_t bits = 1 << (type - SUBBYTE_TYPE_U1) % 3;
    uint32_t place = (uint32_t)at;
    int32_t i;
    if (bits == 1)
        SUBBYTE_STORE(1)
    else if (bits == 2)
        SUBBYTE_STORE(2)
    else
        SUBBYTE_STORE(4)
#undef SUBBYTE_STORE
}

// codes[i] = x[at + i * stride] - zero. Requires integers of at most 32 bits whose difference fits int32; u32 below 2^31.
SUBBYTE_ONE_COPY void subbyte_load_codes(int32_t* codes, const void* x, int type, int32_t at, int32_t stride, int32_t n,
                                         int32_t zero) {
#define SUBBYTE_LOAD(element)                                                    \
    do {                                                                         \
        const element* from = (const element*)x + at;                            \
        if (stride == 1)                                                         \
            for (i = 0; i < n; ++i) codes[i] = (int32_t)from[i] - zero;          \
        else                                                                     \
            for (i = 0; i < n; ++i) codes[i] = (int32_t)from[i * stride] - zero; \
    } while (0)
    int32_t i;
    if (type >= SUBBYTE_TYPE_U1) {
        subbyte_load_packed_codes(codes, x, type, at, stride, n, zero);
        return;
    }
    switch (type) {
        case SUBBYTE_TYPE_U8:
            SUBBYTE_LOAD(uint8_t);
            break;
        case SUBBYTE_TYPE_S8:
            SUBBYTE_LOAD(int8_t);
            break;
        case SUBBYTE_TYPE_U16:
            SUBBYTE_LOAD(uint16_t);
            break;
        case SUBBYTE_TYPE_S16:
            SUBBYTE_LOAD(int16_t);
            break;
        case SUBBYTE_TYPE_U32:
            SUBBYTE_LOAD(uint32_t);
            break;
        default:
            SUBBYTE_LOAD(int32_t);
            break;
    }
#undef SUBBYTE_LOAD
}

// y[at + i] = codes[i]. Requires that each code fits the type.
SUBBYTE_ONE_COPY void subbyte_store_codes(void* y, int type, int32_t at, const int32_t* codes, int32_t n) {
#define SUBBYTE_STORE(element)                             \
    do {                                                   \
        element* to = (element*)y + at;                    \
        for (i = 0; i < n; ++i) to[i] = (element)codes[i]; \
    } while (0)
    int32_t i;
    if (type >= SUBBYTE_TYPE_U1) {
        subbyte_store_packed_codes(y, type, at, codes, n);
        return;
    }
    switch (type) {
        case SUBBYTE_TYPE_U8:
            SUBBYTE_STORE(uint8_t);
            break;
        case SUBBYTE_TYPE_S8:
            SUBBYTE_STORE(int8_t);
            break;
        case SUBBYTE_TYPE_U16:
            SUBBYTE_STORE(uint16_t);
            break;
        case SUBBYTE_TYPE_S16:
            SUBBYTE_STORE(int16_t);
            break;
        case SUBBYTE_TYPE_U32:
            SUBBYTE_STORE(uint32_t);
            break;
        default:
            SUBBYTE_STORE(int32_t);
            break;
    }
#undef SUBBYTE_STORE
}

// What the codes of a tensor mean; floats have scale 1 and zero point 0, and are not clamped.
struct subbyte_grid {
    int32_t type;
    float scale;
    int32_t zero_point, qmin, qmax;
};

// reals[i] = x[at + i * stride] as a real number: floats themselves, codes by N1. Integers of 32 bits or fewer.
SUBBYTE_ONE_COPY void subbyte_load_reals(float* reals, const void* x, const struct subbyte_grid* grid, int32_t at,
                                         int32_t stride, int32_t n) {
    int32_t i, codes[SUBBYTE_BLOCK];
    if (grid->type == SUBBYTE_TYPE_F32) {
        const float* from = (const float*)x + at;
        for (i = 0; i < n; ++i) reals[i] = from[i * stride];
    } else if (grid->type == SUBBYTE_TYPE_F16) {
        const uint16_t* from = (const uint16_t*)x + at;
        for (i = 0; i < n; ++i) reals[i] = subbyte_f16_to_f32(from[i * stride]);
    } else {
        subbyte_load_codes(codes, x, grid->type, at, stride, n, grid->zero_point);
        for (i = 0; i < n; ++i) reals[i] = subbyte_dequantize(codes[i], grid->scale);
    }
}

// y[at + i] = reals[i]: floats themselves, codes by N2.
SUBBYTE_ONE_COPY void subbyte_store_reals(void* y, const struct subbyte_grid* grid, int32_t at, const float* reals,
                                          int32_t n) {
    int32_t i, codes[SUBBYTE_BLOCK];
    if (grid->type == SUBBYTE_TYPE_F32) {
        memcpy((float*)y + at, reals, (size_t)n * sizeof(float));
    } else if (grid->type == SUBBYTE_TYPE_F16) {
        uint16_t* to = (uint16_t*)y + at;
        for (i = 0; i < n; ++i) to[i] = subbyte_f32_to_f16(reals[i]);
    } else {
        for (i = 0; i < n; ++i)
            codes[i] = subbyte_quantize_f32(reals[i], grid->scale, grid->zero_point, grid->qmin, grid->qmax);
        subbyte_store_codes(y, grid->type, at, codes, n);
    }
}

#endif  // SUBBYTE_CODES_H
