// Magnitudes and extremes of floats in 512-bit registers, which leave NaN out.

#ifndef SUBBYTE_X86_EXTREMES_AVX512_H
#define SUBBYTE_X86_EXTREMES_AVX512_H

#include "x86_vector_avx512.h"

SUBBYTE_INLINE __m512 subbyte_magnitude_avx512(__m512 x) {
    return _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32(0x7fffffff)));
}

// The lower, and the higher, of each two; y where x is NaN, or where both are zeros.
SUBBYTE_INLINE __m512 subbyte_lower_avx512(__m512 x, __m512 y) { return _mm512_min_ps(x, y); }
SUBBYTE_INLINE __m512 subbyte_higher_avx512(__m512 x, __m512 y) { return _mm512_max_ps(x, y); }

#endif  // SUBBYTE_X86_EXTREMES_AVX512_H
