// Sums of products on Arm: the geometry of convolutions and matrix products, how a result is cut, the input of a tile.
//
// A kernel of this kind is its inner loop, a function of the type subbyte_arm_register_tile_sums (or, where it works on more
// than a register tile at a time, subbyte_arm_area_sums), which it hands to subbyte_arm_register_tiles (subbyte_arm_areas).
// All of it is inlined into each call with a constant geometry.

#ifndef SUBBYTE_ARM_CONV_H
#define SUBBYTE_ARM_CONV_H

#include "arm_vector.h"

// x [images][height][width][channels] -> y [images][out_height][out_width][outputs]; a matrix product has height 1.
//
// The result of each image is cut into row_tiles * column_tiles areas of about equal size, the outputs of an area into
// panel_tiles tiles, a tile into register tiles of `pixels` neighbours in a row by `panel` neighbouring outputs. Outputs that
// do not fill a panel make a last one, of `last_panel` that are summed, outputs % panel of which are stored. Columns are cut
// between register tiles, and the last area takes what is left of a row.
// window: 1: the input of a tile is copied to scratch with its padding; 0: it is read in place, which requires that no
// window reaches beyond the input, and as much memory behind a window's runs of bytes as the inner loop reads.
// beyond: bytes that may be read behind the window in scratch: zeros.
// flip: 0x80 where codes are 0..255 and the window holds them less 128, else 0. x_zero: what the window holds as padding.
// x_bits, y_bits: of a code in memory, 1, 2, 4 or 8, those of a pixel filling whole bytes; a window where x_bits is not 8.
struct subbyte_arm_conv {
    int32_t height, width, channels, out_height, out_width, outputs;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width, pad_top,
        pad_left;
    int32_t row_tiles, column_tiles, panel_tiles, pixels, panel, last_panel;
    int32_t window, beyond, flip, x_zero, x_bits;
    int32_t y_zero, qmin, qmax, y_bits;
};

// Pixels and outputs of one image: rows row_0 to row_1 - 1, columns column_0 to column_1 - 1, panels panel_0 to panel_1 - 1;
// x: the first byte of the window of its first pixel; rows of it are `pitch` bytes apart, pixels `step`. free: scratch behind
// the window, 64-byte aligned.
struct subbyte_arm_area {
    int32_t image, row_0, row_1, column_0, column_1, panel_0, panel_1;
    const int8_t* x;
    int32_t pitch, step;
    void* free;
};

// What one register tile is: x: the first byte of the window of its first pixel; rows of it are `pitch` bytes apart, pixels
// `step`. It begins at output `output`, of the panel `panel`; `summed` outputs of `pixels` pixels are summed, the first
// `stored` of them stored, from element `y` of the result on.
struct subbyte_arm_register_tile {
    const int8_t* x;
    int32_t pitch, step;
    int32_t panel, output, summed, stored, pixels;
    int32_t y;
};

// The sums of one register tile or area, and what becomes of them; `own` is what the caller gave to subbyte_arm_areas.
typedef void subbyte_arm_register_tile_sums(const struct subbyte_arm_register_tile* tile,
                                            const struct subbyte_arm_conv* g, const void* own);
typedef void subbyte_arm_area_sums(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                   const void* own);

SUBBYTE_INLINE int32_t subbyte_arm_panels(const struct subbyte_arm_conv* g) {
    return (g->outputs + g->panel - 1) / g->panel;
}

// A window's runs of bytes that lie side by side: how many, and how long each is. Weights follow this order.
SUBBYTE_INLINE int32_t subbyte_arm_run(const struct subbyte_arm_conv* g) {
    return g->dilation_width == 1 ? g->kernel_width * g->channels : g->channels;
}
SUBBYTE_INLINE int32_t subbyte_arm_runs(const struct subbyte_arm_conv* g) {
    return g->dilation_width == 1 ? g->kernel_height : g->kernel_height * g->kernel_width;
}

// Where a run begins in a window whose rows are `pitch` bytes apart.
SUBBYTE_INLINE int32_t subbyte_arm_run_at(const struct subbyte_arm_conv* g, int32_t pitch, int32_t run) {
    if (g->dilation_width == 1) return run * g->dilation_height * pitch;
    return run / g->kernel_width * g->dilation_height * pitch + run % g->kernel_width * g->dilation_width * g->channels;
}

// Columns of the widest area, of the result; it makes the pitch of every window, so that that is a constant.
SUBBYTE_INLINE int32_t subbyte_arm_widest(const struct subbyte_arm_conv* g) {
    const int32_t whole = g->out_width / g->pixels;
    const int32_t widest =
        (whole + g->column_tiles - 1) / g->column_tiles * g->pixels + (g->out_width - whole * g->pixels);
    return subbyte_min_s32(widest, g->out_width);
}

// Bytes from a row of the input, or of the window that is a copy of it, to the next.
SUBBYTE_INLINE int32_t subbyte_arm_pitch(const struct subbyte_arm_conv* g) {
    const int32_t reach = (g->kernel_width - 1) * g->dilation_width + 1;
    if (!g->window) return g->width * g->channels;
    return ((subbyte_arm_widest(g) - 1) * g->stride_width + reach) * g->channels;
}

// Bytes of the largest window with what may be read behind it, in whole lines of 64: Window of targets/arm/sums.py.
SUBBYTE_INLINE int32_t subbyte_arm_window_bytes(const struct subbyte_arm_conv* g) {
    const int32_t highest = (g->out_height + g->row_tiles - 1) / g->row_tiles;
    const int32_t rows = (highest - 1) * g->stride_height + (g->kernel_height - 1) * g->dilation_height + 1;
    return g->window ? (rows * subbyte_arm_pitch(g) + g->beyond + 63) / 64 * 64 : 0;
}

SUBBYTE_INLINE void subbyte_arm_copy_codes(uint8_t* to, const uint8_t* x, int32_t n, const struct subbyte_arm_conv* g) {
    if (g->x_bits < 8)
        subbyte_arm_unpack(to, x, n, g->x_bits);
    else
        subbyte_arm_copy(to, x, n, g->flip);
}

// Input rows `top` to top + rows, columns `left` to left + columns of an image, with x_zero around it.
SUBBYTE_INLINE void subbyte_arm_fill_window(uint8_t* window, const uint8_t* image, const struct subbyte_arm_conv* g,
                                            int32_t top, int32_t rows, int32_t left, int32_t columns) {
    const int32_t before = left < 0 ? subbyte_min_s32(-left, columns) : 0;
    const int32_t past = left + columns - g->width;
    const int32_t after = past > 0 ? subbyte_min_s32(past, columns - before) : 0;
    const int32_t inside = columns - before - after, pitch = subbyte_arm_pitch(g);
    int32_t row;
    for (row = 0; row < rows; ++row, window += pitch) {
        const int32_t y = top + row;
        if (y < 0 || y >= g->height) {
            subbyte_arm_fill(window, g->x_zero, columns * g->channels);
            continue;
        }
        if (before) subbyte_arm_fill(window, g->x_zero, before * g->channels);
        subbyte_arm_copy_codes(window + before * g->channels,
                               image + subbyte_whole_bytes((y * g->width + left + before) * g->channels, g->x_bits),
                               inside * g->channels, g);
        if (after) subbyte_arm_fill(window + (before + inside) * g->channels, g->x_zero, after * g->channels);
    }
    // Narrower areas leave room at the end of their rows: what is read behind the last begins where its codes end.
    if (g->beyond) subbyte_arm_fill(window - pitch + columns * g->channels, 0, g->beyond);
}

// Calls `sums` for tiles begin to end - 1, each an area with some of its panels. Scratch: subbyte_arm_window_bytes(g), then
// what `sums` itself needs.
SUBBYTE_INLINE void subbyte_arm_areas(const void* x, const struct subbyte_arm_conv* g, int32_t begin, int32_t end,
                                      void* scratch, subbyte_arm_area_sums* sums, const void* own) {
    const int32_t whole = g->out_width / g->pixels, reach = (g->kernel_width - 1) * g->dilation_width + 1;
    const int32_t panels = subbyte_arm_panels(g), areas = g->row_tiles * g->column_tiles;
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        const int32_t row = tile / g->column_tiles % g->row_tiles, column = tile % g->column_tiles;
        const int32_t panel = tile / areas % g->panel_tiles;
        const uint8_t* image;
        struct subbyte_arm_area area;
        int32_t top, left;
        area.image = tile / (areas * g->panel_tiles);
        area.panel_0 = panel * panels / g->panel_tiles;
        area.panel_1 = (panel + 1) * panels / g->panel_tiles;
        area.row_0 = row * g->out_height / g->row_tiles;
        area.row_1 = (row + 1) * g->out_height / g->row_tiles;
        area.column_0 = column * whole / g->column_tiles * g->pixels;
        area.column_1 =
            column + 1 < g->column_tiles ? (column + 1) * whole / g->column_tiles * g->pixels : g->out_width;
        area.pitch = subbyte_arm_pitch(g);
        area.step = g->stride_width * g->channels;
        area.free = (uint8_t*)scratch + subbyte_arm_window_bytes(g);
        top = area.row_0 * g->stride_height - g->pad_top;
        left = area.column_0 * g->stride_width - g->pad_left;
        image = (const uint8_t*)x + subbyte_whole_bytes(area.image * g->height * g->width * g->channels, g->x_bits);
        if (!g->window) {
            area.x = (const int8_t*)image + (top * g->width + left) * g->channels;
        } else {
            const int32_t rows =
                (area.row_1 - area.row_0 - 1) * g->stride_height + (g->kernel_height - 1) * g->dilation_height + 1;
            const int32_t columns = (area.column_1 - area.column_0 - 1) * g->stride_width + reach;
            area.x = (const int8_t*)scratch;
            // Tiles of one area that follow each other have the same window.
            if (tile == begin || area.panel_0 == 0 || areas > 1)
                subbyte_arm_fill_window((uint8_t*)scratch, image, g, top, rows, left, columns);
        }
        sums(&area, g, own);
    }
}

// Calls `sums` for the register tiles of an area: all pixels of a panel, then the next. Only a last panel that is not full
// is another call than the others. Requires that an area is at least g->pixels wide.
SUBBYTE_INLINE void subbyte_arm_register_tiles(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                               subbyte_arm_register_tile_sums* sums, const void* own) {
    struct subbyte_arm_register_tile tile;
    int32_t row, column;
    tile.pitch = area->pitch;
    tile.step = area->step;
    tile.pixels = g->pixels;
    for (tile.panel = area->panel_0; tile.panel < area->panel_1; ++tile.panel) {
        tile.output = tile.panel * g->panel;
        for (row = area->row_0; row < area->row_1; ++row)
            for (column = area->column_0; column < area->column_1; column += g->pixels) {
                // The last register tile of a row begins early enough to be full.
                const int32_t at = subbyte_min_s32(column, area->column_1 - g->pixels);
                tile.y = ((area->image * g->out_height + row) * g->out_width + at) * g->outputs + tile.output;
                tile.x =
                    area->x + (row - area->row_0) * g->stride_height * tile.pitch + (at - area->column_0) * tile.step;
                if (g->outputs % g->panel == 0 || tile.output + g->panel <= g->outputs) {
                    tile.summed = tile.stored = g->panel;
                    sums(&tile, g, own);
                } else {
                    tile.summed = g->last_panel;
                    tile.stored = g->outputs % g->panel;
                    sums(&tile, g, own);
                }
            }
    }
}

#endif  // SUBBYTE_ARM_CONV_H
