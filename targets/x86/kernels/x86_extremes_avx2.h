// Magnitudes and extremes of floats in 256-bit registers, which leave NaN out.

#ifndef SUBBYTE_X86_EXTREMES_AVX2_H
#define SUBBYTE_X86_EXTREMES_AVX2_H

#include "x86_vector_avx2.h"

SUBBYTE_INLINE __m256 subbyte_magnitude_avx2(__m256 x) {
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)));
}

// The lower, and the higher, of each two; y where x is NaN, or where both are zeros.
SUBBYTE_INLINE __m256 subbyte_lower_avx2(__m256 x, __m256 y) { return _mm256_min_ps(x, y); }
SUBBYTE_INLINE __m256 subbyte_higher_avx2(__m256 x, __m256 y) { return _mm256_max_ps(x, y); }

#endif  // SUBBYTE_X86_EXTREMES_AVX2_H
