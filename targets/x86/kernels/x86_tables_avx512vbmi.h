// Tables of bytes by AVX-512 VBMI: vpermi2b looks 128 entries up at once.

#ifndef SUBBYTE_X86_TABLES_AVX512VBMI_H
#define SUBBYTE_X86_TABLES_AVX512VBMI_H

#include "x86_vector_avx512.h"

#if !defined(__AVX512VBMI__)
#error "this file needs AVX-512 VBMI: compile with -mavx512vbmi"
#endif

// table[codes[i]], 0 where codes[i] is `entries` or more; entries: 64, 128, 192 or 256.
SUBBYTE_INLINE __m512i subbyte_x86_pick_avx512vbmi(const uint8_t* table, int32_t entries, __m512i codes) {
    const __m512i zero = _mm512_setzero_si512(), first = subbyte_load_avx512(table);
    const __m512i second = entries > 64 ? subbyte_load_avx512(table + 64) : zero;
    const __m512i third = entries > 128 ? subbyte_load_avx512(table + 128) : zero;
    const __m512i fourth = entries > 192 ? subbyte_load_avx512(table + 192) : zero;
    const __mmask64 upper = _mm512_movepi8_mask(codes);  // 128 and more
    const __m512i low = _mm512_permutex2var_epi8(first, codes, second);
    return entries > 128 ? _mm512_mask_blend_epi8(upper, low, _mm512_permutex2var_epi8(third, codes, fourth))
                         : _mm512_maskz_mov_epi8(~upper, low);
}

// y = table[x]. Tiles: runs of `chunk` of n bytes. y may be x. Requires chunk % 64 == 0.
SUBBYTE_INLINE void subbyte_x86_lookup_avx512vbmi(const void* x, void* y, const uint8_t* table, int32_t n,
                                                  int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i;
    for (i = begin * chunk; i < stop; i += 64) {
        const int32_t bytes = subbyte_min_s32(stop - i, 64);
        const __m512i codes = subbyte_load_part_avx512((const uint8_t*)x + i, bytes);
        subbyte_store_part_avx512((uint8_t*)y + i, subbyte_x86_pick_avx512vbmi(table, 256, codes), bytes);
    }
}

#endif  // SUBBYTE_X86_TABLES_AVX512VBMI_H
