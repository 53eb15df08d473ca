// Softmax of rows of u8 codes by AVX-512 VBMI: vpermi2b looks 128 entries up at once, for results and exponentials.

#ifndef SUBBYTE_X86_SOFTMAX_AVX512VBMI_H
#define SUBBYTE_X86_SOFTMAX_AVX512VBMI_H

#include "variant.h"
#include "x86_softmax.h"
#include "x86_softmax_vector_avx512.h"
#include "x86_tables_avx512vbmi.h"
#include "x86_vector_avx512.h"

// The sum of a row's exponentials. terms: [4][256], byte `plane` of each exponential; bytes of a plane are summed by vpsadbw.
SUBBYTE_INLINE uint64_t subbyte_x86_softmax_total_avx512vbmi(const uint8_t* codes, int32_t extent, int32_t largest,
                                                             const uint8_t* terms) {
    const __m512i highest = _mm512_set1_epi8((char)largest), zero = _mm512_setzero_si512();
    __m512i sums[4];
    int32_t plane, i;
    SUBBYTE_UNROLL for (plane = 0; plane < 4; ++plane) sums[plane] = zero;
    for (i = 0; i < extent; i += 64) {
        const int32_t n = subbyte_min_s32(extent - i, 64);
        const __m512i distances = _mm512_sub_epi8(highest, subbyte_load_part_avx512(codes + i, n));
        SUBBYTE_UNROLL for (plane = 0; plane < 4; ++plane) {
            __m512i bytes = subbyte_x86_pick_avx512vbmi(terms + 256 * plane, 256, distances);
            if (n < 64) bytes = _mm512_maskz_mov_epi8(_bzhi_u64(~0ull, (uint32_t)n), bytes);
            sums[plane] = _mm512_add_epi64(sums[plane], _mm512_sad_epu8(bytes, zero));
        }
    }
    return (uint64_t)_mm512_reduce_add_epi64(
        _mm512_add_epi64(_mm512_add_epi64(sums[0], _mm512_slli_epi64(sums[1], 8)),
                         _mm512_add_epi64(_mm512_slli_epi64(sums[2], 16), _mm512_slli_epi64(sums[3], 24))));
}

#define SUBBYTE_ISA avx512
#define SUBBYTE_SOFTMAX avx512vbmi
#define SUBBYTE_SOFTMAX_TERM uint8_t
#define subbyte_x86_softmax_pick_avx512vbmi subbyte_x86_pick_avx512vbmi
#include "x86_softmax_body.h"

#endif  // SUBBYTE_X86_SOFTMAX_AVX512VBMI_H
