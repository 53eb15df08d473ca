// Softmax along one axis, of codes (N7) and of floats (N8).

#ifndef SUBBYTE_SOFTMAX_H
#define SUBBYTE_SOFTMAX_H

#include "codes.h"

// x as stored: [outer][extent][inner]; a row runs along the middle. Tiles: rows, outer * inner of them.
struct subbyte_softmax {
    int32_t x_type, y_type;
    int32_t extent, inner;
};

// What the codes of the result are made with: 1 / scale = m / 2^k (numerics/softmax.py), m as two halves.
struct subbyte_softmax_codes {
    int32_t m_high, m_low;  // m = m_high * 2^16 + m_low
    int32_t k, zero_point, qmin, qmax;
};

// y = clamp(rne(e / (sum of e * scale)) + zero_point, qmin, qmax), e = table[largest x - x].
static inline void subbyte_softmax_of_codes(const void* x, void* y, const uint32_t* table,
                                            const struct subbyte_softmax* g, const struct subbyte_softmax_codes* to,
                                            int32_t begin, int32_t end) {
    const uint64_t m = ((uint64_t)(uint32_t)to->m_high << 16) + (uint64_t)(uint32_t)to->m_low;
    int32_t codes[SUBBYTE_BLOCK], row, done, i, n;
    for (row = begin; row < end; ++row) {
        const int32_t first = row / g->inner * g->extent * g->inner + row % g->inner;
        int32_t largest = INT32_MIN;
        uint64_t total = 0;
        for (done = 0; done < g->extent; done += SUBBYTE_BLOCK) {
            n = subbyte_smaller(g->extent - done, SUBBYTE_BLOCK);
            subbyte_load_codes(codes, x, g->x_type, first + done * g->inner, g->inner, n, 0);
            for (i = 0; i < n; ++i)
                if (codes[i] > largest) largest = codes[i];
        }
        for (done = 0; done < g->extent; done += SUBBYTE_BLOCK) {
            n = subbyte_smaller(g->extent - done, SUBBYTE_BLOCK);
            subbyte_load_codes(codes, x, g->x_type, first + done * g->inner, g->inner, n, 0);
            for (i = 0; i < n; ++i) total += table[largest - codes[i]];
        }
        for (done = 0; done < g->extent; ++done) {
            const int32_t at = first + done * g->inner;
            subbyte_load_codes(codes, x, g->x_type, at, 1, 1, 0);
            codes[0] =
                subbyte_softmax_code(table[largest - codes[0]], total, m, to->k, to->zero_point, to->qmin, to->qmax);
            subbyte_store_codes(y, g->y_type, at, codes, 1);
        }
    }
}

// y = e / (tree sum of e), e = exp(x - largest x); with `logarithm`, (x - largest x) - log(tree sum of e). x and y are floats
// of one type. scratch: extent floats.
static inline void subbyte_softmax_of_floats(const void* x, void* y, int32_t logarithm, const struct subbyte_softmax* g,
                                             int32_t begin, int32_t end, void* scratch) {
    float* reals = (float*)scratch;
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    int32_t row, i;
    grid.type = g->x_type;
    for (row = begin; row < end; ++row) {
        const int32_t first = row / g->inner * g->extent * g->inner + row % g->inner;
        float lanes[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, largest, sum;
        subbyte_load_reals(reals, x, &grid, first, g->inner, g->extent);
        largest = reals[0];
        for (i = 1; i < g->extent; ++i)
            if (reals[i] > largest || reals[i] != reals[i]) largest = reals[i];
        for (i = 0; i < g->extent; ++i) {
            const float less = subbyte_sub_f32(reals[i], largest), e = subbyte_exp_f32(less);
            lanes[i & 7] = subbyte_add_f32(lanes[i & 7], e);
            reals[i] = logarithm ? less : e;
        }
        sum = subbyte_tree_sum_f32(lanes);
        if (logarithm) sum = subbyte_log_f32(sum);
        for (i = 0; i < g->extent; ++i) {
            const float result = logarithm ? subbyte_sub_f32(reals[i], sum) : subbyte_div_f32(reals[i], sum);
            subbyte_store_reals(y, &grid, first + i * g->inner, &result, 1);
        }
    }
}

#endif  // SUBBYTE_SOFTMAX_H
