// Linear interpolation of codes on x86: geometry and parameters, read by x86_resize_body.h.

#ifndef SUBBYTE_X86_RESIZE_H
#define SUBBYTE_X86_RESIZE_H

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

enum { SUBBYTE_X86_RESIZE_AXES = 6, SUBBYTE_X86_RESIZED = 3 };

// Loops over y as stored, slowest first, in runs of `run` codes. resized: the `count` loops that are interpolated, in the
// order of the interpolation. The reals of x are f32(f32(x - x_zero) * x_scale), those of y become codes by N2.
struct subbyte_x86_resize {
    int32_t extents[SUBBYTE_X86_RESIZE_AXES];
    int32_t resized[SUBBYTE_X86_RESIZED], count, run;
    float x_scale, y_scale;
    int32_t x_zero, y_zero, qmin, qmax;
};

// What one run of the result is made of: corner c is x from at[c] on; bit k of c says that it is the upper one along the
// resized loop k, of weight weight[k].
struct subbyte_x86_corners {
    int32_t at[1 << SUBBYTE_X86_RESIZED];
    float weight[SUBBYTE_X86_RESIZED];
};

// lower, upper: elements of x for each index of each loop, one loop after the other; weights: of upper.
SUBBYTE_INLINE struct subbyte_x86_corners subbyte_x86_corners(const int32_t* lower, const int32_t* upper,
                                                              const float* weights, const struct subbyte_x86_resize* g,
                                                              int32_t pixel) {
    struct subbyte_x86_corners corners = {{0}, {0}};
    int32_t entry[SUBBYTE_X86_RESIZE_AXES], table = 0, axis, corner, k;
    for (axis = SUBBYTE_X86_RESIZE_AXES - 1; axis >= 0; --axis) {
        entry[axis] = pixel % g->extents[axis];
        pixel /= g->extents[axis];
    }
    for (axis = 0; axis < SUBBYTE_X86_RESIZE_AXES; ++axis) {
        entry[axis] += table;
        table += g->extents[axis];
        corners.at[0] += lower[entry[axis]];
    }
    for (k = 0; k < g->count; ++k) {
        const int32_t here = entry[g->resized[k]];
        corners.weight[k] = weights[here];
        for (corner = 0; corner < 1 << k; ++corner)
            corners.at[corner + (1 << k)] = corners.at[corner] + upper[here] - lower[here];
    }
    return corners;
}

#endif  // SUBBYTE_X86_RESIZE_H
