// Pools over codes and floats, 1-D (height 1) and 2-D, channels last.

#ifndef SUBBYTE_POOL_H
#define SUBBYTE_POOL_H

#include "codes.h"

// x as stored: [images, height, width, channels]; result [images, out_height, out_width, channels]. Position k of window p
// is x at p * stride - pad + k * dilation; what lies outside x does not take part. Tiles: result rows, images * out_height.
struct subbyte_pool {
    int32_t type;  // of x
    int32_t height, width, channels, out_height, out_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left, dilation_height,
        dilation_width;
};

// The element of x, channel 0, at position (ky, kx) of the window of result pixel (row, column); -1 outside x.
static inline int32_t subbyte_pool_position(const struct subbyte_pool* g, int32_t row, int32_t column, int32_t ky,
                                            int32_t kx) {
    const int32_t y = row % g->out_height * g->stride_height - g->pad_top + ky * g->dilation_height;
    const int32_t x = column * g->stride_width - g->pad_left + kx * g->dilation_width;
    if (y < 0 || y >= g->height || x < 0 || x >= g->width) return -1;
    return ((row / g->out_height * g->height + y) * g->width + x) * g->channels;
}

// The largest code of each window. Requires integers of at most 32 bits, not u32.
static inline void subbyte_max_pool_codes(const void* x, void* y, int32_t y_type, const struct subbyte_pool* g,
                                          int32_t begin, int32_t end) {
    int32_t largest[SUBBYTE_BLOCK], codes[SUBBYTE_BLOCK], row, column, channel, ky, kx, i;
    for (row = begin; row < end; ++row)
        for (column = 0; column < g->out_width; ++column)
            for (channel = 0; channel < g->channels; channel += SUBBYTE_BLOCK) {
                const int32_t n = subbyte_smaller(g->channels - channel, SUBBYTE_BLOCK);
                for (i = 0; i < n; ++i) largest[i] = INT32_MIN;
                for (ky = 0; ky < g->kernel_height; ++ky)
                    for (kx = 0; kx < g->kernel_width; ++kx) {
                        const int32_t at = subbyte_pool_position(g, row, column, ky, kx);
                        if (at < 0) continue;
                        subbyte_load_codes(codes, x, g->type, at + channel, 1, n, 0);
                        for (i = 0; i < n; ++i)
                            if (codes[i] > largest[i]) largest[i] = codes[i];
                    }
                subbyte_store_codes(y, y_type, (row * g->out_width + column) * g->channels + channel, largest, n);
            }
}

// The largest float of each window: NaN where it holds one; a zero is +0.0.
static inline void subbyte_max_pool_floats(const void* x, void* y, const struct subbyte_pool* g, int32_t begin,
                                           int32_t end) {
    SUBBYTE_COMPARES_FLOATS
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float largest[SUBBYTE_BLOCK], reals[SUBBYTE_BLOCK];
    int32_t row, column, channel, ky, kx, i;
    grid.type = g->type;
    for (row = begin; row < end; ++row)
        for (column = 0; column < g->out_width; ++column)
            for (channel = 0; channel < g->channels; channel += SUBBYTE_BLOCK) {
                const int32_t n = subbyte_smaller(g->channels - channel, SUBBYTE_BLOCK);
                int32_t filled = 0;
                for (ky = 0; ky < g->kernel_height; ++ky)
                    for (kx = 0; kx < g->kernel_width; ++kx) {
                        const int32_t at = subbyte_pool_position(g, row, column, ky, kx);
                        if (at < 0) continue;
                        subbyte_load_reals(reals, x, &grid, at + channel, 1, n);
                        for (i = 0; i < n; ++i)
                            if (!filled || reals[i] > largest[i] || reals[i] != reals[i]) largest[i] = reals[i];
                        filled = 1;
                    }
                for (i = 0; i < n; ++i) largest[i] = subbyte_add_f32(largest[i], 0.0f);
                subbyte_store_reals(y, &grid, (row * g->out_width + column) * g->channels + channel, largest, n);
            }
}

// y = N2(f32(f32(f32(sum of x - x_zero) * x_scale) / n)), n = rows[y] * columns[x] counted elements: N6. The sums fit int32.
static inline void subbyte_average_pool_codes(const void* x, void* y, const int32_t* rows, const int32_t* columns,
                                              const struct subbyte_pool* g, const struct subbyte_grid* x_grid,
                                              const struct subbyte_grid* y_grid, int32_t begin, int32_t end) {
    int32_t sums[SUBBYTE_BLOCK], codes[SUBBYTE_BLOCK], row, column, channel, ky, kx, i;
    float reals[SUBBYTE_BLOCK];
    for (row = begin; row < end; ++row)
        for (column = 0; column < g->out_width; ++column) {
            const int32_t count = rows[row % g->out_height] * columns[column];
            for (channel = 0; channel < g->channels; channel += SUBBYTE_BLOCK) {
                const int32_t n = subbyte_smaller(g->channels - channel, SUBBYTE_BLOCK);
                for (i = 0; i < n; ++i) sums[i] = 0;
                for (ky = 0; ky < g->kernel_height; ++ky)
                    for (kx = 0; kx < g->kernel_width; ++kx) {
                        const int32_t at = subbyte_pool_position(g, row, column, ky, kx);
                        if (at < 0) continue;
                        subbyte_load_codes(codes, x, g->type, at + channel, 1, n, x_grid->zero_point);
                        for (i = 0; i < n; ++i) sums[i] += codes[i];
                    }
                for (i = 0; i < n; ++i) reals[i] = subbyte_average(sums[i], x_grid->scale, count);
                subbyte_store_reals(y, y_grid, (row * g->out_width + column) * g->channels + channel, reals, n);
            }
        }
}

// y = f32(tree over window positions of x / n), n as above. x and y are floats of g->type.
static inline void subbyte_average_pool_floats(const void* x, void* y, const int32_t* rows, const int32_t* columns,
                                               const struct subbyte_pool* g, int32_t begin, int32_t end) {
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float lanes[SUBBYTE_BLOCK][8], reals[SUBBYTE_BLOCK];
    int32_t row, column, channel, ky, kx, i;
    grid.type = g->type;
    for (row = begin; row < end; ++row)
        for (column = 0; column < g->out_width; ++column) {
            const float count = (float)(rows[row % g->out_height] * columns[column]);
            for (channel = 0; channel < g->channels; channel += SUBBYTE_BLOCK) {
                const int32_t n = subbyte_smaller(g->channels - channel, SUBBYTE_BLOCK);
                memset(lanes, 0, sizeof lanes);
                for (ky = 0; ky < g->kernel_height; ++ky)
                    for (kx = 0; kx < g->kernel_width; ++kx) {
                        const int32_t at = subbyte_pool_position(g, row, column, ky, kx);
                        const int32_t lane = (ky * g->kernel_width + kx) & 7;
                        if (at < 0) continue;
                        subbyte_load_reals(reals, x, &grid, at + channel, 1, n);
                        for (i = 0; i < n; ++i) lanes[i][lane] = subbyte_add_f32(lanes[i][lane], reals[i]);
                    }
                for (i = 0; i < n; ++i) reals[i] = subbyte_div_f32(subbyte_tree_sum_f32(lanes[i]), count);
                subbyte_store_reals(y, &grid, (row * g->out_width + column) * g->channels + channel, reals, n);
            }
        }
}

#endif  // SUBBYTE_POOL_H
