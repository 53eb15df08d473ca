// Float sums of products by AVX2: tables of 16 floats are looked up by two vpermps, larger ones by gathers.

#ifndef SUBBYTE_X86_FLOAT_SUMS_AVX2_H
#define SUBBYTE_X86_FLOAT_SUMS_AVX2_H

#include "x86_float_sums.h"
#include "x86_vector_avx2.h"

typedef struct {
    __m256 low, high;
} subbyte_x86_table_avx2;

SUBBYTE_INLINE subbyte_x86_table_avx2 subbyte_x86_load_table_avx2(const float* table, int32_t bits) {
    subbyte_x86_table_avx2 levels = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    if (bits <= 4) levels.low = _mm256_loadu_ps(table), levels.high = _mm256_loadu_ps(table + 8);
    return levels;
}

// 8 weights: floats, or of the indices at `at`. Of indices of 1 to 4 bits 4 bytes are read.
SUBBYTE_INLINE __m256 subbyte_x86_weights_avx2(const uint8_t* at, const subbyte_x86_table_avx2* levels,
                                               const float* table, int32_t bits) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i indices;
    __m256 low;
    int32_t eight;
    if (bits == 32) return _mm256_loadu_ps((const float*)(const void*)at);
    if (bits == 8)
        return _mm256_i32gather_ps(table, _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(const void*)at)), 4);
    memcpy(&eight, at, sizeof eight);
    indices = _mm256_srlv_epi32(_mm256_set1_epi32(eight), _mm256_mullo_epi32(lane, _mm256_set1_epi32(bits)));
    low = _mm256_permutevar8x32_ps(levels->low, indices);  // reads the lower 3 bits; the table repeats itself
    if (bits < 4) return low;
    return _mm256_blendv_ps(low, _mm256_permutevar8x32_ps(levels->high, indices),
                            _mm256_castsi256_ps(_mm256_slli_epi32(indices, 28)));
}

#define SUBBYTE_ISA avx2
#include "x86_float_sums_body.h"

#endif  // SUBBYTE_X86_FLOAT_SUMS_AVX2_H
