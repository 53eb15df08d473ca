// Included for each instruction set: convolutions and matrix products with constant weights, exact sums, then N4.
//
// Before: #define SUBBYTE_ISA avx512 (registers), SUBBYTE_DOT avx512vnni (instruction), SUBBYTE_WORDS 0 (1: the products
// are of 16-bit integers, two a lane, instead of bytes, four a lane).

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT) || !defined(SUBBYTE_WORDS)
#error "x86_sums_body.h is a part of x86_sums_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define F(stem) SUBBYTE_OF(stem, SUBBYTE_DOT)
#define LANES V(SUBBYTE_LANES_)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#if SUBBYTE_WORDS
#define CELL uint16_t
#else
#define CELL uint8_t
#endif
#define GROUP (4 / (int32_t)sizeof(CELL))

// One vector of packed weights: LANES outputs by GROUP products.
SUBBYTE_INLINE INTS F(subbyte_x86_weights_)(const int8_t* w) {
#if SUBBYTE_WORDS
    return V(subbyte_load_s8_as_s16_)(w);
#else
    return V(subbyte_load_)(w);
#endif
}

// Adds one group of products to every sum of a register tile: pixel m takes GROUP cells from x + m * step on.
SUBBYTE_INLINE void F(subbyte_x86_add_group_)(INTS* sums, const CELL* x, int32_t step, const int8_t* w, int32_t pixels,
                                              int32_t vectors) {
    const INTS zero = V(subbyte_zero_)();
    INTS weights[SUBBYTE_X86_VECTORS] = {zero, zero, zero, zero, zero, zero, zero, zero};
    int32_t m, v;
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) weights[v] = F(subbyte_x86_weights_)(w + v * LANES * GROUP);
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
        const INTS cells = V(subbyte_broadcast_)(x + m * step);
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            INTS sum = F(subbyte_dot_)(sums[m * vectors + v], cells, weights[v]);
            V(SUBBYTE_IN_PLACE_)(sum);
            sums[m * vectors + v] = sum;
        }
    }
}

// A register tile of sums: sums[m * vectors + v] = bias + x * w for pixel m and vector v of outputs.
//
// x: the first cell of the first window. Rows are `pitch` cells apart, pixels `step`. w: the panel,
// [runs][groups of cells][vectors][LANES][GROUP]; a run is a row of the window, a tap where it is dilated.
SUBBYTE_INLINE void F(subbyte_x86_multiply_)(INTS* sums, const CELL* x, int32_t pitch, int32_t step, const int8_t* w,
                                             const struct subbyte_x86_parameters* p, const struct subbyte_x86_conv* g,
                                             int32_t panel, int32_t vectors) {
    const int32_t taps = g->dilation_width == 1 ? 1 : g->kernel_width;
    const int32_t run = g->dilation_width == 1 ? g->kernel_width * g->channels : g->channels;
    int32_t ky, kx, k, m, v;
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
        const INTS bias = V(subbyte_load_)(p->bias + v * LANES);
        SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) sums[m * vectors + v] = bias;
    }
    for (ky = 0; ky < g->kernel_height; ++ky)
        for (kx = 0; kx < taps; ++kx) {
            const CELL* at = x + ky * g->dilation_height * pitch + kx * g->dilation_width * g->channels;
            for (k = (run + GROUP - 1) / GROUP; k > 0; --k) {
                F(subbyte_x86_add_group_)(sums, at, step, w, g->pixels, vectors);
                at += GROUP;
                w += vectors * LANES * GROUP;
            }
        }
    if (p->more_of)
        for (k = p->more_of[panel]; k < p->more_of[panel + 1]; ++k) {
            const int32_t row = p->more_at[2 * k] / taps * g->dilation_height;
            const int32_t column = p->more_at[2 * k] % taps * g->dilation_width;
            F(subbyte_x86_add_group_)(sums, x + row * pitch + column * g->channels + p->more_at[2 * k + 1], step,
                                      p->more + k * g->vectors * LANES * GROUP, g->pixels, vectors);
        }
}

#include "x86_finish_body.h"

// One panel of outputs for one register tile; y: the first of them of the first pixel.
SUBBYTE_INLINE void F(subbyte_x86_panel_)(const CELL* x, int32_t pitch, int32_t step, const int8_t* w, void* y,
                                          const struct subbyte_x86_parameters* p, const struct subbyte_x86_conv* g,
                                          int32_t panel, int32_t vectors, int32_t outputs) {
    INTS sums[SUBBYTE_X86_SUMS];
    int32_t m;
    SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_X86_SUMS; ++m) sums[m] = V(subbyte_zero_)();
    F(subbyte_x86_multiply_)(sums, x, pitch, step, w, p, g, panel, vectors);
    if (p->multiplier)
        F(subbyte_x86_requantize_)((uint8_t*)y, sums, p, g, vectors, outputs);
    else
        F(subbyte_x86_store_sums_)((int32_t*)y, sums, g, vectors, outputs);
}

#include "x86_window_body.h"

// The panels of one area; x: the first cell of the window of its first pixel, in rows of `pitch` cells.
SUBBYTE_INLINE void F(subbyte_x86_area_)(const CELL* x, int32_t pitch, const int8_t* w, uint8_t* y, int32_t y_bits,
                                         const struct subbyte_x86_parameters* p, const struct subbyte_x86_conv* g,
                                         const struct subbyte_x86_area* area) {
    const int32_t taps = g->dilation_width == 1 ? 1 : g->kernel_width;
    const int32_t run = g->dilation_width == 1 ? g->kernel_width * g->channels : g->channels;
    const int32_t panel_bytes = g->kernel_height * taps * ((run + GROUP - 1) / GROUP) * g->vectors * LANES * GROUP;
    const int32_t panel_outputs = g->vectors * LANES, step = g->stride_width * g->channels;
    int32_t panel, row, column;
    for (panel = area->panel_0; panel < area->panel_1; ++panel) {
        const int32_t output = panel * panel_outputs, rest = g->outputs - output;
        const int8_t* weights = w + panel * panel_bytes;
        struct subbyte_x86_parameters own = *p;
        own.bias += output;
        if (own.multiplier) own.multiplier += output;
        if (own.shift) own.shift += output;
        for (row = area->row_0; row < area->row_1; ++row)
            for (column = area->column_0; column < area->column_1; column += g->pixels) {
                // The last register tile of a row begins early enough to be full.
                const int32_t at = subbyte_x86_smaller(column, area->column_1 - g->pixels);
                const int32_t pixel = (area->image * g->out_height + row) * g->out_width + at;
                const CELL* from = x + (row - area->row_0) * g->stride_height * pitch + (at - area->column_0) * step;
                uint8_t* to = y + subbyte_x86_bytes(pixel * g->outputs + output, y_bits);
                if (rest >= panel_outputs)
                    F(subbyte_x86_panel_)(from, pitch, step, weights, to, &own, g, panel, g->vectors, panel_outputs);
                else
                    F(subbyte_x86_panel_)(from, pitch, step, weights, to, &own, g, panel, g->last_vectors,
                                          g->outputs % panel_outputs);
            }
    }
}

SUBBYTE_INLINE void F(subbyte_x86_tiles_)(const uint8_t* x, const int8_t* w, void* y, int32_t y_bits,
                                          const struct subbyte_x86_parameters* p, const struct subbyte_x86_conv* g,
                                          int32_t begin, int32_t end, CELL* scratch) {
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_x86_area area = subbyte_x86_area(g, LANES, tile);
        const int32_t top = area.row_0 * g->stride_height - g->pad_top;
        const int32_t left = area.column_0 * g->stride_width - g->pad_left;
        const int32_t rows =
            (area.row_1 - area.row_0 - 1) * g->stride_height + (g->kernel_height - 1) * g->dilation_height + 1;
        const int32_t columns =
            (area.column_1 - area.column_0 - 1) * g->stride_width + (g->kernel_width - 1) * g->dilation_width + 1;
        const uint8_t* image = x + subbyte_x86_bytes(area.image * g->height * g->width * g->channels, g->x_bits);
        const CELL* first = scratch;
        // Tiles of one area that follow each other have the same window.
        if (g->window && (tile == begin || area.panel_0 == 0 || g->row_tiles * g->column_tiles > 1))
            F(subbyte_x86_window_)(scratch, image, g, top, rows, left, columns, columns * g->channels);
#if !SUBBYTE_WORDS
        else
            first = image + (top * g->width + left) * g->channels;
#endif
        F(subbyte_x86_area_)(first, (g->window ? columns : g->width) * g->channels, w, (uint8_t*)y, y_bits, p, g,
                             &area);
    }
}

// y = N4 of x * w + bias, codes 0..255.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8u8_)(const uint8_t* x, const int8_t* w, const int32_t* bias,
                                                const float* multiplier, const float* shift, const int32_t* more_of,
                                                const int32_t* more_at, const int8_t* more, uint8_t* y,
                                                const struct subbyte_x86_conv* g, int32_t begin, int32_t end,
                                                void* scratch) {
    const struct subbyte_x86_parameters p = {bias, multiplier, shift, more_of, more_at, more};
    F(subbyte_x86_tiles_)(x, w, y, g->y_bits, &p, g, begin, end, (CELL*)scratch);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8s32_)(const uint8_t* x, const int8_t* w, const int32_t* bias,
                                                 const int32_t* more_of, const int32_t* more_at, const int8_t* more,
                                                 int32_t* y, const struct subbyte_x86_conv* g, int32_t begin,
                                                 int32_t end, void* scratch) {
    const struct subbyte_x86_parameters p = {bias, 0, 0, more_of, more_at, more};
    F(subbyte_x86_tiles_)(x, w, y, 32, &p, g, begin, end, (CELL*)scratch);
}

#undef V
#undef F
#undef LANES
#undef INTS
#undef FLOATS
#undef CELL
#undef GROUP
#undef SUBBYTE_ISA
#undef SUBBYTE_DOT
#undef SUBBYTE_WORDS
