// Sums, differences and products of two tensors of codes on Arm: N6, or forms that were compared with it over all pairs of
// codes. A and B are the codes less their zero points.

#ifndef SUBBYTE_ARM_BINARY_H
#define SUBBYTE_ARM_BINARY_H

#include "arm_steps.h"
#include "codes.h"
#include "span.h"

enum { SUBBYTE_ARM_ADD, SUBBYTE_ARM_SUBTRACT, SUBBYTE_ARM_MULTIPLY };

// How y is computed; each kernel says of what. flips: 0x80 where codes are 0..255. divides: y_scale is the divisor, else a
// factor.
struct subbyte_arm_binary {
    float a_scale, b_scale, y_scale;
    int32_t operation, divides;
    int32_t a_flip, b_flip, a_zero, b_zero, y_zero, qmin, qmax;
};

enum subbyte_arm_form { SUBBYTE_ARM_SCALED, SUBBYTE_ARM_PRODUCT, SUBBYTE_ARM_REALS };

// The rounded steps of four results.
SUBBYTE_INLINE int32x4_t subbyte_arm_binary_steps(int16x4_t a, int16x4_t b, int form,
                                                  const struct subbyte_arm_binary* g) {
    float32x4_t left, right;
    if (form == SUBBYTE_ARM_PRODUCT)
        return subbyte_round_neon(vmulq_f32(vcvtq_f32_s32(vmull_s16(a, b)), vdupq_n_f32(g->y_scale)));
    left = vcvtq_f32_s32(vmovl_s16(a));
    right = vmulq_f32(vcvtq_f32_s32(vmovl_s16(b)), vdupq_n_f32(g->b_scale));
    SUBBYTE_BARRIER_NEON(right);
    if (form == SUBBYTE_ARM_SCALED) {
#if defined(__aarch64__)
        return subbyte_round_neon(vfmaq_f32(right, left, vdupq_n_f32(g->a_scale)));
#else
        left = vmulq_f32(left, vdupq_n_f32(g->a_scale));
        SUBBYTE_BARRIER_NEON(left);
        return subbyte_round_neon(vaddq_f32(left, right));
#endif
    }
    left = vmulq_f32(left, vdupq_n_f32(g->a_scale));
    SUBBYTE_BARRIER_NEON(left);
    if (g->operation == SUBBYTE_ARM_ADD)
        left = vaddq_f32(left, right);
    else if (g->operation == SUBBYTE_ARM_SUBTRACT)
        left = vsubq_f32(left, right);
    else
        left = vmulq_f32(left, right);
    SUBBYTE_BARRIER_NEON(left);
#if defined(__aarch64__)
    if (g->divides) return subbyte_round_neon(vdivq_f32(left, vdupq_n_f32(g->y_scale)));
#endif
    return subbyte_round_neon(vmulq_f32(left, vdupq_n_f32(g->y_scale)));
}

// 16 results.
SUBBYTE_INLINE uint8x16_t subbyte_arm_binary_16(uint8x16_t a, uint8x16_t b, int form,
                                                const struct subbyte_arm_binary* g) {
    const int8x16_t left = vreinterpretq_s8_u8(veorq_u8(a, vdupq_n_u8((uint8_t)g->a_flip)));
    const int8x16_t right = vreinterpretq_s8_u8(veorq_u8(b, vdupq_n_u8((uint8_t)g->b_flip)));
    const int8x8_t a_zero = vdup_n_s8((int8_t)(g->a_zero - g->a_flip));
    const int8x8_t b_zero = vdup_n_s8((int8_t)(g->b_zero - g->b_flip));
    const int16x8_t a_low = vsubl_s8(vget_low_s8(left), a_zero), a_high = vsubl_s8(vget_high_s8(left), a_zero);
    const int16x8_t b_low = vsubl_s8(vget_low_s8(right), b_zero), b_high = vsubl_s8(vget_high_s8(right), b_zero);
    return subbyte_arm_pack_16(subbyte_arm_binary_steps(vget_low_s16(a_low), vget_low_s16(b_low), form, g),
                               subbyte_arm_binary_steps(vget_high_s16(a_low), vget_high_s16(b_low), form, g),
                               subbyte_arm_binary_steps(vget_low_s16(a_high), vget_low_s16(b_high), form, g),
                               subbyte_arm_binary_steps(vget_high_s16(a_high), vget_high_s16(b_high), form, g),
                               g->y_zero, g->qmin, g->qmax);
}

// 16 codes, or one code 16 times.
SUBBYTE_INLINE uint8x16_t subbyte_arm_repeated(const uint8_t* codes, int32_t stride) {
    return stride ? vld1q_u8(codes) : vdupq_n_u8(*codes);
}

// y = a op b, broadcast as `span` says: operands with stride 0 are one code for all of a run, others have stride 1. y may be
// a or b where that is not broadcast.
SUBBYTE_INLINE void subbyte_arm_binary(const void* a, const void* b, void* y, int form,
                                       const struct subbyte_arm_binary* numbers, const struct subbyte_span* span,
                                       int32_t begin, int32_t end) {
    const struct subbyte_arm_binary g = *numbers;  // no store of a result changes it
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        const uint8_t *left = (const uint8_t*)a + run.a, *right = (const uint8_t*)b + run.b;
        uint8_t* to = (uint8_t*)y + run.y;
        int32_t n = run.n;
        for (; n >= 16; n -= 16, left += 16 * run.a_stride, right += 16 * run.b_stride, to += 16)
            vst1q_u8(to, subbyte_arm_binary_16(subbyte_arm_repeated(left, run.a_stride),
                                               subbyte_arm_repeated(right, run.b_stride), form, &g));
        if (n > 0) {
            const uint8x16_t one = subbyte_arm_load_part(left, run.a_stride ? n : 1);
            const uint8x16_t other = subbyte_arm_load_part(right, run.b_stride ? n : 1);
            const uint8x16_t codes =
                subbyte_arm_binary_16(run.a_stride ? one : vdupq_n_u8(vgetq_lane_u8(one, 0)),
                                      run.b_stride ? other : vdupq_n_u8(vgetq_lane_u8(other, 0)), form, &g);
            subbyte_arm_store_part(to, codes, n);
        }
    }
}

// Steps are f32(A * a_scale + f32(B * b_scale)) with 64 bits, rounded twice in all; f32(f32(A * a_scale) + f32(B * b_scale))
// with 32.
SUBBYTE_ONE_COPY void subbyte_arm_binary_scaled(const void* a, const void* b, void* y,
                                                const struct subbyte_arm_binary* g, const struct subbyte_span* span,
                                                int32_t begin, int32_t end) {
    subbyte_arm_binary(a, b, y, SUBBYTE_ARM_SCALED, g, span, begin, end);
}

// Steps are f32(f32(A * B) * y_scale).
SUBBYTE_ONE_COPY void subbyte_arm_binary_product(const void* a, const void* b, void* y,
                                                 const struct subbyte_arm_binary* g, const struct subbyte_span* span,
                                                 int32_t begin, int32_t end) {
    subbyte_arm_binary(a, b, y, SUBBYTE_ARM_PRODUCT, g, span, begin, end);
}

// Steps are f32(f32(f32(a_scale * A) op f32(b_scale * B)) * y_scale), or divided by y_scale, which only 64 bits can.
SUBBYTE_ONE_COPY void subbyte_arm_binary_reals(const void* a, const void* b, void* y,
                                               const struct subbyte_arm_binary* g, const struct subbyte_span* span,
                                               int32_t begin, int32_t end) {
    subbyte_arm_binary(a, b, y, SUBBYTE_ARM_REALS, g, span, begin, end);
}

#endif  // SUBBYTE_ARM_BINARY_H
