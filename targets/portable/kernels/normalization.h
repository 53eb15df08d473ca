// Normalisations over the last axes of floats (N8): the sums in the tree of 8 lanes, our own root, no libm.

#ifndef SUBBYTE_NORMALIZATION_H
#define SUBBYTE_NORMALIZATION_H

#include "codes.h"

// x: rows of `extent` elements of a float type. centred: 1 subtracts the mean (LayerNormalization), 0 does not (RMS).
// divides: 1 divides by the deviation, 0 multiplies by its inverse.
struct subbyte_normalization {
    int32_t type, extent, centred, divides;
    float epsilon;
};

// reals as elements of the type hold them: float16 rounds, float32 is as it is.
static inline void subbyte_hold_reals(float* reals, int32_t type, int32_t n) {
    int32_t i;
    if (type != SUBBYTE_TYPE_F16) return;
    for (i = 0; i < n; ++i) reals[i] = subbyte_f16_to_f32(subbyte_f32_to_f16(reals[i]));
}

// The mean over a row of d, or with `squares` of f32(d * d), d = f32(x - mean).
static inline float subbyte_mean_of_row(const void* x, const struct subbyte_grid* grid, int32_t first, int32_t extent,
                                        float mean, int32_t squares) {
    float lanes[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, reals[SUBBYTE_BLOCK];
    int32_t done, i;
    for (done = 0; done < extent; done += SUBBYTE_BLOCK) {
        const int32_t n = subbyte_smaller(extent - done, SUBBYTE_BLOCK);
        subbyte_load_reals(reals, x, grid, first + done, 1, n);
        for (i = 0; i < n; ++i) {  // SUBBYTE_BLOCK is a multiple of 8: element done + i has lane i mod 8
            const float d = subbyte_sub_f32(reals[i], mean);
            lanes[i & 7] = subbyte_add_f32(lanes[i & 7], squares ? subbyte_mul_f32(d, d) : d);
        }
    }
    return subbyte_div_f32(subbyte_tree_sum_f32(lanes), (float)extent);
}

// y = d / deviation, times scale and plus bias where they are not null; d = x - mean, deviation = sqrt(mean of d * d +
// epsilon), as ops_normalization.py writes it. scale, bias: [extent] of the type of x. Tiles: rows. y may be x.
static inline void subbyte_normalize_floats(const void* x, const void* scale, const void* bias, void* y,
                                            const struct subbyte_normalization* g, int32_t begin, int32_t end) {
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float reals[SUBBYTE_BLOCK], factors[SUBBYTE_BLOCK];
    int32_t row, done, i;
    grid.type = g->type;
    for (row = begin; row < end; ++row) {
        const int32_t first = row * g->extent;
        const float mean = g->centred ? subbyte_mean_of_row(x, &grid, first, g->extent, 0.0f, 0) : 0.0f;
        const float variance = subbyte_mean_of_row(x, &grid, first, g->extent, mean, 1);
        const float deviation = subbyte_sqrt_f32(subbyte_add_f32(variance, g->epsilon));
        const float inverse = subbyte_div_f32(1.0f, deviation);
        for (done = 0; done < g->extent; done += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(g->extent - done, SUBBYTE_BLOCK);
            subbyte_load_reals(reals, x, &grid, first + done, 1, n);
            for (i = 0; i < n; ++i) {
                const float d = subbyte_sub_f32(reals[i], mean);
                reals[i] = g->divides ? subbyte_div_f32(d, deviation) : subbyte_mul_f32(d, inverse);
            }
            subbyte_hold_reals(reals, g->type, n);
            if (scale) {
                subbyte_load_reals(factors, scale, &grid, done, 1, n);
                for (i = 0; i < n; ++i) reals[i] = subbyte_mul_f32(reals[i], factors[i]);
                subbyte_hold_reals(reals, g->type, n);
            }
            if (bias) {
                subbyte_load_reals(factors, bias, &grid, done, 1, n);
                for (i = 0; i < n; ++i) reals[i] = subbyte_add_f32(reals[i], factors[i]);
            }
            subbyte_store_reals(y, &grid, first + done, reals, n);
        }
    }
}

#endif  // SUBBYTE_NORMALIZATION_H
