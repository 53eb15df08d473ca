// Matrix products of codes: with a constant matrix packed ahead (subbyte_gemm_VALUE_WEIGHT_SUM), or of two run-time matrices.

#ifndef SUBBYTE_GEMM_H
#define SUBBYTE_GEMM_H

#include "centre.h"
#include "dots.h"

// a: [matrices][rows][depth] codes; b: [matrices][columns][depth] or [matrices][depth][columns]; y: [batches][rows][columns].
struct subbyte_gemm {
    int32_t a_type, a_zero;
    int32_t rows, columns, depth;
};

#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s32
#include "gemm_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s32
#include "gemm_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s64
#include "gemm_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s64
#include "gemm_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s32
#define SUBBYTE_SUM s64
#include "gemm_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s64
#include "gemm_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s64
#include "gemm_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s32
#define SUBBYTE_SUM s64
#include "gemm_body.h"

// Matrix product of two run-time matrices: y[m][n] = result of bias[n] + sum over k of (a[m][k] - a_zero) * (b[k][n] -
// b_zeros[n]), b of type b_type stored [matrices][depth][columns]; the rest as above. scratch: one row of a in s32.
static inline void subbyte_gemm_codes(const void* a, const void* b, const int64_t* bias, const float* multiplier,
                                      const float* shift, const void* steps, const int16_t* results, void* y,
                                      const int32_t* b_zeros, const int32_t* a_of, const int32_t* b_of, int32_t b_type,
                                      const struct subbyte_gemm* g, const struct subbyte_epilogue* epilogue,
                                      int32_t begin, int32_t end, void* scratch) {
    int32_t* values = (int32_t*)scratch;
    const int32_t blocks = (g->columns + SUBBYTE_BLOCK - 1) / SUBBYTE_BLOCK;
    int32_t codes[SUBBYTE_BLOCK], tile, k, i, loaded = -1;
    int64_t sums[SUBBYTE_BLOCK];
    for (tile = begin; tile < end; ++tile) {
        const int32_t row = tile / blocks, column = tile % blocks * SUBBYTE_BLOCK, batch = row / g->rows;
        const int32_t n = subbyte_smaller(g->columns - column, SUBBYTE_BLOCK);
        if (row != loaded)
            subbyte_centre_s32(values, a, g->a_type, g->a_zero, (a_of[batch] * g->rows + row % g->rows) * g->depth,
                               g->depth);
        loaded = row;
        for (i = 0; i < n; ++i) sums[i] = bias ? bias[column + i] : 0;
        for (k = 0; k < g->depth; ++k) {
            subbyte_load_codes(codes, b, b_type, (b_of[batch] * g->depth + k) * g->columns + column, 1, n, 0);
            for (i = 0; i < n; ++i) sums[i] += (int64_t)values[k] * (codes[i] - b_zeros[column + i]);
        }
        subbyte_store_sums_s64(y, row * g->columns + column, sums, n, epilogue, multiplier, shift, steps, results,
                               column);
    }
}

#endif  // SUBBYTE_GEMM_H
