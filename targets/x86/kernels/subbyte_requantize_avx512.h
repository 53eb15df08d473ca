// N2 and N4 for 512-bit registers: equal to subbyte_requantize_s32 and subbyte_requantize_shift_s32 of subbyte_numerics.h.

#ifndef SUBBYTE_REQUANTIZE_AVX512_H
#define SUBBYTE_REQUANTIZE_AVX512_H

#include <immintrin.h>

#include "subbyte_numerics.h"

#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__)
#error "this file needs AVX-512 F, BW, DQ and VL: compile with -march=x86-64-v4"
#endif

// Float arithmetic, every operation rounded once: a product passes a barrier, so that no compiler merges it with a sum.
static inline __m512 subbyte_set_f32_avx512(float x) { return _mm512_set1_ps(x); }
static inline __m512 subbyte_to_f32_avx512(__m512i x) { return _mm512_cvtepi32_ps(x); }
static inline __m512i subbyte_bits_avx512(__m512 x) { return _mm512_castps_si512(x); }
static inline __m512 subbyte_add_f32_avx512(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
static inline __m512 subbyte_sub_f32_avx512(__m512 a, __m512 b) { return _mm512_sub_ps(a, b); }
static inline __m512 subbyte_div_f32_avx512(__m512 a, __m512 b) { return _mm512_div_ps(a, b); }
static inline __m512 subbyte_mul_f32_avx512(__m512 a, __m512 b) {
    __m512 product = _mm512_mul_ps(a, b);
    SUBBYTE_BARRIER_M512(product);
    return product;
}

// f32(a * b + c), rounded once: for forms that were compared with their definition over all operands.
static inline __m512 subbyte_fma_f32_avx512(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }

// rne(x). Requires |x| < 2^31.
static inline __m512i subbyte_round_near_avx512(__m512 x) { return _mm512_cvtps_epi32(x); }

// rne(x), clamped to +-2^30, beyond every code; NaN is -2^30.
static inline __m512i subbyte_round_avx512(__m512 x) {
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-0x1p30f)), _mm512_set1_ps(0x1p30f)));
}

// rne(f32(sum) * multiplier), to be packed by subbyte_pack_codes_avx512. Requires |sum * multiplier| < 2^31.
static inline __m512i subbyte_scale_avx512(__m512i sum, __m512 multiplier) {
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier));
}

// The same for any product.
static inline __m512i subbyte_scale_wide_avx512(__m512i sum, __m512 multiplier) {
    return subbyte_round_avx512(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier));
}

// rne(f32(f32(f32(sum) * multiplier) + shift)), clamped to +-2^30.
static inline __m512i subbyte_scale_shift_avx512(__m512i sum, __m512 multiplier, __m512 shift) {
    return subbyte_round_avx512(_mm512_add_ps(subbyte_mul_f32_avx512(_mm512_cvtepi32_ps(sum), multiplier), shift));
}

// clamp(steps + zero_point, qmin, qmax) of four vectors, packed within each 128 bits: 4 of a, 4 of b, of c, of d.
// Requires 0 <= qmin, zero_point and qmax <= 255: the packing instructions saturate at 16 bits, then at 0 and 255.
static inline __m512i subbyte_pack_codes_in_lanes_avx512(__m512i a, __m512i b, __m512i c, __m512i d, int32_t zero_point,
                                                         int32_t qmin, int32_t qmax) {
    __m512i low = _mm512_packs_epi32(a, b), high = _mm512_packs_epi32(c, d), codes;
    if (zero_point) {
        const __m512i offset = _mm512_set1_epi16((int16_t)zero_point);
        low = _mm512_adds_epi16(low, offset);
        high = _mm512_adds_epi16(high, offset);
    }
    codes = _mm512_packus_epi16(low, high);
    SUBBYTE_BARRIER_M512(codes);  // GCC 12 makes vpmovuswb of a part of it, which takes negative steps for large ones
    if (qmin > 0) codes = _mm512_max_epu8(codes, _mm512_set1_epi8((char)qmin));
    if (qmax < 255) codes = _mm512_min_epu8(codes, _mm512_set1_epi8((char)qmax));
    return codes;
}

// The same in order: 16 codes of a, 16 of b, of c, of d.
static inline __m512i subbyte_pack_codes_avx512(__m512i a, __m512i b, __m512i c, __m512i d, int32_t zero_point,
                                                int32_t qmin, int32_t qmax) {
    const __m512i codes = subbyte_pack_codes_in_lanes_avx512(a, b, c, d, zero_point, qmin, qmax);
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), codes);
}

#endif  // SUBBYTE_REQUANTIZE_AVX512_H
