// Codes of 2, 4 or 8 bits that share the bytes of a 256-bit register, and their products with signed bytes.
//
// x86_shared_bytes_avx512.h offers the same operations with the suffix _avx512. Needs AVX2.

#ifndef SUBBYTE_X86_SHARED_BYTES_AVX2_H
#define SUBBYTE_X86_SHARED_BYTES_AVX2_H

#include "x86_vector_avx2.h"

// mask where it is set in every byte of w >> shift; mask << shift has the bits of one byte.
SUBBYTE_INLINE __m256i subbyte_plane_avx2(__m256i w, int32_t shift, int32_t mask) {
    if (shift) w = _mm256_srli_epi16(w, shift);
    return mask == 255 ? w : _mm256_and_si256(w, _mm256_set1_epi8((char)mask));
}

// mask where it is set in every lane of 32 bits of w >> shift.
SUBBYTE_INLINE __m256i subbyte_field_avx2(__m256i w, int32_t shift, int32_t mask) {
    return _mm256_and_si256(_mm256_srli_epi32(w, shift), _mm256_set1_epi32(mask));
}

// v / 2^shift, rounded down.
SUBBYTE_INLINE __m256i subbyte_shift_down_avx2(__m256i v, int32_t shift) { return _mm256_srai_epi32(v, shift); }

// Adds products of unsigned codes and signed bytes to lanes of 16 bits, which the caller proves that they fit.
SUBBYTE_INLINE __m256i subbyte_dot_words_avx2(__m256i words, __m256i codes, __m256i a) {
    return _mm256_add_epi16(words, _mm256_maddubs_epi16(codes, a));
}

// sums + factor * (both 16-bit integers of each lane).
SUBBYTE_INLINE __m256i subbyte_add_words_avx2(__m256i sums, __m256i words, int32_t factor) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(words, _mm256_set1_epi16((int16_t)factor)));
}

#endif  // SUBBYTE_X86_SHARED_BYTES_AVX2_H
