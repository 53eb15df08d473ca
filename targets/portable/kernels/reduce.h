// Reductions over any axes, of codes and of floats.

#ifndef SUBBYTE_REDUCE_H
#define SUBBYTE_REDUCE_H

#include "codes.h"
#include "integers.h"
#include "span.h"

// The reduced axes of x, in logical order: extents and strides. The kept axes are a span of chunks of at most SUBBYTE_BLOCK
// elements, whose operand a is x; its tiles are those of every kernel below.
struct subbyte_reduce {
    int32_t extents[SUBBYTE_AXES], strides[SUBBYTE_AXES];
    int32_t count;  // their product
};

// How far reduced element k lies from the first.
static inline int32_t subbyte_reduced(const struct subbyte_reduce* g, int32_t k) {
    int32_t at = 0, axis;
    for (axis = SUBBYTE_AXES - 1; k > 0; --axis) {
        at += k % g->extents[axis] * g->strides[axis];
        k /= g->extents[axis];
    }
    return at;
}

// The largest (smallest: sign -1) of the reduced codes. Requires integers of at most 32 bits, not u32.
static inline void subbyte_reduce_extreme_codes(const void* x, void* y, int32_t type, int32_t sign,
                                                const struct subbyte_reduce* g, const struct subbyte_span* span,
                                                int32_t begin, int32_t end) {
    int32_t extreme[SUBBYTE_BLOCK], codes[SUBBYTE_BLOCK], tile, k, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        subbyte_load_codes(extreme, x, type, run.a, run.a_stride, run.n, 0);
        for (k = 1; k < g->count; ++k) {
            subbyte_load_codes(codes, x, type, run.a + subbyte_reduced(g, k), run.a_stride, run.n, 0);
            for (i = 0; i < run.n; ++i)
                if (sign > 0 ? codes[i] > extreme[i] : codes[i] < extreme[i]) extreme[i] = codes[i];
        }
        subbyte_store_codes(y, type, run.y, extreme, run.n);
    }
}

// The largest (smallest: sign -1) of the reduced floats; NaN where there is one; a zero is +0.0.
static inline void subbyte_reduce_extreme_floats(const void* x, void* y, int32_t type, int32_t sign,
                                                 const struct subbyte_reduce* g, const struct subbyte_span* span,
                                                 int32_t begin, int32_t end) {
    SUBBYTE_COMPARES_FLOATS
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float extreme[SUBBYTE_BLOCK], reals[SUBBYTE_BLOCK];
    int32_t tile, k, i;
    grid.type = type;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        subbyte_load_reals(extreme, x, &grid, run.a, run.a_stride, run.n);
        for (k = 1; k < g->count; ++k) {
            subbyte_load_reals(reals, x, &grid, run.a + subbyte_reduced(g, k), run.a_stride, run.n);
            for (i = 0; i < run.n; ++i)
                if ((sign > 0 ? reals[i] > extreme[i] : reals[i] < extreme[i]) || reals[i] != reals[i])
                    extreme[i] = reals[i];
        }
        for (i = 0; i < run.n; ++i) extreme[i] = subbyte_add_f32(extreme[i], 0.0f);
        subbyte_store_reals(y, &grid, run.y, extreme, run.n);
    }
}

// y = N2(f32(f32(sum of x - x_zero) * x_scale)), divided by the count before it is quantized where mean: N6. The sums fit
// int32.
static inline void subbyte_reduce_sum_codes(const void* x, void* y, int32_t mean, const struct subbyte_reduce* g,
                                            const struct subbyte_grid* x_grid, const struct subbyte_grid* y_grid,
                                            const struct subbyte_span* span, int32_t begin, int32_t end) {
    int32_t sums[SUBBYTE_BLOCK], codes[SUBBYTE_BLOCK], tile, k, i;
    float reals[SUBBYTE_BLOCK];
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; ++i) sums[i] = 0;
        for (k = 0; k < g->count; ++k) {
            subbyte_load_codes(codes, x, x_grid->type, run.a + subbyte_reduced(g, k), run.a_stride, run.n,
                               x_grid->zero_point);
            for (i = 0; i < run.n; ++i) sums[i] += codes[i];
        }
        for (i = 0; i < run.n; ++i)
            reals[i] =
                mean ? subbyte_average(sums[i], x_grid->scale, g->count) : subbyte_dequantize(sums[i], x_grid->scale);
        subbyte_store_reals(y, y_grid, run.y, reals, run.n);
    }
}

// y = the tree sum of the reduced floats, divided by their count where mean.
static inline void subbyte_reduce_sum_floats(const void* x, void* y, int32_t type, int32_t mean,
                                             const struct subbyte_reduce* g, const struct subbyte_span* span,
                                             int32_t begin, int32_t end) {
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float lanes[SUBBYTE_BLOCK][8], reals[SUBBYTE_BLOCK];
    int32_t tile, k, i;
    grid.type = type;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        memset(lanes, 0, sizeof lanes);
        for (k = 0; k < g->count; ++k) {
            subbyte_load_reals(reals, x, &grid, run.a + subbyte_reduced(g, k), run.a_stride, run.n);
            for (i = 0; i < run.n; ++i) lanes[i][k & 7] = subbyte_add_f32(lanes[i][k & 7], reals[i]);
        }
        for (i = 0; i < run.n; ++i) {
            const float sum = subbyte_tree_sum_f32(lanes[i]);
            reals[i] = mean ? subbyte_div_f32(sum, (float)g->count) : sum;
        }
        subbyte_store_reals(y, &grid, run.y, reals, run.n);
    }
}

// y = the product of the reduced floats, one factor after the other.
static inline void subbyte_reduce_product_floats(const void* x, void* y, int32_t type, const struct subbyte_reduce* g,
                                                 const struct subbyte_span* span, int32_t begin, int32_t end) {
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float products[SUBBYTE_BLOCK], reals[SUBBYTE_BLOCK];
    int32_t tile, k, i;
    grid.type = type;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; ++i) products[i] = 1.0f;
        for (k = 0; k < g->count; ++k) {
            subbyte_load_reals(reals, x, &grid, run.a + subbyte_reduced(g, k), run.a_stride, run.n);
            for (i = 0; i < run.n; ++i) products[i] = subbyte_mul_f32(products[i], reals[i]);
        }
        subbyte_store_reals(y, &grid, run.y, products, run.n);
    }
}

enum subbyte_reduction {
    SUBBYTE_REDUCE_SUM = 0,
    SUBBYTE_REDUCE_MEAN = 1,
    SUBBYTE_REDUCE_PRODUCT = 2,
    SUBBYTE_REDUCE_MAX = 3,
    SUBBYTE_REDUCE_MIN = 4
};

// y = the reduction of integers of any width, modulo 2^bits; a mean is the sum, modulo 2^64, divided toward zero.
static inline void subbyte_reduce_integers(const void* x, void* y, int32_t reduction, int32_t type,
                                           const struct subbyte_reduce* g, const struct subbyte_span* span,
                                           int32_t begin, int32_t end) {
    const uint64_t turn = type == SUBBYTE_TYPE_U64 ? 0 : (uint64_t)1 << 63;
    int32_t tile, k, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; ++i) {
            const int32_t first = run.a + i * run.a_stride;
            uint64_t result = (uint64_t)subbyte_load_integer(x, type, first);
            for (k = 1; k < g->count; ++k) {
                const uint64_t element = (uint64_t)subbyte_load_integer(x, type, first + subbyte_reduced(g, k));
                if (reduction <= SUBBYTE_REDUCE_MEAN)
                    result += element;
                else if (reduction == SUBBYTE_REDUCE_PRODUCT)
                    result *= element;
                else if (reduction == SUBBYTE_REDUCE_MAX ? (element ^ turn) > (result ^ turn)
                                                         : (element ^ turn) < (result ^ turn))
                    result = element;
            }
            if (reduction == SUBBYTE_REDUCE_MEAN) result = (uint64_t)((int64_t)result / g->count);
            subbyte_store_integer(y, type, run.y + i, result);
        }
    }
}

#endif  // SUBBYTE_REDUCE_H
