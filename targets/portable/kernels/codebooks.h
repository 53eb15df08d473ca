// Sums of products of floats (N8) whose weights are packed indices (packed.h) into a table of floats.

#ifndef SUBBYTE_CODEBOOKS_H
#define SUBBYTE_CODEBOOKS_H

#include "codes.h"
#include "packed.h"
#include "taps.h"

enum { SUBBYTE_CODEBOOK_FILTERS = 8 };  // filters that are looked up at once

// to[i] = the weight of index i of a row, i < n; room: n bytes.
static inline void subbyte_unpack_floats(float* to, const uint8_t* row, int32_t n, int32_t bits, const float* table,
                                         uint8_t* room) {
    int32_t i;
    subbyte_unpack_codes(room, row, n, bits);
    for (i = 0; i < n; ++i) to[i] = table[room[i]];
}

// window = [kernel_height][kernel_width][channels / group] of output pixel (row, column), zeros where there is padding.
static inline void subbyte_window_of_floats(float* window, const float* x, const struct subbyte_conv* g, int32_t row,
                                            int32_t column, int32_t group) {
    const int32_t depth = g->channels / g->group, image = row / g->out_height;
    int32_t ky, kx;
    for (ky = 0; ky < g->kernel_height; ++ky)
        for (kx = 0; kx < g->kernel_width; ++kx, window += depth) {
            const int32_t y = subbyte_tap_y(g, row % g->out_height, ky), at = subbyte_tap_x(g, column, kx);
            if (y < 0 || at < 0)
                memset(window, 0, (size_t)depth * sizeof *window);
            else
                memcpy(window, x + ((image * g->height + y) * g->width + at) * g->channels + group * depth,
                       (size_t)depth * sizeof *window);
        }
}

// y = tree over k of f32(x * w), plus b where b is not null; k = tap * (channels / group) + channel.
// w: [out_channels] rows of kernel_height * kernel_width * (channels / group) indices of `bits`. The table is finite, so
// padding adds zeros, which change no lane. Tiles: output rows, images * out_height of them.
// scratch: a window and SUBBYTE_CODEBOOK_FILTERS filters of floats, then the indices of one filter.
static inline void subbyte_conv_codebook(const float* x, const uint8_t* w, const float* table, const float* b, float* y,
                                         const struct subbyte_conv* g, int32_t bits, int32_t begin, int32_t end,
                                         void* scratch) {
    const int32_t depth = g->kernel_height * g->kernel_width * (g->channels / g->group);
    const int32_t outputs = g->out_channels / g->group;
    const size_t row_bytes = subbyte_packed_row(depth, bits);
    float* window = (float*)scratch;
    float* filters = window + depth;
    uint8_t* room = (uint8_t*)(filters + SUBBYTE_CODEBOOK_FILTERS * depth);
    int32_t row, column, group, done, i;
    for (row = begin; row < end; ++row)
        for (group = 0; group < g->group; ++group)
            for (done = 0; done < outputs; done += SUBBYTE_CODEBOOK_FILTERS) {
                const int32_t n = subbyte_smaller(outputs - done, SUBBYTE_CODEBOOK_FILTERS);
                const int32_t first = group * outputs + done;
                for (i = 0; i < n; ++i)
                    subbyte_unpack_floats(filters + i * depth, w + (size_t)(first + i) * row_bytes, depth, bits, table,
                                          room);
                for (column = 0; column < g->out_width; ++column) {
                    float* to = y + (row * g->out_width + column) * g->out_channels + first;
                    subbyte_window_of_floats(window, x, g, row, column, group);
                    for (i = 0; i < n; ++i) {
                        to[i] = subbyte_dot_f32(window, 1, filters + i * depth, 1, depth);
                        if (b) to[i] = subbyte_add_f32(to[i], b[first + i]);
                    }
                }
            }
}

// y[m][n] = tree over k of f32(a[m][k] * b[k][n]). b: [columns] rows of depth indices of `bits`.
// Tiles: columns. scratch: a column of floats, then its indices.
static inline void subbyte_matmul_codebook(const float* a, const uint8_t* b, const float* table, float* y, int32_t rows,
                                           int32_t columns, int32_t depth, int32_t bits, int32_t begin, int32_t end,
                                           void* scratch) {
    const size_t row_bytes = subbyte_packed_row(depth, bits);
    float* weights = (float*)scratch;
    uint8_t* room = (uint8_t*)(weights + depth);
    int32_t column, row;
    for (column = begin; column < end; ++column) {
        subbyte_unpack_floats(weights, b + (size_t)column * row_bytes, depth, bits, table, room);
        for (row = 0; row < rows; ++row)
            y[row * columns + column] = subbyte_dot_f32(a + (size_t)row * (size_t)depth, 1, weights, 1, depth);
    }
}

#endif  // SUBBYTE_CODEBOOKS_H
