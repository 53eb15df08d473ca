// Products of two run-time matrices by `smlal` of 16-bit integers: codes less their zero points, at most 255 in size, so that
// nothing is left to correct.

#ifndef SUBBYTE_ARM_PRODUCT_NEON_H
#define SUBBYTE_ARM_PRODUCT_NEON_H

#include "arm_product.h"

// Code x, turned over by `flip`, less `zero`.
SUBBYTE_INLINE int16_t subbyte_arm_product_word(uint8_t x, int32_t flip, int32_t zero) {
    return (int16_t)((int8_t)(x ^ flip) - zero);
}

SUBBYTE_INLINE int16x8_t subbyte_arm_product_words(uint8x8_t x, int32_t flip, int32_t zero) {
    if (flip) x = veor_u8(x, vdup_n_u8((uint8_t)flip));
    return vsubl_s8(vreinterpret_s8_u8(x), vdup_n_s8((int8_t)zero));
}

// [8][8] bytes to the other way around: byte j of row i becomes byte i of row j.
SUBBYTE_INLINE void subbyte_arm_product_turn(uint8x8_t* rows) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < 8; i += 2) {
        const uint8x8x2_t pair = vtrn_u8(rows[i], rows[i + 1]);
        rows[i] = pair.val[0];
        rows[i + 1] = pair.val[1];
    }
    SUBBYTE_UNROLL for (i = 0; i < 8; ++i) {
        if (i & 2) continue;
        const uint16x4x2_t pair = vtrn_u16(vreinterpret_u16_u8(rows[i]), vreinterpret_u16_u8(rows[i + 2]));
        rows[i] = vreinterpret_u8_u16(pair.val[0]);
        rows[i + 2] = vreinterpret_u8_u16(pair.val[1]);
    }
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
        const uint32x2x2_t pair = vtrn_u32(vreinterpret_u32_u8(rows[i]), vreinterpret_u32_u8(rows[i + 4]));
        rows[i] = vreinterpret_u8_u32(pair.val[0]);
        rows[i + 4] = vreinterpret_u8_u32(pair.val[1]);
    }
}

// cells: int16 [depth][block].
SUBBYTE_INLINE void subbyte_arm_product_cells_neon(void* cells, int32_t* starts, const uint8_t* b, const int32_t* bias,
                                                   int32_t n, const struct subbyte_arm_product* g) {
    const int32_t block = 4 * g->vectors;
    int16_t* to = (int16_t*)cells;
    int32_t k = 0, i = 0, j;
    for (j = 0; j < block; ++j) starts[j] = bias && j < n ? bias[j] : 0;
    if (n < block) memset(to, 0, (size_t)(g->depth * block) * sizeof *to);
    if (g->b_column == 1) {  // rows lie in memory
        for (k = 0; k < g->depth; ++k) {
            const uint8_t* row = b + k * g->b_depth;
            for (i = 0; i + 8 <= n; i += 8)
                vst1q_s16(to + k * block + i, subbyte_arm_product_words(vld1_u8(row + i), g->b_flip, g->b_zero));
            for (; i < n; ++i) to[k * block + i] = subbyte_arm_product_word(row[i], g->b_flip, g->b_zero);
        }
        return;
    }
    if (g->b_depth == 1) {  // columns lie in memory
        for (i = 0; i + 8 <= n; i += 8)
            for (k = 0; k + 8 <= g->depth; k += 8) {
                uint8x8_t rows[8];
                SUBBYTE_UNROLL for (j = 0; j < 8; ++j) rows[j] = vld1_u8(b + (i + j) * g->b_column + k);
                subbyte_arm_product_turn(rows);
                SUBBYTE_UNROLL for (j = 0; j < 8; ++j) {
                    vst1q_s16(to + (k + j) * block + i, subbyte_arm_product_words(rows[j], g->b_flip, g->b_zero));
                }
            }
    }
    for (j = 0; j < n; ++j)  // what is left: all of a column, or the end of its depth
        for (k = j < i ? g->depth / 8 * 8 : 0; k < g->depth; ++k)
            to[k * block + j] = subbyte_arm_product_word(b[k * g->b_depth + j * g->b_column], g->b_flip, g->b_zero);
}

SUBBYTE_INLINE void subbyte_arm_product_rows_neon(void* to, int32_t pitch, const uint8_t* a,
                                                  const struct subbyte_arm_product* g) {
    int16_t* words = (int16_t*)to;
    int32_t m, k;
    for (m = 0; m < g->tile_rows; ++m, words += pitch, a += g->a_row) {
        k = 0;
        if (g->a_depth == 1)
            for (; k + 8 <= g->depth; k += 8)
                vst1q_s16(words + k, subbyte_arm_product_words(vld1_u8(a + k), g->a_flip, g->a_zero));
        for (; k < g->depth; ++k) words[k] = subbyte_arm_product_word(a[k * g->a_depth], g->a_flip, g->a_zero);
        for (; k < pitch; ++k) words[k] = 0;
    }
}

// sum + b * lane k of a, k a constant.
SUBBYTE_INLINE int32x4_t subbyte_arm_product_by_lane(int32x4_t sum, int16x4_t b, int16x4_t a, int32_t k) {
    switch (k) {
        case 0:
            return vmlal_lane_s16(sum, b, a, 0);
        case 1:
            return vmlal_lane_s16(sum, b, a, 1);
        case 2:
            return vmlal_lane_s16(sum, b, a, 2);
        default:
            return vmlal_lane_s16(sum, b, a, 3);
    }
}

// The first `depth` products, 4 at most.
SUBBYTE_INLINE void subbyte_arm_product_step_neon(int32x4_t* sums, const int16_t* a, int32_t pitch,
                                                  const int16_t* cells, int32_t depth,
                                                  const struct subbyte_arm_product* g) {
    const int32_t vectors = g->vectors;
    int16x4_t of_a[SUBBYTE_ARM_PRODUCT_ROWS];
    int32_t k, m, v;
    SUBBYTE_UNROLL for (m = 0; m < g->tile_rows; ++m) of_a[m] = vld1_s16(a + m * pitch);
    SUBBYTE_UNROLL for (k = 0; k < depth; ++k) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int16x4_t of_b = vld1_s16(cells + 4 * (k * vectors + v));
            SUBBYTE_UNROLL for (m = 0; m < g->tile_rows; ++m) {
                sums[m * vectors + v] = subbyte_arm_product_by_lane(sums[m * vectors + v], of_b, of_a[m], k);
            }
        }
    }
}

SUBBYTE_INLINE void subbyte_arm_product_sums_neon(int32x4_t* sums, const void* a, int32_t pitch, const void* cells,
                                                  const struct subbyte_arm_product* g) {
    const int16_t* of_a = (const int16_t*)a;
    const int16_t* of_b = (const int16_t*)cells;
    int32_t k, m, v;
    SUBBYTE_UNROLL for (m = 0; m < g->tile_rows; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < g->vectors; ++v) sums[m * g->vectors + v] = vdupq_n_s32(0);
    }
    for (k = g->depth / 4; k > 0; --k) {
        subbyte_arm_product_step_neon(sums, of_a, pitch, of_b, 4, g);
        of_a += 4;
        of_b += 16 * g->vectors;
    }
    if (g->depth % 4) subbyte_arm_product_step_neon(sums, of_a, pitch, of_b, g->depth % 4, g);
}

// y = N4 of a * b + bias, codes of a byte, or the sums where `multiplier` is null. bias, multiplier, shift: [columns], padded
// to whole blocks; bias and shift may be null. a_at, b_at, y_at: the first elements of each batch.
SUBBYTE_INLINE void subbyte_arm_product_neon(const void* a, const void* b, const int32_t* bias, const float* multiplier,
                                             const float* shift, void* y, const int32_t* a_at, const int32_t* b_at,
                                             const int32_t* y_at, const struct subbyte_arm_product* g, int32_t begin,
                                             int32_t end, void* scratch) {
    const struct subbyte_arm_product_operands o = {
        (const uint8_t*)a, (const uint8_t*)b, bias, multiplier, shift, y, a_at, b_at, y_at};
    const struct subbyte_arm_product_form form = {subbyte_arm_product_cells_neon, subbyte_arm_product_rows_neon,
                                                  subbyte_arm_product_sums_neon, 4, 2};
    subbyte_arm_product_tiles(&o, g, begin, end, scratch, &form);
}

#endif  // SUBBYTE_ARM_PRODUCT_NEON_H
