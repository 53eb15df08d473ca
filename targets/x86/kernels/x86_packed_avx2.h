// Part of x86_vector_avx2.h: codes of 1, 2, 4 and 8 bits that share bytes, to bytes and back, 32 at a time.
//
// Code i of a row has bits i * bits to i * bits + bits - 1, the lowest first. x86_packed_avx512.h offers the same.

#ifndef SUBBYTE_X86_PACKED_AVX2_H
#define SUBBYTE_X86_PACKED_AVX2_H

// The 32 codes in 4 * bits bytes at p, a byte each.
SUBBYTE_INLINE __m256i subbyte_load_codes_avx2(const void* p, int32_t bits) {
    __m256i x;
    if (bits == 1) {
        const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201u);
        const __m256i of_byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2,
                                                 3, 3, 3, 3, 3, 3, 3, 3);
        x = _mm256_and_si256(_mm256_shuffle_epi8(subbyte_broadcast_avx2(p), of_byte), bit);
        return _mm256_min_epu8(x, _mm256_set1_epi8(1));
    }
    if (bits == 2) {
        x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
        x = _mm256_and_si256(_mm256_or_si256(x, _mm256_slli_epi32(x, 12)), _mm256_set1_epi32(0x000F000F));
        return _mm256_and_si256(_mm256_or_si256(x, _mm256_slli_epi32(x, 6)), _mm256_set1_epi32(0x03030303));
    }
    if (bits == 4) {
        x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)p));
        return _mm256_and_si256(_mm256_or_si256(x, _mm256_slli_epi16(x, 4)), _mm256_set1_epi8(15));
    }
    return _mm256_loadu_si256((const __m256i*)p);
}

// 32 codes, a byte each, as 4 * bits bytes; what stands behind them is not meant. Requires codes below 2^bits.
SUBBYTE_INLINE __m256i subbyte_join_codes_avx2(__m256i codes, int32_t bits) {
    if (bits == 1) return _mm256_castsi128_si256(_mm_cvtsi32_si128(_mm256_movemask_epi8(_mm256_slli_epi16(codes, 7))));
    if (bits == 2) {
        const __m256i fours =
            _mm256_madd_epi16(_mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x0401)), _mm256_set1_epi32(0x00100001));
        const __m256i bytes = _mm256_shuffle_epi8(fours, _mm256_set1_epi32(0x0C080400));
        return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4));
    }
    if (bits == 4) {
        const __m256i twos = _mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x1001));
        return _mm256_permute4x64_epi64(_mm256_packus_epi16(twos, twos), 0x08);
    }
    return codes;
}

// The first n codes at p, zeros behind; n <= 32, in whole bytes.
SUBBYTE_INLINE __m256i subbyte_load_codes_part_avx2(const void* p, int32_t bits, int32_t n) {
    uint8_t bytes[32];
    if (n == 32) return subbyte_load_codes_avx2(p, bits);
    if (bits == 8) return subbyte_load_part_avx2(p, n);
    _mm256_storeu_si256((__m256i*)(void*)bytes, subbyte_load_part_avx2(p, n * bits / 8));
    return subbyte_load_codes_avx2(bytes, bits);
}

// The first n of 32 codes; n <= 32, in whole bytes.
SUBBYTE_INLINE void subbyte_store_codes_part_avx2(void* p, __m256i codes, int32_t bits, int32_t n) {
    subbyte_store_part_avx2(p, subbyte_join_codes_avx2(codes, bits), n * bits / 8);
}

// Bytes first to first + n of v: all 32, one half of them, or up to 8 of one quarter.
SUBBYTE_INLINE void subbyte_store_bytes_avx2(uint8_t* p, __m256i v, int32_t first, int32_t n) {
    const __m128i half = first < 16 ? _mm256_castsi256_si128(v) : _mm256_extracti128_si256(v, 1);
    if (n == 32) {
        _mm256_storeu_si256((__m256i*)p, v);
    } else if (n == 16) {
        _mm_storeu_si128((__m128i*)p, half);
    } else {
        const uint64_t quarter = (uint64_t)_mm_cvtsi128_si64(first & 8 ? _mm_unpackhi_epi64(half, half) : half);
        const uint64_t bytes = quarter >> 8 * (first & 7);
        memcpy(p, &bytes, (size_t)(n & 15));
    }
}

// table[x] of 16 entries, for x below 16.
SUBBYTE_INLINE __m256i subbyte_one_of_16_avx2(const uint8_t* table, __m256i x) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)table)), x);
}

// Bits of a, moved right and left by n within pairs of bytes; a and b; a or b.
SUBBYTE_INLINE __m256i subbyte_right_u16_avx2(__m256i a, int32_t n) { return _mm256_srli_epi16(a, n); }
SUBBYTE_INLINE __m256i subbyte_left_u16_avx2(__m256i a, int32_t n) { return _mm256_slli_epi16(a, n); }
SUBBYTE_INLINE __m256i subbyte_and_avx2(__m256i a, __m256i b) { return _mm256_and_si256(a, b); }
SUBBYTE_INLINE __m256i subbyte_or_avx2(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }

// sum + delta where x >= threshold, in bytes; else sum.
SUBBYTE_INLINE __m256i subbyte_add_step_avx2(__m256i sum, __m256i x, int32_t threshold, int32_t delta) {
    const __m256i reached = _mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_set1_epi8((char)threshold)), x);
    return _mm256_add_epi8(sum, _mm256_and_si256(reached, _mm256_set1_epi8((char)delta)));
}

#endif  // SUBBYTE_X86_PACKED_AVX2_H
