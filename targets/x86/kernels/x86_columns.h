// Depthwise convolutions on x86 by columns of the window: geometry, read by x86_columns_body.h.

#ifndef SUBBYTE_X86_COLUMNS_H
#define SUBBYTE_X86_COLUMNS_H

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

enum { SUBBYTE_X86_COLUMN_ROWS = 16, SUBBYTE_X86_COLUMN_SUMS = 16, SUBBYTE_X86_COLUMN_VECTORS = 20 };

// x [images][height][width][channels] -> y [images][out_height][out_width][channels], a filter for each channel.
//
// `results` rows of the result are made at a time, of the input rows offset[0], offset[1], ... below the first; these are
// taken `groups` times four (or two) at once, and bit group * results + row of `used` says that a row has weights for them.
// flat: 1: a row is worked off as one run of bytes, whose parameters repeat after `blocks` blocks; 0: block of channels by
// block of channels along the row, each keeping the columns that the next window shares where `slides`.
// row_tiles: tiles of an image. padded: 1: windows reach above or below the image. wide: |sum * multiplier| may reach 2^31.
struct subbyte_x86_columns {
    int32_t height, width, channels, out_height, out_width;
    int32_t kernel_width, stride_height, stride_width, dilation_width, pad_top, pad_left;
    int32_t results, groups, used, offset[SUBBYTE_X86_COLUMN_ROWS];
    int32_t flat, blocks, slides, row_tiles, padded;
    int32_t x_zero, y_zero, qmin, qmax, wide;
};

#endif  // SUBBYTE_X86_COLUMNS_H
