// What the float kernels of every register size share.

#ifndef SUBBYTE_X86_FLOATS_H
#define SUBBYTE_X86_FLOATS_H

#include "span.h"
#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

// As in x86/kernels_floats.py.
enum subbyte_x86_float_function {
    SUBBYTE_X86_RELU = 0,
    SUBBYTE_X86_LEAKY_RELU = 1,
    SUBBYTE_X86_CLIP = 2,
    SUBBYTE_X86_SIGMOID = 3,
    SUBBYTE_X86_HARD_SIGMOID = 4,
    SUBBYTE_X86_HARD_SWISH = 5,
    SUBBYTE_X86_TANH = 6,
    SUBBYTE_X86_GELU = 7,
    SUBBYTE_X86_GELU_TANH = 8,
    SUBBYTE_X86_ERF = 9,
    SUBBYTE_X86_EXP = 10,
    SUBBYTE_X86_SQRT = 11,
    SUBBYTE_X86_RECIPROCAL = 12,
    SUBBYTE_X86_NEG = 13,
    SUBBYTE_X86_ABS = 14
};

enum subbyte_x86_float_operation {
    SUBBYTE_X86_FLOAT_ADD = 0,
    SUBBYTE_X86_FLOAT_SUB = 1,
    SUBBYTE_X86_FLOAT_MUL = 2,
    SUBBYTE_X86_FLOAT_DIV = 3
};

// x as stored: [outer][channels][inner], a scale and a zero point for each channel. Tiles: runs of `chunk` of `elements`.
struct subbyte_x86_dequantize {
    int32_t channels, inner, elements, chunk;
};

#endif  // SUBBYTE_X86_FLOATS_H
