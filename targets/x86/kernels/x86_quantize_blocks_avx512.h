// Blocks of floats to codes with AVX-512, each block with a scale of its own (N9).

#ifndef SUBBYTE_X86_QUANTIZE_BLOCKS_AVX512_H
#define SUBBYTE_X86_QUANTIZE_BLOCKS_AVX512_H

#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_extremes_avx512.h"

// 16 codes rne(steps) within -127..127, NaN to -127.
SUBBYTE_INLINE void subbyte_store_codes_avx512(int8_t* y, __m512 steps) {
    const __m512 clamped = _mm512_min_ps(_mm512_max_ps(steps, _mm512_set1_ps(-127.0f)), _mm512_set1_ps(127.0f));
    const __m512i codes = _mm512_cvtps_epi32(clamped);
    _mm_storeu_si128((__m128i*)y, _mm512_cvtepi32_epi8(codes));
}

#define SUBBYTE_ISA avx512
#include "x86_quantize_blocks_body.h"

#endif  // SUBBYTE_X86_QUANTIZE_BLOCKS_AVX512_H
