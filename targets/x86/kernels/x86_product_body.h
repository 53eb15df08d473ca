// Included for each instruction that multiplies: exact sums of products of two run-time matrices of u8 codes, then N4.
//
// b is rearranged into cells of GROUP codes, which a lane of 32 bits gains the products of at once:
//   bytes (VNNI): codes of b less 128 are signed bytes, and (a - z_a) * (b - z_b) summed over the depth is the sum of
//     a * (b - 128), plus (128 - z_b) * the sum of a's row, less z_a * the sum of (b - z_b) down its column;
//   words: codes less their zero points are 16-bit integers of at most 255 in size, and vpmaddwd adds two products exactly.
// The partial sums may wrap around; the sum itself is proved to fit 32 bits.
// Before: SUBBYTE_ISA (registers), SUBBYTE_DOT (the kernel's suffix, the instruction's with bytes), SUBBYTE_WORDS.

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT)
#error "x86_product_body.h is a part of x86_product_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define F(stem) SUBBYTE_OF(stem, SUBBYTE_DOT)
#define LANES V(SUBBYTE_LANES_)
#define INTS V(subbyte_ints_)
#if SUBBYTE_WORDS
#define CELL int16_t
#define GROUP 2
#define AT_ONCE 8  // columns
#define DOT SUBBYTE_OF(V(subbyte_dot_), _madd)
#define OF_A(code) (int16_t)((code) - g->a_zero)
#define OF_B(code) (int16_t)((code) - g->b_zero)
#else
#define CELL uint8_t
#define GROUP 4
#define AT_ONCE 16  // columns
#define DOT F(subbyte_dot_)
#define OF_A(code) (uint8_t)(code)
#define OF_B(code) (uint8_t)((code) ^ 0x80)
#endif

// Cells of b in the loops that take them one by one: columns from `first` to `last`, groups of depth from `begin` on.
SUBBYTE_INLINE void F(subbyte_x86_product_rest_of_b_)(CELL* to, const uint8_t* from,
                                                      const struct subbyte_x86_product* g, int32_t first, int32_t last,
                                                      int32_t begin) {
    const int32_t pitch = g->vectors * LANES * GROUP;
    int32_t k, i;
    for (k = begin; k < (g->depth + GROUP - 1) / GROUP * GROUP; ++k) {
        const uint8_t* code = from + k * g->b_depth + first * g->b_column;
        CELL* cell = to + k / GROUP * pitch + first * GROUP + k % GROUP;
        for (i = first; i < last; ++i, cell += GROUP, code += g->b_column)
            *cell = (CELL)(k < g->depth ? OF_B(*code) : 0);
    }
}

// n columns of b from `from` on: to[groups of depth][vectors * LANES][GROUP]; zeros beyond the last row and column.
SUBBYTE_INLINE void F(subbyte_x86_product_b_)(CELL* to, const uint8_t* from, const struct subbyte_x86_product* g,
                                              int32_t n) {
    const int32_t columns = g->vectors * LANES, pitch = columns * GROUP, groups = (g->depth + GROUP - 1) / GROUP;
    const int32_t whole = g->depth / GROUP;
    __m128i four[4];
    int32_t k, i, j;
    if (n < columns) memset(to, 0, (size_t)(groups * pitch) * sizeof *to);
    if (g->b_depth == 1) {  // columns lie in memory: 4 columns of 4 groups at a time
        for (i = 0; i + 4 <= n; i += 4) {
            for (k = 0; k + 4 <= whole; k += 4) {
                SUBBYTE_UNROLL for (j = 0; j < 4; ++j) {
                    const uint8_t* at = from + (i + j) * g->b_column + k * GROUP;
#if SUBBYTE_WORDS
                    four[j] = subbyte_x86_product_words(at, g->b_zero);
#else
                    four[j] = subbyte_x86_product_bytes(at);
#endif
                }
                subbyte_x86_turn_4x4((uint8_t*)(to + k * pitch + i * GROUP), pitch * (int32_t)sizeof *to, four);
            }
            F(subbyte_x86_product_rest_of_b_)(to, from, g, i, i + 4, k * GROUP);
        }
        F(subbyte_x86_product_rest_of_b_)(to, from, g, i, n, 0);
    } else if (g->b_column == 1) {  // rows lie in memory: one group of 16 or 8 columns at a time
        for (i = 0; i + AT_ONCE <= n; i += AT_ONCE) {
            for (k = 0; k < whole; ++k) {
                const uint8_t* at = from + k * GROUP * g->b_depth + i;
                __m128i* cells = (__m128i*)(void*)(to + k * pitch + i * GROUP);
#if SUBBYTE_WORDS
                four[0] = subbyte_x86_product_words(at, g->b_zero);
                four[1] = subbyte_x86_product_words(at + g->b_depth, g->b_zero);
                _mm_storeu_si128(cells, _mm_unpacklo_epi16(four[0], four[1]));
                _mm_storeu_si128(cells + 1, _mm_unpackhi_epi16(four[0], four[1]));
#else
                __m128i low_a, low_b, high_a, high_b;
                SUBBYTE_UNROLL for (j = 0; j < 4; ++j) four[j] = subbyte_x86_product_bytes(at + j * g->b_depth);
                low_a = _mm_unpacklo_epi8(four[0], four[1]), low_b = _mm_unpacklo_epi8(four[2], four[3]);
                high_a = _mm_unpackhi_epi8(four[0], four[1]), high_b = _mm_unpackhi_epi8(four[2], four[3]);
                _mm_storeu_si128(cells, _mm_unpacklo_epi16(low_a, low_b));
                _mm_storeu_si128(cells + 1, _mm_unpackhi_epi16(low_a, low_b));
                _mm_storeu_si128(cells + 2, _mm_unpacklo_epi16(high_a, high_b));
                _mm_storeu_si128(cells + 3, _mm_unpackhi_epi16(high_a, high_b));
#endif
            }
        }
        F(subbyte_x86_product_rest_of_b_)(to, from, g, 0, i, whole * GROUP);
        F(subbyte_x86_product_rest_of_b_)(to, from, g, i, n, 0);
    } else {
        F(subbyte_x86_product_rest_of_b_)(to, from, g, 0, n, 0);
    }
}

// What a column's sums begin with: its bias, and with bytes what the zero point of a takes from it.
SUBBYTE_INLINE void F(subbyte_x86_product_starts_)(int32_t* starts, const CELL* b, const int32_t* bias,
                                                   const struct subbyte_x86_product* g) {
    const int32_t groups = (g->depth + GROUP - 1) / GROUP;
    int32_t v, k;
    for (v = 0; v < g->vectors; ++v) {
        INTS start = bias ? V(subbyte_load_)(bias + v * LANES) : V(subbyte_zero_)();
#if !SUBBYTE_WORDS
        if (g->a_zero) {
            INTS sum = V(subbyte_set_s32_)(g->depth * (128 - g->b_zero));
            for (k = 0; k < groups; ++k)
                sum = DOT(sum, V(subbyte_set_u8_)(1), V(subbyte_load_)(b + (k * g->vectors + v) * LANES * GROUP));
            start = V(subbyte_sub_s32_)(start, V(subbyte_mul_s32_)(sum, V(subbyte_set_s32_)(g->a_zero)));
        }
#else
        (void)b, (void)groups, (void)k;
#endif
        V(subbyte_store_)(starts + v * LANES, start);
    }
}

// tile_rows rows of a from `from` on: to[tile_rows][groups of depth][GROUP], zeros beyond the last code.
SUBBYTE_INLINE void F(subbyte_x86_product_a_)(CELL* to, const uint8_t* from, const struct subbyte_x86_product* g) {
    const int32_t pitch = (g->depth + GROUP - 1) / GROUP * GROUP;
    int32_t m, k;
    for (m = 0; m < g->tile_rows; ++m, to += pitch, from += g->a_row) {
        for (k = 0; k < g->depth; ++k) to[k] = OF_A(from[k * g->a_depth]);
        for (; k < pitch; ++k) to[k] = 0;
    }
}

// What the zero point of b adds to the sums of a row: (128 - z_b) times the sum of a's codes.
SUBBYTE_INLINE int32_t F(subbyte_x86_product_of_row_)(const uint8_t* row, const struct subbyte_x86_product* g) {
    __m128i sums = _mm_setzero_si128();
    int32_t k, sum = 0;
    for (k = 0; k + 16 <= g->depth; k += 16)
        sums = _mm_add_epi64(
            sums, _mm_sad_epu8(_mm_loadu_si128((const __m128i*)(const void*)(row + k)), _mm_setzero_si128()));
    for (; k < g->depth; ++k) sum += row[k];
    return (sum + _mm_cvtsi128_si32(sums) + _mm_cvtsi128_si32(_mm_unpackhi_epi64(sums, sums))) * (128 - g->b_zero);
}

// A register tile: tile_rows rows of a, `pitch` cells apart, by vectors * LANES columns of b; codes of n columns of y.
SUBBYTE_INLINE void F(subbyte_x86_product_tile_)(const CELL* a, int32_t pitch, const CELL* b, const int32_t* starts,
                                                 const int32_t* of_rows, const float* multiplier, const float* shift,
                                                 uint8_t* y, const struct subbyte_x86_product* g, int32_t n) {
    const int32_t groups = (g->depth + GROUP - 1) / GROUP, vectors = g->vectors, total = g->tile_rows * vectors;
    INTS sums[SUBBYTE_X86_PRODUCT_SUMS];
    int32_t k, m, v, first, i;
    SUBBYTE_UNROLL for (m = 0; m < g->tile_rows; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) sums[m * vectors + v] = V(subbyte_load_)(starts + v * LANES);
    }
    for (k = 0; k < groups; ++k, b += vectors * LANES * GROUP) {
        INTS cells[4];
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) cells[v] = V(subbyte_load_)(b + v * LANES * GROUP);
        SUBBYTE_UNROLL for (m = 0; m < g->tile_rows; ++m) {
            const INTS of_a = V(subbyte_broadcast_)(a + m * pitch + k * GROUP);
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                INTS sum = DOT(sums[m * vectors + v], of_a, cells[v]);
                V(SUBBYTE_IN_PLACE_)(sum);
                sums[m * vectors + v] = sum;
            }
        }
    }
    SUBBYTE_UNROLL for (first = 0; first < total; first += 4) {
        INTS steps[4], codes;
        uint8_t* to = y + first / vectors * g->y_row;
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            const int32_t at = subbyte_min_s32(first + i, total - 1), column = at % vectors * LANES;
            const INTS sum =
                of_rows ? V(subbyte_add_s32_)(sums[at], V(subbyte_set_s32_)(of_rows[at / vectors])) : sums[at];
            if (shift)
                steps[i] = V(subbyte_scale_shift_)(sum, V(subbyte_load_f32_)(multiplier + column),
                                                   V(subbyte_load_f32_)(shift + column));
            else if (g->wide)
                steps[i] = V(subbyte_scale_wide_)(sum, V(subbyte_load_f32_)(multiplier + column));
            else
                steps[i] = V(subbyte_scale_)(sum, V(subbyte_load_f32_)(multiplier + column));
        }
        codes = V(subbyte_pack_codes_)(steps[0], steps[1], steps[2], steps[3], g->y_zero, g->qmin, g->qmax);
        if (vectors == 4) {
            V(subbyte_store_part_)(to, codes, n);
        } else if (vectors == 2 && n == 2 * LANES) {
            V(subbyte_store_half_)(to, codes, 0);
            if (first + 4 <= total) V(subbyte_store_half_)(to + g->y_row, codes, 1);
        } else {
            SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
                const int32_t rest = subbyte_min_s32(n - (first + i) % vectors * LANES, LANES);
                if (first + i < total && rest > 0)
                    V(subbyte_store_chunk_)(y + (first + i) / vectors * g->y_row + (first + i) % vectors * LANES, codes,
                                            i, rest);
            }
        }
    }
}

// y = N4 of a * b + bias, codes 0..255. Tiles: batches * blocks of vectors * LANES columns. bias, multiplier, shift:
// [columns], padded to whole blocks; bias and shift may be null. a_at, b_at, y_at: the first codes of each batch.
// scratch: b [groups of depth][vectors * LANES][GROUP], starts [vectors * LANES], sums of rows [16], a [tile_rows][pitch].
SUBBYTE_INLINE void F(subbyte_x86_product_u8u8u8_)(const uint8_t* a, const uint8_t* b, const int32_t* bias,
                                                   const float* multiplier, const float* shift, uint8_t* y,
                                                   const int32_t* a_at, const int32_t* b_at, const int32_t* y_at,
                                                   const struct subbyte_x86_product* g, int32_t begin, int32_t end,
                                                   void* scratch) {
    const int32_t block = g->vectors * LANES, blocks = (g->columns + block - 1) / block;
    const int32_t groups = (g->depth + GROUP - 1) / GROUP;
    const int32_t in_place = !SUBBYTE_WORDS && g->a_depth == 1 && g->depth % GROUP == 0;
    const int32_t pitch = in_place ? g->a_row : groups * GROUP;
    CELL* of_b = (CELL*)scratch;
    int32_t* starts = (int32_t*)scratch + groups * block;
    int32_t* of_rows = starts + block;
    CELL* of_a = (CELL*)(void*)(of_rows + 16);
    int32_t tile, row, m;
    for (tile = begin; tile < end; ++tile) {
        const int32_t batch = tile / blocks, column = tile % blocks * block;
        const int32_t n = subbyte_min_s32(g->columns - column, block);
        F(subbyte_x86_product_b_)(of_b, b + b_at[batch] + column * g->b_column, g, n);
        F(subbyte_x86_product_starts_)(starts, of_b, bias ? bias + column : 0, g);
        for (row = 0; row < g->rows; row += g->tile_rows) {
            // The last register tile begins early enough to be full.
            const int32_t at = subbyte_min_s32(row, g->rows - g->tile_rows);
            const uint8_t* from = a + a_at[batch] + at * g->a_row;
            if (!in_place) F(subbyte_x86_product_a_)(of_a, from, g);
#if SUBBYTE_WORDS
            (void)m;
#else
            if (g->b_zero != 128)
                SUBBYTE_UNROLL for (m = 0; m < g->tile_rows; ++m) of_rows[m] = F(subbyte_x86_product_of_row_)(
                    in_place ? from + m * g->a_row : (const uint8_t*)of_a + m * pitch, g);
#endif
            F(subbyte_x86_product_tile_)(in_place ? (const CELL*)(const void*)from : of_a, pitch, of_b, starts,
                                         SUBBYTE_WORDS || g->b_zero == 128 ? 0 : of_rows, multiplier + column,
                                         shift ? shift + column : 0, y + y_at[batch] + at * g->y_row + column, g, n);
        }
    }
}

#undef V
#undef F
#undef LANES
#undef INTS
#undef CELL
#undef GROUP
#undef AT_ONCE
#undef DOT
#undef OF_A
#undef OF_B
#undef SUBBYTE_ISA
#undef SUBBYTE_DOT
#undef SUBBYTE_WORDS
