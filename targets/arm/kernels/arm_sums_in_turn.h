// Part of arm_sums.h for 32-bit Arm: products of bytes added in 16 bits, two to a lane, then in 32, in an order by hand.
//
// A sum goes through three steps: the products of eight codes, those of eight more, the addition to its sum of 32 bits. Each
// takes some six cycles to its result, and cores that issue in order wait for it; 16 registers are too few for compilers to
// find enough to do meanwhile. So outputs take turns: with the first step of one stand the second of the output before and
// the third of that before it. What passes SUBBYTE_ARM_IN_TURN stays in the order in which it is written.

#ifndef SUBBYTE_ARM_SUMS_IN_TURN_H
#define SUBBYTE_ARM_SUMS_IN_TURN_H

#include "arm_vector.h"

enum { SUBBYTE_ARM_CHAINS = 4 };  // the most sums of 16 bits that go through a step together: of a unit

#define SUBBYTE_ARM_IN_TURN(v) __asm__ volatile("" : "+w"(v))

// Step one of a unit: pairs[i * pixels + m], products of the lower codes of pixel m and of weights[i].
SUBBYTE_INLINE void subbyte_arm_step_low(int16x8_t* pairs, const int8x16_t* codes, const int8x16_t* weights,
                                         int32_t pixels, int32_t outputs) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < pixels * outputs; ++i) {
        int16x8_t sum = subbyte_arm_multiply_low(codes[i % pixels], weights[i / pixels]);
        SUBBYTE_ARM_IN_TURN(sum);
        pairs[i] = sum;
    }
}

// Step two: the products of the upper codes.
SUBBYTE_INLINE void subbyte_arm_step_high(int16x8_t* pairs, const int8x16_t* codes, const int8x16_t* weights,
                                          int32_t pixels, int32_t outputs) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < pixels * outputs; ++i) {
        int16x8_t sum = subbyte_arm_multiply_add_high(pairs[i], codes[i % pixels], weights[i / pixels]);
        SUBBYTE_ARM_IN_TURN(sum);
        pairs[i] = sum;
    }
}

// Step three: the addition to sums of 32 bits.
SUBBYTE_INLINE void subbyte_arm_step_widen(int32x4_t* sums, const int16x8_t* pairs, int32_t chains) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < chains; ++i) {
        int32x4_t sum = vpadalq_s16(sums[i], pairs[i]);
        SUBBYTE_ARM_IN_TURN(sum);
        sums[i] = sum;
    }
}

// sums[j * pixels + m] += products of a group of 16 codes of pixel m, from x + m * step on, and the weights w + 16 * j. Two
// products are added in 16 bits, which the caller proves to fit.
SUBBYTE_INLINE void subbyte_arm_add_in_turn(int32x4_t* sums, const int8_t* x, int32_t step, const int8_t* w,
                                            int32_t pixels, int32_t outputs) {
    const int32_t unit = pixels == 1 ? subbyte_min_s32(2, outputs) : 1;  // outputs that make one step together
    const int32_t units = (outputs + unit - 1) / unit, last = outputs - (units - 1) * unit, chains = unit * pixels;
    int16x8_t pairs[3][SUBBYTE_ARM_CHAINS];
    int8x16_t codes[SUBBYTE_ARM_CHAINS], weights[2][2];
    int32_t t, i, m;
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) codes[m] = subbyte_arm_load_s8(x + m * step);
    SUBBYTE_UNROLL for (t = 0; t < units; ++t) {
        const int32_t own = t == units - 1 ? last : unit;
        SUBBYTE_UNROLL for (i = 0; i < own; ++i) weights[t % 2][i] = subbyte_arm_load_s8(w + 16 * (t * unit + i));
        subbyte_arm_step_low(pairs[t % 3], codes, weights[t % 2], pixels, own);
        if (t > 0) subbyte_arm_step_high(pairs[(t - 1) % 3], codes, weights[(t - 1) % 2], pixels, unit);
        if (t > 1) subbyte_arm_step_widen(sums + (t - 2) * chains, pairs[(t - 2) % 3], chains);
    }
    subbyte_arm_step_high(pairs[(units - 1) % 3], codes, weights[(units - 1) % 2], pixels, last);
    if (units > 1) subbyte_arm_step_widen(sums + (units - 2) * chains, pairs[(units - 2) % 3], chains);
    subbyte_arm_step_widen(sums + (units - 1) * chains, pairs[(units - 1) % 3], last * pixels);
}

#endif  // SUBBYTE_ARM_SUMS_IN_TURN_H
