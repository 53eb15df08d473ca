// Tables of bytes by AVX2: a row of 16 entries in each half of a register, picked by vpshufb.

#ifndef SUBBYTE_X86_TABLES_AVX2_H
#define SUBBYTE_X86_TABLES_AVX2_H

#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_vector_avx2.h"

// Entry code[i] of the 16 at `row` where code[i] is below 16, else 0. vpshufb gives 0 where bit 7 is set: 0x70 is added with
// saturation, so that 16 and more have it.
SUBBYTE_INLINE __m256i subbyte_pick_of_16_avx2(const uint8_t* row, __m256i code) {
    const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)row));
    return _mm256_shuffle_epi8(entries, _mm256_adds_epu8(code, _mm256_set1_epi8(0x70)));
}

SUBBYTE_INLINE __m256i subbyte_either_avx2(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }

#define SUBBYTE_ISA avx2
#include "x86_tables_body.h"

#endif  // SUBBYTE_X86_TABLES_AVX2_H
