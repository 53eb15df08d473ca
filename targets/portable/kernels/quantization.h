// Between real numbers and codes: QuantizeLinear, DequantizeLinear, and what leaves the grid as it is.

#ifndef SUBBYTE_QUANTIZATION_H
#define SUBBYTE_QUANTIZATION_H

#include "codes.h"

// A tensor as stored: [outer][channels][inner], one scale and zero point for each channel. Tiles: chunks of `chunk` elements.
struct subbyte_affine {
    int32_t x_type, y_type;
    int32_t channels, inner;
    int32_t elements, chunk;
    int32_t qmin, qmax, rounding, zero_point_first;  // of the codes; the last two only where y is codes
};

// The end of a run of elements of one channel that begins at i: at most SUBBYTE_BLOCK, not beyond stop.
static inline int32_t subbyte_affine_run(const struct subbyte_affine* g, int32_t i, int32_t stop) {
    return subbyte_smaller(subbyte_smaller(g->inner - i % g->inner, SUBBYTE_BLOCK), stop - i);
}

// y = clamp(round(x / scale) + zero_point, qmin, qmax) in the given rounding mode: N2.
static inline void subbyte_quantize_linear(const void* x, void* y, const float* scales, const int32_t* zero_points,
                                           const struct subbyte_affine* g, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_smaller(g->chunk * end, g->elements);
    struct subbyte_grid from = {0, 1.0f, 0, 0, 0};
    float reals[SUBBYTE_BLOCK];
    int32_t codes[SUBBYTE_BLOCK], i = g->chunk * begin, k;
    from.type = g->x_type;
    while (i < stop) {
        const int32_t n = subbyte_affine_run(g, i, stop), channel = i / g->inner % g->channels;
        subbyte_load_reals(reals, x, &from, i, 1, n);
        for (k = 0; k < n; ++k)
            codes[k] = subbyte_quantize_mode_f32(reals[k], scales[channel], zero_points[channel], g->qmin, g->qmax,
                                                 g->rounding, g->zero_point_first);
        subbyte_store_codes(y, g->y_type, i, codes, n);
        i += n;
    }
}

// y = f32((x - zero_point) * scale), narrowed once more where y is float16: N1. Requires that x - zero_point fits int32.
static inline void subbyte_dequantize_linear(const void* x, void* y, const float* scales, const int32_t* zero_points,
                                             const struct subbyte_affine* g, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_smaller(g->chunk * end, g->elements);
    struct subbyte_grid from = {0, 0.0f, 0, 0, 0}, to = {0, 1.0f, 0, 0, 0};
    float reals[SUBBYTE_BLOCK];
    int32_t i = g->chunk * begin;
    from.type = g->x_type;
    to.type = g->y_type;
    while (i < stop) {
        const int32_t n = subbyte_affine_run(g, i, stop), channel = i / g->inner % g->channels;
        from.scale = scales[channel];
        from.zero_point = zero_points[channel];
        subbyte_load_reals(reals, x, &from, i, 1, n);
        subbyte_store_reals(y, &to, i, reals, n);
        i += n;
    }
}

// y = clamp(x + offset, low, high) on codes: Clamp (offset 0) and OffsetCodes. Tiles: chunks of `chunk` elements.
static inline void subbyte_clamp_codes(const void* x, void* y, int32_t x_type, int32_t y_type, int32_t offset,
                                       int32_t low, int32_t high, int32_t elements, int32_t chunk, int32_t begin,
                                       int32_t end) {
    const int32_t stop = subbyte_smaller(chunk * end, elements);
    int32_t codes[SUBBYTE_BLOCK], i, k;
    for (i = chunk * begin; i < stop; i += SUBBYTE_BLOCK) {
        const int32_t n = subbyte_smaller(stop - i, SUBBYTE_BLOCK);
        subbyte_load_codes(codes, x, x_type, i, 1, n, -offset);
        for (k = 0; k < n; ++k) codes[k] = subbyte_clamp_s32(codes[k], low, high);
        subbyte_store_codes(y, y_type, i, codes, n);
    }
}

#endif  // SUBBYTE_QUANTIZATION_H
