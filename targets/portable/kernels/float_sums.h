// Sums of products of floats in the tree of 8 lanes (N8): convolutions, transposed or not, and matrix products.
//
// float16 operands widen, the work is done in float32, and its result rounds once to float16.

#ifndef SUBBYTE_FLOAT_SUMS_H
#define SUBBYTE_FLOAT_SUMS_H

#include "codes.h"
#include "taps.h"

enum { SUBBYTE_OUTPUTS = 32 };  // outputs whose lanes a kernel holds at once

// lanes[i][k mod 8] += f32(value * w[i]) for i < n.
static inline void subbyte_add_products(float (*lanes)[8], int32_t k, float value, const float* w, int32_t n) {
    const int32_t lane = k & 7;
    int32_t i;
    for (i = 0; i < n; ++i) lanes[i][lane] = subbyte_add_f32(lanes[i][lane], subbyte_mul_f32(value, w[i]));
}

// y = tree over k of f32(x * w), plus b where b is not null; k = tap * depth + channel, padding left out.
// w: [group][kernel_height][kernel_width][channels / group][out_channels / group] ("ghwio"). Geometry as in taps.h; its
// type is that of x and y. Tiles: output rows, images * out_height of them.
static inline void subbyte_conv_floats(const void* x, const float* w, const float* b, void* y,
                                       const struct subbyte_conv* g, int32_t begin, int32_t end) {
    const int32_t depth = g->channels / g->group, outputs = g->out_channels / g->group;
    const int32_t taps = g->kernel_height * g->kernel_width;
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float lanes[SUBBYTE_OUTPUTS][8], reals[SUBBYTE_BLOCK];
    int32_t pixel, group, first, tap, done, i;
    grid.type = g->type;
    for (pixel = begin * g->out_width; pixel < end * g->out_width; ++pixel) {
        const int32_t row = pixel / g->out_width, image = row / g->out_height;
        for (group = 0; group < g->group; ++group)
            for (first = 0; first < outputs; first += SUBBYTE_OUTPUTS) {
                const int32_t n = subbyte_smaller(outputs - first, SUBBYTE_OUTPUTS), channel = group * outputs + first;
                memset(lanes, 0, sizeof lanes);
                for (tap = 0; tap < taps; ++tap) {
                    const int32_t in_y = subbyte_tap_y(g, row % g->out_height, tap / g->kernel_width);
                    const int32_t in_x = subbyte_tap_x(g, pixel % g->out_width, tap % g->kernel_width);
                    const int32_t at = ((image * g->height + in_y) * g->width + in_x) * g->channels + group * depth;
                    if (in_y < 0 || in_x < 0) continue;
                    for (done = 0; done < depth; done += SUBBYTE_BLOCK) {
                        const int32_t block = subbyte_smaller(depth - done, SUBBYTE_BLOCK);
                        subbyte_load_reals(reals, x, &grid, at + done, 1, block);
                        for (i = 0; i < block; ++i) {
                            const int32_t k = tap * depth + done + i;
                            const float* products = w + (group * taps * depth + k) * outputs + first;
                            subbyte_add_products(lanes, k, reals[i], products, n);
                        }
                    }
                }
                for (i = 0; i < n; ++i) {
                    reals[i] = subbyte_tree_sum_f32(lanes[i]);
                    if (b) reals[i] = subbyte_add_f32(reals[i], b[channel + i]);
                }
                subbyte_store_reals(y, &grid, pixel * g->out_channels + channel, reals, n);
            }
    }
}

// Matrices by strides, in elements; y is [batches][rows][columns]. All are floats of `type`.
struct subbyte_matmul {
    int32_t type;
    int32_t rows, columns, depth;
    int32_t a_row, a_depth, b_depth, b_column, c_row, c_column;
    float alpha, beta;
};

// y = p + c, p = alpha * (tree over k of f32(a[m][k] * b[k][n])), c times beta; factors of 1 and a null c are left out.
// a_at, b_at: where the matrices of each batch begin. Tiles: result rows times blocks of SUBBYTE_OUTPUTS columns.
static inline void subbyte_matmul_floats(const void* a, const void* b, const void* c, void* y, const int32_t* a_at,
                                         const int32_t* b_at, const struct subbyte_matmul* g, int32_t begin,
                                         int32_t end) {
    const int32_t blocks = (g->columns + SUBBYTE_OUTPUTS - 1) / SUBBYTE_OUTPUTS;
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float lanes[SUBBYTE_OUTPUTS][8], values[SUBBYTE_BLOCK], products[SUBBYTE_OUTPUTS];
    int32_t tile, done, i;
    grid.type = g->type;
    for (tile = begin; tile < end; ++tile) {
        const int32_t line = tile / blocks, column = tile % blocks * SUBBYTE_OUTPUTS;
        const int32_t n = subbyte_smaller(g->columns - column, SUBBYTE_OUTPUTS);
        const int32_t batch = line / g->rows, row = line % g->rows;
        memset(lanes, 0, sizeof lanes);
        for (done = 0; done < g->depth; done += SUBBYTE_BLOCK) {
            const int32_t block = subbyte_smaller(g->depth - done, SUBBYTE_BLOCK);
            subbyte_load_reals(values, a, &grid, a_at[batch] + row * g->a_row + done * g->a_depth, g->a_depth, block);
            for (i = 0; i < block; ++i) {
                subbyte_load_reals(products, b, &grid, b_at[batch] + (done + i) * g->b_depth + column * g->b_column,
                                   g->b_column, n);
                subbyte_add_products(lanes, done + i, values[i], products, n);
            }
        }
        for (i = 0; i < n; ++i) {
            values[i] = subbyte_tree_sum_f32(lanes[i]);
            if (g->alpha != 1.0f) values[i] = subbyte_mul_f32(g->alpha, values[i]);
        }
        if (c) {
            subbyte_load_reals(products, c, &grid, row * g->c_row + column * g->c_column, g->c_column, n);
            for (i = 0; i < n; ++i) {
                if (g->beta != 1.0f) products[i] = subbyte_mul_f32(g->beta, products[i]);
                values[i] = subbyte_add_f32(values[i], products[i]);
            }
        }
        subbyte_store_reals(y, &grid, line * g->columns + column, values, n);
    }
}

#endif  // SUBBYTE_FLOAT_SUMS_H
