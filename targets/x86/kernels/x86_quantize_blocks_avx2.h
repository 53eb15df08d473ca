// Blocks of floats to codes with AVX2, each block with a scale of its own (N9).

#ifndef SUBBYTE_X86_QUANTIZE_BLOCKS_AVX2_H
#define SUBBYTE_X86_QUANTIZE_BLOCKS_AVX2_H

#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_extremes_avx2.h"

// 8 codes rne(steps) within -127..127, NaN to -127.
SUBBYTE_INLINE void subbyte_store_codes_avx2(int8_t* y, __m256 steps) {
    const __m256 clamped = _mm256_min_ps(_mm256_max_ps(steps, _mm256_set1_ps(-127.0f)), _mm256_set1_ps(127.0f));
    const __m256i codes = _mm256_cvtps_epi32(clamped);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
    _mm_storel_epi64((__m128i*)y, _mm_packs_epi16(words, words));
}

#define SUBBYTE_ISA avx2
#include "x86_quantize_blocks_body.h"

#endif  // SUBBYTE_X86_QUANTIZE_BLOCKS_AVX2_H
