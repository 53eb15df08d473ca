// Products of two run-time matrices by instructions that multiply bytes: cells of b, and what zero points add to sums.
//
// Codes are signed bytes, turned over where they are 0..255. The sum of (a - z_a) * (b - z_b) over the depth is the sum of a * b,
// less z_a times the sum of (b - z_b) down its column, less z_b times the sum of a along its row. On the way sums may wrap
// around; in the end they are proved to fit 32 bits.

#ifndef SUBBYTE_ARM_PRODUCT_BYTES_H
#define SUBBYTE_ARM_PRODUCT_BYTES_H

#include "arm_product.h"

#if !defined(__ARM_FEATURE_DOTPROD)
#error "this file needs dot products: compile with -march=armv8.2-a+dotprod"
#endif

// A vector of bytes as lanes of 16, 32 or 64 bits; the lanes of two, in turn: of their lower and of their upper halves.
SUBBYTE_INLINE uint8x16_t subbyte_arm_zip_low(uint8x16_t a, uint8x16_t b, int32_t bytes) {
    if (bytes == 1) return vzip1q_u8(a, b);
    if (bytes == 2) return vreinterpretq_u8_u16(vzip1q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
    if (bytes == 4) return vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
    return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}
SUBBYTE_INLINE uint8x16_t subbyte_arm_zip_high(uint8x16_t a, uint8x16_t b, int32_t bytes) {
    if (bytes == 1) return vzip2q_u8(a, b);
    if (bytes == 2) return vreinterpretq_u8_u16(vzip2q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
    if (bytes == 4) return vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
    return vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}

SUBBYTE_INLINE uint8x16_t subbyte_arm_load_flipped(const uint8_t* p, int32_t flip) {
    const uint8x16_t bytes = subbyte_arm_load_u8(p);
    return flip ? veorq_u8(bytes, vdupq_n_u8((uint8_t)flip)) : bytes;
}

// Cells of columns `first` to last - 1 of the depth from `begin` on, one by one.
SUBBYTE_INLINE void subbyte_arm_product_cells_one_by_one(uint8_t* to, const uint8_t* b, int32_t group, int32_t first,
                                                         int32_t last, int32_t begin,
                                                         const struct subbyte_arm_product* g) {
    const int32_t block = 4 * g->vectors;
    int32_t k, i;
    for (k = begin; k < g->depth; ++k)
        for (i = first; i < last; ++i)
            to[(k / group * block + i) * group + k % group] =
                (uint8_t)(b[k * g->b_depth + i * g->b_column] ^ g->b_flip);
}

// 16 columns by 4 rows from `b` on: four vectors of four columns each.
SUBBYTE_INLINE void subbyte_arm_product_four_rows(uint8x16_t* to, const uint8_t* b,
                                                  const struct subbyte_arm_product* g) {
    uint8x16_t rows[4], low[2], high[2];
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) rows[i] = subbyte_arm_load_flipped(b + i * g->b_depth, g->b_flip);
    SUBBYTE_UNROLL for (i = 0; i < 2; ++i) {
        low[i] = subbyte_arm_zip_low(rows[2 * i], rows[2 * i + 1], 1);
        high[i] = subbyte_arm_zip_high(rows[2 * i], rows[2 * i + 1], 1);
    }
    to[0] = subbyte_arm_zip_low(low[0], low[1], 2);
    to[1] = subbyte_arm_zip_high(low[0], low[1], 2);
    to[2] = subbyte_arm_zip_low(high[0], high[1], 2);
    to[3] = subbyte_arm_zip_high(high[0], high[1], 2);
}

// cells: [groups of the depth][block][group], zeros beyond the last column and the last row; group 4 or 8.
SUBBYTE_INLINE void subbyte_arm_product_cells_of(uint8_t* to, const uint8_t* b, int32_t n, int32_t group,
                                                 const struct subbyte_arm_product* g) {
    const int32_t block = 4 * g->vectors, pitch = block * group, at_once = 16 / group;
    const int32_t padded = (g->depth + group - 1) / group * group;
    int32_t k, i = 0, j;
    if (n < block || padded != g->depth) memset(to, 0, (size_t)(padded * block));
    if (g->b_depth == 1) {  // columns lie in memory: 16 codes of 4 or 2 of them at a time
        for (; i + at_once <= n; i += at_once) {
            const uint8_t* column = b + i * g->b_column;
            for (k = 0; k + 16 <= g->depth; k += 16) {
                uint8_t* cells = to + k / group * pitch + i * group;
                uint8x16_t of[4], low[2], high[2];
                SUBBYTE_UNROLL for (j = 0; j < at_once; ++j) {
                    of[j] = subbyte_arm_load_flipped(column + j * g->b_column + k, g->b_flip);
                }
                if (group == 8) {
                    subbyte_arm_store_u8(cells, subbyte_arm_zip_low(of[0], of[1], 8));
                    subbyte_arm_store_u8(cells + pitch, subbyte_arm_zip_high(of[0], of[1], 8));
                    continue;
                }
                SUBBYTE_UNROLL for (j = 0; j < 2; ++j) {
                    low[j] = subbyte_arm_zip_low(of[2 * j], of[2 * j + 1], 4);
                    high[j] = subbyte_arm_zip_high(of[2 * j], of[2 * j + 1], 4);
                }
                subbyte_arm_store_u8(cells, subbyte_arm_zip_low(low[0], low[1], 8));
                subbyte_arm_store_u8(cells + pitch, subbyte_arm_zip_high(low[0], low[1], 8));
                subbyte_arm_store_u8(cells + 2 * pitch, subbyte_arm_zip_low(high[0], high[1], 8));
                subbyte_arm_store_u8(cells + 3 * pitch, subbyte_arm_zip_high(high[0], high[1], 8));
            }
        }
        subbyte_arm_product_cells_one_by_one(to, b, group, 0, i, g->depth / 16 * 16, g);
    } else if (g->b_column == 1) {  // rows lie in memory: a group of 16 columns at a time
        for (; i + 16 <= n; i += 16)
            for (k = 0; k + group <= g->depth; k += group) {
                const uint8_t* row = b + k * g->b_depth + i;
                uint8_t* cells = to + k / group * pitch + i * group;
                uint8x16_t first[4], second[4];
                subbyte_arm_product_four_rows(first, row, g);
                if (group == 8) subbyte_arm_product_four_rows(second, row + 4 * g->b_depth, g);
                SUBBYTE_UNROLL for (j = 0; j < 4; ++j) {
                    if (group == 4) {
                        subbyte_arm_store_u8(cells + 16 * j, first[j]);
                    } else {
                        subbyte_arm_store_u8(cells + 32 * j, subbyte_arm_zip_low(first[j], second[j], 4));
                        subbyte_arm_store_u8(cells + 32 * j + 16, subbyte_arm_zip_high(first[j], second[j], 4));
                    }
                }
            }
        subbyte_arm_product_cells_one_by_one(to, b, group, 0, i, g->depth / group * group, g);
    }
    subbyte_arm_product_cells_one_by_one(to, b, group, i, n, 0, g);
}

// starts[i] = bias[i] - z_a * the sum of (b - z_b) down column i.
SUBBYTE_INLINE void subbyte_arm_product_starts(int32_t* starts, const uint8_t* cells, const int32_t* bias,
                                               int32_t group, const struct subbyte_arm_product* g) {
    const int32_t groups = (g->depth + group - 1) / group;
    const int8x16_t ones = vdupq_n_s8(1);
    int32_t v, k;
    for (v = 0; v < g->vectors; ++v) {
        int32x4_t start = bias ? vld1q_s32(bias + 4 * v) : vdupq_n_s32(0);
        if (g->a_zero) {
            int32x4_t sum = vdupq_n_s32(0), more = vdupq_n_s32(0);
            for (k = 0; k < groups; ++k) {
                const uint8_t* at = cells + (k * g->vectors + v) * 4 * group;
                sum = vdotq_s32(sum, subbyte_arm_load_s8(at), ones);
                if (group == 8) more = vdotq_s32(more, subbyte_arm_load_s8(at + 16), ones);
            }
            if (group == 8) sum = vpaddq_s32(sum, more);
            sum = vsubq_s32(sum, vdupq_n_s32(g->depth * g->b_zero));
            start = vmlsq_s32(start, sum, vdupq_n_s32(g->a_zero));
        }
        vst1q_s32(starts + 4 * v, start);
    }
}

SUBBYTE_INLINE void subbyte_arm_product_rows_bytes(void* to, int32_t pitch, const uint8_t* a,
                                                   const struct subbyte_arm_product* g) {
    uint8_t* bytes = (uint8_t*)to;
    int32_t m, k;
    for (m = 0; m < g->tile_rows; ++m, bytes += pitch, a += g->a_row) {
        k = 0;
        if (g->a_depth == 1) {
            subbyte_arm_copy(bytes, a, g->depth, g->a_flip);
            k = g->depth;
        }
        for (; k < g->depth; ++k) bytes[k] = (uint8_t)(a[k * g->a_depth] ^ g->a_flip);
        for (; k < pitch; ++k) bytes[k] = 0;
    }
}

// Takes z_b times the sum of each row of a from its sums. padded: bytes of a row that are multiplied, a multiple of 4.
SUBBYTE_INLINE void subbyte_arm_product_less_rows(int32x4_t* sums, const int8_t* a, int32_t pitch, int32_t padded,
                                                  const struct subbyte_arm_product* g) {
    const int8x16_t ones = vdupq_n_s8(1);
    int32_t m, v, k;
    if (!g->b_zero) return;
    SUBBYTE_UNROLL for (m = 0; m < g->tile_rows; ++m) {
        const int8_t* row = a + m * pitch;
        int32x4_t sum = vdupq_n_s32(0);
        int32_t of_row;
        for (k = 0; k + 16 <= padded; k += 16) sum = vdotq_s32(sum, subbyte_arm_load_s8(row + k), ones);
        of_row = vaddvq_s32(sum);
        for (; k < padded; ++k) of_row += row[k];
        sum = vdupq_n_s32(of_row * g->b_zero);
        SUBBYTE_UNROLL for (v = 0; v < g->vectors; ++v) {
            sums[m * g->vectors + v] = vsubq_s32(sums[m * g->vectors + v], sum);
        }
    }
}

#endif  // SUBBYTE_ARM_PRODUCT_BYTES_H
