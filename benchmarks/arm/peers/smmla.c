// The inner loop of XNNPACK's int8 product for i8mm, written anew: four rows, sixteen columns, 16 deep.
//
// activations: rows depth + 64 bytes apart; weights: [depth / 8][8 pairs of columns][2 columns][8 codes];
// sums: [2 pairs of rows][8 pairs of columns][2 rows][2 columns].
// Source: see benchmarks/arm/peers/__init__.py.
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

void peer(const int8_t* activations, const int8_t* weights, int32_t* sums, size_t depth);

#define EACH _Pragma("clang loop unroll(full)")

void peer(const int8_t* restrict activations, const int8_t* restrict weights, int32_t* restrict sums, size_t depth) {
    const int8_t* row[4];
    int32x4_t sum[2][8];
    EACH for (int i = 0; i < 4; ++i) row[i] = activations + (size_t)i * (depth + 64);
    EACH for (int i = 0; i < 2; ++i) EACH for (int j = 0; j < 8; ++j) sum[i][j] = vdupq_n_s32(0);
    for (size_t k = depth; k >= 16; k -= 16) {
        int8x16_t pair[2][2], column[16];
        EACH for (int i = 0; i < 2; ++i) {
            int64x2_t even = vreinterpretq_s64_s8(vld1q_s8(row[2 * i]));
            int64x2_t odd = vreinterpretq_s64_s8(vld1q_s8(row[2 * i + 1]));
            row[2 * i] += 16, row[2 * i + 1] += 16;
            pair[i][0] = vreinterpretq_s8_s64(vtrn1q_s64(even, odd));
            pair[i][1] = vreinterpretq_s8_s64(vtrn2q_s64(even, odd));
        }
        EACH for (int j = 0; j < 16; ++j) column[j] = vld1q_s8(weights + 16 * j);
        weights += 256;
        EACH for (int half = 0; half < 2; ++half) EACH for (int i = 0; i < 2; ++i) EACH for (int j = 0; j < 8; ++j)
            sum[i][j] = vmmlaq_s32(sum[i][j], pair[i][half], column[8 * half + j]);
    }
    EACH for (int i = 0; i < 2; ++i) EACH for (int j = 0; j < 8; ++j) vst1q_s32(sums + 4 * (8 * i + j), sum[i][j]);
}
