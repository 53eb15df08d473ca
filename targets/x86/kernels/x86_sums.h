// Sums of products on x86: geometry and arguments of convolutions and matrix products, read by x86_sums_body.h.

#ifndef SUBBYTE_X86_SUMS_H
#define SUBBYTE_X86_SUMS_H

#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_inline.h"

// x [images][height][width][channels] -> y [images][out_height][out_width][outputs]; a matrix product has height 1.
//
// The result of each image is cut into row_tiles * column_tiles tiles of about equal size, a tile into register tiles of
// `pixels` neighbours in a row by `vectors` vectors of outputs, a panel; outputs that do not fill a panel make a last one of
// last_vectors.
// window: 1: the input of a tile is copied to scratch with its padding; 0: it is read in place, which requires no
// padding, and rows of a number of bytes divisible by 4.
// wide: 1: |sum * multiplier| may reach 2^31.
struct subbyte_x86_conv {
    int32_t height, width, channels, out_height, out_width, outputs;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width, pad_top,
        pad_left;
    int32_t row_tiles, column_tiles, pixels, vectors, last_vectors, window;
    int32_t x_zero, y_zero, qmin, qmax, wide;
};

// bias: [outputs], sum zero point terms included. multiplier, shift, weight_zero: [outputs]; shift and weight_zero may be
// null. ones: 4 bytes for every group of products, 1 where a product belongs to the window, else 0; null without
// weight_zero. All are padded to whole panels. multiplier is null where the result is the sum itself.
struct subbyte_x86_epilogue {
    const int32_t* bias;
    const float* multiplier;
    const float* shift;
    const int32_t* weight_zero;
    const int8_t* ones;
};

enum { SUBBYTE_X86_SUMS = 32, SUBBYTE_X86_PIXELS = 16, SUBBYTE_X86_VECTORS = 8 };  // registers at most; pixels; vectors

#endif  // SUBBYTE_X86_SUMS_H
