// Included for each instruction set by x86_float_blocks_*.h: outputs side by side, the 8 lanes of the tree in registers each.

#if !defined(SUBBYTE_ISA)
#error "x86_float_blocks_body.h is a part of x86_float_blocks_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define LANES V(SUBBYTE_LANES_)
#define BYTES (4 * LANES)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)

// Adds `codes` products of a group, or of two of 8 bits, to the lanes of the tree: lanes[8][rows]. Code 4 * p + j of a group
// has bits p * bits up of byte j of its column.
SUBBYTE_INLINE void V(subbyte_x86_add_codes_)(FLOATS* lanes, const float* a, int32_t step, const uint8_t* w, INTS zero,
                                              FLOATS scale, int32_t bits, int32_t codes, int32_t rows) {
    const int32_t of_group = 32 / bits;
    int32_t i, m;
    SUBBYTE_UNROLL for (i = 0; i < codes; ++i) {
        const int32_t r = i % of_group;
        const INTS code =
            V(subbyte_field_)(V(subbyte_load_)(w + i / of_group * BYTES), r % 4 * 8 + r / 4 * bits, (1 << bits) - 1);
        const FLOATS weight = V(subbyte_mul_f32_)(V(subbyte_to_f32_)(V(subbyte_sub_s32_)(code, zero)), scale);
        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
            FLOATS* lane = lanes + i % SUBBYTE_X86_TREE * rows + m;
            *lane = V(subbyte_add_f32_)(*lane, V(subbyte_mul_f32_)(V(subbyte_set_f32_)(a[m * step + i]), weight));
        }
    }
}

// `rows` rows at a, `step` floats apart, by one panel; y: the first result, n: columns of the panel that are there.
SUBBYTE_INLINE void V(subbyte_x86_float_blocks_tile_)(const float* a, int32_t step, const uint8_t* w, float* y,
                                                      const struct subbyte_x86_float_blocks* g, int32_t rows,
                                                      int32_t n) {
    const int32_t blocks = (g->depth + g->block - 1) / g->block, codes = g->bits == 2 ? 16 : 8;
    const int32_t cycle = codes * g->bits / 32 * BYTES, zeros = g->zeros == 2 ? BYTES : 0;
    FLOATS lanes[SUBBYTE_X86_TREE * SUBBYTE_X86_TREE_ROWS];
    int32_t block, k, m;
    SUBBYTE_UNROLL for (k = 0; k < SUBBYTE_X86_TREE; ++k) SUBBYTE_UNROLL for (m = 0; m < rows; ++m)
        lanes[k * rows + m] = V(subbyte_set_f32_)(0.0f);
    for (block = 0; block < blocks; ++block) {
        const FLOATS scale = V(subbyte_load_f32_)((const float*)(const void*)w);
        const uint8_t* from = w + BYTES;
        const INTS zero =
            g->zeros == 2 ? V(subbyte_load_u8_as_s32_)(from + g->groups * BYTES) : V(subbyte_set_s32_)(g->zero);
        for (k = 0; k < g->pitch; k += codes) {
            __builtin_prefetch(from + SUBBYTE_X86_AHEAD);
            V(subbyte_x86_add_codes_)(lanes, a + block * g->pitch + k, step, from, zero, scale, g->bits, codes, rows);
            from += cycle;
        }
        w += BYTES * (1 + g->groups) + zeros;
    }
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
        FLOATS even = V(subbyte_add_f32_)(V(subbyte_add_f32_)(lanes[m], lanes[4 * rows + m]),
                                          V(subbyte_add_f32_)(lanes[2 * rows + m], lanes[6 * rows + m]));
        FLOATS odd = V(subbyte_add_f32_)(V(subbyte_add_f32_)(lanes[rows + m], lanes[5 * rows + m]),
                                         V(subbyte_add_f32_)(lanes[3 * rows + m], lanes[7 * rows + m]));
        V(subbyte_store_s32_)((int32_t*)(void*)(y + m * g->columns), V(subbyte_bits_)(V(subbyte_add_f32_)(even, odd)),
                              n);
    }
}

// Tiles: g->panels panels of columns.
SUBBYTE_INLINE void V(subbyte_x86_float_blocks_)(const float* a, const uint8_t* weights, float* y,
                                                 const struct subbyte_x86_float_blocks* g, int32_t begin, int32_t end,
                                                 void* scratch) {
    const int32_t blocks = (g->depth + g->block - 1) / g->block, rest = g->rows % g->row_tile;
    const int32_t step = g->copied ? blocks * g->pitch : g->depth;
    const int32_t panel_bytes = blocks * (BYTES * (1 + g->groups) + (g->zeros == 2 ? BYTES : 0));
    const int32_t stop = subbyte_min_s32(end * g->panels, (g->columns + LANES - 1) / LANES);
    const float* rows = subbyte_x86_padded_rows(a, (float*)scratch, g);
    int32_t panel, m;
    for (panel = begin * g->panels; panel < stop; ++panel) {
        const uint8_t* w = weights + (size_t)panel * (size_t)panel_bytes;
        const int32_t n = subbyte_min_s32(LANES, g->columns - panel * LANES);
        float* to = y + panel * LANES;
        for (m = 0; m + g->row_tile <= g->rows; m += g->row_tile)
            V(subbyte_x86_float_blocks_tile_)(rows + m * step, step, w, to + m * g->columns, g, g->row_tile, n);
        if (rest) V(subbyte_x86_float_blocks_tile_)(rows + m * step, step, w, to + m * g->columns, g, rest, n);
    }
}

#undef V
#undef LANES
#undef BYTES
#undef INTS
#undef FLOATS
#undef SUBBYTE_ISA
