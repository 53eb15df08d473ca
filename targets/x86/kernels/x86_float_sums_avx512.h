// Float sums of products by AVX-512: tables of 16 floats are looked up by vpermps, larger ones by gathers.

#ifndef SUBBYTE_X86_FLOAT_SUMS_AVX512_H
#define SUBBYTE_X86_FLOAT_SUMS_AVX512_H

#include "x86_float_sums.h"
#include "x86_vector_avx512.h"

typedef __m512 subbyte_x86_table_avx512;

SUBBYTE_INLINE __m512 subbyte_x86_load_table_avx512(const float* table, int32_t bits) {
    return bits <= 4 ? _mm512_loadu_ps(table) : _mm512_setzero_ps();
}

// 16 weights: floats, or of the indices at `at`. Of indices of 1 to 4 bits 4 bytes are read from each of two places.
SUBBYTE_INLINE __m512 subbyte_x86_weights_avx512(const uint8_t* at, const __m512* levels, const float* table,
                                                 int32_t bits) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
    int32_t low, high;
    if (bits == 32) return _mm512_loadu_ps((const float*)(const void*)at);
    if (bits == 8)
        return _mm512_i32gather_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(const void*)at)), table, 4);
    memcpy(&low, at, sizeof low);
    memcpy(&high, at + bits, sizeof high);
    return _mm512_permutexvar_ps(  // reads the lower 4 bits of an index; the table repeats itself
        _mm512_srlv_epi32(_mm512_mask_set1_epi32(_mm512_set1_epi32(low), 0xff00, high),
                          _mm512_mullo_epi32(lane, _mm512_set1_epi32(bits))),
        *levels);
}

#define SUBBYTE_ISA avx512
#include "x86_float_sums_body.h"

#endif  // SUBBYTE_X86_FLOAT_SUMS_AVX512_H
