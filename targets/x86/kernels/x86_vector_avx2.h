// The vector operations that the x86 kernels are written in, for 256-bit registers: 8 lanes of 32 bits, 32 of 8.
//
// x86_vector_avx512.h offers the same operations with the suffix _avx512. Needs AVX2.

#ifndef SUBBYTE_X86_VECTOR_AVX2_H
#define SUBBYTE_X86_VECTOR_AVX2_H

#include <immintrin.h>

#include "subbyte_inline.h"
#include "subbyte_requantize_avx2.h"

#define SUBBYTE_LANES_avx2 8

typedef __m256i subbyte_ints_avx2;
typedef __m256 subbyte_floats_avx2;

// GCC 12 copies an accumulator before and after each instruction that updates it, unless told that it changes in place.
#if defined(__clang__)
#define SUBBYTE_IN_PLACE_avx2(v) (void)(v)
#else
#define SUBBYTE_IN_PLACE_avx2(v) SUBBYTE_BARRIER_M256(v)
#endif

// ---- loads and stores ------------------------------------------------------------------------------------------------

SUBBYTE_INLINE __m256i subbyte_load_avx2(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }
SUBBYTE_INLINE void subbyte_store_avx2(void* p, __m256i v) { _mm256_storeu_si256((__m256i*)p, v); }
SUBBYTE_INLINE __m256 subbyte_load_f32_avx2(const float* p) { return _mm256_loadu_ps(p); }

// The first n bytes at p, zeros behind; n <= 32 (the mask tells compilers so, which warn of what they cannot see).
SUBBYTE_INLINE __m256i subbyte_load_part_avx2(const void* p, int32_t n) {
    uint8_t bytes[32] = {0};
    if (n == 32) return _mm256_loadu_si256((const __m256i*)p);
    if (n == 16) return _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i*)p));
    if (n == 8) return _mm256_zextsi128_si256(_mm_loadl_epi64((const __m128i*)p));
    memcpy(bytes, p, (size_t)(n & 31));
    return _mm256_loadu_si256((const __m256i*)(const void*)bytes);
}

// 32 bytes at row + at, those that lie outside of the row's `length` bytes from `fill`.
SUBBYTE_INLINE __m256i subbyte_load_inside_avx2(const uint8_t* row, int32_t at, int32_t length, __m256i fill) {
    const int32_t first = at < 0 ? -at : 0, last = length - at < 32 ? length - at : 32;
    uint8_t bytes[32];
    _mm256_storeu_si256((__m256i*)(void*)bytes, fill);
    if (first < last) memcpy(bytes + first, row + at + first, (size_t)(last - first) & 63);
    return _mm256_loadu_si256((const __m256i*)(const void*)bytes);
}

SUBBYTE_INLINE void subbyte_store_part_avx2(void* p, __m256i v, int32_t n) {
    uint8_t bytes[32];
    if (n == 32) {
        _mm256_storeu_si256((__m256i*)p, v);
    } else if (n == 16) {
        _mm_storeu_si128((__m128i*)p, _mm256_castsi256_si128(v));
    } else if (n == 8) {
        _mm_storel_epi64((__m128i*)p, _mm256_castsi256_si128(v));
    } else {
        _mm256_storeu_si256((__m256i*)(void*)bytes, v);
        memcpy(p, bytes, (size_t)(n & 31));
    }
}

// The first n lanes of 32 bits; n <= 8.
SUBBYTE_INLINE void subbyte_store_s32_avx2(int32_t* p, __m256i v, int32_t n) { subbyte_store_part_avx2(p, v, 4 * n); }

// Bytes 8 * chunk to 8 * chunk + n of v; n <= 8.
SUBBYTE_INLINE void subbyte_store_chunk_avx2(uint8_t* p, __m256i v, int32_t chunk, int32_t n) {
    const __m128i half = chunk < 2 ? _mm256_castsi256_si128(v) : _mm256_extracti128_si256(v, 1);
    const int64_t bytes = _mm_cvtsi128_si64(chunk & 1 ? _mm_unpackhi_epi64(half, half) : half);
    memcpy(p, &bytes, (size_t)n);
}

// Lower (half 0) or upper (half 1) 16 bytes of v.
SUBBYTE_INLINE void subbyte_store_half_avx2(uint8_t* p, __m256i v, int32_t half) {
    _mm_storeu_si128((__m128i*)p, half ? _mm256_extracti128_si256(v, 1) : _mm256_castsi256_si128(v));
}

// Four bytes in every lane.
SUBBYTE_INLINE __m256i subbyte_broadcast_avx2(const void* p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

// 16 signed or unsigned bytes as 16-bit integers.
SUBBYTE_INLINE __m256i subbyte_load_s8_as_s16_avx2(const void* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)p));
}
SUBBYTE_INLINE __m256i subbyte_load_u8_as_u16_avx2(const void* p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)p));
}

SUBBYTE_INLINE __m256i subbyte_load_u8_as_s32_avx2(const void* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
}

// ---- arithmetic ------------------------------------------------------------------------------------------------------

SUBBYTE_INLINE __m256i subbyte_zero_avx2(void) { return _mm256_setzero_si256(); }
SUBBYTE_INLINE __m256i subbyte_set_s32_avx2(int32_t x) { return _mm256_set1_epi32(x); }
SUBBYTE_INLINE __m256i subbyte_set_s16_avx2(int32_t x) { return _mm256_set1_epi16((int16_t)x); }
SUBBYTE_INLINE __m256i subbyte_set_u8_avx2(int32_t x) { return _mm256_set1_epi8((char)x); }
SUBBYTE_INLINE __m256i subbyte_add_s32_avx2(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
SUBBYTE_INLINE __m256i subbyte_sub_s32_avx2(__m256i a, __m256i b) { return _mm256_sub_epi32(a, b); }
SUBBYTE_INLINE __m256i subbyte_mul_s32_avx2(__m256i a, __m256i b) { return _mm256_mullo_epi32(a, b); }

SUBBYTE_INLINE __m256i subbyte_add_s16_avx2(__m256i a, __m256i b) { return _mm256_add_epi16(a, b); }
SUBBYTE_INLINE __m256i subbyte_add_u8_avx2(__m256i a, __m256i b) { return _mm256_add_epi8(a, b); }
SUBBYTE_INLINE __m256i subbyte_sub_u8_avx2(__m256i a, __m256i b) { return _mm256_sub_epi8(a, b); }
SUBBYTE_INLINE __m256i subbyte_max_u8_avx2(__m256i a, __m256i b) { return _mm256_max_epu8(a, b); }
SUBBYTE_INLINE __m256i subbyte_min_u8_avx2(__m256i a, __m256i b) { return _mm256_min_epu8(a, b); }
SUBBYTE_INLINE __m256i subbyte_xor_avx2(__m256i a, __m256i b) { return _mm256_xor_si256(a, b); }

SUBBYTE_INLINE __m256i subbyte_unpack_low_u8_avx2(__m256i a, __m256i b) { return _mm256_unpacklo_epi8(a, b); }
SUBBYTE_INLINE __m256i subbyte_unpack_high_u8_avx2(__m256i a, __m256i b) { return _mm256_unpackhi_epi8(a, b); }
SUBBYTE_INLINE __m256i subbyte_unpack_low_u16_avx2(__m256i a, __m256i b) { return _mm256_unpacklo_epi16(a, b); }
SUBBYTE_INLINE __m256i subbyte_unpack_high_u16_avx2(__m256i a, __m256i b) { return _mm256_unpackhi_epi16(a, b); }

// ---- dot products: every lane of 32 bits gains the products of its bytes (or of its two 16-bit integers) -----------------

// Two u8 * s8 products of a pair must sum within 16 bits: the caller proves it from the weights.
SUBBYTE_INLINE __m256i subbyte_dot_avx2_maddubs(__m256i sum, __m256i a, __m256i w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, w), _mm256_set1_epi16(1)));
}

SUBBYTE_INLINE __m256i subbyte_dot_avx2_madd(__m256i sum, __m256i a, __m256i w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
}

#if defined(__AVXVNNI__)
SUBBYTE_INLINE __m256i subbyte_dot_avxvnni(__m256i sum, __m256i a, __m256i w) {
    return _mm256_dpbusd_avx_epi32(sum, a, w);
}
#endif

// ---- runs of bytes ---------------------------------------------------------------------------------------------------

// n bytes from x; reads and writes nothing beyond them.
SUBBYTE_INLINE void subbyte_copy_avx2(uint8_t* to, const uint8_t* x, int32_t n) {
    const int32_t block = (int32_t)sizeof(__m256i);
    int32_t i = 0;
    for (; i + block <= n; i += block) {
        __m256i bytes = subbyte_load_avx2(x + i);
        SUBBYTE_BARRIER_M256(bytes);  // keeps this loop from becoming a call of memcpy
        subbyte_store_avx2(to + i, bytes);
    }
    if (i < n) subbyte_store_part_avx2(to + i, subbyte_load_part_avx2(x + i, n - i), n - i);
}

// n bytes of one value.
SUBBYTE_INLINE void subbyte_fill_avx2(uint8_t* to, int32_t value, int32_t n) {
    const int32_t block = (int32_t)sizeof(__m256i);
    __m256i bytes = subbyte_set_u8_avx2(value);
    int32_t i = 0;
    for (; i + block <= n; i += block) {
        SUBBYTE_BARRIER_M256(bytes);  // keeps this loop from becoming a call of memset
        subbyte_store_avx2(to + i, bytes);
    }
    if (i < n) subbyte_store_part_avx2(to + i, bytes, n - i);
}

// ---- codes that share bytes -------------------------------------------------------------------------------------------

#include "x86_packed_avx2.h"

#endif  // SUBBYTE_X86_VECTOR_AVX2_H
