// The inner loop of XNNPACK's int8 product for NEON in C, written anew: two rows, eight columns, 16 deep.
//
// activations: rows depth + 64 bytes apart; weights: [depth / 16][2][8 columns][8 codes];
// sums: [8 columns][2 rows][4 partial sums].
// Source: see benchmarks/arm/peers/__init__.py.
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

void peer(const int8_t* activations, const int8_t* weights, int32_t* sums, size_t depth);

#define EACH _Pragma("clang loop unroll(full)")

void peer(const int8_t* restrict activations, const int8_t* restrict weights, int32_t* restrict sums, size_t depth) {
    const int8_t* row[2] = {activations, activations + depth + 64};
    int32x4_t sum[8][2];
    EACH for (int j = 0; j < 8; ++j) EACH for (int i = 0; i < 2; ++i) sum[j][i] = vdupq_n_s32(0);
    for (size_t k = depth; k >= 16; k -= 16) {
        int8x8_t codes[2][2], near[8];
        EACH for (int i = 0; i < 2; ++i) {
            EACH for (int half = 0; half < 2; ++half) codes[i][half] = vld1_s8(row[i]), row[i] += 8;
        }
        EACH for (int j = 0; j < 8; ++j) near[j] = vld1_s8(weights), weights += 8;
        EACH for (int j = 0; j < 8; ++j) {
            int8x8_t far = vld1_s8(weights);
            int16x8_t product[2];
            weights += 8;
            EACH for (int i = 0; i < 2; ++i) product[i] = vmull_s8(near[j], codes[i][0]);
            EACH for (int i = 0; i < 2; ++i) product[i] = vmlal_s8(product[i], far, codes[i][1]);
            EACH for (int i = 0; i < 2; ++i) sum[j][i] = vpadalq_s16(sum[j][i], product[i]);
        }
    }
    EACH for (int j = 0; j < 8; ++j) EACH for (int i = 0; i < 2; ++i) vst1q_s32(sums + 4 * (2 * j + i), sum[j][i]);
}
