// Convolutions and matrix products of u8 codes with constant s8 weights by AVX2: vpmaddwd on 16-bit integers, exact for all
// weights, which are stored as such: they take twice the memory, and nothing to widen them.
//
// w: packed by o8k2: [panels][kernel rows][taps][groups][vectors][8 outputs][2 products], 16 bits each.

#ifndef SUBBYTE_X86_SUMS_AVX2_WORDS_H
#define SUBBYTE_X86_SUMS_AVX2_WORDS_H

#include "x86_pairs_avx2.h"
#include "x86_sums.h"

SUBBYTE_INLINE __m256i subbyte_dot_avx2_words(__m256i sum, __m256i a, __m256i w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
}

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2_words
#define SUBBYTE_WORDS 2
#include "x86_sums_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX2_WORDS_H
