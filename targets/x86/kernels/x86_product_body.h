// Included for each register size: exact sums of products of two run-time matrices of u8 codes, then N4.
//
// Codes less their zero points are 16-bit integers of at most 255 in size, so vpmaddwd adds two products exactly.
// A register tile is of 4 vectors of columns, and 4 rows where there are 32 registers, 2 where there are 16.
// Before: #define SUBBYTE_ISA avx512 (registers).

#if !defined(SUBBYTE_ISA)
#error "x86_product_body.h is a part of x86_product_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define DOT SUBBYTE_OF(V(subbyte_dot_), _madd)
#define LANES V(SUBBYTE_LANES_)
#define INTS V(subbyte_ints_)
#define ROWS (LANES / 4)
#define VECTORS 4
#define COLUMNS (VECTORS * LANES)

// n columns of b from `from` on, in pairs of rows: to[pair][COLUMNS][2]; zeros beyond the last row and column.
SUBBYTE_INLINE void V(subbyte_x86_product_b_)(int16_t* to, const uint8_t* from, const struct subbyte_x86_product* g,
                                              int32_t n) {
    int32_t k, i;
    for (k = 0; k < g->depth; k += 2, to += 2 * COLUMNS, from += 2 * g->columns) {
        const uint8_t* odd = k + 1 < g->depth ? from + g->columns : 0;
        if (n == COLUMNS && odd) {
            for (i = 0; i < COLUMNS; ++i) {
                to[2 * i] = (int16_t)(from[i] - g->b_zero);
                to[2 * i + 1] = (int16_t)(odd[i] - g->b_zero);
            }
        } else {
            memset(to, 0, 2 * COLUMNS * sizeof *to);
            for (i = 0; i < n; ++i) {
                to[2 * i] = (int16_t)(from[i] - g->b_zero);
                if (odd) to[2 * i + 1] = (int16_t)(odd[i] - g->b_zero);
            }
        }
    }
}

// n rows of a from `from` on: to[ROWS][pitch], zeros beyond the last row and code.
SUBBYTE_INLINE void V(subbyte_x86_product_a_)(int16_t* to, const uint8_t* from, const struct subbyte_x86_product* g,
                                              int32_t pitch, int32_t n) {
    int32_t m, k;
    for (m = 0; m < ROWS; ++m, to += pitch, from += g->depth) {
        if (m >= n) {
            memset(to, 0, (size_t)pitch * sizeof *to);
            continue;
        }
        for (k = 0; k < g->depth; ++k) to[k] = (int16_t)(from[k] - g->a_zero);
        if (pitch > g->depth) to[g->depth] = 0;
    }
}

// A register tile: ROWS rows of a by COLUMNS columns of b, to codes of the first `rows` rows and `columns` columns.
SUBBYTE_INLINE void V(subbyte_x86_product_tile_)(const int16_t* a, int32_t pitch, const int16_t* b, const int32_t* bias,
                                                 const float* multiplier, const float* shift, uint8_t* y,
                                                 const struct subbyte_x86_product* g, int32_t rows, int32_t columns) {
    INTS sums[ROWS * VECTORS], steps[VECTORS];
    int32_t k, m, v;
    SUBBYTE_UNROLL for (v = 0; v < VECTORS; ++v) {
        const INTS start = bias ? V(subbyte_load_)(bias + v * LANES) : V(subbyte_zero_)();
        SUBBYTE_UNROLL for (m = 0; m < ROWS; ++m) sums[m * VECTORS + v] = start;
    }
    for (k = 0; k < pitch; k += 2, b += 2 * COLUMNS) {
        INTS pairs[VECTORS];
        SUBBYTE_UNROLL for (v = 0; v < VECTORS; ++v) pairs[v] = V(subbyte_load_)(b + 2 * v * LANES);
        SUBBYTE_UNROLL for (m = 0; m < ROWS; ++m) {
            const INTS cells = V(subbyte_broadcast_)(a + m * pitch + k);
            SUBBYTE_UNROLL for (v = 0; v < VECTORS; ++v) {
                INTS sum = DOT(sums[m * VECTORS + v], cells, pairs[v]);
                V(SUBBYTE_IN_PLACE_)(sum);
                sums[m * VECTORS + v] = sum;
            }
        }
    }
    SUBBYTE_UNROLL for (m = 0; m < ROWS; ++m) {
        if (m >= rows) break;
        SUBBYTE_UNROLL for (v = 0; v < VECTORS; ++v) {
            const INTS sum = sums[m * VECTORS + v];
            if (shift)
                steps[v] = V(subbyte_scale_shift_)(sum, V(subbyte_load_f32_)(multiplier + v * LANES),
                                                   V(subbyte_load_f32_)(shift + v * LANES));
            else if (g->wide)
                steps[v] = V(subbyte_scale_wide_)(sum, V(subbyte_load_f32_)(multiplier + v * LANES));
            else
                steps[v] = V(subbyte_scale_)(sum, V(subbyte_load_f32_)(multiplier + v * LANES));
        }
        V(subbyte_store_part_)(
            y + m * g->columns,
            V(subbyte_pack_codes_)(steps[0], steps[1], steps[2], steps[3], g->y_zero, g->qmin, g->qmax), columns);
    }
}

// y = N4 of a * b + bias, codes 0..255. Tiles: batches * blocks of COLUMNS columns. bias, multiplier, shift: [columns],
// padded to whole blocks; bias and shift may be null. a_of, b_of: the matrices of each batch.
// scratch: s16, [pairs of depth][COLUMNS][2], then [ROWS][pairs of depth][2].
SUBBYTE_INLINE void V(subbyte_x86_product_u8u8u8_)(const uint8_t* a, const uint8_t* b, const int32_t* bias,
                                                   const float* multiplier, const float* shift, uint8_t* y,
                                                   const int32_t* a_of, const int32_t* b_of,
                                                   const struct subbyte_x86_product* g, int32_t begin, int32_t end,
                                                   void* scratch) {
    const int32_t blocks = (g->columns + COLUMNS - 1) / COLUMNS, pitch = g->depth + (g->depth & 1);
    int16_t* of_b = (int16_t*)scratch;
    int16_t* of_a = of_b + pitch * COLUMNS;
    int32_t tile, row;
    for (tile = begin; tile < end; ++tile) {
        const int32_t batch = tile / blocks, column = tile % blocks * COLUMNS;
        const int32_t columns = subbyte_x86_smaller(g->columns - column, COLUMNS);
        V(subbyte_x86_product_b_)(of_b, b + b_of[batch] * g->depth * g->columns + column, g, columns);
        for (row = 0; row < g->rows; row += ROWS) {
            const int32_t rows = subbyte_x86_smaller(g->rows - row, ROWS);
            V(subbyte_x86_product_a_)(of_a, a + (a_of[batch] * g->rows + row) * g->depth, g, pitch, rows);
            V(subbyte_x86_product_tile_)(of_a, pitch, of_b, bias ? bias + column : 0, multiplier + column,
                                         shift ? shift + column : 0, y + (batch * g->rows + row) * g->columns + column,
                                         g, rows, columns);
        }
    }
}

#undef V
#undef DOT
#undef LANES
#undef INTS
#undef ROWS
#undef VECTORS
#undef COLUMNS
#undef SUBBYTE_ISA
