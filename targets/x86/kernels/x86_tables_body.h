// Included for each instruction set by x86_tables_*.h: functions of a byte, by a table of 256 bytes.

#if !defined(SUBBYTE_ISA)
#error "x86_tables_body.h is a part of x86_tables_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define BLOCK ((int32_t)sizeof(INTS))

// table[codes[i]], 256 entries: 16 rows, each adds what it has for the codes that are its own.
SUBBYTE_INLINE INTS V(subbyte_x86_pick_)(const uint8_t* table, INTS codes) {
    INTS picked = V(subbyte_zero_)();
    int32_t row;
    SUBBYTE_UNROLL for (row = 0; row < 16; ++row) {
        const INTS within = V(subbyte_xor_)(codes, V(subbyte_set_u8_)(row * 16));
        picked = V(subbyte_either_)(picked, V(subbyte_pick_of_16_)(table + row * 16, within));
    }
    return picked;
}

// y = table[x]. Tiles: runs of `chunk` of n bytes. y may be x. Requires chunk % BLOCK == 0.
SUBBYTE_INLINE void V(subbyte_x86_lookup_)(const void* x, void* y, const uint8_t* table, int32_t n, int32_t chunk,
                                           int32_t begin, int32_t end) {
    const int32_t stop = subbyte_x86_smaller(end * chunk, n);
    int32_t i = begin * chunk;
    for (; i + BLOCK <= stop; i += BLOCK)
        V(subbyte_store_)((uint8_t*)y + i, V(subbyte_x86_pick_)(table, V(subbyte_load_)((const uint8_t*)x + i)));
    for (; i < stop; ++i) ((uint8_t*)y)[i] = table[((const uint8_t*)x)[i]];
}

// results[d] = the code for e = table[d], d = 0 to reach; results has 256 entries. e * m / (total * 2^k) is taken in double,
// which errs by less than 2^-36 below 2^16 (two roundings; total is exact below 2^53), and rounded where it is farther
// than 2^-20 from a tie. Else all codes are divided in integers.
SUBBYTE_INLINE void V(subbyte_x86_softmax_results_)(uint8_t* results, const uint32_t* table, uint64_t total,
                                                    const struct subbyte_x86_softmax* g, int32_t reach) {
    const uint64_t m = ((uint64_t)(uint32_t)g->m_high << 16) + (uint64_t)(uint32_t)g->m_low;
    const double share = (double)m / (double)total / (double)((uint64_t)1 << g->k), near = 1.0 / 1048576.0;
    const __m256d shares = _mm256_set1_pd(share), half = _mm256_set1_pd(0.5), most = _mm256_set1_pd(65536.0);
    const __m256d far = _mm256_set1_pd(0.5 - near), sign = _mm256_set1_pd(-0.0);
    const __m128i zero = _mm_set1_epi32(g->y_zero), qmin = _mm_set1_epi32(g->qmin), qmax = _mm_set1_epi32(g->qmax);
    const __m128i below = _mm_set1_epi32(INT32_MAX);  // entry 0 alone is 2^31
    __m256d ties = _mm256_setzero_pd();
    int32_t doubtful = total >> 53 ? 1 : 0, i;
    for (i = 0; i < 256; i += 4) {
        const __m128i e = _mm_and_si128(_mm_loadu_si128((const __m128i*)(table + i)), below);
        const __m256d product = _mm256_min_pd(_mm256_mul_pd(_mm256_cvtepi32_pd(e), shares), most);
        const __m128i whole = _mm256_cvttpd_epi32(_mm256_add_pd(product, half));
        const __m256d rest = _mm256_andnot_pd(sign, _mm256_sub_pd(product, _mm256_cvtepi32_pd(whole)));
        const __m128i code = _mm_max_epi32(_mm_min_epi32(_mm_add_epi32(whole, zero), qmax), qmin);
        const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(_mm_packus_epi32(code, code), code));
        ties = _mm256_or_pd(ties, _mm256_cmp_pd(rest, far, _CMP_GT_OQ));
        memcpy(results + i, &bytes, sizeof bytes);
    }
    doubtful |= _mm256_movemask_pd(ties);
    results[0] = (uint8_t)subbyte_softmax_code(table[0], total, m, g->k, g->y_zero, g->qmin, g->qmax);
    if (doubtful)
        for (i = 1; i <= reach; ++i)
            results[i] = (uint8_t)subbyte_softmax_code(table[i], total, m, g->k, g->y_zero, g->qmin, g->qmax);
}

// Softmax of rows of bytes (N7): y = clamp(rne(e / (sum of e * scale)) + zero, qmin, qmax), e = table[largest x - x], 256
// entries. The result depends on the distance alone: it is made once for each distance, then looked up.
// Tiles: rows of g->extent bytes.
SUBBYTE_INLINE void V(subbyte_x86_softmax_u8_)(const uint8_t* x, uint8_t* y, const uint32_t* table,
                                               const struct subbyte_x86_softmax* g, int32_t begin, int32_t end) {
    const int32_t extent = g->extent;
    int32_t row, i;
    for (row = begin; row < end; ++row) {
        const uint8_t* codes = x + row * extent;
        uint8_t* to = y + row * extent;
        uint8_t results[256], largest = 0, smallest = 255;
        uint64_t total = 0, other = 0;
        INTS highest;
        for (i = 0; i < extent; ++i) {
            largest = codes[i] > largest ? codes[i] : largest;
            smallest = codes[i] < smallest ? codes[i] : smallest;
        }
        for (i = 0; i + 2 <= extent; i += 2) {
            total += table[largest - codes[i]];
            other += table[largest - codes[i + 1]];
        }
        total += other + (i < extent ? table[largest - codes[i]] : 0);
        V(subbyte_x86_softmax_results_)(results, table, total, g, largest - smallest);
        highest = V(subbyte_set_u8_)(largest);
        for (i = 0; i + BLOCK <= extent; i += BLOCK)
            V(subbyte_store_)(to + i,
                              V(subbyte_x86_pick_)(results, V(subbyte_less_)(highest, V(subbyte_load_)(codes + i))));
        for (; i < extent; ++i) to[i] = results[largest - codes[i]];
    }
}

#undef V
#undef INTS
#undef BLOCK
#undef SUBBYTE_ISA
