// Which inputs an output of a convolution sees.

#ifndef SUBBYTE_TAPS_H
#define SUBBYTE_TAPS_H

#include <stdint.h>

// x as stored: [images, height, width, channels]; result [images, out_height, out_width, out_channels].
// Tap k of output p sees input p * stride - pad + k * dilation; of a transposed convolution, which is gathered too, it sees
// (p + pad - k * dilation) / stride where that is whole.
struct subbyte_conv {
    int32_t type, zero_point;  // of x
    int32_t height, width, channels;
    int32_t out_height, out_width, out_channels;
    int32_t group, kernel_height, kernel_width;
    int32_t stride_height, stride_width, pad_top, pad_left, dilation_height, dilation_width;
    int32_t transposed;
};

// The input that tap `tap` of output `out` sees along one axis; -1 for padding and between inputs.
static inline int32_t subbyte_tap(int32_t transposed, int32_t out, int32_t tap, int32_t extent, int32_t stride,
                                  int32_t pad, int32_t dilation) {
    int32_t at;
    if (transposed) {
        at = out + pad - tap * dilation;
        if (at < 0 || at % stride != 0) return -1;
        at /= stride;
    } else {
        at = out * stride - pad + tap * dilation;
    }
    return at >= 0 && at < extent ? at : -1;
}

static inline int32_t subbyte_tap_y(const struct subbyte_conv* g, int32_t out_y, int32_t tap) {
    return subbyte_tap(g->transposed, out_y, tap, g->height, g->stride_height, g->pad_top, g->dilation_height);
}

static inline int32_t subbyte_tap_x(const struct subbyte_conv* g, int32_t out_x, int32_t tap) {
    return subbyte_tap(g->transposed, out_x, tap, g->width, g->stride_width, g->pad_left, g->dilation_width);
}

#endif  // SUBBYTE_TAPS_H
