// Matrix products of two run-time matrices of u8 codes on x86: geometry, read by x86_product_body.h, and the rearrangement of
// an operand for all register sizes.

#ifndef SUBBYTE_X86_PRODUCT_H
#define SUBBYTE_X86_PRODUCT_H

#include <immintrin.h>

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

// a [rows][depth] * b [depth][columns] -> y [rows][columns], for each batch. a_row, a_depth, b_depth, b_column, y_row: codes
// between neighbours in memory, wherever they stand; the columns of y are neighbours. tile_rows: those of a register tile, at
// most `rows`; vectors: 1, 2 or 4 of its columns. wide: 1: |sum * multiplier| may reach 2^31.
struct subbyte_x86_product {
    int32_t rows, columns, depth;
    int32_t a_row, a_depth, b_depth, b_column, y_row;
    int32_t tile_rows, vectors;
    int32_t a_zero, b_zero, y_zero, qmin, qmax, wide;
};

enum { SUBBYTE_X86_PRODUCT_SUMS = 24 };  // of a register tile, at most

// Lanes of 32 bits, [4][4] at from[0..3], to the other way around: lane j of to + i * pitch is lane i of from[j].
SUBBYTE_INLINE void subbyte_x86_turn_4x4(uint8_t* to, int32_t pitch, const __m128i* from) {
    const __m128i low_a = _mm_unpacklo_epi32(from[0], from[1]), low_b = _mm_unpacklo_epi32(from[2], from[3]);
    const __m128i high_a = _mm_unpackhi_epi32(from[0], from[1]), high_b = _mm_unpackhi_epi32(from[2], from[3]);
    _mm_storeu_si128((__m128i*)(void*)to, _mm_unpacklo_epi64(low_a, low_b));
    _mm_storeu_si128((__m128i*)(void*)(to + pitch), _mm_unpackhi_epi64(low_a, low_b));
    _mm_storeu_si128((__m128i*)(void*)(to + 2 * pitch), _mm_unpacklo_epi64(high_a, high_b));
    _mm_storeu_si128((__m128i*)(void*)(to + 3 * pitch), _mm_unpackhi_epi64(high_a, high_b));
}

// 16 codes of b at `from` as signed bytes, less 128: [16].
SUBBYTE_INLINE __m128i subbyte_x86_product_bytes(const uint8_t* from) {
    return _mm_xor_si128(_mm_loadu_si128((const __m128i*)(const void*)from), _mm_set1_epi8((char)0x80));
}

// 8 codes at `from` as 16-bit integers, less `zero`: [8].
SUBBYTE_INLINE __m128i subbyte_x86_product_words(const uint8_t* from, int32_t zero) {
    return _mm_sub_epi16(_mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i*)(const void*)from)),
                         _mm_set1_epi16((int16_t)zero));
}

#endif  // SUBBYTE_X86_PRODUCT_H
