// Part of the bodies that sum products: the input of a tile, copied with its padding as the cells that are multiplied.
//
// Before: SUBBYTE_ISA, SUBBYTE_DOT, SUBBYTE_WORDS and the shorthands V, F, LANES, CELL and GROUP of x86_sums_body.h.

// n codes as cells, of a byte each. Reads and writes nothing beyond them.
SUBBYTE_INLINE void F(subbyte_x86_copy_bytes_)(CELL* to, const uint8_t* x, int32_t n) {
#if SUBBYTE_WORDS
    int32_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) V(subbyte_store_)(to + i, V(subbyte_load_u8_as_u16_)(x + i));
    for (; i < n; ++i) to[i] = x[i];
#else
    V(subbyte_copy_)(to, x, n);
#endif
}

// n codes of `bits` bits as cells. Reads and writes nothing beyond them.
SUBBYTE_INLINE void F(subbyte_x86_copy_)(CELL* to, const uint8_t* x, int32_t n, int32_t bits) {
    const int32_t block = (int32_t)sizeof(INTS);
    int32_t k = 0;
    if (bits < 8) {
        for (; k < n; k += block) {
            const int32_t rest = subbyte_min_s32(n - k, block);
            const INTS codes = V(subbyte_load_codes_part_)(x + subbyte_whole_bytes(k, bits), bits, rest);
#if SUBBYTE_WORDS
            uint8_t bytes[sizeof(INTS)];
            V(subbyte_store_)(bytes, codes);
            F(subbyte_x86_copy_bytes_)(to + k, bytes, rest);
#else
            V(subbyte_store_part_)(to + k, codes, rest);
#endif
        }
        return;
    }
    F(subbyte_x86_copy_bytes_)(to, x, n);
}

SUBBYTE_INLINE void F(subbyte_x86_fill_)(CELL* to, int32_t value, int32_t n) {
#if SUBBYTE_WORDS
    int32_t i;
    for (i = 0; i < n; ++i) to[i] = (CELL)value;
#else
    V(subbyte_fill_)(to, value, n);
#endif
}

// Input rows `top` to top + rows, columns `left` to left + columns of an image, with the zero point around it; `pitch` cells
// a row, and behind the last as many as a group of products may read.
SUBBYTE_INLINE void F(subbyte_x86_window_)(CELL* window, const uint8_t* image, const struct subbyte_x86_conv* g,
                                           int32_t top, int32_t rows, int32_t left, int32_t columns, int32_t pitch) {
    const int32_t before = left < 0 ? subbyte_min_s32(-left, columns) : 0;
    const int32_t beyond = left + columns - g->width;
    const int32_t after = beyond > 0 ? subbyte_min_s32(beyond, columns - before) : 0;
    const int32_t inside = columns - before - after;
    int32_t row;
    for (row = 0; row < rows; ++row, window += pitch) {
        const int32_t y = top + row;
        if (y < 0 || y >= g->height) {
            F(subbyte_x86_fill_)(window, g->x_zero, columns * g->channels);
            continue;
        }
        if (before) F(subbyte_x86_fill_)(window, g->x_zero, before * g->channels);
        F(subbyte_x86_copy_)(window + before * g->channels,
                             image + subbyte_whole_bytes((y * g->width + left + before) * g->channels, g->x_bits),
                             inside * g->channels, g->x_bits);
        if (after) F(subbyte_x86_fill_)(window + (before + inside) * g->channels, g->x_zero, after * g->channels);
    }
    F(subbyte_x86_fill_)(window, 0, GROUP);
}
