// Sums and products of two tensors on x86: their parameters, read by x86_binary_body.h.

#ifndef SUBBYTE_X86_BINARY_H
#define SUBBYTE_X86_BINARY_H

#include "span.h"
#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

// How y = N2(a op b) of N6 is computed from the codes a and b. LINEAR, PRODUCT and `reciprocal` are used where they were
// compared with N6 over all pairs of codes:
//   SUBBYTE_X86_ADD, _SUBTRACT, _MULTIPLY: N6 itself: f32(f32(a_scale * (a - a_zero)) op f32(b_scale * (b - b_zero))) / y_scale,
//     or, with `reciprocal`, times y_scale;
//   SUBBYTE_X86_LINEAR: fma(a_scale, a, fma(b_scale, b, constant)), a and b the codes;
//   SUBBYTE_X86_PRODUCT: f32((a - a_zero) * (b - b_zero)) * constant.
// Each is rounded to the nearest integer, ties to even; y_zero is added, and the result is clamped to qmin..qmax.
enum { SUBBYTE_X86_ADD, SUBBYTE_X86_SUBTRACT, SUBBYTE_X86_MULTIPLY, SUBBYTE_X86_LINEAR, SUBBYTE_X86_PRODUCT };

struct subbyte_x86_binary {
    int32_t form;
    float a_scale, b_scale, y_scale, constant;
    int32_t reciprocal, a_zero, b_zero, y_zero, qmin, qmax;
};

#endif  // SUBBYTE_X86_BINARY_H
