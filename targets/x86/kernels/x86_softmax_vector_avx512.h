// The vector operations that softmax needs beyond x86_vector_avx512.h, for 512-bit registers.

#ifndef SUBBYTE_X86_SOFTMAX_VECTOR_AVX512_H
#define SUBBYTE_X86_SOFTMAX_VECTOR_AVX512_H

#include "x86_vector_avx512.h"

SUBBYTE_INLINE int32_t subbyte_largest_u8_avx512(__m512i v) {
    const __m256i half = _mm256_max_epu8(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    const __m128i below = _mm_xor_si128(_mm_max_epu8(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)),
                                        _mm_set1_epi8(-1));  // 255 less each: the smallest of these
    return 255 - _mm_extract_epi16(_mm_minpos_epu16(_mm_min_epu8(below, _mm_srli_epi16(below, 8))), 0);
}

SUBBYTE_INLINE __m512 subbyte_min_f32_avx512(__m512 a, __m512 b) { return _mm512_min_ps(a, b); }

// The larger of `distance` and |x - rne(x)|.
SUBBYTE_INLINE __m512 subbyte_farther_avx512(__m512 distance, __m512 x) {
    const __m512 rest = _mm512_reduce_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm512_range_ps(distance, rest, 0xb);  // the larger magnitude, without its sign
}

SUBBYTE_INLINE int32_t subbyte_any_above_avx512(__m512 v, float limit) {
    return _mm512_cmp_ps_mask(v, _mm512_set1_ps(limit), _CMP_GT_OQ) != 0;
}

#endif  // SUBBYTE_X86_SOFTMAX_VECTOR_AVX512_H
