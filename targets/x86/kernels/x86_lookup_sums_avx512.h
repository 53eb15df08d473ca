// Sums of products of codes of 1 or 2 bits with few-valued weights by AVX-512: vpshufb, 64 look-ups an instruction.
//
// w: [panels][runs][cells][vectors, with OUTPUTS half of them][64].

#ifndef SUBBYTE_X86_LOOKUP_SUMS_AVX512_H
#define SUBBYTE_X86_LOOKUP_SUMS_AVX512_H

#include "x86_lookup_sums.h"
#include "x86_lookup_sums_vector_avx512.h"

// 16 entries, and those that bytes below 16 name.
SUBBYTE_INLINE __m512i subbyte_row_lookup_avx512(const uint8_t* p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)p));
}
SUBBYTE_INLINE __m512i subbyte_pick_lookup_avx512(__m512i row, __m512i x) { return _mm512_shuffle_epi8(row, x); }

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT lookup_avx512
#define SUBBYTE_SEXTETS 0
#include "x86_lookup_sums_body.h"

#endif  // SUBBYTE_X86_LOOKUP_SUMS_AVX512_H
