// Sums of products of floats in the tree of 8 lanes (N8) whose weights are packed indices (packed.h) into a table of floats.
//
// A row of weights is what one input is multiplied with; it is looked up once for several pixels or rows of the result.

#ifndef SUBBYTE_CODEBOOKS_H
#define SUBBYTE_CODEBOOKS_H

#include "float_sums.h"
#include "packed.h"

enum { SUBBYTE_AT_ONCE = 8 };  // pixels or rows of the result that share a row of weights

// to[i] = the weight of index at + i of row `row` of rows of `columns` indices, i < n <= SUBBYTE_OUTPUTS; at is a multiple
// of 8, and so begins a byte.
static inline void subbyte_look_up(float* to, const uint8_t* rows, size_t row, int32_t columns, int32_t at, int32_t n,
                                   int32_t bits, const float* table) {
    uint8_t indices[SUBBYTE_OUTPUTS];
    int32_t i;
    subbyte_unpack_codes(indices, rows + row * subbyte_packed_row(columns, bits) + at / 8 * bits, n, bits);
    for (i = 0; i < n; ++i) to[i] = table[indices[i]];
}

// to[i] = the same times scales[i], where there are any.
static inline void subbyte_look_up_scaled(float* to, const uint8_t* rows, size_t row, int32_t columns, int32_t at,
                                          int32_t n, int32_t bits, const float* table, const float* scales) {
    int32_t i;
    subbyte_look_up(to, rows, row, columns, at, n, bits, table);
    if (scales)
        for (i = 0; i < n; ++i) to[i] = subbyte_mul_f32(to[i], scales[i]);
}

// y = tree over k of f32(x * w), plus b where b is not null; k = tap * (channels / group) + channel, padding left out.
// w: [group][kernel_height][kernel_width][channels / group] rows of out_channels / group indices of `bits`. Geometry as in
// taps.h. scales: of the output channels, or null. Tiles: output rows, images * out_height of them.
static inline void subbyte_conv_codebook(const float* x, const uint8_t* w, const float* table, const float* scales,
                                         const float* b, float* y, const struct subbyte_conv* g, int32_t bits,
                                         int32_t begin, int32_t end) {
    const int32_t depth = g->channels / g->group, outputs = g->out_channels / g->group;
    const int32_t taps = g->kernel_height * g->kernel_width;
    const int32_t across = (g->out_width + SUBBYTE_AT_ONCE - 1) / SUBBYTE_AT_ONCE;
    const int32_t blocks = (outputs + SUBBYTE_OUTPUTS - 1) / SUBBYTE_OUTPUTS;
    float lanes[SUBBYTE_AT_ONCE][SUBBYTE_OUTPUTS][8], products[SUBBYTE_OUTPUTS];
    int32_t at[SUBBYTE_AT_ONCE], block, tap, c, p, i;
    for (block = begin * across * g->group * blocks; block < end * across * g->group * blocks; ++block) {
        const int32_t first = block % blocks * SUBBYTE_OUTPUTS, group = block / blocks % g->group;
        const int32_t column = block / blocks / g->group % across * SUBBYTE_AT_ONCE;
        const int32_t row = block / blocks / g->group / across, image = row / g->out_height;
        const int32_t n = subbyte_smaller(outputs - first, SUBBYTE_OUTPUTS);
        const int32_t pixels = subbyte_smaller(g->out_width - column, SUBBYTE_AT_ONCE);
        memset(lanes, 0, sizeof lanes);
        for (tap = 0; tap < taps; ++tap) {
            const int32_t in_y = subbyte_tap_y(g, row % g->out_height, tap / g->kernel_width);
            if (in_y < 0) continue;
            for (p = 0; p < pixels; ++p) {
                const int32_t in_x = subbyte_tap_x(g, column + p, tap % g->kernel_width);
                at[p] = in_x < 0 ? -1 : ((image * g->height + in_y) * g->width + in_x) * g->channels + group * depth;
            }
            for (c = 0; c < depth; ++c) {
                const int32_t k = tap * depth + c;
                subbyte_look_up_scaled(products, w, (size_t)(group * taps * depth + k), outputs, first, n, bits, table,
                                       scales ? scales + group * outputs + first : scales);
                for (p = 0; p < pixels; ++p)
                    if (at[p] >= 0) subbyte_add_products(lanes[p], k, x[at[p] + c], products, n);
            }
        }
        for (p = 0; p < pixels; ++p) {
            const int32_t channel = group * outputs + first;
            float* to = y + (row * g->out_width + column + p) * g->out_channels + channel;
            for (i = 0; i < n; ++i) {
                to[i] = subbyte_tree_sum_f32(lanes[p][i]);
                if (b) to[i] = subbyte_add_f32(to[i], b[channel + i]);
            }
        }
    }
}

// y[m][n] = tree over k of f32(a[m][k] * b[k][n]). b: [depth] rows of `columns` indices of `bits`.
// Tiles: blocks of SUBBYTE_OUTPUTS columns.
static inline void subbyte_matmul_codebook(const float* a, const uint8_t* b, const float* table, float* y, int32_t rows,
                                           int32_t columns, int32_t depth, int32_t bits, int32_t begin, int32_t end) {
    float lanes[SUBBYTE_AT_ONCE][SUBBYTE_OUTPUTS][8], products[SUBBYTE_OUTPUTS];
    int32_t tile, first, k, m, i;
    for (tile = begin; tile < end; ++tile) {
        const int32_t column = tile * SUBBYTE_OUTPUTS, n = subbyte_smaller(columns - column, SUBBYTE_OUTPUTS);
        for (first = 0; first < rows; first += SUBBYTE_AT_ONCE) {
            const int32_t count = subbyte_smaller(rows - first, SUBBYTE_AT_ONCE);
            memset(lanes, 0, sizeof lanes);
            for (k = 0; k < depth; ++k) {
                subbyte_look_up(products, b, (size_t)k, columns, column, n, bits, table);
                for (m = 0; m < count; ++m)
                    subbyte_add_products(lanes[m], k, a[(size_t)(first + m) * (size_t)depth + (size_t)k], products, n);
            }
            for (m = 0; m < count; ++m)
                for (i = 0; i < n; ++i) y[(first + m) * columns + column + i] = subbyte_tree_sum_f32(lanes[m][i]);
        }
    }
}

#endif  // SUBBYTE_CODEBOOKS_H
