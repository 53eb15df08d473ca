// Sums of products on x86: geometry and arguments of convolutions and matrix products, read by x86_sums_body.h.

#ifndef SUBBYTE_X86_SUMS_H
#define SUBBYTE_X86_SUMS_H

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_ahead.h"

// x [images][height][width][channels] -> y [images][out_height][out_width][outputs]; a matrix product has height 1.
//
// The result of each image is cut into row_tiles * column_tiles areas of about equal size, the outputs of an area into
// panel_tiles tiles, a tile into register tiles of `pixels` neighbours in a row by `vectors` vectors of outputs, a panel;
// outputs that do not fill a panel make a last one of last_vectors. The areas of a panel tile stand together; columns are
// cut between register tiles, and the last takes what is left of a row.
// window: 1: the input of a tile is copied to scratch with its padding; 0: it is read in place, which requires no
// padding, and rows of a number of bytes divisible by 4.
// wide: 1: |sum * multiplier| may reach 2^31. x_bits, y_bits: of a code in memory, 1, 2, 4 or 8; those of a pixel fill whole
// bytes. Codes of fewer than 8 bits are read into a window.
// held_runs, held_groups: of x86_short_sums_body.h alone: how much is added in 16 bits.
struct subbyte_x86_conv {
    int32_t height, width, channels, out_height, out_width, outputs;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width, pad_top,
        pad_left;
    int32_t row_tiles, column_tiles, panel_tiles, pixels, vectors, last_vectors, window;
    int32_t x_zero, y_zero, qmin, qmax, wide, x_bits, y_bits;
    int32_t held_runs, held_groups;
};

// bias: [outputs], the terms of the input's zero point included. multiplier, shift: [outputs]; shift may be null, multiplier
// where the result is the sum itself. All are padded to whole vectors.
// more_of is null, or more[i], for i from more_of[panel] to more_of[panel + 1] - 1, is a further group of weights
// [vectors][lanes][products] for the input of run more_at[2 * i], product more_at[2 * i + 1]: what is left of weights that
// an instruction does not take at once.
// ahead, ahead_step: x86_tiles_body.h sets them: a register tile fetches the line at `ahead` with its first group of
// products, and ahead_step bytes further with each one that follows.
struct subbyte_x86_parameters {
    const int32_t* bias;
    const float* multiplier;
    const float* shift;
    const int32_t* more_of;
    const int32_t* more_at;
    const int8_t* more;
    const int8_t* ahead;
    int32_t ahead_step;
};

enum { SUBBYTE_X86_SUMS = 32, SUBBYTE_X86_VECTORS = 8 };  // the most sums, and vectors, of a register tile

// Pixels and outputs of one image: rows row_0 to row_1 - 1, columns column_0 to column_1 - 1, panels panel_0 to panel_1 - 1.
struct subbyte_x86_area {
    int32_t image, row_0, row_1, column_0, column_1, panel_0, panel_1;
};

SUBBYTE_INLINE struct subbyte_x86_area subbyte_x86_area(const struct subbyte_x86_conv* g, int32_t lanes, int32_t tile) {
    const int32_t row = tile / g->column_tiles % g->row_tiles, column = tile % g->column_tiles;
    const int32_t whole = g->out_width / g->pixels;  // register tiles of a row
    const int32_t panels = (g->outputs + g->vectors * lanes - 1) / (g->vectors * lanes);
    const int32_t panel = tile / (g->row_tiles * g->column_tiles) % g->panel_tiles;
    struct subbyte_x86_area area;
    area.image = tile / (g->row_tiles * g->column_tiles * g->panel_tiles);
    area.panel_0 = panel * panels / g->panel_tiles;
    area.panel_1 = (panel + 1) * panels / g->panel_tiles;
    area.row_0 = row * g->out_height / g->row_tiles;
    area.row_1 = (row + 1) * g->out_height / g->row_tiles;
    area.column_0 = column * whole / g->column_tiles * g->pixels;
    area.column_1 = column + 1 < g->column_tiles ? (column + 1) * whole / g->column_tiles * g->pixels : g->out_width;
    return area;
}

#endif  // SUBBYTE_X86_SUMS_H
