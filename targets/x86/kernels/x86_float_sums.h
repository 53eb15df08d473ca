// Float sums of products in the tree of 8 lanes (N8) on x86: geometry, read by x86_float_sums_body.h.

#ifndef SUBBYTE_X86_FLOAT_SUMS_H
#define SUBBYTE_X86_FLOAT_SUMS_H

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

// x [images][height][width][groups * channels] -> y [images][out_height][out_width][groups * outputs].
// pixels: of a register tile; rows: pixels of y in all. in_place: a pixel of y is the sum over one of x that lies at the
// same place. bits: of an index into the table, 1 to 4 or 8; 32: the weights are floats.
struct subbyte_x86_float_sums {
    int32_t height, width, channels, out_height, out_width, outputs, groups;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t pad_top, pad_left, pixels, rows, in_place, bits;
};

// a [rows][depth] * b [depth][columns] -> y [rows][columns], for each batch; a_row, b_depth, b_column: floats between neighbours.
struct subbyte_x86_float_product {
    int32_t rows, columns, depth;
    int32_t a_row, b_depth, b_column, tile_rows;
};

enum { SUBBYTE_X86_FLOAT_PIXELS = 8, SUBBYTE_X86_FLOAT_VECTORS = 2 };  // of a register tile, at most

// to: [taps][channels], what pixel `pixel` of y sees of `group`; zeros for padding. Adding a product with zero to a lane leaves
// it as it is: it begins at +0.0 and so is never -0.0, and the weights are finite.
SUBBYTE_INLINE void subbyte_x86_float_window(float* to, const float* x, const struct subbyte_x86_float_sums* g,
                                             int32_t pixel, int32_t group) {
    const int32_t row = pixel / g->out_width, image = row / g->out_height, stride = g->groups * g->channels;
    const int32_t top = row % g->out_height * g->stride_height - g->pad_top;
    const int32_t left = pixel % g->out_width * g->stride_width - g->pad_left;
    int32_t i, j, c;
    for (i = 0; i < g->kernel_height; ++i)
        for (j = 0; j < g->kernel_width; ++j, to += g->channels) {
            const int32_t y = top + i * g->dilation_height, z = left + j * g->dilation_width;
            const int32_t inside = y >= 0 && y < g->height && z >= 0 && z < g->width;
            const float* from =
                x + (inside ? ((image * g->height + y) * g->width + z) * stride + group * g->channels : 0);
            for (c = 0; c < g->channels; ++c) to[c] = inside ? from[c] : 0.0f;
        }
}

#endif  // SUBBYTE_X86_FLOAT_SUMS_H
