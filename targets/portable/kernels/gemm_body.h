// Included by gemm.h for each SUBBYTE_VALUE, SUBBYTE_WEIGHT and SUBBYTE_SUM.

#if !defined(SUBBYTE_VALUE) || !defined(SUBBYTE_WEIGHT) || !defined(SUBBYTE_SUM)
#error "gemm_body.h is a part of gemm.h"
#endif
#define SUBBYTE_GEMM SUBBYTE_OF_3(subbyte_gemm_, SUBBYTE_VALUE, SUBBYTE_WEIGHT, SUBBYTE_SUM)
#define SUBBYTE_DOTS SUBBYTE_OF_3(subbyte_dots_, SUBBYTE_VALUE, SUBBYTE_WEIGHT, SUBBYTE_SUM)
#define SUBBYTE_VALUE_T SUBBYTE_C_TYPE(SUBBYTE_VALUE)
#define SUBBYTE_WEIGHT_T SUBBYTE_C_TYPE(SUBBYTE_WEIGHT)
#define SUBBYTE_SUM_T SUBBYTE_C_TYPE(SUBBYTE_SUM)
#define SUBBYTE_CENTRE SUBBYTE_OF(subbyte_centre_, SUBBYTE_VALUE)

// Matrix product with constant b: y[m][n] = result of bias[n] + sum over k of (a[m][k] - a_zero) * b[n][k].
// b: [matrices][columns][depth], less its zero point ("nk"). a_of, b_of: which matrix of a and of b each batch takes.
// Tiles: result rows times blocks of SUBBYTE_BLOCK columns. scratch: one row of a in SUBBYTE_VALUE.
static inline void SUBBYTE_GEMM(const void* a, const SUBBYTE_WEIGHT_T* b, const SUBBYTE_SUM_T* bias,
                                const float* multiplier, const float* shift, const void* steps, const int16_t* results,
                                void* y, const int32_t* a_of, const int32_t* b_of, const struct subbyte_gemm* g,
                                const struct subbyte_epilogue* epilogue, int32_t begin, int32_t end, void* scratch) {
    SUBBYTE_VALUE_T* values = (SUBBYTE_VALUE_T*)scratch;
    const int32_t blocks = (g->columns + SUBBYTE_BLOCK - 1) / SUBBYTE_BLOCK;
    int32_t tile, loaded = -1;
    for (tile = begin; tile < end; ++tile) {
        const int32_t row = tile / blocks, column = tile % blocks * SUBBYTE_BLOCK, batch = row / g->rows;
        if (row != loaded)
            SUBBYTE_CENTRE(values, a, g->a_type, g->a_zero, (a_of[batch] * g->rows + row % g->rows) * g->depth,
                           g->depth);
        loaded = row;
        SUBBYTE_DOTS(values, b + (b_of[batch] * g->columns + column) * g->depth, g->depth, bias, multiplier, shift,
                     steps, results, y, epilogue, row * g->columns + column, column,
                     subbyte_smaller(g->columns - column, SUBBYTE_BLOCK));
    }
}

#undef SUBBYTE_CENTRE
#undef SUBBYTE_GEMM
#undef SUBBYTE_DOTS
#undef SUBBYTE_VALUE_T
#undef SUBBYTE_WEIGHT_T
#undef SUBBYTE_SUM_T
#undef SUBBYTE_VALUE
#undef SUBBYTE_WEIGHT
#undef SUBBYTE_SUM
