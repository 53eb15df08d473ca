// N4 for NEON: equal to subbyte_requantize_s32 and subbyte_requantize_shift_s32 of subbyte_numerics.h, bit for bit.
//
// With 64 bits the arithmetic is IEEE's and fcvtns rounds half to even and saturates. With 32 bits NEON has its own rules:
// it rounds to nearest even whatever the FPSCR says, but takes subnormal operands for zero and gives zero for subnormal
// results. That changes no code:
//   * f32(sum) is 0 or at least 1: never subnormal.
//   * A multiplier that is subnormal, or a product that is, stands for |f32(sum) * multiplier| < 2^31 * 2^-126 = 2^-95, or
//     < 2^-126. By itself it rounds to step 0, as zero does.
//   * With a shift, let one of the two terms of f32(product + shift) be taken for zero though it is t, 0 < |t| < 2^-95, and
//     the other be u. If |u| < 2^-60, the sum lies within 2^-59, and it, or zero, or its flushed result, rounds to step 0.
//     Otherwise an ulp of u is at least 2^-83, and |t| below a quarter of that: f32(u + t) is u, as f32(u + 0) is.
// There are no NaN: sum and multiplier are finite, and infinity appears only where the product overflows, to be clamped.
// 32-bit NEON converts toward zero alone, so steps are clamped first to +-2^15, beyond every code less its zero point, and then
// rounded by adding 1.5 * 2^23: the sum has an ulp of 1 and is rounded half to even.

#ifndef SUBBYTE_REQUANTIZE_NEON_H
#define SUBBYTE_REQUANTIZE_NEON_H

#include "arm_vector.h"
#include "subbyte_numerics.h"

// rne(x), exact where |rne(x)| < 2^15, else of the same sign and beyond that.
SUBBYTE_INLINE int32x4_t subbyte_round_neon(float32x4_t x) {
#if defined(__aarch64__)
    return vcvtnq_s32_f32(x);
#else
    const float32x4_t magic = vdupq_n_f32(0x1.8p23f);
    float32x4_t sum;
    x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-0x1p15f)), vdupq_n_f32(0x1p15f));
    sum = vaddq_f32(x, magic);
    SUBBYTE_BARRIER_NEON(sum);
    return vsubq_s32(vreinterpretq_s32_f32(sum), vreinterpretq_s32_f32(magic));
#endif
}

// rne(f32(f32(sum) * multiplier)), as subbyte_round_neon gives it.
SUBBYTE_INLINE int32x4_t subbyte_scale_neon(int32x4_t sum, float32x4_t multiplier) {
    return subbyte_round_neon(vmulq_f32(vcvtq_f32_s32(sum), multiplier));
}

// rne(f32(f32(f32(sum) * multiplier) + shift)).
SUBBYTE_INLINE int32x4_t subbyte_scale_shift_neon(int32x4_t sum, float32x4_t multiplier, float32x4_t shift) {
    float32x4_t product = vmulq_f32(vcvtq_f32_s32(sum), multiplier);
    SUBBYTE_BARRIER_NEON(product);  // no compiler merges it with the sum
    return subbyte_round_neon(vaddq_f32(product, shift));
}

// clamp(steps + zero_point, qmin, qmax) of four vectors in order: 16 codes, int8 where qmin < 0, else uint8.
// Requires codes and zero_point of a byte: saturation at 16 bits, after which at most 255 is added, and at 8 changes nothing.
SUBBYTE_INLINE uint8x16_t subbyte_pack_codes_neon(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d,
                                                  int32_t zero_point, int32_t qmin, int32_t qmax) {
    int16x8_t low = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), high = vcombine_s16(vqmovn_s32(c), vqmovn_s32(d));
    if (zero_point) {
        const int16x8_t offset = vdupq_n_s16((int16_t)zero_point);
        low = vqaddq_s16(low, offset);
        high = vqaddq_s16(high, offset);
    }
    if (qmin < 0) {
        int8x16_t codes = vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
        if (qmin > -128) codes = vmaxq_s8(codes, vdupq_n_s8((int8_t)qmin));
        if (qmax < 127) codes = vminq_s8(codes, vdupq_n_s8((int8_t)qmax));
        return vreinterpretq_u8_s8(codes);
    } else {
        uint8x16_t codes = vcombine_u8(vqmovun_s16(low), vqmovun_s16(high));
        if (qmin > 0) codes = vmaxq_u8(codes, vdupq_n_u8((uint8_t)qmin));
        if (qmax < 255) codes = vminq_u8(codes, vdupq_n_u8((uint8_t)qmax));
        return codes;
    }
}

#endif  // SUBBYTE_REQUANTIZE_NEON_H
