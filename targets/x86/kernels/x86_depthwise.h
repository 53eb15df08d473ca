// Depthwise convolutions on x86: geometry, read by x86_depthwise_body.h.

#ifndef SUBBYTE_X86_DEPTHWISE_H
#define SUBBYTE_X86_DEPTHWISE_H

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

enum { SUBBYTE_X86_EXTRA_TAPS = 16 };

// x [images][height][width][channels] -> y [images][out_height][out_width][channels], a filter for each channel.
//
// A row of the result is `segments` pieces of `length` bytes, one after the other: the whole row where its channels repeat
// soon enough, else one piece a pixel. A piece is worked off in blocks of a register's bytes, whose parameters repeat after
// `blocks` blocks. row_tiles: tiles of an image. wide: 1: |sum * multiplier| may reach 2^31.
// extra: taps that are multiplied once more, by what is left of weights that the instruction does not take at once.
struct subbyte_x86_depthwise {
    int32_t height, width, channels, out_height, out_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width, pad_top,
        pad_left;
    int32_t row_tiles, segments, length, blocks;
    int32_t x_zero, y_zero, qmin, qmax, wide;
    int32_t extras, extra[SUBBYTE_X86_EXTRA_TAPS];
};

#endif  // SUBBYTE_X86_DEPTHWISE_H
