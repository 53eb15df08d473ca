// Normalisations over the last axes of float32 (N8), eight elements at once: the eight lanes of a register are those of the
// tree, so that every sum is rounded as subbyte_normalize_floats rounds it.

#ifndef SUBBYTE_X86_NORMALIZATION_H
#define SUBBYTE_X86_NORMALIZATION_H

#include "subbyte_numerics.h"
#include "x86_vector_avx2.h"

// x: rows of `extent` floats. centred: 1 subtracts the mean (LayerNormalization), 0 does not (RMS). divides: 1 divides by
// the deviation, 0 multiplies by its inverse.
struct subbyte_x86_normalization {
    int32_t extent, centred, divides;
    float epsilon;
};

// n of eight floats, 0 behind them.
SUBBYTE_INLINE __m256 subbyte_x86_load_floats(const float* x, int32_t n) {
    return n < 8 ? _mm256_castsi256_ps(subbyte_load_part_avx2(x, 4 * n)) : _mm256_loadu_ps(x);
}

SUBBYTE_INLINE void subbyte_x86_store_floats(float* y, __m256 v, int32_t n) {
    if (n < 8)
        subbyte_store_part_avx2(y, _mm256_castps_si256(v), 4 * n);
    else
        _mm256_storeu_ps(y, v);
}

// Lanes below n of v, +0.0 in the others: a lane of a sum is never -0.0, so adding +0.0 leaves it as it is.
SUBBYTE_INLINE __m256 subbyte_x86_first_lanes(__m256 v, int32_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return n < 8 ? _mm256_and_ps(v, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane))) : v;
}

// The mean over a row of d, or with `squares` of f32(d * d), d = f32(x - mean).
SUBBYTE_INLINE float subbyte_x86_mean_of_row(const float* x, int32_t extent, float mean, int32_t squares) {
    const __m256 means = _mm256_set1_ps(mean);
    __m256 sums = _mm256_setzero_ps();
    float lanes[8];
    int32_t i;
    for (i = 0; i < extent; i += 8) {
        const int32_t n = subbyte_min_s32(extent - i, 8);
        const __m256 d = _mm256_sub_ps(subbyte_x86_load_floats(x + i, n), means);
        sums = _mm256_add_ps(sums, subbyte_x86_first_lanes(squares ? subbyte_mul_f32_avx2(d, d) : d, n));
    }
    _mm256_storeu_ps(lanes, sums);
    return subbyte_div_f32(subbyte_tree_sum_f32(lanes), (float)extent);
}

// y = d / deviation, times scale and plus bias where they are not null; d = x - mean, deviation = sqrt(mean of d * d +
// epsilon). Tiles: rows. y may be x.
SUBBYTE_INLINE void subbyte_x86_normalize_avx2(const float* x, const float* scale, const float* bias, float* y,
                                               const struct subbyte_x86_normalization* g, int32_t begin, int32_t end) {
    const int32_t extent = g->extent;
    int32_t row, i;
    for (row = begin; row < end; ++row) {
        const float* from = x + row * extent;
        float* to = y + row * extent;
        const float mean = g->centred ? subbyte_x86_mean_of_row(from, extent, 0.0f, 0) : 0.0f;
        const float variance = subbyte_x86_mean_of_row(from, extent, mean, 1);
        const float deviation = subbyte_sqrt_f32(subbyte_add_f32(variance, g->epsilon));
        const __m256 means = _mm256_set1_ps(mean), deviations = _mm256_set1_ps(deviation);
        const __m256 inverses = _mm256_set1_ps(subbyte_div_f32(1.0f, deviation));
        for (i = 0; i < extent; i += 8) {
            const int32_t n = subbyte_min_s32(extent - i, 8);
            __m256 v = _mm256_sub_ps(subbyte_x86_load_floats(from + i, n), means);
            v = g->divides ? _mm256_div_ps(v, deviations) : subbyte_mul_f32_avx2(v, inverses);
            if (scale) v = subbyte_mul_f32_avx2(v, subbyte_x86_load_floats(scale + i, n));
            if (bias) v = _mm256_add_ps(v, subbyte_x86_load_floats(bias + i, n));
            subbyte_x86_store_floats(to + i, v, n);
        }
    }
}

#endif  // SUBBYTE_X86_NORMALIZATION_H
