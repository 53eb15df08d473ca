// What the look-ups of x86_lookup_sums_avx512*.h have in common.

#ifndef SUBBYTE_X86_LOOKUP_SUMS_VECTOR_AVX512_H
#define SUBBYTE_X86_LOOKUP_SUMS_VECTOR_AVX512_H

#include "x86_vector_avx512.h"

SUBBYTE_INLINE __m512i subbyte_sub_s16_avx512(__m512i a, __m512i b) { return _mm512_sub_epi16(a, b); }

// The lower (half 0) or upper (half 1) 16 of 32 integers of 16 bits as 32 bits.
SUBBYTE_INLINE __m512i subbyte_widen_s16_avx512(__m512i x, int32_t half) {
    return _mm512_cvtepi16_epi32(half ? _mm512_extracti64x4_epi64(x, 1) : _mm512_castsi512_si256(x));
}

#endif  // SUBBYTE_X86_LOOKUP_SUMS_VECTOR_AVX512_H
