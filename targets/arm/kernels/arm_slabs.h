// Areas whose pixels are taken across rows, a slab of register tiles at a time, for kernels that lay the window of each pixel
// of the result out as one line: the taps side by side, in bytes that hold whole codes, cells of codes, or bits of them.

#ifndef SUBBYTE_ARM_SLABS_H
#define SUBBYTE_ARM_SLABS_H

#include "arm_finish.h"

SUBBYTE_INLINE int32_t subbyte_arm_is_pointwise(const struct subbyte_arm_conv* g) {
    return g->kernel_height == 1 && g->kernel_width == 1;
}

// Columns and rows of the largest window of an area: targets/arm/slabs.py has the same.
SUBBYTE_INLINE int32_t subbyte_arm_window_columns(const struct subbyte_arm_conv* g) {
    return (subbyte_arm_widest(g) - 1) * g->stride_width + (g->kernel_width - 1) * g->dilation_width + 1;
}
SUBBYTE_INLINE int32_t subbyte_arm_window_rows(const struct subbyte_arm_conv* g) {
    const int32_t highest = (g->out_height + g->row_tiles - 1) / g->row_tiles;
    return (highest - 1) * g->stride_height + (g->kernel_height - 1) * g->dilation_height + 1;
}

// Those of this area.
SUBBYTE_INLINE int32_t subbyte_arm_area_columns(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g) {
    return (area->column_1 - area->column_0 - 1) * g->stride_width + (g->kernel_width - 1) * g->dilation_width + 1;
}
SUBBYTE_INLINE int32_t subbyte_arm_area_rows(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g) {
    return (area->row_1 - area->row_0 - 1) * g->stride_height + (g->kernel_height - 1) * g->dilation_height + 1;
}

// Pixel m of register tile `tile` of an area of `total` pixels, at least g->pixels. The last tile begins early enough to be full.
SUBBYTE_INLINE int32_t subbyte_arm_slab_pixel(int32_t tile, int32_t m, int32_t total,
                                              const struct subbyte_arm_conv* g) {
    return subbyte_min_s32(tile * g->pixels, total - g->pixels) + m;
}

// Where the window of such a pixel begins, rows of the input being `pitch` bytes apart, its pixels `step`. Areas are whole rows,
// or parts of a single one.
SUBBYTE_INLINE int32_t subbyte_arm_slab_at(int32_t pixel, int32_t pitch, int32_t step,
                                           const struct subbyte_arm_conv* g) {
    const int32_t row = g->out_height == 1 ? 0 : pixel / g->out_width;
    return row * g->stride_height * pitch + (pixel - row * g->out_width) * g->stride_width * step;
}

// The element of the result that is output `output` of such a pixel.
SUBBYTE_INLINE int32_t subbyte_arm_slab_y(int32_t pixel, int32_t output, const struct subbyte_arm_area* area,
                                          const struct subbyte_arm_conv* g) {
    const int32_t at = (area->image * g->out_height + area->row_0) * g->out_width + area->column_0 + pixel;
    return at * g->outputs + output;
}

// The window that begins at `from`, its taps of `step` bytes each side by side. Reads and writes up to 15 bytes behind.
SUBBYTE_INLINE void subbyte_arm_slab_line(uint8_t* to, const uint8_t* from, int32_t pitch, int32_t step,
                                          const struct subbyte_arm_conv* g) {
    const int32_t joined = g->dilation_width == 1, run = joined ? g->kernel_width * step : step;
    int32_t ky, kx, i;
    for (ky = 0; ky < g->kernel_height; ++ky)
        for (kx = 0; kx < (joined ? 1 : g->kernel_width); ++kx, to += run) {
            const uint8_t* x = from + ky * g->dilation_height * pitch + kx * g->dilation_width * step;
            for (i = 0; i < run; i += SUBBYTE_ARM_BYTES) subbyte_arm_store_u8(to + i, subbyte_arm_load_u8(x + i));
        }
}

#endif  // SUBBYTE_ARM_SLABS_H
