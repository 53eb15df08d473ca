// Sums of products of codes of 1 or 2 bits with few-valued weights by AVX-512 VBMI: vpermb, 64 look-ups in 64 entries.
//
// w: [panels][runs][cells][vectors][64].

#ifndef SUBBYTE_X86_LOOKUP_SUMS_AVX512VBMI_H
#define SUBBYTE_X86_LOOKUP_SUMS_AVX512VBMI_H

#include "x86_lookup_sums.h"
#include "x86_lookup_sums_vector_avx512.h"

#if !defined(__AVX512VBMI__)
#error "this file needs AVX-512 VBMI: compile with -mavx512vbmi"
#endif

// 64 entries, and those that bytes below 64 name.
SUBBYTE_INLINE __m512i subbyte_row_lookup_avx512vbmi(const uint8_t* p) { return _mm512_loadu_si512(p); }
SUBBYTE_INLINE __m512i subbyte_pick_lookup_avx512vbmi(__m512i row, __m512i x) {
    return _mm512_permutexvar_epi8(x, row);
}

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT lookup_avx512vbmi
#define SUBBYTE_SEXTETS 1
#include "x86_lookup_sums_body.h"

#endif  // SUBBYTE_X86_LOOKUP_SUMS_AVX512VBMI_H
