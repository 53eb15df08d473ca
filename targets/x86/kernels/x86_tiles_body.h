// Part of the bodies that sum products: tiles, their areas and panels, for the ways in which a register tile is summed.
//
// Before: x86_sums_names.h; F(subbyte_x86_panel_bytes_), how many bytes of weights a panel has; F(subbyte_x86_fetched_), how
// many of the next panel a register tile fetches; F(subbyte_x86_multiply_), the sums of a register tile.

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
    const int32_t panel_bytes = F(subbyte_x86_panel_bytes_)(g), panel_outputs = g->vectors * LANES;
    const int32_t step = g->stride_width * g->channels, fetched = F(subbyte_x86_fetched_)(g);
    int32_t panel, row, column;
    for (panel = area->panel_0; panel < area->panel_1; ++panel) {
        const int32_t output = panel * panel_outputs, rest = g->outputs - output;
        const int8_t* weights = w + panel * panel_bytes;
        struct subbyte_x86_parameters own = *p;
        own.bias += output;
        if (own.multiplier) own.multiplier += output;
        if (own.shift) own.shift += output;
        own.ahead = weights;
        own.ahead_step = 0;
        if (fetched && rest > panel_outputs) {
            own.ahead += panel_bytes;
            own.ahead_step = SUBBYTE_X86_LINE;
        }
        for (row = area->row_0; row < area->row_1; ++row)
            for (column = area->column_0; column < area->column_1; column += g->pixels) {
                // The last register tile of a row begins early enough to be full.
                const int32_t at = subbyte_min_s32(column, area->column_1 - g->pixels);
                const int32_t pixel = (area->image * g->out_height + row) * g->out_width + at;
                const CELL* from = x + (row - area->row_0) * g->stride_height * pitch + (at - area->column_0) * step;
                uint8_t* to = y + subbyte_whole_bytes(pixel * g->outputs + output, y_bits);
                if (rest >= panel_outputs)
                    F(subbyte_x86_panel_)(from, pitch, step, weights, to, &own, g, panel, g->vectors, panel_outputs);
                else
                    F(subbyte_x86_panel_)(from, pitch, step, weights, to, &own, g, panel, g->last_vectors,
                                          g->outputs % panel_outputs);
                if (own.ahead_step) own.ahead += fetched;
                if (own.ahead - weights >= 2 * panel_bytes) {  // all of the next panel is on its way
                    own.ahead = weights;
                    own.ahead_step = 0;
                }
            }
    }
}

SUBBYTE_INLINE void F(subbyte_x86_tiles_)(const uint8_t* x, const int8_t* w, void* y, int32_t y_bits,
                                          const struct subbyte_x86_parameters* p, const struct subbyte_x86_conv* g,
                                          int32_t begin, int32_t end, CELL* scratch) {
    // The widest area makes the pitch of every window, so that it is a constant: scratch_bytes of registers.py.
    const int32_t whole = g->out_width / g->pixels, reach = (g->kernel_width - 1) * g->dilation_width + 1;
    const int32_t widest =
        (whole + g->column_tiles - 1) / g->column_tiles * g->pixels + (g->out_width - whole * g->pixels);
    const int32_t pitch = (g->window ? (widest - 1) * g->stride_width + reach : g->width) * g->channels;
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_x86_area area = subbyte_x86_area(g, LANES, tile);
        const int32_t top = area.row_0 * g->stride_height - g->pad_top;
        const int32_t left = area.column_0 * g->stride_width - g->pad_left;
        const int32_t rows =
            (area.row_1 - area.row_0 - 1) * g->stride_height + (g->kernel_height - 1) * g->dilation_height + 1;
        const int32_t columns = (area.column_1 - area.column_0 - 1) * g->stride_width + reach;
        const uint8_t* image = x + subbyte_whole_bytes(area.image * g->height * g->width * g->channels, g->x_bits);
        const CELL* first = scratch;
#if !SUBBYTE_WORDS
        if (!g->window) first = image + (top * g->width + left) * g->channels;
#endif
        // Tiles of one area that follow each other have the same window.
        if (g->window && (tile == begin || area.panel_0 == 0 || g->row_tiles * g->column_tiles > 1))
            F(subbyte_x86_window_)(scratch, image, g, top, rows, left, columns, pitch);
        F(subbyte_x86_area_)(first, pitch, w, (uint8_t*)y, y_bits, p, g, &area);
    }
}
