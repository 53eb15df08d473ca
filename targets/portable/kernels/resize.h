// Linear interpolation of codes and floats along up to three axes, one after the other, in float32.

#ifndef SUBBYTE_RESIZE_H
#define SUBBYTE_RESIZE_H

#include "codes.h"

enum { SUBBYTE_RESIZE_AXES = 6, SUBBYTE_RESIZED = 3 };

// Loops over y as stored, slowest first, in runs of `run` elements. resized: the loops that are interpolated, in the order of
// the logical axes, which is that of the interpolation; `count` of them.
struct subbyte_resize {
    int32_t extents[SUBBYTE_RESIZE_AXES];
    int32_t resized[SUBBYTE_RESIZED], count;
    int32_t run;
};

// y = x interpolated. lower, upper: elements of x for each index of each loop, one loop after the other; weights: of upper.
// A loop that is not resized uses lower alone. Tiles: the product of all extents but the last.
static inline void subbyte_resize_linear(const void* x, void* y, const int32_t* lower, const int32_t* upper,
                                         const float* weights, const struct subbyte_grid* x_grid,
                                         const struct subbyte_grid* y_grid, const struct subbyte_resize* g,
                                         int32_t begin, int32_t end) {
    const int32_t corners = 1 << g->count, last = g->extents[SUBBYTE_RESIZE_AXES - 1];
    float reals[1 << SUBBYTE_RESIZED][SUBBYTE_BLOCK], weight[SUBBYTE_RESIZED];
    int32_t pixel, done, axis, corner, step, i, k;
    for (pixel = begin * last; pixel < end * last; ++pixel) {
        int32_t entry[SUBBYTE_RESIZE_AXES], at[1 << SUBBYTE_RESIZED], table = 0, rest = pixel;
        for (axis = SUBBYTE_RESIZE_AXES - 1; axis >= 0; --axis) {
            entry[axis] = rest % g->extents[axis];
            rest /= g->extents[axis];
        }
        at[0] = 0;
        for (axis = 0; axis < SUBBYTE_RESIZE_AXES; ++axis) {
            entry[axis] += table;
            table += g->extents[axis];
            at[0] += lower[entry[axis]];
        }
        for (k = 0; k < g->count;
             ++k) {  // corner c takes the upper element along resized loop k where bit k of c is set
            const int32_t here = entry[g->resized[k]];
            weight[k] = weights[here];
            for (corner = 0; corner < 1 << k; ++corner) at[corner + (1 << k)] = at[corner] + upper[here] - lower[here];
        }
        for (done = 0; done < g->run; done += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(g->run - done, SUBBYTE_BLOCK);
            for (corner = 0; corner < corners; ++corner)
                subbyte_load_reals(reals[corner], x, x_grid, at[corner] + done, 1, n);
            for (k = 0, step = 1; k < g->count; ++k, step *= 2)
                for (corner = 0; corner < corners; corner += 2 * step)
                    for (i = 0; i < n; ++i)
                        reals[corner][i] = subbyte_lerp_f32(reals[corner][i], reals[corner + step][i], weight[k]);
            subbyte_store_reals(y, y_grid, pixel * g->run + done, reals[0], n);
        }
    }
}

#endif  // SUBBYTE_RESIZE_H
