// Elementwise work on floats by AVX-512.

#ifndef SUBBYTE_X86_FLOATS_AVX512_H
#define SUBBYTE_X86_FLOATS_AVX512_H

#include "x86_floats.h"
#include "x86_vector_avx512.h"

typedef __mmask16 subbyte_mask_avx512;

SUBBYTE_INLINE __m512 subbyte_reals_avx512(__m512i bits) { return _mm512_castsi512_ps(bits); }
SUBBYTE_INLINE __m512 subbyte_sqrt_f32_avx512(__m512 x) { return _mm512_sqrt_ps(x); }

// clamp(x, low, high), NaN to low.
SUBBYTE_INLINE __m512 subbyte_clamp_f32_avx512(__m512 x, float low, float high) {
    return _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(low)), _mm512_set1_ps(high));
}

SUBBYTE_INLINE __mmask16 subbyte_less_f32_avx512(__m512 a, __m512 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
SUBBYTE_INLINE __mmask16 subbyte_is_nan_avx512(__m512 a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }

// a where the mask is set, else b.
SUBBYTE_INLINE __m512 subbyte_choose_f32_avx512(__mmask16 mask, __m512 a, __m512 b) {
    return _mm512_mask_blend_ps(mask, b, a);
}

SUBBYTE_INLINE __m512i subbyte_half_avx512(__m512i n) { return _mm512_srai_epi32(n, 1); }
SUBBYTE_INLINE __m512i subbyte_shift_left_23_avx512(__m512i n) { return _mm512_slli_epi32(n, 23); }

#define SUBBYTE_ISA avx512
#include "x86_floats_body.h"

#endif  // SUBBYTE_X86_FLOATS_AVX512_H
