// Elementwise work on bytes and floats on Arm: signedness, clamps, N1 and N2. Tiles are runs of `chunk` of n elements.

#ifndef SUBBYTE_ARM_CODES_H
#define SUBBYTE_ARM_CODES_H

#include "arm_steps.h"
#include "codes.h"

// y = x xor 0x80: codes of the other signedness. y may be x.
SUBBYTE_ONE_COPY void subbyte_arm_offset_codes(const void* x, void* y, int32_t n, int32_t chunk, int32_t begin,
                                               int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const uint8x16_t flip = vdupq_n_u8(0x80);
    const uint8_t* from = (const uint8_t*)x;
    uint8_t* to = (uint8_t*)y;
    int32_t i = begin * chunk;
    for (; i + 16 <= stop; i += 16) vst1q_u8(to + i, veorq_u8(vld1q_u8(from + i), flip));
    for (; i < stop; ++i) to[i] = from[i] ^ 0x80;
}

// y = min(max(x, low), high), codes of a byte; flip: 0x80 where they are 0..255, else 0. y may be x.
SUBBYTE_ONE_COPY void subbyte_arm_clamp(const void* x, void* y, int32_t low, int32_t high, int32_t flip, int32_t n,
                                        int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const uint8x16_t turn = vdupq_n_u8((uint8_t)flip);
    const int8x16_t lowest = vdupq_n_s8((int8_t)(low - flip)), highest = vdupq_n_s8((int8_t)(high - flip));
    const uint8_t* from = (const uint8_t*)x;
    uint8_t* to = (uint8_t*)y;
    int32_t i = begin * chunk;
    for (; i + 16 <= stop; i += 16) {
        const int8x16_t codes = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from + i), turn));
        vst1q_u8(to + i, veorq_u8(vreinterpretq_u8_s8(vminq_s8(vmaxq_s8(codes, lowest), highest)), turn));
    }
    for (; i < stop; ++i) {
        const int32_t code = flip ? from[i] : (int8_t)from[i];
        to[i] = (uint8_t)subbyte_clamp_s32(code, low, high);
    }
}

// Four reals: f32(f32(code - zero point) * scale).
SUBBYTE_INLINE float32x4_t subbyte_arm_reals(int16x4_t centred, float32x4_t scale) {
    return vmulq_f32(vcvtq_f32_s32(vmovl_s16(centred)), scale);
}

// y = f32(f32(x - zero_point) * scale): N1. With 32 bits, scale is a normal number: no product is subnormal then, so it does
// not matter that NEON takes those for zero.
SUBBYTE_ONE_COPY void subbyte_arm_dequantize(const void* x, float* y, float scale, int32_t zero_point, int32_t flip,
                                             int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const uint8x16_t turn = vdupq_n_u8((uint8_t)flip);
    const int8x8_t zero = vdup_n_s8((int8_t)(zero_point - flip));
    const float32x4_t scales = vdupq_n_f32(scale);
    const uint8_t* from = (const uint8_t*)x;
    int32_t i = begin * chunk;
    for (; i + 16 <= stop; i += 16) {
        const int8x16_t codes = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from + i), turn));
        const int16x8_t low = vsubl_s8(vget_low_s8(codes), zero), high = vsubl_s8(vget_high_s8(codes), zero);
        vst1q_f32(y + i, subbyte_arm_reals(vget_low_s16(low), scales));
        vst1q_f32(y + i + 4, subbyte_arm_reals(vget_high_s16(low), scales));
        vst1q_f32(y + i + 8, subbyte_arm_reals(vget_low_s16(high), scales));
        vst1q_f32(y + i + 12, subbyte_arm_reals(vget_high_s16(high), scales));
    }
    for (; i < stop; ++i) y[i] = subbyte_dequantize((flip ? from[i] : (int8_t)from[i]) - zero_point, scale);
}

// rne(x / scale) by x * f32(1 / scale), or beyond every code on the same side; all bits of *sure stay where that is certain.
//
// Product and quotient differ by less than 3 * 2^-24 of themselves. Where they lie within 2^9, that is 2^-13: both round
// alike unless one of them is that close to a tie, and 2^-10 is asked for. Beyond 2^9 both give the last code of a byte,
// whatever its zero point. Where the scale is a power of two both are the same, and nothing is asked for. With 32 bits NEON
// takes subnormal numbers for zero: scale is from 2^-100 to 2^100, so that a subnormal x, or product, is far below half a
// step. A NaN is never certain. near: how far from a whole number steps may be, below 1/2 - 2^-10; 1 for powers of two.
SUBBYTE_INLINE int32x4_t subbyte_arm_quotients(float32x4_t x, float32x4_t reciprocal, float32x4_t near,
                                               uint32x4_t* sure) {
    float32x4_t steps = vmulq_f32(x, reciprocal);
#if defined(__aarch64__)
    *sure = vandq_u32(*sure, vcaltq_f32(vsubq_f32(steps, vrndnq_f32(steps)), near));
    return vcvtnq_s32_f32(steps);
#else
    const float32x4_t magic = vdupq_n_f32(0x1.8p23f);
    float32x4_t sum, whole;
    steps = vminq_f32(vmaxq_f32(steps, vdupq_n_f32(-0x1p15f)), vdupq_n_f32(0x1p15f));
    sum = vaddq_f32(steps, magic);
    SUBBYTE_BARRIER_NEON(sum);
    whole = vsubq_f32(sum, magic);
    SUBBYTE_BARRIER_NEON(whole);
    *sure = vandq_u32(*sure, vcaltq_f32(vsubq_f32(steps, whole), near));
    return vsubq_s32(vreinterpretq_s32_f32(sum), vreinterpretq_s32_f32(magic));
#endif
}

// Whether all bits are set.
SUBBYTE_INLINE int subbyte_arm_all(uint32x4_t mask) {
    const uint32x2_t half = vand_u32(vget_low_u32(mask), vget_high_u32(mask));
    return (vget_lane_u32(half, 0) & vget_lane_u32(half, 1)) == 0xffffffffu;
}

// What N2 needs: f32(1 / scale) beside the scale, and when their product is certain.
struct subbyte_arm_grid {
    float scale, reciprocal, near;
    int32_t zero_point, qmin, qmax;
};

// The codes of n floats, one by one, by N2 itself.
SUBBYTE_ONE_COPY void subbyte_arm_quantize_each(const float* x, uint8_t* y, int32_t n,
                                                const struct subbyte_arm_grid* g) {
    int32_t i;
    for (i = 0; i < n; ++i) y[i] = (uint8_t)subbyte_quantize_f32(x[i], g->scale, g->zero_point, g->qmin, g->qmax);
}

// The codes of 16 floats by division.
SUBBYTE_ONE_COPY uint8x16_t subbyte_arm_divide_16(const float* x, const struct subbyte_arm_grid* g) {
#if defined(__aarch64__)
    const float32x4_t scale = vdupq_n_f32(g->scale), least = vdupq_n_f32(-0x1p15f);  // what NaN becomes
    int32x4_t steps[4];
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) steps[i] =
        vcvtnq_s32_f32(vmaxnmq_f32(vdivq_f32(vld1q_f32(x + 4 * i), scale), least));
    return subbyte_arm_pack_16(steps[0], steps[1], steps[2], steps[3], g->zero_point, g->qmin, g->qmax);
#else
    uint8_t codes[16];
    subbyte_arm_quantize_each(x, codes, 16, g);
    return vld1q_u8(codes);
#endif
}

// The codes of 16 floats.
SUBBYTE_INLINE uint8x16_t subbyte_arm_quantize_16(const float* x, const struct subbyte_arm_grid* g,
                                                  const struct subbyte_arm_grid* in_memory) {
    const float32x4_t reciprocal = vdupq_n_f32(g->reciprocal), near = vdupq_n_f32(g->near);
    uint32x4_t sure = vdupq_n_u32(0xffffffffu);
    int32x4_t steps[4];
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) steps[i] =
        subbyte_arm_quotients(vld1q_f32(x + 4 * i), reciprocal, near, &sure);
    if (!subbyte_arm_all(sure)) return subbyte_arm_divide_16(x, in_memory);
    return subbyte_arm_pack_16(steps[0], steps[1], steps[2], steps[3], g->zero_point, g->qmin, g->qmax);
}

// y = clamp(rne(f32(x / scale)) + zero_point, qmin, qmax), NaN to qmin: N2.
SUBBYTE_ONE_COPY void subbyte_arm_quantize(const float* x, void* y, const struct subbyte_arm_grid* grid, int32_t n,
                                           int32_t chunk, int32_t begin, int32_t end) {
    const struct subbyte_arm_grid g = *grid;  // no store of a result changes it
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    uint8_t* to = (uint8_t*)y;
    int32_t i = begin * chunk;
    for (; i + 16 <= stop; i += 16) vst1q_u8(to + i, subbyte_arm_quantize_16(x + i, &g, grid));
    if (i < stop) subbyte_arm_quantize_each(x + i, to + i, stop - i, grid);
}

#endif  // SUBBYTE_ARM_CODES_H
