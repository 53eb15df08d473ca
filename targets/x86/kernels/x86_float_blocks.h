// Floats times weights in blocks on x86 (N11): geometry, read by x86_float_blocks_body.h.

#ifndef SUBBYTE_X86_FLOAT_BLOCKS_H
#define SUBBYTE_X86_FLOAT_BLOCKS_H

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

// y [rows][columns] = tree over k of f32(a * f32(f32(code - zero point) * scale)), a: [rows][depth] floats.
//
// Weights: records as in x86_blocks.h for panels of one vector, without terms. `block` is a multiple of 8, so that code k of a
// block is of lane k % 8 of the tree; the tree takes `pitch` codes of a block, whose pads are times 0.0 and add nothing.
// copied: 1: rows are read from scratch, [rows][blocks][pitch] with zeros in the pads. A tile is `panels` panels.
struct subbyte_x86_float_blocks {
    int32_t rows, columns, depth, block, pitch, bits, groups;
    int32_t row_tile, panels, copied, zeros, zero;
};

enum { SUBBYTE_X86_TREE = 8, SUBBYTE_X86_TREE_ROWS = 3 };  // lanes; the most rows of a register tile

SUBBYTE_INLINE const float* subbyte_x86_padded_rows(const float* a, float* scratch,
                                                    const struct subbyte_x86_float_blocks* g) {
    const int32_t blocks = (g->depth + g->block - 1) / g->block;
    int32_t i;
    if (!g->copied) return a;
    for (i = 0; i < g->rows * blocks; ++i) {
        const int32_t first = i % blocks * g->block, n = subbyte_min_s32(g->depth - first, g->block);
        memcpy(scratch + (size_t)i * (size_t)g->pitch, a + (size_t)(i / blocks) * (size_t)g->depth + first,
               (size_t)n * sizeof *a);
        memset(scratch + (size_t)i * (size_t)g->pitch + n, 0, (size_t)(g->pitch - n) * sizeof *a);
    }
    return scratch;
}

#endif  // SUBBYTE_X86_FLOAT_BLOCKS_H
