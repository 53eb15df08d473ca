// Normalization, softmax of wide codes, and piecewise functions in integers alone (--integer-only): no float anywhere.

#ifndef SUBBYTE_INTEGER_KERNELS_H
#define SUBBYTE_INTEGER_KERNELS_H

#include "codes.h"

// Rows of n codes; E = epsilon_whole + epsilon_part / 2^32, f and h: numerics/integer_normalization.py.
struct subbyte_normalized_rows {
    int32_t x_type, y_type, n, centred, x_zero_point;
    uint64_t epsilon_whole;
    uint32_t epsilon_part;
    int32_t f, h, zero_point, qmin, qmax;
};

// Each row of x normalized. gain, offset: [n]. Tiles: rows. y may be x.
static inline void subbyte_normalize_codes(const void* x, void* y, const int32_t* gain, const int64_t* offset,
                                           const struct subbyte_normalized_rows* g, int32_t begin, int32_t end) {
    int32_t codes[SUBBYTE_BLOCK], row, done, i;
    for (row = begin; row < end; ++row) {
        const int32_t first = row * g->n;
        int64_t sum = 0;
        uint64_t squares = 0, spread;
        struct subbyte_root root = {0, 0};
        for (done = 0; done < g->n; done += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(g->n - done, SUBBYTE_BLOCK);
            subbyte_load_codes(codes, x, g->x_type, first + done, 1, n, g->x_zero_point);
            for (i = 0; i < n; ++i) {
                sum += codes[i];
                squares += (uint64_t)((int64_t)codes[i] * codes[i]);
            }
        }
        if (!g->centred) sum = 0;
        spread = (uint64_t)g->n * squares - (uint64_t)(sum * sum);
        if (spread) root = subbyte_inverse_root(spread + g->epsilon_whole, g->epsilon_part);
        for (done = 0; done < g->n; done += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(g->n - done, SUBBYTE_BLOCK);
            subbyte_load_codes(codes, x, g->x_type, first + done, 1, n, g->x_zero_point);
            for (i = 0; i < n; ++i)
                codes[i] = subbyte_normalized_code((int64_t)g->n * codes[i] - sum, root, gain[done + i],
                                                   offset[done + i], g->f, g->h, g->zero_point, g->qmin, g->qmax);
            subbyte_store_codes(y, g->y_type, first + done, codes, n);
        }
    }
}

// x as stored: [outer][extent][inner]; a row runs along the middle. 1 / scale = m / 2^k (numerics/softmax.py).
struct subbyte_wide_softmax {
    int32_t x_type, y_type, extent, inner;
    uint64_t m;
    int32_t k, zero_point, qmin, qmax;
};

// y = clamp(rne(e / (sum of e * scale)) + zero_point), e = exp(-scale of x * (largest - x)) by the two tables. Tiles: rows.
// y may be x.
static inline void subbyte_softmax_of_wide_codes(const void* x, void* y, const uint32_t* tables,
                                                 const struct subbyte_wide_softmax* g, int32_t begin, int32_t end) {
    int32_t codes[SUBBYTE_BLOCK], row, done, i;
    for (row = begin; row < end; ++row) {
        const int32_t first = row / g->inner * g->extent * g->inner + row % g->inner;
        int32_t largest = INT32_MIN;
        uint64_t total = 0;
        for (done = 0; done < g->extent; done += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(g->extent - done, SUBBYTE_BLOCK);
            subbyte_load_codes(codes, x, g->x_type, first + done * g->inner, g->inner, n, 0);
            for (i = 0; i < n; ++i)
                if (codes[i] > largest) largest = codes[i];
        }
        for (done = 0; done < g->extent; done += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(g->extent - done, SUBBYTE_BLOCK);
            subbyte_load_codes(codes, x, g->x_type, first + done * g->inner, g->inner, n, 0);
            for (i = 0; i < n; ++i) total += subbyte_exponential_q31(tables, largest - codes[i]);
        }
        for (done = 0; done < g->extent; done += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(g->extent - done, SUBBYTE_BLOCK), at = first + done * g->inner;
            subbyte_load_codes(codes, x, g->x_type, at, g->inner, n, 0);
            for (i = 0; i < n; ++i)
                codes[i] = subbyte_softmax_code(subbyte_exponential_q31(tables, largest - codes[i]), total, g->m, g->k,
                                                g->zero_point, g->qmin, g->qmax);
            if (g->inner == 1)
                subbyte_store_codes(y, g->y_type, at, codes, n);
            else
                for (i = 0; i < n; ++i) subbyte_store_codes(y, g->y_type, at + i * g->inner, codes + i, 1);
        }
    }
}

struct subbyte_piecewise {
    int32_t x_type, y_type;
    int32_t lowest;  // code of the type of x
    int32_t zero_point, qmin, qmax;
    int32_t elements, chunk;
};

// y[i] = the function of x[i] that the pieces hold. Tiles: chunks of `chunk` elements. y may be x.
static inline void subbyte_piecewise_of_codes(const void* x, void* y, const int32_t* segments,
                                              const int32_t* coefficients, const struct subbyte_piecewise* g,
                                              int32_t begin, int32_t end) {
    const int32_t stop = subbyte_smaller(g->chunk * end, g->elements);
    int32_t codes[SUBBYTE_BLOCK], done, i;
    for (done = g->chunk * begin; done < stop; done += SUBBYTE_BLOCK) {
        const int32_t n = subbyte_smaller(stop - done, SUBBYTE_BLOCK);
        subbyte_load_codes(codes, x, g->x_type, done, 1, n, g->lowest);
        for (i = 0; i < n; ++i)
            codes[i] = subbyte_piecewise_code(codes[i], segments, coefficients, g->zero_point, g->qmin, g->qmax);
        subbyte_store_codes(y, g->y_type, done, codes, n);
    }
}

#endif  // SUBBYTE_INTEGER_KERNELS_H
