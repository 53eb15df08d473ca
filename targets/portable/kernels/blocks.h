// Matrix products with packed weights that have one scale for each block of a column (N10, N11).

#ifndef SUBBYTE_BLOCKS_H
#define SUBBYTE_BLOCKS_H

#include "codes.h"
#include "packed.h"

// Weights by column: codes less the least code of their type, `bits` each, a row of packed.h for each column;
// [columns][blocks] scales and zero points, or one zero point for all (one_zero_point). Data: [rows][depth] of a_type less a_zero; a_scale_step: from one scale of the data to the next, or 0.
// run: that many products fit int32.
struct subbyte_blocks {
    int32_t rows, columns, depth, block, bits, one_zero_point;
    int32_t a_type, a_zero, a_scale_step, run;
};

static inline int32_t subbyte_count_of_blocks(const struct subbyte_blocks* g) {
    return (g->depth + g->block - 1) / g->block;
}

// to[k] = code k of a column, k < depth.
static inline void subbyte_unpack_column(uint8_t* to, const uint8_t* codes, const struct subbyte_blocks* g,
                                         int32_t column) {
    subbyte_unpack_codes(to, codes + (size_t)column * subbyte_packed_row(g->depth, g->bits), g->depth, g->bits);
}

// The zero point of the block of code k of a column.
static inline int32_t subbyte_zero_of_block(const uint8_t* zero_points, const struct subbyte_blocks* g, int32_t column,
                                            int32_t k) {
    return zero_points[g->one_zero_point ? 0 : column * subbyte_count_of_blocks(g) + k / g->block];
}

// y = tree over k of f32(a * f32(weight * scale)). Tiles: columns. Scratch: depth floats, then depth
// codes.
static inline void subbyte_matmul_packed(const float* a, const uint8_t* codes, const float* scales,
                                         const uint8_t* zero_points, float* y, const struct subbyte_blocks* g,
                                         int32_t begin, int32_t end, void* scratch) {
    const int32_t blocks = subbyte_count_of_blocks(g);
    float* weights = (float*)scratch;
    uint8_t* unpacked = (uint8_t*)(weights + g->depth);
    int32_t column, row, k;
    for (column = begin; column < end; ++column) {
        subbyte_unpack_column(unpacked, codes, g, column);
        for (k = 0; k < g->depth; ++k)
            weights[k] = subbyte_dequantize(unpacked[k] - subbyte_zero_of_block(zero_points, g, column, k),
                                            scales[column * blocks + k / g->block]);
        for (row = 0; row < g->rows; ++row)
            y[row * g->columns + column] = subbyte_dot_f32(a + (size_t)row * (size_t)g->depth, 1, weights, 1, g->depth);
    }
}

// The exact sum of (a[k] - zero) * weights[k] for k < n, a at element `at` of its data.
static inline int64_t subbyte_block_sum(const void* a, int32_t at, const int16_t* weights, int32_t n, int32_t zero,
                                        const struct subbyte_blocks* g) {
    int32_t codes[SUBBYTE_BLOCK], done, k, in_run = 0, sum = 0;
    int64_t total = 0;
    for (done = 0; done < n; done += SUBBYTE_BLOCK) {
        const int32_t count = subbyte_smaller(n - done, SUBBYTE_BLOCK);
        subbyte_load_codes(codes, a, g->a_type, at + done, 1, count, zero);
        for (k = 0; k < count; ++k) {
            sum += codes[k] * weights[done + k];
            if (++in_run == g->run) {
                total += sum;
                sum = in_run = 0;
            }
        }
    }
    return total + sum;
}

// y = sum over blocks, ascending, of f32(f32(sum of the block) * f32(s_a * s_b)). a_zero: the zero point of a, null where
// it is g->a_zero. Tiles: columns. Scratch: depth int16, then depth codes.
static inline void subbyte_gemm_blocks(const void* a, const float* a_scales, const void* a_zero, const uint8_t* codes,
                                       const float* scales, const uint8_t* zero_points, float* y,
                                       const struct subbyte_blocks* g, int32_t begin, int32_t end, void* scratch) {
    const int32_t blocks = subbyte_count_of_blocks(g);
    int16_t* weights = (int16_t*)scratch;
    uint8_t* unpacked = (uint8_t*)(weights + g->depth);
    int32_t column, row, k, block, zero = g->a_zero;
    if (a_zero) subbyte_load_codes(&zero, a_zero, g->a_type, 0, 1, 1, 0);
    for (column = begin; column < end; ++column) {
        subbyte_unpack_column(unpacked, codes, g, column);
        for (k = 0; k < g->depth; ++k)
            weights[k] = (int16_t)(unpacked[k] - subbyte_zero_of_block(zero_points, g, column, k));
        for (row = 0; row < g->rows; ++row) {
            float total = 0.0f;
            for (block = 0; block < blocks; ++block) {
                const int32_t first = block * g->block, n = subbyte_smaller(g->depth - first, g->block);
                const int64_t sum = subbyte_block_sum(a, row * g->depth + first, weights + first, n, zero, g);
                const float scale = subbyte_mul_f32(a_scales[(row * blocks + block) * g->a_scale_step],
                                                    scales[column * blocks + block]);
                const float product = subbyte_mul_f32(subbyte_round_f32((float)sum), scale);
                total = block ? subbyte_add_f32(total, product) : product;
            }
            y[row * g->columns + column] = total;
        }
    }
}

// Codes -127..127 of blocks of rows, scale = largest |x| / 127, 1 where that is 0; NaN is left out. Tiles: rows.
static inline void subbyte_quantize_blocks(const float* x, int8_t* y, float* scales, int32_t depth, int32_t block,
                                           int32_t begin, int32_t end) {
    const int32_t blocks = (depth + block - 1) / block;
    int32_t row, first, k;
    for (row = begin; row < end; ++row)
        for (first = 0; first < depth; first += block) {
            const int32_t n = subbyte_smaller(depth - first, block);
            const float* from = x + row * depth + first;
            float largest = 0.0f, scale;
            for (k = 0; k < n; ++k) {
                const float magnitude = subbyte_abs_f32(from[k]);
                largest = magnitude > largest ? magnitude : largest;
            }
            scale = subbyte_div_f32(largest, 127.0f);
            scale = scale == 0.0f ? 1.0f : scale;
            for (k = 0; k < n; ++k)
                y[row * depth + first + k] = (int8_t)subbyte_quantize_f32(from[k], scale, 0, -127, 127);
            scales[row * blocks + first / block] = scale;
        }
}

#endif  // SUBBYTE_BLOCKS_H
