// Part of x86_vector_avx512.h: codes of 1, 2, 4 and 8 bits that share bytes, to bytes and back, 64 at a time.
//
// Code i of a row has bits i * bits to i * bits + bits - 1, the lowest first. x86_packed_avx2.h offers the same.

#ifndef SUBBYTE_X86_PACKED_AVX512_H
#define SUBBYTE_X86_PACKED_AVX512_H

// The 64 codes in 8 * bits bytes at p, a byte each.
SUBBYTE_INLINE __m512i subbyte_load_codes_avx512(const void* p, int32_t bits) {
    __m512i x;
    if (bits == 1) {
        uint64_t ones;
        memcpy(&ones, p, sizeof ones);
        return _mm512_maskz_mov_epi8(ones, _mm512_set1_epi8(1));
    }
    if (bits == 2) {
        x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
        x = _mm512_and_si512(_mm512_or_si512(x, _mm512_slli_epi32(x, 12)), _mm512_set1_epi32(0x000F000F));
        return _mm512_and_si512(_mm512_or_si512(x, _mm512_slli_epi32(x, 6)), _mm512_set1_epi32(0x03030303));
    }
    if (bits == 4) {
        x = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i*)p));
        return _mm512_and_si512(_mm512_or_si512(x, _mm512_slli_epi16(x, 4)), _mm512_set1_epi8(15));
    }
    return _mm512_loadu_si512(p);
}

// 64 codes, a byte each, as 8 * bits bytes; what stands behind them is not meant. Requires codes below 2^bits.
SUBBYTE_INLINE __m512i subbyte_join_codes_avx512(__m512i codes, int32_t bits) {
    if (bits == 1)
        return _mm512_castsi128_si512(_mm_cvtsi64_si128((int64_t)_mm512_test_epi8_mask(codes, _mm512_set1_epi8(1))));
    if (bits == 2) {
        const __m512i fours =
            _mm512_madd_epi16(_mm512_maddubs_epi16(codes, _mm512_set1_epi16(0x0401)), _mm512_set1_epi32(0x00100001));
        return _mm512_castsi128_si512(_mm512_cvtepi32_epi8(fours));
    }
    if (bits == 4)
        return _mm512_castsi256_si512(_mm512_cvtepi16_epi8(_mm512_maddubs_epi16(codes, _mm512_set1_epi16(0x1001))));
    return codes;
}

// The first n codes at p, zeros behind; n <= 64, in whole bytes.
SUBBYTE_INLINE __m512i subbyte_load_codes_part_avx512(const void* p, int32_t bits, int32_t n) {
    uint8_t bytes[64];
    if (n == 64) return subbyte_load_codes_avx512(p, bits);
    if (bits == 8) return subbyte_load_part_avx512(p, n);
    _mm512_storeu_si512((void*)bytes, subbyte_load_part_avx512(p, n * bits / 8));
    return subbyte_load_codes_avx512(bytes, bits);
}

// The first n of 64 codes; n <= 64, in whole bytes.
SUBBYTE_INLINE void subbyte_store_codes_part_avx512(void* p, __m512i codes, int32_t bits, int32_t n) {
    const __m512i joined = subbyte_join_codes_avx512(codes, bits);
    if (n == 64 && bits == 4)
        _mm256_storeu_si256((__m256i*)p, _mm512_castsi512_si256(joined));
    else if (n == 64 && bits == 2)
        _mm_storeu_si128((__m128i*)p, _mm512_castsi512_si128(joined));
    else if (n == 64 && bits == 1)
        _mm_storel_epi64((__m128i*)p, _mm512_castsi512_si128(joined));
    else
        subbyte_store_part_avx512(p, joined, n * bits / 8);
}

// Bytes first to first + n of v: all 64, one half or quarter of them, or up to 8 of one eighth.
SUBBYTE_INLINE void subbyte_store_bytes_avx512(uint8_t* p, __m512i v, int32_t first, int32_t n) {
    if (n == 64) {
        _mm512_storeu_si512(p, v);
    } else if (n == 32) {
        subbyte_store_half_avx512(p, v, first / 32);
    } else if (n == 16) {
        subbyte_store_chunk_avx512(p, v, first / 16, 16);
    } else {
        const __m128i quarter = first < 16   ? _mm512_castsi512_si128(v)
                                : first < 32 ? _mm512_extracti32x4_epi32(v, 1)
                                : first < 48 ? _mm512_extracti32x4_epi32(v, 2)
                                             : _mm512_extracti32x4_epi32(v, 3);
        const uint64_t eighth = (uint64_t)_mm_cvtsi128_si64(first & 8 ? _mm_unpackhi_epi64(quarter, quarter) : quarter);
        const uint64_t bytes = eighth >> 8 * (first & 7);
        memcpy(p, &bytes, (size_t)(n & 15));
    }
}

// table[x] of 16 entries, for x below 16.
SUBBYTE_INLINE __m512i subbyte_one_of_16_avx512(const uint8_t* table, __m512i x) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)table)), x);
}

// Bits of a, moved right and left by n within pairs of bytes; a and b; a or b.
SUBBYTE_INLINE __m512i subbyte_right_u16_avx512(__m512i a, int32_t n) { return _mm512_srli_epi16(a, (uint32_t)n); }
SUBBYTE_INLINE __m512i subbyte_left_u16_avx512(__m512i a, int32_t n) { return _mm512_slli_epi16(a, (uint32_t)n); }
SUBBYTE_INLINE __m512i subbyte_and_avx512(__m512i a, __m512i b) { return _mm512_and_si512(a, b); }
SUBBYTE_INLINE __m512i subbyte_or_avx512(__m512i a, __m512i b) { return _mm512_or_si512(a, b); }

// sum + delta where x >= threshold, in bytes; else sum.
SUBBYTE_INLINE __m512i subbyte_add_step_avx512(__m512i sum, __m512i x, int32_t threshold, int32_t delta) {
    const __mmask64 reached = _mm512_cmpge_epu8_mask(x, _mm512_set1_epi8((char)threshold));
    return _mm512_mask_add_epi8(sum, reached, sum, _mm512_set1_epi8((char)delta));
}

#endif  // SUBBYTE_X86_PACKED_AVX512_H
