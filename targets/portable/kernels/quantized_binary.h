// Arithmetic between two tensors of codes (or float32 constants), with broadcasting, op by op in float32: N6.

#ifndef SUBBYTE_QUANTIZED_BINARY_H
#define SUBBYTE_QUANTIZED_BINARY_H

#include "codes.h"
#include "span.h"

enum subbyte_operation { SUBBYTE_ADD = 0, SUBBYTE_SUB = 1, SUBBYTE_MUL = 2, SUBBYTE_DIV = 3 };

// a[i] = f32(a[i] op b[i]).
static inline void subbyte_operate(float* a, const float* b, int operation, int32_t n) {
    int32_t i;
    switch (operation) {
        case SUBBYTE_ADD:
            for (i = 0; i < n; ++i) a[i] = subbyte_add_f32(a[i], b[i]);
            break;
        case SUBBYTE_SUB:
            for (i = 0; i < n; ++i) a[i] = subbyte_sub_f32(a[i], b[i]);
            break;
        case SUBBYTE_MUL:
            for (i = 0; i < n; ++i) a[i] = subbyte_mul_f32(a[i], b[i]);
            break;
        default:
            for (i = 0; i < n; ++i) a[i] = subbyte_div_f32(a[i], b[i]);
            break;
    }
}

// y = N2(f32(real of a op real of b)). Tiles: those of the span. y may be a or b where that is not broadcast.
static inline void subbyte_quantized_binary(const void* a, const void* b, void* y, int32_t operation,
                                            const struct subbyte_grid* a_grid, const struct subbyte_grid* b_grid,
                                            const struct subbyte_grid* y_grid, const struct subbyte_span* span,
                                            int32_t begin, int32_t end) {
    float left[SUBBYTE_BLOCK], right[SUBBYTE_BLOCK];
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; i += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(run.n - i, SUBBYTE_BLOCK);
            subbyte_load_reals(left, a, a_grid, run.a + i * run.a_stride, run.a_stride, n);
            subbyte_load_reals(right, b, b_grid, run.b + i * run.b_stride, run.b_stride, n);
            subbyte_operate(left, right, operation, n);
            subbyte_store_reals(y, y_grid, run.y + i, left, n);
        }
    }
}

#endif  // SUBBYTE_QUANTIZED_BINARY_H
