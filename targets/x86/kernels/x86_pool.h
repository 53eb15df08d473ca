// Pools on x86: geometry, read by x86_pool_body.h.

#ifndef SUBBYTE_X86_POOL_H
#define SUBBYTE_X86_POOL_H

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

// x [images][height][width][channels] -> y [images][out_height][out_width][channels]. Position k of window p is x at
// p * stride - pad + k * dilation; what lies outside x does not take part. x_bits, y_bits: of a code in memory, 1, 2, 4 or 8;
// those of a pixel fill whole bytes. Tiles: result rows, images * out_height.
struct subbyte_x86_pool {
    int32_t height, width, channels, out_height, out_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width, pad_top,
        pad_left;
    int32_t x_bits, y_bits;
};

// What makes codes of sums: N6, y = clamp(rne(f32(f32(f32(f32(sum) * x_scale) / n) / y_scale)) + y_zero, qmin, qmax).
struct subbyte_x86_average {
    float x_scale, y_scale;
    int32_t x_zero, y_zero, qmin, qmax;
};

// The part of a window that lies inside x along one axis: positions first to last - 1.
struct subbyte_x86_inside {
    int32_t start, first, last;
};

SUBBYTE_INLINE struct subbyte_x86_inside subbyte_x86_inside(int32_t at, int32_t stride, int32_t pad, int32_t kernel,
                                                            int32_t dilation, int32_t extent) {
    struct subbyte_x86_inside inside = {at * stride - pad, 0, kernel};
    while (inside.first < inside.last && inside.start + inside.first * dilation < 0) ++inside.first;
    while (inside.last > inside.first && inside.start + (inside.last - 1) * dilation >= extent) --inside.last;
    return inside;
}

#endif  // SUBBYTE_X86_POOL_H
