// Elementwise work on floats by AVX2.

#ifndef SUBBYTE_X86_FLOATS_AVX2_H
#define SUBBYTE_X86_FLOATS_AVX2_H

#include "x86_floats.h"
#include "x86_vector_avx2.h"

typedef __m256 subbyte_mask_avx2;

SUBBYTE_INLINE __m256 subbyte_reals_avx2(__m256i bits) { return _mm256_castsi256_ps(bits); }
SUBBYTE_INLINE __m256 subbyte_sqrt_f32_avx2(__m256 x) { return _mm256_sqrt_ps(x); }

// clamp(x, low, high), NaN to low.
SUBBYTE_INLINE __m256 subbyte_clamp_f32_avx2(__m256 x, float low, float high) {
    return _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(low)), _mm256_set1_ps(high));
}

SUBBYTE_INLINE __m256 subbyte_less_f32_avx2(__m256 a, __m256 b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
SUBBYTE_INLINE __m256 subbyte_is_nan_avx2(__m256 a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }

// a where the mask is set, else b.
SUBBYTE_INLINE __m256 subbyte_choose_f32_avx2(__m256 mask, __m256 a, __m256 b) { return _mm256_blendv_ps(b, a, mask); }

SUBBYTE_INLINE __m256i subbyte_half_avx2(__m256i n) { return _mm256_srai_epi32(n, 1); }
SUBBYTE_INLINE __m256i subbyte_shift_left_23_avx2(__m256i n) { return _mm256_slli_epi32(n, 23); }

#define SUBBYTE_ISA avx2
#include "x86_floats_body.h"

#endif  // SUBBYTE_X86_FLOATS_AVX2_H
