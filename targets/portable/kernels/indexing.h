// Data movement by run-time indices, searches and running sums along one axis; everything row-major.

#ifndef SUBBYTE_INDEXING_H
#define SUBBYTE_INDEXING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "codes.h"
#include "integers.h"
#include "refused.h"

// The index at `at`, int64 where wide, else int32, counted from the end where it is negative; -1 outside 0 .. extent - 1.
static inline int32_t subbyte_index(const void* indices, int32_t wide, int32_t at, int32_t extent) {
    int64_t index = wide ? ((const int64_t*)indices)[at] : ((const int32_t*)indices)[at];
    if (index < 0) index += extent;
    return index < 0 || index >= extent ? -1 : (int32_t)index;
}

// Whether element i of `type` stands before element j: larger where sign is 1, smaller where it is -1. A NaN is larger than
// every number. f32, f16 and integers.
static inline int32_t subbyte_before(const void* x, int32_t type, int32_t sign, int32_t i, int32_t j) {
    if (type == SUBBYTE_TYPE_F32 || type == SUBBYTE_TYPE_F16) {
        const float* floats = (const float*)x;
        const uint16_t* halves = (const uint16_t*)x;
        const float a = type == SUBBYTE_TYPE_F32 ? floats[i] : subbyte_f16_to_f32(halves[i]);
        const float b = type == SUBBYTE_TYPE_F32 ? floats[j] : subbyte_f16_to_f32(halves[j]);
        if (a != a) return sign > 0 && b == b;
        if (b != b) return sign < 0;
        return sign > 0 ? a > b : a < b;
    } else {
        const uint64_t turn = type == SUBBYTE_TYPE_U64 ? 0 : (uint64_t)1 << 63;
        const uint64_t a = (uint64_t)subbyte_load_integer(x, type, i) ^ turn;
        const uint64_t b = (uint64_t)subbyte_load_integer(x, type, j) ^ turn;
        return sign > 0 ? a > b : a < b;
    }
}

static inline int32_t subbyte_is_nan(const void* x, int32_t type, int32_t i) {
    if (type == SUBBYTE_TYPE_F32) return ((const float*)x)[i] != ((const float*)x)[i];
    return type == SUBBYTE_TYPE_F16 && (((const uint16_t*)x)[i] & 0x7fffu) > 0x7c00u;
}

// Rows of `extent` elements, `inner` apart.
struct subbyte_rows {
    int32_t type;  // of x
    int32_t extent, inner;
};

// The index of the largest (smallest: sign -1) element of each row, of equal ones the first, or the last; the first NaN.
// Tiles: rows.
static inline void subbyte_arg_extreme(const void* x, int64_t* y, int32_t sign, int32_t last,
                                       const struct subbyte_rows* g, int32_t begin, int32_t end) {
    int32_t row, k;
    for (row = begin; row < end; ++row) {
        const int32_t first = row / g->inner * g->extent * g->inner + row % g->inner;
        int32_t best = 0;
        for (k = 0; k < g->extent && !subbyte_is_nan(x, g->type, first + best * g->inner); ++k) {
            const int32_t here = first + k * g->inner, there = first + best * g->inner;
            if (subbyte_is_nan(x, g->type, here) ||
                (last ? !subbyte_before(x, g->type, sign, there, here) : subbyte_before(x, g->type, sign, here, there)))
                best = k;
        }
        y[row] = best;
    }
}

// The first k of each row, the largest (smallest: sign -1) in order, of equal ones the first first; and their indices.
// scratch: 4 * extent bytes. Tiles: rows.
static inline void subbyte_top_k(const void* x, void* values, int64_t* indices, int32_t k, int32_t sign, int32_t bytes,
                                 const struct subbyte_rows* g, int32_t begin, int32_t end, void* scratch) {
    int32_t* order = (int32_t*)scratch;
    const size_t size = (size_t)bytes;
    int32_t row, i, j;
    for (row = begin; row < end; ++row) {
        const int32_t first = row / g->inner * g->extent * g->inner + row % g->inner;
        const int32_t result = row / g->inner * k * g->inner + row % g->inner;
        int32_t kept = 0;
        for (i = 0; i < g->extent; ++i) {  // insertion into the sorted first k
            for (j = kept; j > 0; --j)
                if (!subbyte_before(x, g->type, sign, first + i * g->inner, first + order[j - 1] * g->inner)) break;
            if (j >= k) continue;
            if (kept < k) ++kept;
            memmove(order + j + 1, order + j, (size_t)(kept - 1 - j) * sizeof *order);
            order[j] = i;
        }
        for (j = 0; j < k; ++j) {
            memcpy((unsigned char*)values + (size_t)(result + j * g->inner) * size,
                   (const unsigned char*)x + (size_t)(first + order[j] * g->inner) * size, size);
            indices[result + j * g->inner] = order[j];
        }
    }
}

// Running sums, or products, of each row; from the end where reverse, without the element itself where exclusive. Tiles: rows.
static inline void subbyte_cumulate(const void* x, void* y, int32_t product, int32_t exclusive, int32_t reverse,
                                    const struct subbyte_rows* g, int32_t begin, int32_t end) {
    const int32_t reals = g->type == SUBBYTE_TYPE_F32 || g->type == SUBBYTE_TYPE_F16;
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    int32_t row, k;
    grid.type = g->type;
    for (row = begin; row < end; ++row) {
        const int32_t first = row / g->inner * g->extent * g->inner + row % g->inner;
        float real = product ? 1.0f : 0.0f;
        uint64_t whole = product ? 1 : 0;
        for (k = 0; k < g->extent; ++k) {
            const int32_t at = first + (reverse ? g->extent - 1 - k : k) * g->inner;
            if (reals) {
                const float before = real;
                float element;
                subbyte_load_reals(&element, x, &grid, at, 1, 1);
                real = product ? subbyte_mul_f32(real, element) : subbyte_add_f32(real, element);
                subbyte_store_reals(y, &grid, at, exclusive ? &before : &real, 1);
            } else {
                const uint64_t before = whole, element = (uint64_t)subbyte_load_integer(x, g->type, at);
                whole = product ? whole * element : whole + element;
                subbyte_store_integer(y, g->type, at, exclusive ? before : whole);
            }
        }
    }
}

enum { SUBBYTE_INDEX_AXES = 8 };

// Loops over the indices, slowest first: strides of x, 0 on the axis that the indices stand for, whose own stride is `step`.
struct subbyte_elements {
    int32_t extents[SUBBYTE_INDEX_AXES], strides[SUBBYTE_INDEX_AXES];
    int32_t count;         // of indices
    int32_t extent, step;  // of the axis
    int32_t wide;          // whether indices are int64
};

// Where in x index number `at` points; -1 where it is outside.
static inline int32_t subbyte_element(const void* indices, const struct subbyte_elements* g, int32_t at) {
    const int32_t index = subbyte_index(indices, g->wide, at, g->extent);
    int32_t place = index * g->step, axis;
    if (index < 0) return -1;
    for (axis = SUBBYTE_INDEX_AXES - 1; at > 0; --axis) {
        place += at % g->extents[axis] * g->strides[axis];
        at /= g->extents[axis];
    }
    return place;
}

// y[i] = x[where indices[i] points]. Returns 0, or SUBBYTE_REFUSED for an index outside. Tiles: chunks of `chunk` indices.
static inline int32_t subbyte_gather_elements(const void* x, const void* indices, void* y, int32_t bytes,
                                              const struct subbyte_elements* g, int32_t chunk, int32_t begin,
                                              int32_t end) {
    const int32_t stop = subbyte_smaller(chunk * end, g->count);
    int32_t i;
    for (i = chunk * begin; i < stop; ++i) {
        const int32_t place = subbyte_element(indices, g, i);
        if (place < 0) return SUBBYTE_REFUSED;
        memcpy((unsigned char*)y + (size_t)i * (size_t)bytes, (const unsigned char*)x + (size_t)place * (size_t)bytes,
               (size_t)bytes);
    }
    return 0;
}

// Rows of `depth` indices name parts of `run` elements of x, whose strides and extents they are; each row stands in a batch
// of `rows` rows, which lies `batch` elements of x after the one before.
struct subbyte_parts {
    int32_t extents[SUBBYTE_INDEX_AXES], strides[SUBBYTE_INDEX_AXES];
    int32_t depth, rows, batch, count, run, wide;
};

// Where in x row `row` points; -1 where one of its indices is outside.
static inline int32_t subbyte_part(const void* indices, const struct subbyte_parts* g, int32_t row) {
    int32_t place = row / g->rows * g->batch, axis;
    for (axis = 0; axis < g->depth; ++axis) {
        const int32_t index = subbyte_index(indices, g->wide, row * g->depth + axis, g->extents[axis]);
        if (index < 0) return -1;
        place += index * g->strides[axis];
    }
    return place;
}

// Row r of y = the part of x that row r of the indices names; refuses as above. Tiles: rows.
static inline int32_t subbyte_gather_parts(const void* x, const void* indices, void* y, int32_t bytes,
                                           const struct subbyte_parts* g, int32_t begin, int32_t end) {
    const size_t size = (size_t)g->run * (size_t)bytes;
    int32_t row;
    for (row = begin; row < end; ++row) {
        const int32_t place = subbyte_part(indices, g, row);
        if (place < 0) return SUBBYTE_REFUSED;
        memcpy((unsigned char*)y + (size_t)row * size, (const unsigned char*)x + (size_t)place * (size_t)bytes, size);
    }
    return 0;
}

enum subbyte_scatter {
    SUBBYTE_PUT = 0,
    SUBBYTE_PUT_SUM = 1,
    SUBBYTE_PUT_PRODUCT = 2,
    SUBBYTE_PUT_MAX = 3,
    SUBBYTE_PUT_MIN = 4
};

// y[place] = reduction(y[place], updates[from]); max and min keep y where they are equal, and take a NaN.
static inline void subbyte_put(void* y, int32_t place, const void* updates, int32_t from, int32_t reduction,
                               int32_t type, int32_t bytes) {
    const size_t size = (size_t)bytes;
    if (reduction == SUBBYTE_PUT) {
        memcpy((unsigned char*)y + (size_t)place * size, (const unsigned char*)updates + (size_t)from * size, size);
    } else if (type == SUBBYTE_TYPE_F32 || type == SUBBYTE_TYPE_F16) {
        struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
        float old, update;
        grid.type = type;
        subbyte_load_reals(&old, y, &grid, place, 1, 1);
        subbyte_load_reals(&update, updates, &grid, from, 1, 1);
        if (reduction == SUBBYTE_PUT_SUM)
            old = subbyte_add_f32(old, update);
        else if (reduction == SUBBYTE_PUT_PRODUCT)
            old = subbyte_mul_f32(old, update);
        else if (update != update || (reduction == SUBBYTE_PUT_MAX ? update > old : update < old))
            old = update;
        subbyte_store_reals(y, &grid, place, &old, 1);
    } else {
        const uint64_t turn = type == SUBBYTE_TYPE_U64 ? 0 : (uint64_t)1 << 63;
        const uint64_t old = (uint64_t)subbyte_load_integer(y, type, place);
        const uint64_t update = (uint64_t)subbyte_load_integer(updates, type, from);
        const int32_t larger = (update ^ turn) > (old ^ turn), smaller = (update ^ turn) < (old ^ turn);
        uint64_t result = old;
        if (reduction == SUBBYTE_PUT_SUM)
            result = old + update;
        else if (reduction == SUBBYTE_PUT_PRODUCT)
            result = old * update;
        else if (reduction == SUBBYTE_PUT_MAX ? larger : smaller)
            result = update;
        subbyte_store_integer(y, type, place, result);
    }
}

// y = x, then y[where indices[i] points] = reduction(y[...], updates[i]), i ascending; refuses as above. One tile.
static inline int32_t subbyte_scatter_elements(const void* x, const void* indices, const void* updates, void* y,
                                               int32_t elements, int32_t reduction, int32_t type, int32_t bytes,
                                               const struct subbyte_elements* g) {
    int32_t i;
    memcpy(y, x, (size_t)elements * (size_t)bytes);
    for (i = 0; i < g->count; ++i) {
        const int32_t place = subbyte_element(indices, g, i);
        if (place < 0) return SUBBYTE_REFUSED;
        subbyte_put(y, place, updates, i, reduction, type, bytes);
    }
    return 0;
}

// The same with the part of y that each row of the indices names.
static inline int32_t subbyte_scatter_parts(const void* x, const void* indices, const void* updates, void* y,
                                            int32_t elements, int32_t reduction, int32_t type, int32_t bytes,
                                            const struct subbyte_parts* g) {
    int32_t row, i;
    memcpy(y, x, (size_t)elements * (size_t)bytes);
    for (row = 0; row < g->count; ++row) {
        const int32_t place = subbyte_part(indices, g, row);
        if (place < 0) return SUBBYTE_REFUSED;
        for (i = 0; i < g->run; ++i) subbyte_put(y, place + i, updates, row * g->run + i, reduction, type, bytes);
    }
    return 0;
}

#endif  // SUBBYTE_INDEXING_H
