// Included for each instruction set by x86_lookup_sums_*.h: convolutions and matrix products, exact sums, then N4.
//
// Before: #define SUBBYTE_ISA avx512 (registers), SUBBYTE_DOT lookup_avx512 (instruction), SUBBYTE_SEXTETS 0 (1: the only
// form is SUBBYTE_X86_SEXTETS).

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT) || !defined(SUBBYTE_SEXTETS)
#error "x86_lookup_sums_body.h is a part of x86_lookup_sums_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define F(stem) SUBBYTE_OF(stem, SUBBYTE_DOT)
#define LANES V(SUBBYTE_LANES_)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#define BLOCK ((int32_t)sizeof(INTS))  // outputs of a vector
#define PIXELS SUBBYTE_X86_LOOKUP_PIXELS
#define VECTORS SUBBYTE_X86_LOOKUP_VECTORS

#include "x86_finish_body.h"

// ---- the input as cells ----------------------------------------------------------------------------------------------

// n codes as cells. The codes have x_bits bits in memory: 8, or as many as in a cell, then they begin with a byte. Reads nothing
// beyond them; writes whole cells, with SEXTETS up to seven more.
SUBBYTE_INLINE void F(subbyte_x86_cells_)(uint8_t* to, const uint8_t* x, int32_t n, int32_t x_bits, int32_t code_bits) {
    int32_t k;
#if SUBBYTE_SEXTETS
    for (k = 0; k < n; k += 48) {  // 16 cells of three codes or 8 of six
        const int32_t rest = subbyte_min_s32(n - k, 48);
        uint8_t bytes[sizeof(INTS)];
        int32_t i;
        if (x_bits == 8)
            V(subbyte_store_)(bytes, V(subbyte_join_codes_)(V(subbyte_load_part_)(x + k, rest), code_bits));
        else
            V(subbyte_store_)(bytes, V(subbyte_load_part_)(x + k * code_bits / 8, (rest * code_bits + 7) / 8));
        for (i = 0; 6 * i < 6 * code_bits && 48 * i < rest * code_bits; ++i) {
            uint64_t eight;
            memcpy(&eight, bytes + 6 * i, sizeof eight);
            eight = _pdep_u64(eight, 0x3F3F3F3F3F3F3F3Fu);
            memcpy(to, &eight, sizeof eight);
            to += sizeof eight;
        }
    }
#else
    if (x_bits == code_bits) {
        V(subbyte_copy_)(to, x, (n * code_bits + 7) / 8);
        return;
    }
    for (k = 0; k < n; k += BLOCK) {
        const int32_t rest = subbyte_min_s32(n - k, BLOCK), per = 8 / code_bits;
        V(subbyte_store_codes_part_)(to + k / per, V(subbyte_load_part_)(x + k, rest), code_bits,
                                     (rest + per - 1) / per * per);
    }
#endif
}

// `pixels` neighbours of an image as cells.
SUBBYTE_INLINE void F(subbyte_x86_cells_of_pixels_)(uint8_t* to, const uint8_t* x, int32_t pixels,
                                                    const struct subbyte_x86_conv* g,
                                                    const struct subbyte_x86_lookup_sums* t) {
    int32_t m;
    if (t->form != SUBBYTE_X86_SEXTETS && g->channels * t->code_bits % 8 == 0) {
        F(subbyte_x86_cells_)(to, x, pixels * g->channels, g->x_bits, t->code_bits);
        return;
    }
    for (m = 0; m < pixels; ++m)
        F(subbyte_x86_cells_)(to + m * t->cells, x + subbyte_whole_bytes(m * g->channels, g->x_bits), g->channels,
                              g->x_bits, t->code_bits);
}

// `pixels` neighbours of zero points.
SUBBYTE_INLINE void F(subbyte_x86_zero_cells_)(uint8_t* to, int32_t pixels, const struct subbyte_x86_lookup_sums* t) {
    int32_t m;
    V(subbyte_fill_)(to, t->zero_cell, pixels * t->cells);
    if (t->zero_last != t->zero_cell)
        for (m = 1; m <= pixels; ++m) to[m * t->cells - 1] = (uint8_t)t->zero_last;
}

// Input rows `top` to top + rows, columns `left` to left + columns of an image, with the zero point around it.
SUBBYTE_INLINE void F(subbyte_x86_cell_window_)(uint8_t* window, const uint8_t* image, const struct subbyte_x86_conv* g,
                                                const struct subbyte_x86_lookup_sums* t, int32_t top, int32_t rows,
                                                int32_t left, int32_t columns) {
    const int32_t before = left < 0 ? subbyte_min_s32(-left, columns) : 0;
    const int32_t beyond = left + columns - g->width;
    const int32_t after = beyond > 0 ? subbyte_min_s32(beyond, columns - before) : 0;
    const int32_t inside = columns - before - after;
    int32_t row;
    for (row = 0; row < rows; ++row, window += columns * t->cells) {
        const int32_t y = top + row;
        if (y < 0 || y >= g->height) {
            F(subbyte_x86_zero_cells_)(window, columns, t);
            continue;
        }
        if (before) F(subbyte_x86_zero_cells_)(window, before, t);
        F(subbyte_x86_cells_of_pixels_)(
            window + before * t->cells,
            image + subbyte_whole_bytes((y * g->width + left + before) * g->channels, g->x_bits), inside, g, t);
        if (after) F(subbyte_x86_zero_cells_)(window + (before + inside) * t->cells, after, t);
    }
}

// ---- sums ------------------------------------------------------------------------------------------------------------

// Adds what the weights of one cell of each pixel look up: bytes[m][v] for pixel m, whose cell is x[m][at], and vector v.
SUBBYTE_INLINE void F(subbyte_x86_add_cell_)(INTS (*bytes)[VECTORS], const uint8_t* const* x, ptrdiff_t at,
                                             const uint8_t* w, const uint8_t* tables, const struct subbyte_x86_conv* g,
                                             int32_t form, int32_t vectors) {
    const INTS low_bits = V(subbyte_set_u8_)(15);
    const int32_t halves = form == SUBBYTE_X86_NIBBLES ? 2 : 1;
    const int32_t row_bytes = form == SUBBYTE_X86_SEXTETS ? 64 : 16 * halves;
    INTS names[VECTORS];
    int32_t half, m, v;
    SUBBYTE_UNROLL for (half = 0; half < halves; ++half) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int32_t upper = form == SUBBYTE_X86_NIBBLES ? half : form == SUBBYTE_X86_OUTPUTS ? v % 2 : 0;
            names[v] = V(subbyte_load_)(w + (form == SUBBYTE_X86_OUTPUTS ? v / 2 : v) * BLOCK);
            if (upper) names[v] = V(subbyte_right_u16_)(names[v], 4);
            if (form != SUBBYTE_X86_SEXTETS) names[v] = V(subbyte_and_)(names[v], low_bits);
            if (upper) V(SUBBYTE_IN_PLACE_)(names[v]);
        }
        SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
            const INTS row = F(subbyte_row_)(tables + (size_t)x[m][at] * (size_t)row_bytes + 16 * half);
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                INTS sum = V(subbyte_add_u8_)(bytes[m][v], F(subbyte_pick_)(row, names[v]));
                V(SUBBYTE_IN_PLACE_)(sum);
                bytes[m][v] = sum;
            }
        }
    }
}

// The four quarters of a vector of sums, 32 bits: what two vectors of 16-bit lanes hold of `count` chunks.
//
// Each byte of a chunk was its sum + 128; words[0] has the sum of pairs of them as 16 bits, words[1] of their odd bytes alone. An
// even byte is that of output i, an odd one that of output BLOCK / 2 + i.
SUBBYTE_INLINE void F(subbyte_x86_widen_)(INTS* sums, const INTS* words, int32_t count) {
    const INTS start = V(subbyte_set_s16_)(128 * count);
    const INTS odd = V(subbyte_sub_s16_)(words[1], start);
    const INTS even = V(subbyte_sub_s16_)(V(subbyte_sub_s16_)(words[0], V(subbyte_left_u16_)(words[1], 8)), start);
    sums[0] = V(subbyte_widen_s16_)(even, 0);
    sums[1] = V(subbyte_widen_s16_)(even, 1);
    sums[2] = V(subbyte_widen_s16_)(odd, 0);
    sums[3] = V(subbyte_widen_s16_)(odd, 1);
}

// The sums of vector v of pixel m to results. p: for the first output of the vector; outputs: of the vector.
SUBBYTE_INLINE void F(subbyte_x86_finish_)(uint8_t* y, INTS* sums, const struct subbyte_x86_parameters* p,
                                           const struct subbyte_x86_conv* g, int32_t outputs) {
    struct subbyte_x86_conv one = *g;
    int32_t i;
    one.pixels = 1;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
        sums[i] = V(subbyte_add_s32_)(sums[i], V(subbyte_load_)(p->bias + i * LANES));
    }
    if (p->multiplier)
        F(subbyte_x86_requantize_)(y, sums, p, &one, 4, outputs);
    else
        F(subbyte_x86_store_sums_)((int32_t*)(void*)y, sums, &one, 4, outputs);
}

// One panel of outputs for one register tile: y[m] for pixel m, whose window begins with the cell x[m].
//
// Rows of the window are `pitch` cells apart. w: the panel.
SUBBYTE_INLINE void F(subbyte_x86_lookup_panel_)(const uint8_t* const* x, int32_t pitch, const uint8_t* w,
                                                 const uint8_t* tables, uint8_t* const* y, int32_t y_bits,
                                                 const struct subbyte_x86_parameters* p,
                                                 const struct subbyte_x86_conv* g,
                                                 const struct subbyte_x86_lookup_sums* t, int32_t vectors,
                                                 int32_t outputs) {
    const int32_t taps = g->dilation_width == 1 ? 1 : g->kernel_width;
    const int32_t run = g->dilation_width == 1 ? g->kernel_width * t->cells : t->cells;
    const int32_t step = (t->form == SUBBYTE_X86_OUTPUTS ? (vectors + 1) / 2 : vectors) * BLOCK;
    const int32_t total = g->kernel_height * taps * ((run + t->chunk - 1) / t->chunk);
    INTS sums[PIXELS][VECTORS][4], words[PIXELS][VECTORS][2], bytes[PIXELS][VECTORS];
    int32_t ky, kx, k, m, v, i, count = 0;
    SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            words[m][v][0] = words[m][v][1] = V(subbyte_zero_)();
            if (total > t->chunks) SUBBYTE_UNROLL for (i = 0; i < 4; ++i) sums[m][v][i] = V(subbyte_zero_)();
        }
    }
    for (ky = 0; ky < g->kernel_height; ++ky)
        for (kx = 0; kx < taps; ++kx) {
            const ptrdiff_t first = ky * g->dilation_height * pitch + kx * g->dilation_width * t->cells;
            for (k = 0; k < run; k += t->chunk) {
                const ptrdiff_t last = first + subbyte_min_s32(run, k + t->chunk);
                ptrdiff_t at;
                SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
                    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) bytes[m][v] = V(subbyte_set_u8_)(128);
                }
                for (at = first + k; at < last; ++at) {
                    F(subbyte_x86_add_cell_)(bytes, x, at, w, tables, g, t->form, vectors);
                    w += step;
                }
                SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
                    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                        words[m][v][0] = V(subbyte_add_s16_)(words[m][v][0], bytes[m][v]);
                        words[m][v][1] = V(subbyte_add_s16_)(words[m][v][1], V(subbyte_right_u16_)(bytes[m][v], 8));
                    }
                }
                ++count;
                if (total > t->chunks && count == t->chunks) {
                    for (m = 0; m < g->pixels; ++m) {
                        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                            INTS more[4];
                            F(subbyte_x86_widen_)(more, words[m][v], count);
                            words[m][v][0] = words[m][v][1] = V(subbyte_zero_)();
                            SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
                                sums[m][v][i] = V(subbyte_add_s32_)(sums[m][v][i], more[i]);
                            }
                        }
                    }
                    count = 0;
                }
            }
        }
    SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            struct subbyte_x86_parameters own = *p;
            INTS all[4];
            own.bias += v * BLOCK;
            if (own.multiplier) own.multiplier += v * BLOCK;
            if (own.shift) own.shift += v * BLOCK;
            F(subbyte_x86_widen_)(all, words[m][v], total > t->chunks ? count : total);
            if (total > t->chunks)
                SUBBYTE_UNROLL for (i = 0; i < 4; ++i) all[i] = V(subbyte_add_s32_)(all[i], sums[m][v][i]);
            F(subbyte_x86_finish_)(y[m] + subbyte_whole_bytes(v * BLOCK, y_bits), all, &own, g,
                                   subbyte_min_s32(outputs - v * BLOCK, BLOCK));
        }
    }
}

// All panels of one area; x: the first cell of the window of its first pixel, in rows of `pitch` cells. Register tiles take
// pixels across rows; the last one begins early enough to be full.
SUBBYTE_INLINE void F(subbyte_x86_lookup_area_)(const uint8_t* x, int32_t pitch, const uint8_t* w,
                                                const uint8_t* tables, uint8_t* y, int32_t y_bits,
                                                const struct subbyte_x86_parameters* p,
                                                const struct subbyte_x86_conv* g,
                                                const struct subbyte_x86_lookup_sums* t,
                                                const struct subbyte_x86_area* area) {
    const int32_t taps = g->dilation_width == 1 ? 1 : g->kernel_width;
    const int32_t run = g->dilation_width == 1 ? g->kernel_width * t->cells : t->cells;
    const int32_t per = t->form == SUBBYTE_X86_OUTPUTS ? (g->vectors + 1) / 2 : g->vectors;
    const int32_t panel_bytes = g->kernel_height * taps * run * per * BLOCK, panel_outputs = g->vectors * BLOCK;
    const int32_t columns = area->column_1 - area->column_0, total = (area->row_1 - area->row_0) * columns;
    int32_t panel, pixel, m;
    for (panel = area->panel_0; panel < area->panel_1; ++panel) {
        const int32_t output = panel * panel_outputs, rest = g->outputs - output;
        const uint8_t* weights = w + (ptrdiff_t)panel * panel_bytes;
        struct subbyte_x86_parameters own = *p;
        own.bias += output;
        if (own.multiplier) own.multiplier += output;
        if (own.shift) own.shift += output;
        for (pixel = 0; pixel < total; pixel += g->pixels) {
            const uint8_t* from[PIXELS];
            uint8_t* to[PIXELS];
            SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
                const int32_t first = subbyte_min_s32(pixel, total > g->pixels ? total - g->pixels : 0);
                const int32_t at = subbyte_min_s32(first + m, total - 1);
                const int32_t row = at / columns, column = at % columns;
                const int32_t result = (area->image * g->out_height + area->row_0 + row) * g->out_width + column;
                from[m] = x + row * g->stride_height * pitch + column * g->stride_width * t->cells;
                to[m] = y + ((ptrdiff_t)(result + area->column_0) * g->outputs + output) * y_bits / 8;
            }
            if (rest >= panel_outputs)
                F(subbyte_x86_lookup_panel_)(from, pitch, weights, tables, to, y_bits, &own, g, t, g->vectors,
                                             panel_outputs);
            else
                F(subbyte_x86_lookup_panel_)(from, pitch, weights, tables, to, y_bits, &own, g, t, g->last_vectors,
                                             g->outputs % panel_outputs);
        }
    }
}

SUBBYTE_INLINE void F(subbyte_x86_lookup_tiles_)(const uint8_t* x, const uint8_t* w, const uint8_t* tables, void* y,
                                                 int32_t y_bits, const struct subbyte_x86_parameters* p,
                                                 const struct subbyte_x86_conv* g,
                                                 const struct subbyte_x86_lookup_sums* t, int32_t begin, int32_t end,
                                                 uint8_t* scratch) {
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_x86_area area = subbyte_x86_area(g, BLOCK, tile);
        const int32_t top = area.row_0 * g->stride_height - g->pad_top;
        const int32_t left = area.column_0 * g->stride_width - g->pad_left;
        const int32_t rows =
            (area.row_1 - area.row_0 - 1) * g->stride_height + (g->kernel_height - 1) * g->dilation_height + 1;
        const int32_t columns =
            (area.column_1 - area.column_0 - 1) * g->stride_width + (g->kernel_width - 1) * g->dilation_width + 1;
        const uint8_t* image = x + subbyte_whole_bytes(area.image * g->height * g->width * g->channels, g->x_bits);
        const uint8_t* first = scratch;
        if (g->window)
            F(subbyte_x86_cell_window_)(scratch, image, g, t, top, rows, left, columns);
        else
            first = image + (top * g->width + left) * t->cells;
        F(subbyte_x86_lookup_area_)(first, (g->window ? columns : g->width) * t->cells, w, tables, (uint8_t*)y, y_bits,
                                    p, g, t, &area);
    }
}

// y = N4 of x * w + bias.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8_)(const uint8_t* x, const uint8_t* w, const uint8_t* tables,
                                            const int32_t* bias, const float* multiplier, const float* shift,
                                            uint8_t* y, const struct subbyte_x86_conv* g,
                                            const struct subbyte_x86_lookup_sums* t, int32_t begin, int32_t end,
                                            void* scratch) {
    const struct subbyte_x86_parameters p = {bias, multiplier, shift, 0, 0, 0, 0, 0};
    F(subbyte_x86_lookup_tiles_)(x, w, tables, y, g->y_bits, &p, g, t, begin, end, (uint8_t*)scratch);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void F(subbyte_x86_sums_s32_)(const uint8_t* x, const uint8_t* w, const uint8_t* tables,
                                             const int32_t* bias, int32_t* y, const struct subbyte_x86_conv* g,
                                             const struct subbyte_x86_lookup_sums* t, int32_t begin, int32_t end,
                                             void* scratch) {
    const struct subbyte_x86_parameters p = {bias, 0, 0, 0, 0, 0, 0, 0};
    F(subbyte_x86_lookup_tiles_)(x, w, tables, y, 32, &p, g, t, begin, end, (uint8_t*)scratch);
}

#undef V
#undef F
#undef LANES
#undef INTS
#undef FLOATS
#undef BLOCK
#undef PIXELS
#undef VECTORS
#undef SUBBYTE_ISA
#undef SUBBYTE_DOT
#undef SUBBYTE_SEXTETS
