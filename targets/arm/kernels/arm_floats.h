// Elementwise work on floats on Arm, each operation rounded once. With 32 bits NEON takes subnormal numbers for zero: there
// are only the functions here that do not mind.

#ifndef SUBBYTE_ARM_FLOATS_H
#define SUBBYTE_ARM_FLOATS_H

#include "arm_vector.h"
#include "codes.h"
#include "span.h"

// y = f32(f32(x) * scales[i % period]): N1 of 32-bit sums, zero point 0. Tiles: runs of `chunk` of n elements. Requires period
// % 16 == 0 and chunk % period == 0. With 32 bits, scales are normal numbers: so are the products, or they are zero.
SUBBYTE_ONE_COPY void subbyte_arm_dequantize_s32(const int32_t* x, float* y, const float* scales, int32_t period,
                                                 int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i = begin * chunk, k = 0, v;
    for (; i + 16 <= stop; i += 16) {
        SUBBYTE_UNROLL for (v = 0; v < 16; v += 4)
            vst1q_f32(y + i + v, vmulq_f32(vcvtq_f32_s32(vld1q_s32(x + i + v)), vld1q_f32(scales + k + v)));
        k = k + 16 == period ? 0 : k + 16;
    }
    for (; i < stop; ++i, ++k) y[i] = subbyte_dequantize(x[i], scales[k]);
}

// y = 0 where x < 0, else x, -0.0 and NaN with it. As integers the numbers below zero, down to -infinity, are 0x80000001 to
// 0xff800000. Tiles: runs of `chunk` of n elements. y may be x.
SUBBYTE_ONE_COPY void subbyte_arm_relu_f32(const float* x, float* y, int32_t n, int32_t chunk, int32_t begin,
                                           int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const uint32x4_t least = vdupq_n_u32(0x80000001u), span = vdupq_n_u32(0x7f7fffffu);
    int32_t i = begin * chunk, v;
    for (; i + 16 <= stop; i += 16) SUBBYTE_UNROLL for (v = 0; v < 16; v += 4) {
            const uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + i + v));
            const uint32x4_t kept = vcgtq_u32(vsubq_u32(bits, least), span);
            vst1q_f32(y + i + v, vreinterpretq_f32_u32(vandq_u32(bits, kept)));
        }
    for (; i < stop; ++i) y[i] = subbyte_relu_f32(x[i]);
}

// Whether the products of four numbers with a factor of at least 2^-20 are zero or normal numbers: none is below 2^-100 but 0.
SUBBYTE_INLINE int subbyte_arm_has_normal_products(float32x4_t four) {
#if defined(__aarch64__)
    (void)four;
    return 1;  // it does not matter
#else
    // Twice the bits, less 1, leaves the sign out and makes zero the largest.
    const uint32x4_t size = vsubq_u32(vshlq_n_u32(vreinterpretq_u32_f32(four), 1), vdupq_n_u32(1));
    const uint32x4_t small = vcltq_u32(size, vdupq_n_u32(0x1b000000u - 1u));
    const uint32x2_t any = vorr_u32(vget_low_u32(small), vget_high_u32(small));
    return !(vget_lane_u32(any, 0) | vget_lane_u32(any, 1));
#endif
}

// y = f32(alpha * x) where x < 0, else x. Tiles: runs of `chunk` of n elements. y may be x. With 32 bits |alpha| is at least
// 2^-20, and four numbers with a product that may be subnormal are done one by one.
SUBBYTE_ONE_COPY void subbyte_arm_leaky_relu_f32(const float* x, float* y, float alpha, int32_t n, int32_t chunk,
                                                 int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const float32x4_t zero = vdupq_n_f32(0.0f), factor = vdupq_n_f32(alpha);
    int32_t i = begin * chunk, k, v;
    for (; i + 16 <= stop; i += 16) SUBBYTE_UNROLL for (v = i; v < i + 16; v += 4) {
            const float32x4_t four = vld1q_f32(x + v);
            if (subbyte_arm_has_normal_products(four))
                vst1q_f32(y + v, vbslq_f32(vcltq_f32(four, zero), vmulq_f32(four, factor), four));
            else
                for (k = v; k < v + 4; ++k) y[k] = subbyte_leaky_relu_f32(x[k], alpha);
        }
    for (; i < stop; ++i) y[i] = subbyte_leaky_relu_f32(x[i], alpha);
}

#if defined(__aarch64__)

enum { SUBBYTE_ARM_F32_ADD, SUBBYTE_ARM_F32_SUBTRACT, SUBBYTE_ARM_F32_MULTIPLY, SUBBYTE_ARM_F32_DIVIDE };

SUBBYTE_INLINE float32x4_t subbyte_arm_operate_f32(float32x4_t a, float32x4_t b, int operation) {
    return operation == SUBBYTE_ARM_F32_ADD        ? vaddq_f32(a, b)
           : operation == SUBBYTE_ARM_F32_SUBTRACT ? vsubq_f32(a, b)
           : operation == SUBBYTE_ARM_F32_MULTIPLY ? vmulq_f32(a, b)
                                                   : vdivq_f32(a, b);
}

// Four elements, or one element four times.
SUBBYTE_INLINE float32x4_t subbyte_arm_repeated_f32(const float* x, int32_t stride) {
    return stride ? vld1q_f32(x) : vdupq_n_f32(*x);
}

SUBBYTE_INLINE void subbyte_arm_binary_f32(const float* a, const float* b, float* y, int operation,
                                           const struct subbyte_span* span, int32_t begin, int32_t end) {
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        const float *left = a + run.a, *right = b + run.b;
        float* to = y + run.y;
        for (i = 0; i + 4 <= run.n; i += 4)
            vst1q_f32(to + i, subbyte_arm_operate_f32(subbyte_arm_repeated_f32(left + i * run.a_stride, run.a_stride),
                                                      subbyte_arm_repeated_f32(right + i * run.b_stride, run.b_stride),
                                                      operation));
        for (; i < run.n; ++i)
            vst1q_lane_f32(to + i,
                           subbyte_arm_operate_f32(vdupq_n_f32(left[i * run.a_stride]),
                                                   vdupq_n_f32(right[i * run.b_stride]), operation),
                           0);
    }
}

// y = a op b, broadcast as `span` says, with strides 0 and 1. y may be a or b where that is not broadcast.
#define SUBBYTE_ARM_BINARY_F32(name, operation)                                                           \
    SUBBYTE_ONE_COPY void name(const float* a, const float* b, float* y, const struct subbyte_span* span, \
                               int32_t begin, int32_t end) {                                              \
        subbyte_arm_binary_f32(a, b, y, operation, span, begin, end);                                     \
    }
SUBBYTE_ARM_BINARY_F32(subbyte_arm_add_f32, SUBBYTE_ARM_F32_ADD)
SUBBYTE_ARM_BINARY_F32(subbyte_arm_subtract_f32, SUBBYTE_ARM_F32_SUBTRACT)
SUBBYTE_ARM_BINARY_F32(subbyte_arm_multiply_f32, SUBBYTE_ARM_F32_MULTIPLY)
SUBBYTE_ARM_BINARY_F32(subbyte_arm_divide_f32, SUBBYTE_ARM_F32_DIVIDE)
#undef SUBBYTE_ARM_BINARY_F32

#endif  // __aarch64__

#endif  // SUBBYTE_ARM_FLOATS_H
