// Softmax of rows of u8 codes by AVX2: exponentials summed one at a time, results looked up 16 distances at a time.

#ifndef SUBBYTE_X86_SOFTMAX_AVX2_H
#define SUBBYTE_X86_SOFTMAX_AVX2_H

#include "x86_softmax.h"
#include "x86_softmax_terms.h"
#include "x86_tables_avx2.h"

SUBBYTE_INLINE int32_t subbyte_largest_u8_avx2(__m256i v) {
    const __m128i below = _mm_xor_si128(_mm_max_epu8(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)),
                                        _mm_set1_epi8(-1));  // 255 less each: the smallest of these
    return 255 - _mm_extract_epi16(_mm_minpos_epu16(_mm_min_epu8(below, _mm_srli_epi16(below, 8))), 0);
}

// The bits of `bits`, and those in which a and b differ.
SUBBYTE_INLINE __m256i subbyte_differ_avx2(__m256i bits, __m256i a, __m256i b) {
    return _mm256_or_si256(bits, _mm256_xor_si256(a, b));
}

SUBBYTE_INLINE int32_t subbyte_any_bit_avx2(__m256i v) { return !_mm256_testz_si256(v, v); }

#define SUBBYTE_ISA avx2
#define SUBBYTE_SOFTMAX avx2
#define SUBBYTE_SOFTMAX_TERM uint64_t
#define subbyte_x86_softmax_total_avx2 subbyte_x86_softmax_total
#define subbyte_x86_softmax_pick_avx2(results, reach, distances) subbyte_x86_pick_avx2(results, (reach) / 16, distances)
#include "x86_softmax_body.h"

#endif  // SUBBYTE_X86_SOFTMAX_AVX2_H
