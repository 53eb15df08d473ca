// Pools of bytes on Arm, channels last: the largest code and the average of windows.

#ifndef SUBBYTE_ARM_POOL_H
#define SUBBYTE_ARM_POOL_H

#include "arm_steps.h"
#include "codes.h"

// x [images][height][width][channels] -> y [images][out_height][out_width][channels]. Position k of window p is x at
// p * stride - pad + k * dilation; what lies outside x does not take part. Tiles: result rows, images * out_height.
struct subbyte_arm_pool {
    int32_t height, width, channels, out_height, out_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width, pad_top,
        pad_left;
};

// What makes codes of sums: N6, y = clamp(rne(f32(f32(f32(f32(sum) * x_scale) / n) / y_scale)) + y_zero, qmin, qmax).
// flip: 0x80 where the codes of x are 0..255; x_zero is less by as much.
struct subbyte_arm_average {
    float x_scale, y_scale;
    int32_t flip, x_zero, y_zero, qmin, qmax;
};

// The part of a window that lies inside x along one axis: positions first to last - 1.
struct subbyte_arm_inside {
    int32_t start, first, last;
};

SUBBYTE_INLINE struct subbyte_arm_inside subbyte_arm_inside(int32_t at, int32_t stride, int32_t pad, int32_t kernel,
                                                            int32_t dilation, int32_t extent) {
    struct subbyte_arm_inside inside = {at * stride - pad, 0, kernel};
    while (inside.first < inside.last && inside.start + inside.first * dilation < 0) ++inside.first;
    while (inside.last > inside.first && inside.start + (inside.last - 1) * dilation >= extent) --inside.last;
    return inside;
}

// Where block `at` of 16 channels begins: the last one over channels of the one before, where there are enough.
SUBBYTE_INLINE int32_t subbyte_arm_block_start(int32_t at, int32_t channels) {
    return at + 16 > channels && channels >= 16 ? channels - 16 : at;
}

// The largest codes of the window `rows` by `columns`, n channels from `image` on.
SUBBYTE_INLINE uint8x16_t subbyte_arm_largest(const uint8_t* image, int32_t n, struct subbyte_arm_inside rows,
                                              struct subbyte_arm_inside columns, int is_signed,
                                              const struct subbyte_arm_pool* g) {
    const int32_t column_step = g->dilation_width * g->channels, count = columns.last - columns.first;
    uint8x16_t largest = vdupq_n_u8(is_signed ? 0x80 : 0);
    int32_t ky, kx;
    for (ky = rows.first; ky < rows.last; ++ky) {
        const uint8_t* from = image + (rows.start + ky * g->dilation_height) * g->width * g->channels +
                              (columns.start + columns.first * g->dilation_width) * g->channels;
        for (kx = 0; kx < count; ++kx, from += column_step) {
            const uint8x16_t codes = subbyte_arm_load_part(from, n);
            largest = is_signed
                          ? vreinterpretq_u8_s8(vmaxq_s8(vreinterpretq_s8_u8(largest), vreinterpretq_s8_u8(codes)))
                          : vmaxq_u8(largest, codes);
        }
    }
    return largest;
}

SUBBYTE_INLINE void subbyte_arm_max_pool(const void* x, void* y, int is_signed, const struct subbyte_arm_pool* geometry,
                                         int32_t begin, int32_t end) {
    const struct subbyte_arm_pool g = *geometry;  // no store of a result changes it
    int32_t row, column, block;
    for (row = begin; row < end; ++row) {
        const uint8_t* image = (const uint8_t*)x + row / g.out_height * g.height * g.width * g.channels;
        const struct subbyte_arm_inside rows = subbyte_arm_inside(row % g.out_height, g.stride_height, g.pad_top,
                                                                  g.kernel_height, g.dilation_height, g.height);
        uint8_t* to = (uint8_t*)y + row * g.out_width * g.channels;
        for (column = 0; column < g.out_width; ++column, to += g.channels) {
            const struct subbyte_arm_inside columns =
                subbyte_arm_inside(column, g.stride_width, g.pad_left, g.kernel_width, g.dilation_width, g.width);
            if (g.channels >= 16) {
                for (block = 0; block < g.channels; block += 16) {
                    const int32_t at = subbyte_arm_block_start(block, g.channels);
                    vst1q_u8(to + at, subbyte_arm_largest(image + at, 16, rows, columns, is_signed, &g));
                }
            } else {
                subbyte_arm_store_part(to, subbyte_arm_largest(image, g.channels, rows, columns, is_signed, &g),
                                       g.channels);
            }
        }
    }
}

// y = the largest code of each window; no window is empty.
SUBBYTE_ONE_COPY void subbyte_arm_max_pool_u8(const void* x, void* y, const struct subbyte_arm_pool* g, int32_t begin,
                                              int32_t end) {
    subbyte_arm_max_pool(x, y, 0, g, begin, end);
}
SUBBYTE_ONE_COPY void subbyte_arm_max_pool_s8(const void* x, void* y, const struct subbyte_arm_pool* g, int32_t begin,
                                              int32_t end) {
    subbyte_arm_max_pool(x, y, 1, g, begin, end);
}

// Sums of codes of 16 channels.
struct subbyte_arm_totals {
    int32x4_t a, b, c, d;
};

SUBBYTE_INLINE struct subbyte_arm_totals subbyte_arm_widen(struct subbyte_arm_totals t, int16x8_t low, int16x8_t high) {
    t.a = vaddw_s16(t.a, vget_low_s16(low));
    t.b = vaddw_s16(t.b, vget_high_s16(low));
    t.c = vaddw_s16(t.c, vget_low_s16(high));
    t.d = vaddw_s16(t.d, vget_high_s16(high));
    return t;
}

// The sums of the window `rows` by `columns`, n channels from `image` on. Codes -128..127 are added in 16 bits, at most 256 of
// them, then in 32.
SUBBYTE_INLINE struct subbyte_arm_totals subbyte_arm_window_sums(const uint8_t* image, int32_t n,
                                                                 struct subbyte_arm_inside rows,
                                                                 struct subbyte_arm_inside columns, int32_t flip,
                                                                 const struct subbyte_arm_pool* g) {
    const int32_t step = g->dilation_width * g->channels;
    const uint8x16_t turn = vdupq_n_u8((uint8_t)flip);
    struct subbyte_arm_totals totals;
    int16x8_t low = vdupq_n_s16(0), high = low;
    int32_t ky, kx, added = 0;
    totals.a = totals.b = totals.c = totals.d = vdupq_n_s32(0);
    for (ky = rows.first; ky < rows.last; ++ky) {
        const uint8_t* from = image + (rows.start + ky * g->dilation_height) * g->width * g->channels +
                              (columns.start + columns.first * g->dilation_width) * g->channels;
        for (kx = columns.first; kx < columns.last; ++kx, from += step) {
            const int8x16_t codes = vreinterpretq_s8_u8(veorq_u8(subbyte_arm_load_part(from, n), turn));
            low = vaddw_s8(low, vget_low_s8(codes));
            high = vaddw_s8(high, vget_high_s8(codes));
            if (++added < 256) continue;
            totals = subbyte_arm_widen(totals, low, high);
            low = high = vdupq_n_s16(0);
            added = 0;
        }
    }
    return subbyte_arm_widen(totals, low, high);
}

// The codes of the sums of 16 channels; excess: what the zero points add to each sum.
SUBBYTE_INLINE uint8x16_t subbyte_arm_average_codes(struct subbyte_arm_totals totals, int32_t excess, int32_t n,
                                                    const struct subbyte_arm_average* e) {
#if defined(__aarch64__)
    const int32x4_t less = vdupq_n_s32(excess);
    const float32x4_t count = vdupq_n_f32((float)n), x_scale = vdupq_n_f32(e->x_scale);
    const float32x4_t y_scale = vdupq_n_f32(e->y_scale);
    int32x4_t steps[4] = {totals.a, totals.b, totals.c, totals.d};
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
        const float32x4_t real = vmulq_f32(vcvtq_f32_s32(vsubq_s32(steps[i], less)), x_scale);
        steps[i] = vcvtnq_s32_f32(vdivq_f32(vdivq_f32(real, count), y_scale));
    }
    return subbyte_arm_pack_16(steps[0], steps[1], steps[2], steps[3], e->y_zero, e->qmin, e->qmax);
#else
    int32_t sums[16], i;
    uint8_t codes[16];
    vst1q_s32(sums, totals.a);
    vst1q_s32(sums + 4, totals.b);
    vst1q_s32(sums + 8, totals.c);
    vst1q_s32(sums + 12, totals.d);
    for (i = 0; i < 16; ++i)
        codes[i] = (uint8_t)subbyte_quantize_f32(subbyte_average(sums[i] - excess, e->x_scale, n), e->y_scale,
                                                 e->y_zero, e->qmin, e->qmax);
    return vld1q_u8(codes);
#endif
}

// y = the mean of each window, n = row_counts[.] * column_counts[.] counted elements. Requires windows of at most 2^23.
SUBBYTE_ONE_COPY void subbyte_arm_average_pool(const void* x, void* y, const int32_t* row_counts,
                                               const int32_t* column_counts, const struct subbyte_arm_pool* g,
                                               const struct subbyte_arm_average* e, int32_t begin, int32_t end) {
    int32_t row, column, block;
    for (row = begin; row < end; ++row) {
        const uint8_t* image = (const uint8_t*)x + row / g->out_height * g->height * g->width * g->channels;
        const struct subbyte_arm_inside rows = subbyte_arm_inside(row % g->out_height, g->stride_height, g->pad_top,
                                                                  g->kernel_height, g->dilation_height, g->height);
        uint8_t* to = (uint8_t*)y + row * g->out_width * g->channels;
        for (column = 0; column < g->out_width; ++column, to += g->channels) {
            const struct subbyte_arm_inside columns =
                subbyte_arm_inside(column, g->stride_width, g->pad_left, g->kernel_width, g->dilation_width, g->width);
            const int32_t excess = (rows.last - rows.first) * (columns.last - columns.first) * e->x_zero;
            const int32_t n = row_counts[row % g->out_height] * column_counts[column];
            for (block = 0; block < g->channels; block += 16) {
                const int32_t at = subbyte_arm_block_start(block, g->channels);
                const int32_t some = subbyte_min_s32(g->channels, 16);
                const struct subbyte_arm_totals totals =
                    some == 16 ? subbyte_arm_window_sums(image + at, 16, rows, columns, e->flip, g)
                               : subbyte_arm_window_sums(image + at, some, rows, columns, e->flip, g);
                subbyte_arm_store_part(to + at, subbyte_arm_average_codes(totals, excess, n, e), some);
            }
        }
    }
}

#endif  // SUBBYTE_ARM_POOL_H
