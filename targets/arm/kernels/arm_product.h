// Matrix products of two run-time matrices of codes of a byte on Arm: geometry, and the way through its tiles.
//
// A kernel of this kind rearranges a block of columns of b into cells, which its inner loop multiplies with rows of a. All of
// it is inlined into each call with a constant geometry.

#ifndef SUBBYTE_ARM_PRODUCT_H
#define SUBBYTE_ARM_PRODUCT_H

#include "arm_finish.h"

// a [rows][depth] * b [depth][columns] -> y [rows][columns], for each batch. a_row, a_depth, b_depth, b_column, y_row: codes
// between neighbours in memory, wherever they stand; the columns of y are neighbours. A register tile is tile_rows rows, at
// most `rows`, by `vectors` vectors of 4 columns, a block. a_flip, b_flip: 0x80 where codes are 0..255 and are multiplied less
// 128, else 0; a_zero, b_zero: zero points of what is multiplied.
struct subbyte_arm_product {
    int32_t rows, columns, depth;
    int32_t a_row, a_depth, b_depth, b_column, y_row;
    int32_t tile_rows, vectors;
    int32_t a_flip, b_flip, a_zero, b_zero;
    int32_t y_zero, qmin, qmax;
};

enum { SUBBYTE_ARM_PRODUCT_SUMS = 24, SUBBYTE_ARM_PRODUCT_ROWS = 8 };  // of a register tile, at most

// Cells of n columns of b from `b` on, zeros up to a whole block; starts: [block], what their sums begin with.
typedef void subbyte_arm_product_cells(void* cells, int32_t* starts, const uint8_t* b, const int32_t* bias, int32_t n,
                                       const struct subbyte_arm_product* g);
// tile_rows rows of a as they are multiplied, `pitch` of them between rows, zeros beyond the depth.
typedef void subbyte_arm_product_rows(void* to, int32_t pitch, const uint8_t* a, const struct subbyte_arm_product* g);
// The sums of a register tile but for their starts: sums[m * vectors + v].
typedef void subbyte_arm_product_sums(int32x4_t* sums, const void* a, int32_t pitch, const void* cells,
                                      const struct subbyte_arm_product* g);

struct subbyte_arm_product_operands {
    const uint8_t* a;
    const uint8_t* b;
    const int32_t* bias;
    const float* multiplier;
    const float* shift;
    void* y;
    const int32_t* a_at;
    const int32_t* b_at;
    const int32_t* y_at;
};

// How a kernel works: it multiplies groups of `group` codes, each in `bytes` bytes; bytes are read in place where they can be.
struct subbyte_arm_product_form {
    subbyte_arm_product_cells* cells;
    subbyte_arm_product_rows* rows;
    subbyte_arm_product_sums* sums;
    int32_t group, bytes;
};

// The first n columns of a register tile's results, from element `to` of y on.
SUBBYTE_INLINE void subbyte_arm_product_finish(const struct subbyte_arm_product_operands* o, int32_t to,
                                               const int32x4_t* sums, const int32_t* starts, int32_t column, int32_t n,
                                               const struct subbyte_arm_product* g) {
    const struct subbyte_arm_conv as_conv = {
        .outputs = g->y_row, .y_zero = g->y_zero, .qmin = g->qmin, .qmax = g->qmax, .y_bits = 8};
    const struct subbyte_arm_results results = {o->y, starts, o->multiplier ? o->multiplier + column : 0,
                                                o->shift ? o->shift + column : 0};
    subbyte_arm_finish(&results, to, sums, g->tile_rows, g->vectors, 0, n, &as_conv);
}

// Tiles: batches * blocks. scratch: cells [groups of the depth][block][group], starts [block], rows of a
// [tile_rows][groups * group].
SUBBYTE_INLINE void subbyte_arm_product_tiles(const struct subbyte_arm_product_operands* o,
                                              const struct subbyte_arm_product* g, int32_t begin, int32_t end,
                                              void* scratch, const struct subbyte_arm_product_form* form) {
    const int32_t block = 4 * g->vectors, blocks = (g->columns + block - 1) / block;
    const int32_t padded = (g->depth + form->group - 1) / form->group * form->group;
    const int32_t in_place = form->bytes == 1 && g->a_depth == 1 && padded == g->depth && !g->a_flip;
    const int32_t pitch = in_place ? g->a_row : padded;
    int32_t* starts = (int32_t*)(void*)((uint8_t*)scratch + padded * block * form->bytes);
    void* of_a = starts + block;
    int32_t tile, row;
    for (tile = begin; tile < end; ++tile) {
        const int32_t batch = tile / blocks, column = tile % blocks * block;
        const int32_t n = subbyte_min_s32(g->columns - column, block);
        form->cells(scratch, starts, o->b + o->b_at[batch] + column * g->b_column, o->bias ? o->bias + column : 0, n,
                    g);
        for (row = 0; row < g->rows; row += g->tile_rows) {
            // The last register tile begins early enough to be full.
            const int32_t at = subbyte_min_s32(row, g->rows - g->tile_rows);
            const int32_t to = o->y_at[batch] + at * g->y_row + column;
            const uint8_t* from = o->a + o->a_at[batch] + at * g->a_row;
            int32x4_t sums[SUBBYTE_ARM_PRODUCT_SUMS];
            if (!in_place) form->rows(of_a, pitch, from, g);
            form->sums(sums, in_place ? (const void*)from : of_a, pitch, scratch, g);
            if (n == block)
                subbyte_arm_product_finish(o, to, sums, starts, column, block, g);
            else
                subbyte_arm_product_finish(o, to, sums, starts, column, n, g);
        }
    }
}

#endif  // SUBBYTE_ARM_PRODUCT_H
