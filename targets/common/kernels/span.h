// Elementwise work with broadcasting, cut into tiles: which run of elements a tile is.

#ifndef SUBBYTE_SPAN_H
#define SUBBYTE_SPAN_H

#include <stdint.h>

enum { SUBBYTE_AXES = 6 };

// Loops over a result that is contiguous in memory, slowest first; a and b: strides of the operands, 0 where repeated.
// The last loop is cut into `chunks` runs of at most `chunk` elements. Tiles: the product of the other extents, times chunks.
struct subbyte_span {
    int32_t extents[SUBBYTE_AXES];
    int32_t a[SUBBYTE_AXES], b[SUBBYTE_AXES];
    int32_t chunk, chunks;
};

// n elements from y on, of the operands from a and b on, with these strides.
struct subbyte_run {
    int32_t y, a, b, a_stride, b_stride, n;
};

static inline struct subbyte_run subbyte_span_run(const struct subbyte_span* span, int32_t tile) {
    const int32_t last = SUBBYTE_AXES - 1, first = tile % span->chunks * span->chunk;
    const int32_t rest = span->extents[last] - first;
    struct subbyte_run run;
    int32_t row = tile / span->chunks, axis;
    run.a_stride = span->a[last];
    run.b_stride = span->b[last];
    run.y = row * span->extents[last] + first;
    run.a = first * run.a_stride;
    run.b = first * run.b_stride;
    run.n = rest < span->chunk ? rest : span->chunk;
    for (axis = last - 1; row > 0; --axis) {
        const int32_t i = row % span->extents[axis];
        row /= span->extents[axis];
        run.a += i * span->a[axis];
        run.b += i * span->b[axis];
    }
    return run;
}

#endif  // SUBBYTE_SPAN_H
