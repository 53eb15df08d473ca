// The vector operations that the x86 kernels are written in, for 512-bit registers: 16 lanes of 32 bits, 64 of 8.
//
// x86_vector_avx2.h offers the same operations with the suffix _avx2. Needs AVX-512 F, BW, DQ and VL.

#ifndef SUBBYTE_X86_VECTOR_AVX512_H
#define SUBBYTE_X86_VECTOR_AVX512_H

#include <immintrin.h>

#include "subbyte_inline.h"
#include "subbyte_requantize_avx512.h"

#define SUBBYTE_LANES_avx512 16

typedef __m512i subbyte_ints_avx512;
typedef __m512 subbyte_floats_avx512;

// GCC 12 copies an accumulator before and after each instruction that updates it, unless told that it changes in place.
#if defined(__clang__)
#define SUBBYTE_IN_PLACE_avx512(v) (void)(v)
#else
#define SUBBYTE_IN_PLACE_avx512(v) SUBBYTE_BARRIER_M512(v)
#endif

// ---- loads and stores ------------------------------------------------------------------------------------------------

SUBBYTE_INLINE __m512i subbyte_load_avx512(const void* p) { return _mm512_loadu_si512(p); }
SUBBYTE_INLINE void subbyte_store_avx512(void* p, __m512i v) { _mm512_storeu_si512(p, v); }
SUBBYTE_INLINE __m512 subbyte_load_f32_avx512(const float* p) { return _mm512_loadu_ps(p); }

// The first n bytes at p, zeros behind; n <= 64.
SUBBYTE_INLINE __m512i subbyte_load_part_avx512(const void* p, int32_t n) {
    return n == 64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, (uint32_t)n), p);
}

// 64 bytes at row + at, those that lie outside of the row's `length` bytes from `fill`.
SUBBYTE_INLINE __m512i subbyte_load_inside_avx512(const uint8_t* row, int32_t at, int32_t length, __m512i fill) {
    const uint64_t from = at >= 0 ? ~0ull : at > -64 ? ~0ull << -at : 0;
    const int32_t left = length - at;
    return _mm512_mask_loadu_epi8(fill, from & (left <= 0 ? 0 : _bzhi_u64(~0ull, left < 64 ? (uint32_t)left : 64u)),
                                  row + at);
}

SUBBYTE_INLINE void subbyte_store_part_avx512(void* p, __m512i v, int32_t n) {
    if (n == 64)
        _mm512_storeu_si512(p, v);
    else
        _mm512_mask_storeu_epi8(p, _bzhi_u64(~0ull, (uint32_t)n), v);
}

// The first n lanes of 32 bits; n <= 16.
SUBBYTE_INLINE void subbyte_store_s32_avx512(int32_t* p, __m512i v, int32_t n) {
    subbyte_store_part_avx512(p, v, 4 * n);
}

// Bytes 16 * chunk to 16 * chunk + n of v; n <= 16.
SUBBYTE_INLINE void subbyte_store_chunk_avx512(uint8_t* p, __m512i v, int32_t chunk, int32_t n) {
    const __m128i bytes = chunk == 0   ? _mm512_castsi512_si128(v)
                          : chunk == 1 ? _mm512_extracti32x4_epi32(v, 1)
                          : chunk == 2 ? _mm512_extracti32x4_epi32(v, 2)
                                       : _mm512_extracti32x4_epi32(v, 3);
    if (n == 16)
        _mm_storeu_si128((__m128i*)p, bytes);
    else
        _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1u), bytes);
}

// Lower (half 0) or upper (half 1) 32 bytes of v.
SUBBYTE_INLINE void subbyte_store_half_avx512(uint8_t* p, __m512i v, int32_t half) {
    _mm256_storeu_si256((__m256i*)p, half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v));
}

// Four bytes in every lane.
SUBBYTE_INLINE __m512i subbyte_broadcast_avx512(const void* p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

// 32 signed bytes as 16-bit integers; 32 or n unsigned bytes as 16-bit integers.
SUBBYTE_INLINE __m512i subbyte_load_s8_as_s16_avx512(const void* p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)p));
}
SUBBYTE_INLINE __m512i subbyte_load_u8_as_u16_avx512(const void* p) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i*)p));
}

SUBBYTE_INLINE __m512i subbyte_load_u8_as_s32_avx512(const void* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
}

// ---- arithmetic ------------------------------------------------------------------------------------------------------

SUBBYTE_INLINE __m512i subbyte_zero_avx512(void) { return _mm512_setzero_si512(); }
SUBBYTE_INLINE __m512i subbyte_set_s32_avx512(int32_t x) { return _mm512_set1_epi32(x); }
SUBBYTE_INLINE __m512i subbyte_set_s16_avx512(int32_t x) { return _mm512_set1_epi16((int16_t)x); }
SUBBYTE_INLINE __m512i subbyte_set_u8_avx512(int32_t x) { return _mm512_set1_epi8((char)x); }
SUBBYTE_INLINE __m512i subbyte_add_s32_avx512(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
SUBBYTE_INLINE __m512i subbyte_sub_s32_avx512(__m512i a, __m512i b) { return _mm512_sub_epi32(a, b); }
SUBBYTE_INLINE __m512i subbyte_mul_s32_avx512(__m512i a, __m512i b) { return _mm512_mullo_epi32(a, b); }

SUBBYTE_INLINE __m512i subbyte_add_s16_avx512(__m512i a, __m512i b) { return _mm512_add_epi16(a, b); }
SUBBYTE_INLINE __m512i subbyte_add_u8_avx512(__m512i a, __m512i b) { return _mm512_add_epi8(a, b); }
SUBBYTE_INLINE __m512i subbyte_sub_u8_avx512(__m512i a, __m512i b) { return _mm512_sub_epi8(a, b); }
SUBBYTE_INLINE __m512i subbyte_max_u8_avx512(__m512i a, __m512i b) { return _mm512_max_epu8(a, b); }
SUBBYTE_INLINE __m512i subbyte_min_u8_avx512(__m512i a, __m512i b) { return _mm512_min_epu8(a, b); }
SUBBYTE_INLINE __m512i subbyte_xor_avx512(__m512i a, __m512i b) { return _mm512_xor_si512(a, b); }

SUBBYTE_INLINE __m512i subbyte_unpack_low_u8_avx512(__m512i a, __m512i b) { return _mm512_unpacklo_epi8(a, b); }
SUBBYTE_INLINE __m512i subbyte_unpack_high_u8_avx512(__m512i a, __m512i b) { return _mm512_unpackhi_epi8(a, b); }
SUBBYTE_INLINE __m512i subbyte_unpack_low_u16_avx512(__m512i a, __m512i b) { return _mm512_unpacklo_epi16(a, b); }
SUBBYTE_INLINE __m512i subbyte_unpack_high_u16_avx512(__m512i a, __m512i b) { return _mm512_unpackhi_epi16(a, b); }

// ---- dot products: every lane of 32 bits gains the products of its bytes (or of its two 16-bit integers) -----------------

// Two u8 * s8 products of a pair must sum within 16 bits: the caller proves it from the weights.
SUBBYTE_INLINE __m512i subbyte_dot_avx512_maddubs(__m512i sum, __m512i a, __m512i w) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, w), _mm512_set1_epi16(1)));
}

SUBBYTE_INLINE __m512i subbyte_dot_avx512_madd(__m512i sum, __m512i a, __m512i w) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, w));
}

#if defined(__AVX512VNNI__)
SUBBYTE_INLINE __m512i subbyte_dot_avx512vnni(__m512i sum, __m512i a, __m512i w) {
    return _mm512_dpbusd_epi32(sum, a, w);
}
#endif

// ---- runs of bytes ---------------------------------------------------------------------------------------------------

// n bytes from x; reads and writes nothing beyond them.
SUBBYTE_INLINE void subbyte_copy_avx512(uint8_t* to, const uint8_t* x, int32_t n) {
    const int32_t block = (int32_t)sizeof(__m512i);
    int32_t i = 0;
    for (; i + block <= n; i += block) {
        __m512i bytes = subbyte_load_avx512(x + i);
        SUBBYTE_BARRIER_M512(bytes);  // keeps this loop from becoming a call of memcpy
        subbyte_store_avx512(to + i, bytes);
    }
    if (i < n) subbyte_store_part_avx512(to + i, subbyte_load_part_avx512(x + i, n - i), n - i);
}

// n bytes of one value.
SUBBYTE_INLINE void subbyte_fill_avx512(uint8_t* to, int32_t value, int32_t n) {
    const int32_t block = (int32_t)sizeof(__m512i);
    __m512i bytes = subbyte_set_u8_avx512(value);
    int32_t i = 0;
    for (; i + block <= n; i += block) {
        SUBBYTE_BARRIER_M512(bytes);  // keeps this loop from becoming a call of memset
        subbyte_store_avx512(to + i, bytes);
    }
    if (i < n) subbyte_store_part_avx512(to + i, bytes, n - i);
}

// ---- codes that share bytes -------------------------------------------------------------------------------------------

#include "x86_packed_avx512.h"

#endif  // SUBBYTE_X86_VECTOR_AVX512_H
