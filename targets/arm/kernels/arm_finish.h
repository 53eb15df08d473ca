// What becomes of sums on Arm: N4 and codes of a byte, or the sums themselves.

#ifndef SUBBYTE_ARM_FINISH_H
#define SUBBYTE_ARM_FINISH_H

#include "arm_conv.h"
#include "subbyte_requantize_neon.h"

// bias: [outputs], the terms of the input's zero point included. multiplier: [outputs], null where the result is the sum
// itself; shift: [outputs], null where there is none. All are padded to whole panels, and with them to whole vectors.
struct subbyte_arm_results {
    void* y;
    const int32_t* bias;
    const float* multiplier;
    const float* shift;
};

// sums[m * vectors + v] + bias, for pixel m and vector v of four neighbouring outputs, to y[y + m * g->outputs + 4 * v + i].
//
// y: the element of the first; output: which of the outputs of a pixel that is; stored: how many of 4 * vectors are stored.
// pixels and vectors are constants, as is `stored` but for kernels that loop over it. Bytes are int8 where g->qmin < 0.
// The codes that are stored, of g->y_bits bits, are whole bytes; those of 4 * vectors outputs are, too.
SUBBYTE_INLINE void subbyte_arm_finish(const struct subbyte_arm_results* r, int32_t y, const int32x4_t* sums,
                                       int32_t pixels, int32_t vectors, int32_t output, int32_t stored,
                                       const struct subbyte_arm_conv* g) {
    const int32_t total = pixels * vectors;
    const int32_t together = vectors % 4 == 0 ? 4 : vectors == 2 ? 2 : 1;  // vectors that are neighbours in memory
    int32_t first, i;
    if (!r->multiplier) {
        SUBBYTE_UNROLL for (first = 0; first < total; first += vectors) {  // loops of at most 16 rounds
            SUBBYTE_UNROLL for (i = 0; i < vectors; ++i) {
                const int32_t n = subbyte_min_s32(stored - 4 * i, 4);
                const int32x4_t sum = vaddq_s32(sums[first + i], vld1q_s32(r->bias + output + 4 * i));
                if (n > 0) subbyte_arm_store_s32((int32_t*)r->y + y + first / vectors * g->outputs + 4 * i, sum, n);
            }
        }
        return;
    }
    SUBBYTE_UNROLL for (first = 0; first < total; first += 4) {
        int32x4_t steps[4];
        uint8x16_t codes;
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            const int32_t of = subbyte_min_s32(first + i, total - 1), at = output + of % vectors * 4;
            const int32x4_t sum = vaddq_s32(sums[of], vld1q_s32(r->bias + at));
            const float32x4_t multiplier = vld1q_f32(r->multiplier + at);
            steps[i] = r->shift ? subbyte_scale_shift_neon(sum, multiplier, vld1q_f32(r->shift + at))
                                : subbyte_scale_neon(sum, multiplier);
        }
        codes = subbyte_pack_codes_neon(steps[0], steps[1], steps[2], steps[3], g->y_zero, g->qmin, g->qmax);
        codes = subbyte_arm_join(codes, g->y_bits);
        SUBBYTE_UNROLL for (i = 0; i < 4; i += together) {
            const int32_t of = first + i, at = of % vectors * 4, n = subbyte_min_s32(stored - at, 4 * together);
            uint8_t* to = (uint8_t*)r->y + subbyte_whole_bytes(y + of / vectors * g->outputs + at, g->y_bits);
            const int32_t bytes = (int32_t)subbyte_whole_bytes(n, g->y_bits);
            if (of >= total || n <= 0) continue;
            if (together == 4)
                subbyte_arm_store_part(to, codes, bytes);
            else
                subbyte_arm_store_bytes(to, codes, i * g->y_bits / 2, bytes);
        }
    }
}

// The same where results take one step: bytes g->qmax where sum + bias is at least 0, g->qmin below; vectors % 4 is 0.
SUBBYTE_INLINE void subbyte_arm_finish_signs(const struct subbyte_arm_results* r, int32_t y, const int32x4_t* sums,
                                             int32_t pixels, int32_t vectors, int32_t output, int32_t stored,
                                             const struct subbyte_arm_conv* g) {
    const uint8x16_t least = vdupq_n_u8((uint8_t)g->qmin), most = vdupq_n_u8((uint8_t)g->qmax);
    int32_t first, i;
    SUBBYTE_UNROLL for (first = 0; first < pixels * vectors; first += 4) {
        const int32_t at = first % vectors * 4, n = subbyte_min_s32(stored - at, 16);
        int16x4_t tops[4];  // the upper halves; of those, the upper halves again
        int8x16_t signs;
        uint8x16_t codes;
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) tops[i] =
            vshrn_n_s32(vaddq_s32(sums[first + i], vld1q_s32(r->bias + output + at + 4 * i)), 16);
        signs =
            vcombine_s8(vshrn_n_s16(vcombine_s16(tops[0], tops[1]), 8), vshrn_n_s16(vcombine_s16(tops[2], tops[3]), 8));
        codes = subbyte_arm_join(vbslq_u8(vcgeq_s8(signs, vdupq_n_s8(0)), most, least), g->y_bits);
        if (n > 0)
            subbyte_arm_store_part(
                (uint8_t*)r->y + subbyte_whole_bytes(y + first / vectors * g->outputs + at, g->y_bits), codes,
                (int32_t)subbyte_whole_bytes(n, g->y_bits));
    }
}

#endif  // SUBBYTE_ARM_FINISH_H
