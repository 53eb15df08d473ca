// Elementwise work on floats, each step rounded once to float32 (N8), and on plain integers modulo 2^bits.

#ifndef SUBBYTE_FLOAT_ELEMENTWISE_H
#define SUBBYTE_FLOAT_ELEMENTWISE_H

#include "codes.h"
#include "integers.h"
#include "span.h"

enum subbyte_binary_function {
    SUBBYTE_BINARY_ADD = 0,
    SUBBYTE_BINARY_SUB = 1,
    SUBBYTE_BINARY_MUL = 2,
    SUBBYTE_BINARY_DIV = 3,
    SUBBYTE_BINARY_POW = 4,
    SUBBYTE_BINARY_MIN = 5,
    SUBBYTE_BINARY_MAX = 6,
    SUBBYTE_BINARY_PRELU = 7
};

// min and max: b where it is beyond a or NaN, else a. prelu: f32(b * a) where a < 0, else a.
static inline float subbyte_binary_f32(int32_t function, float a, float b) {
    switch (function) {
        case SUBBYTE_BINARY_ADD:
            return subbyte_add_f32(a, b);
        case SUBBYTE_BINARY_SUB:
            return subbyte_sub_f32(a, b);
        case SUBBYTE_BINARY_MUL:
            return subbyte_mul_f32(a, b);
        case SUBBYTE_BINARY_DIV:
            return subbyte_div_f32(a, b);
        case SUBBYTE_BINARY_POW:
            return subbyte_pow_f32(a, b);
        case SUBBYTE_BINARY_MIN:
            return b < a || b != b ? b : a;
        case SUBBYTE_BINARY_MAX:
            return b > a || b != b ? b : a;
        default:
            return subbyte_leaky_relu_f32(a, b);
    }
}

// y = function(a, b), floats of one type. Tiles: those of the span. y may be a or b where that is not broadcast.
static inline void subbyte_binary_floats(const void* a, const void* b, void* y, int32_t function, int32_t type,
                                         const struct subbyte_span* span, int32_t begin, int32_t end) {
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float left[SUBBYTE_BLOCK], right[SUBBYTE_BLOCK];
    int32_t tile, done, i;
    grid.type = type;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (done = 0; done < run.n; done += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(run.n - done, SUBBYTE_BLOCK);
            subbyte_load_reals(left, a, &grid, run.a + done * run.a_stride, run.a_stride, n);
            subbyte_load_reals(right, b, &grid, run.b + done * run.b_stride, run.b_stride, n);
            for (i = 0; i < n; ++i) left[i] = subbyte_binary_f32(function, left[i], right[i]);
            subbyte_store_reals(y, &grid, run.y + done, left, n);
        }
    }
}

// The same of integers of one type, modulo 2^bits: add, sub, mul, min and max. Requires a type other than u64 for the last
// two.
static inline void subbyte_binary_integers(const void* a, const void* b, void* y, int32_t function, int32_t type,
                                           const struct subbyte_span* span, int32_t begin, int32_t end) {
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; ++i) {
            const int64_t left = subbyte_load_integer(a, type, run.a + i * run.a_stride);
            const int64_t right = subbyte_load_integer(b, type, run.b + i * run.b_stride);
            uint64_t result;
            switch (function) {
                case SUBBYTE_BINARY_ADD:
                    result = (uint64_t)left + (uint64_t)right;
                    break;
                case SUBBYTE_BINARY_SUB:
                    result = (uint64_t)left - (uint64_t)right;
                    break;
                case SUBBYTE_BINARY_MUL:
                    result = (uint64_t)left * (uint64_t)right;
                    break;
                case SUBBYTE_BINARY_MIN:
                    result = (uint64_t)(right < left ? right : left);
                    break;
                default:
                    result = (uint64_t)(right > left ? right : left);
                    break;
            }
            subbyte_store_integer(y, type, run.y + i, result);
        }
    }
}

enum subbyte_function {
    SUBBYTE_FUNCTION_RELU = 0,
    SUBBYTE_FUNCTION_LEAKY_RELU = 1,
    SUBBYTE_FUNCTION_CLIP = 2,
    SUBBYTE_FUNCTION_SIGMOID = 3,
    SUBBYTE_FUNCTION_HARD_SIGMOID = 4,
    SUBBYTE_FUNCTION_HARD_SWISH = 5,
    SUBBYTE_FUNCTION_TANH = 6,
    SUBBYTE_FUNCTION_GELU = 7,
    SUBBYTE_FUNCTION_GELU_TANH = 8,
    SUBBYTE_FUNCTION_ERF = 9,
    SUBBYTE_FUNCTION_EXP = 10,
    SUBBYTE_FUNCTION_LOG = 11,
    SUBBYTE_FUNCTION_SQRT = 12,
    SUBBYTE_FUNCTION_RECIPROCAL = 13,
    SUBBYTE_FUNCTION_NEG = 14,
    SUBBYTE_FUNCTION_ABS = 15,
    SUBBYTE_FUNCTION_FLOOR = 16,
    SUBBYTE_FUNCTION_CEIL = 17,
    SUBBYTE_FUNCTION_ROUND = 18,
    SUBBYTE_FUNCTION_SIGN = 19,
    SUBBYTE_FUNCTION_SOFTPLUS = 20,
    SUBBYTE_FUNCTION_SOFTSIGN = 21,
    SUBBYTE_FUNCTION_ELU = 22,
    SUBBYTE_FUNCTION_SELU = 23,
    SUBBYTE_FUNCTION_CELU = 24,
    SUBBYTE_FUNCTION_THRESHOLDED_RELU = 25,
    SUBBYTE_FUNCTION_MISH = 26
};

// The ONNX operator of that name; p and q are its parameters in the order of its attributes.
static inline float subbyte_function_f32(int32_t function, float x, float p, float q) {
    switch (function) {
        case SUBBYTE_FUNCTION_RELU:
            return subbyte_relu_f32(x);
        case SUBBYTE_FUNCTION_LEAKY_RELU:
            return subbyte_leaky_relu_f32(x, p);
        case SUBBYTE_FUNCTION_CLIP:
            return subbyte_clip_f32(x, p, q);
        case SUBBYTE_FUNCTION_SIGMOID:
            return subbyte_sigmoid_f32(x);
        case SUBBYTE_FUNCTION_HARD_SIGMOID:
            return subbyte_hard_sigmoid_f32(x, p, q);
        case SUBBYTE_FUNCTION_HARD_SWISH:
            return subbyte_hard_swish_f32(x);
        case SUBBYTE_FUNCTION_TANH:
            return subbyte_tanh_f32(x);
        case SUBBYTE_FUNCTION_GELU:
            return subbyte_gelu_f32(x);
        case SUBBYTE_FUNCTION_GELU_TANH:
            return subbyte_gelu_tanh_f32(x);
        case SUBBYTE_FUNCTION_ERF:
            return subbyte_erf_f32(x);
        case SUBBYTE_FUNCTION_EXP:
            return subbyte_exp_f32(x);
        case SUBBYTE_FUNCTION_LOG:
            return subbyte_log_f32(x);
        case SUBBYTE_FUNCTION_SQRT:
            return subbyte_sqrt_f32(x);
        case SUBBYTE_FUNCTION_RECIPROCAL:
            return subbyte_reciprocal_f32(x);
        case SUBBYTE_FUNCTION_NEG:
            return subbyte_neg_f32(x);
        case SUBBYTE_FUNCTION_ABS:
            return subbyte_abs_f32(x);
        case SUBBYTE_FUNCTION_FLOOR:
            return subbyte_floor_f32(x);
        case SUBBYTE_FUNCTION_CEIL:
            return subbyte_ceil_f32(x);
        case SUBBYTE_FUNCTION_ROUND:
            return subbyte_rint_f32(x);
        case SUBBYTE_FUNCTION_SIGN:
            return subbyte_sign_f32(x);
        case SUBBYTE_FUNCTION_SOFTPLUS:
            return subbyte_softplus_f32(x);
        case SUBBYTE_FUNCTION_SOFTSIGN:
            return subbyte_softsign_f32(x);
        case SUBBYTE_FUNCTION_ELU:
            return subbyte_elu_f32(x, p);
        case SUBBYTE_FUNCTION_SELU:
            return subbyte_selu_f32(x, p, q);
        case SUBBYTE_FUNCTION_CELU:
            return subbyte_celu_f32(x, p);
        case SUBBYTE_FUNCTION_THRESHOLDED_RELU:
            return subbyte_thresholded_relu_f32(x, p);
        default:
            return subbyte_mish_f32(x);
    }
}

// y = function(x), floats of one type; y may be x. Tiles: chunks of `chunk` elements.
static inline void subbyte_unary_floats(const void* x, void* y, int32_t function, float p, float q, int32_t type,
                                        int32_t elements, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_smaller(chunk * end, elements);
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float reals[SUBBYTE_BLOCK];
    int32_t at, i;
    grid.type = type;
    for (at = chunk * begin; at < stop; at += SUBBYTE_BLOCK) {
        const int32_t n = subbyte_smaller(stop - at, SUBBYTE_BLOCK);
        subbyte_load_reals(reals, x, &grid, at, 1, n);
        for (i = 0; i < n; ++i) reals[i] = subbyte_function_f32(function, reals[i], p, q);
        subbyte_store_reals(y, &grid, at, reals, n);
    }
}

// y = f32(f32(f32(f32(x - mean) * inverse) * scale) + bias), all [channels]; x as stored: [outer][channels][inner], floats of
// one type; y may be x. Tiles: chunks of `chunk` elements.
static inline void subbyte_batch_normalization(const void* x, void* y, const float* mean, const float* inverse,
                                               const float* scale, const float* bias, int32_t type, int32_t channels,
                                               int32_t inner, int32_t elements, int32_t chunk, int32_t begin,
                                               int32_t end) {
    const int32_t stop = subbyte_smaller(chunk * end, elements);
    struct subbyte_grid grid = {0, 1.0f, 0, 0, 0};
    float reals[SUBBYTE_BLOCK];
    int32_t at, i;
    grid.type = type;
    for (at = chunk * begin; at < stop; at += SUBBYTE_BLOCK) {
        const int32_t n = subbyte_smaller(stop - at, SUBBYTE_BLOCK);
        subbyte_load_reals(reals, x, &grid, at, 1, n);
        for (i = 0; i < n; ++i) {
            const int32_t c = (at + i) / inner % channels;
            const float whitened = subbyte_mul_f32(subbyte_sub_f32(reals[i], mean[c]), inverse[c]);
            reals[i] = subbyte_add_f32(subbyte_mul_f32(whitened, scale[c]), bias[c]);
        }
        subbyte_store_reals(y, &grid, at, reals, n);
    }
}

// y = x as another type, integers of any width, f16 or f32: integers wrap, floats round once; a float becomes an integer
// toward zero, saturated to low .. high, NaN 0. to_bool: whether x is not 0. Tiles: chunks of `chunk` elements.
static inline void subbyte_cast(const void* x, void* y, int32_t x_type, int32_t y_type, int32_t to_bool, int64_t low,
                                int64_t high, int32_t elements, int32_t chunk, int32_t begin, int32_t end) {
    SUBBYTE_COMPARES_FLOATS
    const int32_t stop = subbyte_smaller(chunk * end, elements);
    int32_t i;
    for (i = chunk * begin; i < stop; ++i) {
        const int32_t from_float = x_type == SUBBYTE_TYPE_F32 || x_type == SUBBYTE_TYPE_F16;
        float real = 0.0f;
        int64_t whole = 0;
        if (x_type == SUBBYTE_TYPE_F32)
            real = ((const float*)x)[i];
        else if (x_type == SUBBYTE_TYPE_F16)
            real = subbyte_f16_to_f32(((const uint16_t*)x)[i]);
        else
            whole = subbyte_load_integer(x, x_type, i);
        if (to_bool) {
            ((uint8_t*)y)[i] = from_float ? real != 0.0f : whole != 0;
        } else if (y_type == SUBBYTE_TYPE_F32 || y_type == SUBBYTE_TYPE_F16) {
            if (!from_float)
                real = x_type == SUBBYTE_TYPE_U64 ? subbyte_round_f32((float)(uint64_t)whole)
                                                  : subbyte_round_f32((float)whole);
            if (y_type == SUBBYTE_TYPE_F32)
                ((float*)y)[i] = real;
            else
                ((uint16_t*)y)[i] = subbyte_f32_to_f16(real);
        } else {
            if (from_float)
                whole = subbyte_truncate_f32(real, low, high);
            else if (y_type < SUBBYTE_TYPE_U64)  // low .. high are 2^bits numbers
                whole = low + (int64_t)(((uint64_t)whole - (uint64_t)low) & (uint64_t)(high - low));
            subbyte_store_integer(y, y_type, i, (uint64_t)whole);
        }
    }
}

#endif  // SUBBYTE_FLOAT_ELEMENTWISE_H
