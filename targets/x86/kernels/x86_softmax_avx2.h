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

SUBBYTE_INLINE __m256 subbyte_min_f32_avx2(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }

// The larger of `distance` and |x - rne(x)|.
SUBBYTE_INLINE __m256 subbyte_farther_avx2(__m256 distance, __m256 x) {
    const __m256 rest = _mm256_sub_ps(x, _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    return _mm256_max_ps(distance, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), rest));
}

SUBBYTE_INLINE int32_t subbyte_any_above_avx2(__m256 v, float limit) {
    return _mm256_movemask_ps(_mm256_cmp_ps(v, _mm256_set1_ps(limit), _CMP_GT_OQ));
}

#define SUBBYTE_ISA avx2
#define SUBBYTE_SOFTMAX avx2
#define SUBBYTE_SOFTMAX_TERM uint64_t
#define subbyte_x86_softmax_total_avx2 subbyte_x86_softmax_total
#define subbyte_x86_softmax_pick_avx2(results, reach, distances) subbyte_x86_pick_avx2(results, (reach) / 16, distances)
#include "x86_softmax_body.h"

#endif  // SUBBYTE_X86_SOFTMAX_AVX2_H
