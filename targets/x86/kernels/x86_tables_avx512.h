// Tables of bytes by AVX-512: a row of 16 entries in each quarter of a register, picked by vpshufb.

#ifndef SUBBYTE_X86_TABLES_AVX512_H
#define SUBBYTE_X86_TABLES_AVX512_H

#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_vector_avx512.h"

// Entry code[i] of the 16 at `row` where code[i] is below 16, else 0. vpshufb gives 0 where bit 7 is set: 0x70 is added with
// saturation, so that 16 and more have it.
SUBBYTE_INLINE __m512i subbyte_pick_of_16_avx512(const uint8_t* row, __m512i code) {
    const __m512i entries = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)row));
    return _mm512_shuffle_epi8(entries, _mm512_adds_epu8(code, _mm512_set1_epi8(0x70)));
}

SUBBYTE_INLINE __m512i subbyte_either_avx512(__m512i a, __m512i b) { return _mm512_or_si512(a, b); }

#define SUBBYTE_ISA avx512
#include "x86_tables_body.h"

#endif  // SUBBYTE_X86_TABLES_AVX512_H
