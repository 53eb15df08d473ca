// Sums of products of codes of 1 or 2 bits with few-valued weights by AVX2: vpshufb, 32 look-ups an instruction.
//
// w: [panels][runs][cells][vectors, with OUTPUTS half of them][32].

#ifndef SUBBYTE_X86_LOOKUP_SUMS_AVX2_H
#define SUBBYTE_X86_LOOKUP_SUMS_AVX2_H

#include "x86_lookup_sums.h"
#include "x86_vector_avx2.h"

// 16 entries, and those that bytes below 16 name.
SUBBYTE_INLINE __m256i subbyte_row_lookup_avx2(const uint8_t* p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)p));
}
SUBBYTE_INLINE __m256i subbyte_pick_lookup_avx2(__m256i row, __m256i x) { return _mm256_shuffle_epi8(row, x); }

SUBBYTE_INLINE __m256i subbyte_sub_s16_avx2(__m256i a, __m256i b) { return _mm256_sub_epi16(a, b); }

// The lower (half 0) or upper (half 1) 8 of 16 integers of 16 bits as 32 bits.
SUBBYTE_INLINE __m256i subbyte_widen_s16_avx2(__m256i x, int32_t half) {
    return _mm256_cvtepi16_epi32(half ? _mm256_extracti128_si256(x, 1) : _mm256_castsi256_si128(x));
}

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT lookup_avx2
#define SUBBYTE_SEXTETS 0
#include "x86_lookup_sums_body.h"

#endif  // SUBBYTE_X86_LOOKUP_SUMS_AVX2_H
