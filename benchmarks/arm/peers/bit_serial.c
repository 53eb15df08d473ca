// The inner loop of TVM's bit-serial convolution for Arm, of 2-bit weights and 2-bit activations, written anew: eight
// outputs of one pixel, 128 codes deep.
//
// For each pair of a weight's and an activation's bit: and, count, add the halves, add neighbours by a tree down to one
// byte for each of eight outputs, shift, and add pairwise into 16-bit sums that live in memory between the steps.
// With UNIPOLAR a weight's bit 0 stands for -1: the count of the inverted weights is subtracted.
//
// activations: [depth / 128][2 bits][16 bytes]; weights: [depth / 128][2 bits][8 outputs][16 bytes]. The shift is one of
// bytes, as there: counts of dense operands overflow. The sums may stay in a register from step to step, which TVM's
// program asks for in memory.
// Source: see benchmarks/arm/peers/__init__.py.
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

void peer(const uint8_t* activations, const uint8_t* weights, int16_t* sums, size_t depth);

static inline int8x8_t counts(uint8x16_t weights, uint8x16_t activations) {
    int8x16_t found = vreinterpretq_s8_u8(vcntq_u8(vandq_u8(weights, activations)));
#ifdef UNIPOLAR
    found = vsubq_s8(found, vreinterpretq_s8_u8(vcntq_u8(vbicq_u8(activations, weights))));
#endif
    return vadd_s8(vget_high_s8(found), vget_low_s8(found));
}

#define EACH _Pragma("clang loop unroll(full)")

void peer(const uint8_t* restrict activations, const uint8_t* restrict weights, int16_t* restrict sums, size_t depth) {
    int16x8_t sum = vdupq_n_s16(0);
    for (size_t k = 0; k < depth; k += 128, activations += 32, weights += 256) {
        EACH for (int w = 0; w < 2; ++w) {
            EACH for (int x = 0; x < 2; ++x) {
                uint8x16_t codes = vld1q_u8(activations + 16 * x);
                int8x8_t eight[8], four[4], two[2];
                EACH for (int i = 0; i < 8; ++i) eight[i] = counts(vld1q_u8(weights + 128 * w + 16 * i), codes);
                EACH for (int i = 0; i < 4; ++i) four[i] = vpadd_s8(eight[2 * i], eight[2 * i + 1]);
                EACH for (int i = 0; i < 2; ++i) two[i] = vpadd_s8(four[2 * i], four[2 * i + 1]);
                int8x16_t tree = vcombine_s8(two[0], two[1]) << (w + x);
#ifdef UNIPOLAR
                sum = vpadalq_s8(sum, tree);
#else
                sum = vreinterpretq_s16_u16(vpadalq_u8(vreinterpretq_u16_s16(sum), vreinterpretq_u8_s8(tree)));
#endif
            }
        }
    }
    vst1q_s16(sums, sum);
}
