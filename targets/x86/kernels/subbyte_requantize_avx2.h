// N2 and N4 for 256-bit registers: equal to subbyte_requantize_s32 and subbyte_requantize_shift_s32 of subbyte_numerics.h.

#ifndef SUBBYTE_REQUANTIZE_AVX2_H
#define SUBBYTE_REQUANTIZE_AVX2_H

#include <immintrin.h>

#include "subbyte_numerics.h"

#if !defined(__AVX2__)
#error "this file needs AVX2: compile with -march=x86-64-v3"
#endif

// Float arithmetic, every operation rounded once: a product passes a barrier, so that no compiler merges it with a sum.
static inline __m256 subbyte_set_f32_avx2(float x) { return _mm256_set1_ps(x); }
static inline __m256 subbyte_to_f32_avx2(__m256i x) { return _mm256_cvtepi32_ps(x); }
static inline __m256i subbyte_bits_avx2(__m256 x) { return _mm256_castps_si256(x); }
static inline __m256 subbyte_add_f32_avx2(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
static inline __m256 subbyte_sub_f32_avx2(__m256 a, __m256 b) { return _mm256_sub_ps(a, b); }
static inline __m256 subbyte_div_f32_avx2(__m256 a, __m256 b) { return _mm256_div_ps(a, b); }
static inline __m256 subbyte_mul_f32_avx2(__m256 a, __m256 b) {
    __m256 product = _mm256_mul_ps(a, b);
    SUBBYTE_BARRIER_M256(product);
    return product;
}

// f32(a * b + c), rounded once: for forms that were compared with their definition over all operands.
static inline __m256 subbyte_fma_f32_avx2(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }

// rne(x). Requires |x| < 2^31.
static inline __m256i subbyte_round_near_avx2(__m256 x) { return _mm256_cvtps_epi32(x); }

// rne(x), clamped to +-2^30, beyond every code; NaN is -2^30.
static inline __m256i subbyte_round_avx2(__m256 x) {
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-0x1p30f)), _mm256_set1_ps(0x1p30f)));
}

// rne(f32(sum) * multiplier), to be packed by subbyte_pack_codes_avx2. Requires |sum * multiplier| < 2^31.
static inline __m256i subbyte_scale_avx2(__m256i sum, __m256 multiplier) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier));
}

// The same for any product.
static inline __m256i subbyte_scale_wide_avx2(__m256i sum, __m256 multiplier) {
    return subbyte_round_avx2(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier));
}

// rne(f32(f32(f32(sum) * multiplier) + shift)), clamped to +-2^30.
static inline __m256i subbyte_scale_shift_avx2(__m256i sum, __m256 multiplier, __m256 shift) {
    return subbyte_round_avx2(_mm256_add_ps(subbyte_mul_f32_avx2(_mm256_cvtepi32_ps(sum), multiplier), shift));
}

// clamp(steps + zero_point, qmin, qmax) of four vectors, packed within each 128 bits: 4 of a, 4 of b, of c, of d.
// Requires 0 <= qmin, zero_point and qmax <= 255: the packing instructions saturate at 16 bits, then at 0 and 255.
static inline __m256i subbyte_pack_codes_in_lanes_avx2(__m256i a, __m256i b, __m256i c, __m256i d, int32_t zero_point,
                                                       int32_t qmin, int32_t qmax) {
    __m256i low = _mm256_packs_epi32(a, b), high = _mm256_packs_epi32(c, d), codes;
    if (zero_point) {
        const __m256i offset = _mm256_set1_epi16((int16_t)zero_point);
        low = _mm256_adds_epi16(low, offset);
        high = _mm256_adds_epi16(high, offset);
    }
    codes = _mm256_packus_epi16(low, high);
    SUBBYTE_BARRIER_M256(codes);  // GCC 12 makes vpmovuswb of a part of it, which takes negative steps for large ones
    if (qmin > 0) codes = _mm256_max_epu8(codes, _mm256_set1_epi8((char)qmin));
    if (qmax < 255) codes = _mm256_min_epu8(codes, _mm256_set1_epi8((char)qmax));
    return codes;
}

// The same in order: 8 codes of a, 8 of b, of c, of d.
static inline __m256i subbyte_pack_codes_avx2(__m256i a, __m256i b, __m256i c, __m256i d, int32_t zero_point,
                                              int32_t qmin, int32_t qmax) {
    const __m256i codes = subbyte_pack_codes_in_lanes_avx2(a, b, c, d, zero_point, qmin, qmax);
    return _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

#endif  // SUBBYTE_REQUANTIZE_AVX2_H
