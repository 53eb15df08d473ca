// Rounded steps to codes on Arm, for kernels that many layers share: zero point and range are known at run time.

#ifndef SUBBYTE_ARM_STEPS_H
#define SUBBYTE_ARM_STEPS_H

#include "subbyte_requantize_neon.h"

// clamp(steps + zero_point, qmin, qmax) is made in two parts: codes -128..127 first, less 128 where they are to be 0..255,
// then those within qmin..qmax, whose bit 7 is turned over where they are 0..255. Codes of int8 that use all of it need no
// second part. Saturation at 16 bits, after which less than 2^9 is added, and at 8 changes nothing.

SUBBYTE_INLINE int32_t subbyte_arm_pack_offset(int32_t qmin) { return qmin < 0 ? 0 : 128; }

// The first part, of two vectors in order.
SUBBYTE_INLINE int8x8_t subbyte_arm_narrow_8(int32x4_t a, int32x4_t b, int32_t zero_point, int32_t qmin) {
    const int16x8_t zero = vdupq_n_s16((int16_t)(zero_point - subbyte_arm_pack_offset(qmin)));
    return vqmovn_s16(vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), zero));
}

// The first part, of four.
SUBBYTE_INLINE int8x16_t subbyte_arm_narrow_16(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d, int32_t zero_point,
                                               int32_t qmin) {
    const int16x8_t zero = vdupq_n_s16((int16_t)(zero_point - subbyte_arm_pack_offset(qmin)));
    const int16x8_t low = vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), zero);
    const int16x8_t high = vqaddq_s16(vcombine_s16(vqmovn_s32(c), vqmovn_s32(d)), zero);
    return vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
}

// The second part.
SUBBYTE_INLINE int8x8_t subbyte_arm_fit_8(int8x8_t codes, int32_t qmin, int32_t qmax) {
    const int32_t offset = subbyte_arm_pack_offset(qmin);
    codes = vmin_s8(vmax_s8(codes, vdup_n_s8((int8_t)(qmin - offset))), vdup_n_s8((int8_t)(qmax - offset)));
    return veor_s8(codes, vdup_n_s8((int8_t)offset));
}

SUBBYTE_INLINE int8x16_t subbyte_arm_fit_16(int8x16_t codes, int32_t qmin, int32_t qmax) {
    const int32_t offset = subbyte_arm_pack_offset(qmin);
    codes = vminq_s8(vmaxq_s8(codes, vdupq_n_s8((int8_t)(qmin - offset))), vdupq_n_s8((int8_t)(qmax - offset)));
    return veorq_s8(codes, vdupq_n_s8((int8_t)offset));
}

// Both: 16 codes of a byte, of either signedness.
SUBBYTE_INLINE uint8x16_t subbyte_arm_pack_16(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d, int32_t zero_point,
                                              int32_t qmin, int32_t qmax) {
    return vreinterpretq_u8_s8(subbyte_arm_fit_16(subbyte_arm_narrow_16(a, b, c, d, zero_point, qmin), qmin, qmax));
}

// The first n bytes of v; n <= 8. Writes nothing beyond them.
SUBBYTE_INLINE void subbyte_arm_store_part_8(void* p, int8x8_t v, int32_t n) {
    int8_t* to = (int8_t*)p;
    if (n >= 8) {
        vst1_s8(to, v);
        return;
    }
    for (; n > 0; --n, v = vext_s8(v, v, 1)) vst1_lane_s8(to++, v, 0);
}

#endif  // SUBBYTE_ARM_STEPS_H
