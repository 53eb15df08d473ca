// Rounded steps to codes on Arm, for kernels that many layers share: zero point and range are known at run time.

#ifndef SUBBYTE_ARM_STEPS_H
#define SUBBYTE_ARM_STEPS_H

#include "subbyte_requantize_neon.h"

// clamp(steps + zero_point, qmin, qmax) of two vectors in order: 8 codes of a byte, of either signedness.
//
// Codes 0..255 are made as codes -128..127, whose bit 7 is then turned over. Saturation at 16 bits, after which less than 2^9
// is added, and at 8 changes nothing.
SUBBYTE_INLINE uint8x8_t subbyte_arm_pack_8(int32x4_t a, int32x4_t b, int32_t zero_point, int32_t qmin, int32_t qmax) {
    const int32_t offset = qmin < 0 ? 0 : 128;
    const int16x8_t zero = vdupq_n_s16((int16_t)(zero_point - offset));
    int8x8_t codes = vqmovn_s16(vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), zero));
    codes = vmin_s8(vmax_s8(codes, vdup_n_s8((int8_t)(qmin - offset))), vdup_n_s8((int8_t)(qmax - offset)));
    return veor_u8(vreinterpret_u8_s8(codes), vdup_n_u8((uint8_t)offset));
}

// The same of four vectors: 16 codes.
SUBBYTE_INLINE uint8x16_t subbyte_arm_pack_16(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d, int32_t zero_point,
                                              int32_t qmin, int32_t qmax) {
    const int32_t offset = qmin < 0 ? 0 : 128;
    const int16x8_t zero = vdupq_n_s16((int16_t)(zero_point - offset));
    const int16x8_t low = vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), zero);
    const int16x8_t high = vqaddq_s16(vcombine_s16(vqmovn_s32(c), vqmovn_s32(d)), zero);
    int8x16_t codes = vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
    codes = vminq_s8(vmaxq_s8(codes, vdupq_n_s8((int8_t)(qmin - offset))), vdupq_n_s8((int8_t)(qmax - offset)));
    return veorq_u8(vreinterpretq_u8_s8(codes), vdupq_n_u8((uint8_t)offset));
}

// The first n bytes of v; n <= 8. Writes nothing beyond them.
SUBBYTE_INLINE void subbyte_arm_store_part_8(void* p, uint8x8_t v, int32_t n) {
    uint8_t* to = (uint8_t*)p;
    if (n >= 8) {
        vst1_u8(to, v);
        return;
    }
    for (; n > 0; --n, v = vext_u8(v, v, 1)) vst1_lane_u8(to++, v, 0);
}

#endif  // SUBBYTE_ARM_STEPS_H
