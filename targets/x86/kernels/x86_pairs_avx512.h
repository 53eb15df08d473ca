// Sums of products in 16 bits, for 512-bit registers: what narrow operands allow before they are widened to 32 bits.
//
// x86_pairs_avx2.h offers the same operations with the suffix _avx2. Needs AVX-512BW.

#ifndef SUBBYTE_X86_PAIRS_AVX512_H
#define SUBBYTE_X86_PAIRS_AVX512_H

#include "x86_vector_avx512.h"

// a[2i] * w[2i] + a[2i + 1] * w[2i + 1] in 16 bits, u8 * s8; the sum must fit: the caller proves it from the weights.
SUBBYTE_INLINE __m512i subbyte_pairs_avx512(__m512i a, __m512i w) { return _mm512_maddubs_epi16(a, w); }

// sum + the two 16-bit integers of each lane of 32 bits.
SUBBYTE_INLINE __m512i subbyte_add_pairs_avx512(__m512i sum, __m512i pairs) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

// sum += pairs in 16 bits; what is held in a register. GCC 12 would copy every sum, and load a weight for each of its uses.
#if defined(__clang__)
#define SUBBYTE_ADD_PAIRS_avx512(sum, pairs) ((sum) = _mm512_add_epi16(sum, pairs))
#define SUBBYTE_HOLD_avx512(v) (void)(v)
#else
#define SUBBYTE_ADD_PAIRS_avx512(sum, pairs) __asm__("vpaddw %1, %0, %0" : "+v"(sum) : "v"(pairs))
#define SUBBYTE_HOLD_avx512(v) __asm__("" : "+v"(v))
#endif

#endif  // SUBBYTE_X86_PAIRS_AVX512_H
