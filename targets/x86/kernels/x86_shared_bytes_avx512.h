// Codes of 2, 4 or 8 bits that share the bytes of a 512-bit register, and their products with signed bytes.
//
// x86_shared_bytes_avx2.h offers the same operations with the suffix _avx2. Needs AVX-512 F and BW.

#ifndef SUBBYTE_X86_SHARED_BYTES_AVX512_H
#define SUBBYTE_X86_SHARED_BYTES_AVX512_H

#include "x86_vector_avx512.h"

// mask where it is set in every byte of w >> shift; mask << shift has the bits of one byte.
SUBBYTE_INLINE __m512i subbyte_plane_avx512(__m512i w, int32_t shift, int32_t mask) {
    if (shift) w = _mm512_srli_epi16(w, shift);
    return mask == 255 ? w : _mm512_and_si512(w, _mm512_set1_epi8((char)mask));
}

// mask where it is set in every lane of 32 bits of w >> shift.
SUBBYTE_INLINE __m512i subbyte_field_avx512(__m512i w, int32_t shift, int32_t mask) {
    return _mm512_and_si512(_mm512_srli_epi32(w, (unsigned int)shift), _mm512_set1_epi32(mask));
}

// v / 2^shift, rounded down.
SUBBYTE_INLINE __m512i subbyte_shift_down_avx512(__m512i v, int32_t shift) { return _mm512_srai_epi32(v, shift); }

// Adds products of unsigned codes and signed bytes to lanes of 16 bits, which the caller proves that they fit.
SUBBYTE_INLINE __m512i subbyte_dot_words_avx512(__m512i words, __m512i codes, __m512i a) {
    return _mm512_add_epi16(words, _mm512_maddubs_epi16(codes, a));
}

// sums + factor * (both 16-bit integers of each lane).
SUBBYTE_INLINE __m512i subbyte_add_words_avx512(__m512i sums, __m512i words, int32_t factor) {
    return _mm512_add_epi32(sums, _mm512_madd_epi16(words, _mm512_set1_epi16((int16_t)factor)));
}

#endif  // SUBBYTE_X86_SHARED_BYTES_AVX512_H
