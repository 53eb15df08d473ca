// Included for each instruction: matrix products with weights in blocks, exact sums of blocks, added as N10 says.
//
// Before: #define SUBBYTE_ISA avx512 (registers), SUBBYTE_DOT avx512vnni (instruction), SUBBYTE_WORDS 0 (1: products are added
// in lanes of 16 bits first, for runs that provably fit).

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT) || !defined(SUBBYTE_WORDS)
#error "x86_blocks_body.h is a part of x86_blocks_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define F(stem) SUBBYTE_OF(stem, SUBBYTE_DOT)
#define LANES V(SUBBYTE_LANES_)
#define BYTES (4 * LANES)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)

SUBBYTE_INLINE void F(subbyte_x86_fetch_)(const uint8_t* w, int32_t bytes) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < bytes; i += 64) __builtin_prefetch(w + SUBBYTE_X86_AHEAD + i);
}

#if SUBBYTE_WORDS

// sums[m * vectors + v] = the products of a block: row m has its codes at a + m * step. Codes of 8 bits are multiplied as two
// halves, so that two products fit 16 bits.
SUBBYTE_INLINE void F(subbyte_x86_sum_block_)(INTS* sums, const int8_t* a, int32_t step, const uint8_t* w,
                                              const struct subbyte_x86_blocks* g, int32_t rows, int32_t vectors) {
    const int32_t width = g->bits == 8 ? 4 : g->bits, planes = 8 / width, mask = (1 << width) - 1;
    const int32_t halves = g->bits == 8 ? 2 : 1, count = rows * vectors, products = 32 / g->bits;
    int32_t done, k, p, m, v;
    SUBBYTE_UNROLL for (m = 0; m < count; ++m) sums[m] = V(subbyte_zero_)();
    for (done = 0; done < g->groups; done += g->run) {
        INTS words[SUBBYTE_X86_BLOCK_SUMS];
        SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_X86_BLOCK_SUMS; ++m) words[m] = V(subbyte_zero_)();
        for (k = subbyte_min_s32(g->groups - done, g->run); k > 0; --k) {
            F(subbyte_x86_fetch_)(w, vectors * BYTES);
            SUBBYTE_UNROLL for (p = 0; p < planes; ++p) SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                const INTS codes = V(subbyte_plane_)(V(subbyte_load_)(w + v * BYTES), p * width, mask);
                SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
                    const int32_t i = m * vectors + v + (halves == 2 ? p * count : 0);
                    INTS word = V(subbyte_dot_words_)(words[i], codes,
                                                      V(subbyte_broadcast_)(a + m * step + (halves == 2 ? 0 : 4 * p)));
                    V(SUBBYTE_IN_PLACE_)(word);
                    words[i] = word;
                }
            }
            a += products;
            w += vectors * BYTES;
        }
        SUBBYTE_UNROLL for (m = 0; m < count; ++m) {
            sums[m] = V(subbyte_add_words_)(sums[m], words[m], 1);
            if (halves == 2) sums[m] = V(subbyte_add_words_)(sums[m], words[count + m], 16);
        }
    }
}

#else

// sums[v] = the products of a block of the codes at a. Codes stay where they are in their bytes: the sums of plane p are
// 2^(p * bits) times too large, and exactly so.
SUBBYTE_INLINE void F(subbyte_x86_sum_row_)(INTS* sums, const int8_t* a, const uint8_t* w,
                                            const struct subbyte_x86_blocks* g, int32_t vectors) {
    const int32_t planes = 8 / g->bits, mask = (1 << g->bits) - 1;
    INTS parts[SUBBYTE_X86_BLOCK_SUMS];
    int32_t k, p, v;
    SUBBYTE_UNROLL for (v = 0; v < SUBBYTE_X86_BLOCK_SUMS; ++v) parts[v] = V(subbyte_zero_)();
    for (k = 0; k < g->groups; ++k) {
        F(subbyte_x86_fetch_)(w, vectors * BYTES);
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const INTS bytes = V(subbyte_load_)(w + v * BYTES);
            SUBBYTE_UNROLL for (p = 0; p < planes; ++p) {
                INTS part = F(subbyte_dot_)(parts[v * planes + p], V(subbyte_plane_)(bytes, 0, mask << p * g->bits),
                                            V(subbyte_broadcast_)(a + 4 * p));
                V(SUBBYTE_IN_PLACE_)(part);
                parts[v * planes + p] = part;
            }
        }
        a += 4 * planes;
        w += vectors * BYTES;
    }
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
        sums[v] = parts[v * planes];
        SUBBYTE_UNROLL for (p = 1; p < planes; ++p) sums[v] =
            V(subbyte_add_s32_)(sums[v], V(subbyte_shift_down_)(parts[v * planes + p], p * g->bits));
    }
}

// sums[m * vectors + v] = the products of a block: row m has its codes at a + m * step.
SUBBYTE_INLINE void F(subbyte_x86_sum_block_)(INTS* sums, const int8_t* a, int32_t step, const uint8_t* w,
                                              const struct subbyte_x86_blocks* g, int32_t rows, int32_t vectors) {
    const int32_t planes = 8 / g->bits, mask = (1 << g->bits) - 1;
    int32_t k, p, m, v;
    if (rows == 1) {
        F(subbyte_x86_sum_row_)(sums, a, w, g, vectors);
        return;
    }
    SUBBYTE_UNROLL for (m = 0; m < rows * vectors; ++m) sums[m] = V(subbyte_zero_)();
    for (k = 0; k < g->groups; ++k) {
        F(subbyte_x86_fetch_)(w, vectors * BYTES);
        SUBBYTE_UNROLL for (p = 0; p < planes; ++p) {
            INTS codes[4] = {V(subbyte_zero_)(), V(subbyte_zero_)(), V(subbyte_zero_)(), V(subbyte_zero_)()};
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) codes[v] =
                V(subbyte_plane_)(V(subbyte_load_)(w + v * BYTES), p * g->bits, mask);
            SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
                const INTS cells = V(subbyte_broadcast_)(a + m * step + 4 * p);
                SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                    INTS sum = F(subbyte_dot_)(sums[m * vectors + v], codes[v], cells);
                    V(SUBBYTE_IN_PLACE_)(sum);
                    sums[m * vectors + v] = sum;
                }
            }
        }
        a += 4 * planes;
        w += vectors * BYTES;
    }
}

#endif

// A register tile of y, one panel wide: `rows` rows of codes at a, [blocks][pitch] each, with their scales, sums and zero
// point, by `columns` columns.
SUBBYTE_INLINE void F(subbyte_x86_blocks_tile_)(const int8_t* a, const float* a_scales, int32_t a_zero,
                                                const int32_t* a_sums, const uint8_t* w, float* y,
                                                const struct subbyte_x86_blocks* g, int32_t rows, int32_t vectors,
                                                int32_t columns) {
    const int32_t blocks = subbyte_x86_count_of_blocks(g), pitch = subbyte_x86_block_pitch(g);
    const int32_t scales = vectors * BYTES, codes = g->groups * vectors * BYTES;
    const int32_t zeros = g->zeros == 2 ? (vectors + 3) / 4 * BYTES : 0, terms = g->terms ? vectors * BYTES : 0;
    FLOATS totals[SUBBYTE_X86_BLOCK_SUMS];
    INTS sums[SUBBYTE_X86_BLOCK_SUMS];
    int32_t block, m, v;
    SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_X86_BLOCK_SUMS; ++m) sums[m] = V(subbyte_zero_)();
    SUBBYTE_UNROLL for (m = 0; m < rows * vectors; ++m) totals[m] = V(subbyte_set_f32_)(-0.0f);  // -0.0 + x is x
    for (block = 0; block < blocks; ++block) {
        F(subbyte_x86_fetch_)(w, scales);
        F(subbyte_x86_sum_block_)(sums, a + block * pitch, blocks * pitch, w + scales, g, rows, vectors);
        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
            const FLOATS a_scale = V(subbyte_set_f32_)(a_scales[(m * blocks + block) * g->a_scale_step]);
            const int32_t of_codes = g->zeros ? a_sums[m * blocks + block] : 0;
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                INTS sum = sums[m * vectors + v];
                FLOATS product;
                if (g->zeros == 1) sum = V(subbyte_sub_s32_)(sum, V(subbyte_set_s32_)(g->zero * of_codes));
                if (g->zeros == 2)
                    sum = V(subbyte_sub_s32_)(
                        sum, V(subbyte_mul_s32_)(V(subbyte_load_u8_as_s32_)(w + scales + codes + v * LANES),
                                                 V(subbyte_set_s32_)(of_codes)));
                if (g->terms) {
                    INTS term = V(subbyte_load_)(w + scales + codes + zeros + v * BYTES);
                    if (g->terms == 2) term = V(subbyte_mul_s32_)(term, V(subbyte_set_s32_)(a_zero));
                    sum = V(subbyte_add_s32_)(sum, term);
                }
                product =
                    V(subbyte_mul_f32_)(a_scale, V(subbyte_load_f32_)((const float*)(const void*)(w + v * BYTES)));
                product = V(subbyte_mul_f32_)(V(subbyte_to_f32_)(sum), product);
                totals[m * vectors + v] = V(subbyte_add_f32_)(totals[m * vectors + v], product);
            }
        }
        w += scales + codes + zeros + terms;
    }
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) SUBBYTE_UNROLL for (v = 0; v < vectors; ++v)
        V(subbyte_store_s32_)((int32_t*)(void*)(y + m * g->columns + v * LANES),
                              V(subbyte_bits_)(totals[m * vectors + v]), subbyte_min_s32(LANES, columns - v * LANES));
}

// All rows by one panel.
SUBBYTE_INLINE void F(subbyte_x86_blocks_panel_)(const int8_t* a, const float* a_scales, int32_t a_zero,
                                                 const int32_t* a_sums, const uint8_t* w, float* y,
                                                 const struct subbyte_x86_blocks* g, int32_t vectors, int32_t columns) {
    const int32_t blocks = subbyte_x86_count_of_blocks(g), row_bytes = blocks * subbyte_x86_block_pitch(g);
    const int32_t rest = g->rows % g->row_tile;
    int32_t m;
    for (m = 0; m + g->row_tile <= g->rows; m += g->row_tile)
        F(subbyte_x86_blocks_tile_)(a + m * row_bytes, a_scales + m * blocks * g->a_scale_step, a_zero,
                                    a_sums + m * blocks, w, y + m * g->columns, g, g->row_tile, vectors, columns);
    if (rest)
        F(subbyte_x86_blocks_tile_)(a + m * row_bytes, a_scales + m * blocks * g->a_scale_step, a_zero,
                                    a_sums + m * blocks, w, y + m * g->columns, g, rest, vectors, columns);
}

// a_zero: the zero point of a where it is computed at run time, else null. Tiles: g->panels panels of columns.
SUBBYTE_INLINE void F(subbyte_x86_gemm_blocks_)(const void* a, const float* a_scales, const void* a_zero,
                                                const uint8_t* weights, float* y, const struct subbyte_x86_blocks* g,
                                                int32_t begin, int32_t end, void* scratch) {
    const int32_t blocks = subbyte_x86_count_of_blocks(g), wide = g->vectors * LANES, full = g->columns / wide;
    const int32_t record =
        g->vectors * BYTES * (1 + g->groups + (g->terms ? 1 : 0)) + (g->zeros == 2 ? (g->vectors + 3) / 4 * BYTES : 0);
    const int32_t last = full + (g->columns % wide ? 1 : 0), stop = subbyte_min_s32(end * g->panels, last);
    const int32_t zero = a_zero ? (int8_t)(*(const uint8_t*)a_zero ^ g->flip) : 0;
    int32_t* sums = (int32_t*)scratch;
    const int8_t* codes = subbyte_x86_codes_of_blocks((const uint8_t*)a, sums, g);
    int32_t panel;
    for (panel = begin * g->panels; panel < subbyte_min_s32(stop, full); ++panel)
        F(subbyte_x86_blocks_panel_)(codes, a_scales, zero, sums, weights + (size_t)panel * (size_t)(blocks * record),
                                     y + panel * wide, g, g->vectors, wide);
    if (panel < stop)
        F(subbyte_x86_blocks_panel_)(codes, a_scales, zero, sums, weights + (size_t)panel * (size_t)(blocks * record),
                                     y + panel * wide, g, g->last_vectors, g->columns % wide);
}

#undef V
#undef F
#undef LANES
#undef BYTES
#undef INTS
#undef FLOATS
#undef SUBBYTE_ISA
#undef SUBBYTE_DOT
#undef SUBBYTE_WORDS
