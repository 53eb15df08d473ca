// Sums of products in 16 bits, for 256-bit registers: what narrow operands allow before they are widened to 32 bits.
//
// x86_pairs_avx512.h offers the same operations with the suffix _avx512. Needs AVX2.

#ifndef SUBBYTE_X86_PAIRS_AVX2_H
#define SUBBYTE_X86_PAIRS_AVX2_H

#include "x86_vector_avx2.h"

// a[2i] * w[2i] + a[2i + 1] * w[2i + 1] in 16 bits, u8 * s8; the sum must fit: the caller proves it from the weights.
SUBBYTE_INLINE __m256i subbyte_pairs_avx2(__m256i a, __m256i w) { return _mm256_maddubs_epi16(a, w); }

// sum + the two 16-bit integers of each lane of 32 bits.
SUBBYTE_INLINE __m256i subbyte_add_pairs_avx2(__m256i sum, __m256i pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// sum += pairs in 16 bits; what is held in a register. GCC 12 would copy every sum, and load a weight for each of its uses.
#if defined(__clang__)
#define SUBBYTE_ADD_PAIRS_avx2(sum, pairs) ((sum) = _mm256_add_epi16(sum, pairs))
#define SUBBYTE_HOLD_avx2(v) (void)(v)
#else
#define SUBBYTE_ADD_PAIRS_avx2(sum, pairs) __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(pairs))
#define SUBBYTE_HOLD_avx2(v) __asm__("" : "+x"(v))
#endif

#endif  // SUBBYTE_X86_PAIRS_AVX2_H
