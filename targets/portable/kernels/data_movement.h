// Elements change places, not values: copies by strides, by index tables and by run-time indices; any element type.

#ifndef SUBBYTE_DATA_MOVEMENT_H
#define SUBBYTE_DATA_MOVEMENT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "refused.h"

enum { SUBBYTE_COPY_AXES = 8 };

// to[i] = from[i * stride] for i < n, elements of `bytes` bytes; 1, 2, 4 and 8 are moved as a whole.
static inline void subbyte_copy_run(unsigned char* to, const unsigned char* from, int32_t stride, int32_t n,
                                    int32_t bytes) {
    const ptrdiff_t step = (ptrdiff_t)stride * bytes;
    int32_t i;
    if (stride == 1) {
        memcpy(to, from, (size_t)n * (size_t)bytes);
        return;
    }
    switch (bytes) {
        case 1:
            for (i = 0; i < n; ++i) to[i] = from[i * step];
            break;
        case 2:
            for (i = 0; i < n; ++i) memcpy(to + (ptrdiff_t)i * 2, from + i * step, 2);
            break;
        case 4:
            for (i = 0; i < n; ++i) memcpy(to + (ptrdiff_t)i * 4, from + i * step, 4);
            break;
        case 8:
            for (i = 0; i < n; ++i) memcpy(to + (ptrdiff_t)i * 8, from + i * step, 8);
            break;
        default:
            for (i = 0; i < n; ++i) memcpy(to + (ptrdiff_t)i * bytes, from + i * step, (size_t)bytes);
            break;
    }
}

// Loops over y, which is contiguous, slowest first; strides of x in elements, which may be 0 or negative.
struct subbyte_copy {
    int32_t extents[SUBBYTE_COPY_AXES], strides[SUBBYTE_COPY_AXES];
    int32_t start;  // element of x that y begins with
    int32_t bytes;  // of an element
};

// y[i, j, ...] = x[start + i * stride_i + j * stride_j + ...]. Tiles: the product of all extents but the last.
static inline void subbyte_copy(const void* x, void* y, const struct subbyte_copy* g, int32_t begin, int32_t end) {
    const int32_t last = SUBBYTE_COPY_AXES - 1;
    const size_t row_bytes = (size_t)g->extents[last] * (size_t)g->bytes;
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        int32_t at = g->start, row = tile, axis;
        for (axis = last - 1; row > 0; --axis) {
            at += row % g->extents[axis] * g->strides[axis];
            row /= g->extents[axis];
        }
        subbyte_copy_run((unsigned char*)y + (size_t)tile * row_bytes,
                         (const unsigned char*)x + (ptrdiff_t)at * g->bytes, g->strides[last], g->extents[last],
                         g->bytes);
    }
}

// Row r of y is row r of x[0], x[1], ...: bytes[i] bytes of each, row_bytes in all. Tiles: rows.
static inline void subbyte_concat(const void* const* x, void* y, const int32_t* bytes, int32_t count, int32_t row_bytes,
                                  int32_t begin, int32_t end) {
    int32_t row, i;
    for (row = begin; row < end; ++row) {
        unsigned char* to = (unsigned char*)y + (size_t)row * (size_t)row_bytes;
        for (i = 0; i < count; ++i) {
            const size_t size = (size_t)bytes[i];
            memcpy(to, (const unsigned char*)x[i] + (size_t)row * size, size);
            to += size;
        }
    }
}

// The inverse of subbyte_concat: row r of x is cut into row r of y[0], y[1], ... Tiles: rows.
static inline void subbyte_split(const void* x, void* const* y, const int32_t* bytes, int32_t count, int32_t row_bytes,
                                 int32_t begin, int32_t end) {
    int32_t row, i;
    for (row = begin; row < end; ++row) {
        const unsigned char* from = (const unsigned char*)x + (size_t)row * (size_t)row_bytes;
        for (i = 0; i < count; ++i) {
            const size_t size = (size_t)bytes[i];
            memcpy((unsigned char*)y[i] + (size_t)row * size, from, size);
            from += size;
        }
    }
}

// Loops over y, slowest first, in runs of `run` elements of `bytes` bytes.
struct subbyte_pick {
    int32_t extents[SUBBYTE_COPY_AXES];
    int32_t run, bytes;
};

// y[i, j, ..., run] = x[table_i[i] + table_j[j] + ..., run], or fill where a table entry is -1: padding of every mode,
// nearest resize. tables: one after the other, extents[axis] entries each, in elements of x. fill: one element.
// Tiles: the product of all extents but the last.
static inline void subbyte_pick(const void* x, void* y, const int32_t* tables, const void* fill,
                                const struct subbyte_pick* g, int32_t begin, int32_t end) {
    const int32_t last = SUBBYTE_COPY_AXES - 1;
    const size_t run_bytes = (size_t)g->run * (size_t)g->bytes;
    int32_t tile, axis, i;
    for (tile = begin; tile < end; ++tile) {
        const int32_t* table = tables;
        unsigned char* to = (unsigned char*)y + (size_t)tile * (size_t)g->extents[last] * run_bytes;
        int32_t at = 0, inside = 1, rows = 1;
        for (axis = 0; axis < last; ++axis) rows *= g->extents[axis];
        for (axis = 0; axis < last; table += g->extents[axis], ++axis) {
            rows /= g->extents[axis];
            i = table[tile / rows % g->extents[axis]];
            inside = inside && i >= 0;
            at += i;
        }
        for (i = 0; i < g->extents[last]; ++i, to += run_bytes) {
            if (inside && table[i] >= 0)
                memcpy(to, (const unsigned char*)x + (size_t)(at + table[i]) * (size_t)g->bytes, run_bytes);
            else
                subbyte_copy_run(to, (const unsigned char*)fill, 0, g->run, g->bytes);
        }
    }
}

// y[row][i] = x[row][indices[i]], elements of run_bytes bytes; x has `extent` of them in a row, and a negative index counts
// from the end. indices: int64 where wide, else int32. Returns 0, or SUBBYTE_REFUSED for an index outside. Tiles: rows.
static inline int32_t subbyte_gather(const void* x, const void* indices, void* y, int32_t wide, int32_t extent,
                                     int32_t count, int32_t run_bytes, int32_t begin, int32_t end) {
    const size_t size = (size_t)run_bytes;
    int32_t row, i;
    for (row = begin; row < end; ++row)
        for (i = 0; i < count; ++i) {
            int64_t index = wide ? ((const int64_t*)indices)[i] : ((const int32_t*)indices)[i];
            if (index < 0) index += extent;
            if (index < 0 || index >= extent) return SUBBYTE_REFUSED;
            memcpy((unsigned char*)y + ((size_t)row * (size_t)count + (size_t)i) * size,
                   (const unsigned char*)x + ((size_t)row * (size_t)extent + (size_t)index) * size, size);
        }
    return 0;
}

#endif  // SUBBYTE_DATA_MOVEMENT_H
