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

// The bits of `bits`, and those in which a and b differ.
SUBBYTE_INLINE __m512i subbyte_differ_avx512(__m512i bits, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(bits, a, b, 0xf6);
}

SUBBYTE_INLINE int32_t subbyte_any_bit_avx512(__m512i v) { return _mm512_test_epi32_mask(v, v) != 0; }

#endif  // SUBBYTE_X86_SOFTMAX_VECTOR_AVX512_H
