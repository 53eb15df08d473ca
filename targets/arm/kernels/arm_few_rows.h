// Matrix products of few rows on Arm: weights, stored in 4, 2 or 1 bits, come once from memory, which is what takes the time.
//
// Weights are evenly spaced, lowest + step * digit, so a sum is step * (sum of x * digit) + lowest * (sum of x). 16 bytes hold the
// digits of 16 products for 8 / bits neighbouring outputs, those of the first in the lowest bits of each byte. The top digit
// is stored less half its range, in two's complement.

#ifndef SUBBYTE_ARM_FEW_ROWS_H
#define SUBBYTE_ARM_FEW_ROWS_H

#include "arm_finish.h"

enum { SUBBYTE_ARM_FEW_OUTPUTS = 8, SUBBYTE_ARM_FEW_ROWS = 2 };  // outputs of a register tile; its rows, at most

// w: [panels][groups of 16 products][bits][16 bytes], of 8 outputs each. offsets: [outputs], lowest, and for outputs whose
// digit is the top one of a byte lowest + step * half its range; padded to whole panels. block: groups whose products of
// digits, and whose codes, a lane of 16 bits holds.
struct subbyte_arm_few_rows {
    const uint8_t* w;
    const int32_t* offsets;
    int32_t bits, step, block;
    struct subbyte_arm_results results;
};

// Sums over the depth of one register tile, lanes apart: sums[m * 8 + i] of x * digit, of_x[m] of x.
typedef void subbyte_arm_few_rows_sums(int32x4_t* sums, int32x4_t* of_x, const int8_t* x, int32_t pitch, int32_t groups,
                                       const uint8_t* w, int32_t rows, const struct subbyte_arm_few_rows* p);

// Digit j of each byte as it is multiplied: the top one with its sign.
SUBBYTE_INLINE int8x16_t subbyte_arm_digit(uint8x16_t bytes, int32_t bits, int32_t j) {
    const uint8x16_t mask = vdupq_n_u8((uint8_t)((1 << bits) - 1));
    const int8x16_t as_signed = vreinterpretq_s8_u8(bytes);
    if (j == 0) return vreinterpretq_s8_u8(vandq_u8(bytes, mask));
    if (bits == 4) return vshrq_n_s8(as_signed, 4);
    if (bits == 2) {
        if (j == 3) return vshrq_n_s8(as_signed, 6);
        return vreinterpretq_s8_u8(vandq_u8(j == 1 ? vshrq_n_u8(bytes, 2) : vshrq_n_u8(bytes, 4), mask));
    }
    switch (j) {
        case 1:
            bytes = vshrq_n_u8(bytes, 1);
            break;
        case 2:
            bytes = vshrq_n_u8(bytes, 2);
            break;
        case 3:
            bytes = vshrq_n_u8(bytes, 3);
            break;
        case 4:
            bytes = vshrq_n_u8(bytes, 4);
            break;
        case 5:
            bytes = vshrq_n_u8(bytes, 5);
            break;
        case 6:
            bytes = vshrq_n_u8(bytes, 6);
            break;
        default:
            return vshrq_n_s8(as_signed, 7);
    }
    return vreinterpretq_s8_u8(vandq_u8(bytes, mask));
}

// By smlal: products of a block of groups are added in 16 bits.
SUBBYTE_INLINE void subbyte_arm_few_rows_sums_neon(int32x4_t* sums, int32x4_t* of_x, const int8_t* x, int32_t pitch,
                                                   int32_t groups, const uint8_t* w, int32_t rows,
                                                   const struct subbyte_arm_few_rows* p) {
    const int32_t sharing = 8 / p->bits;
    int32_t m, i, j;
    while (groups > 0) {
        int32_t n = subbyte_min_s32(groups, p->block);
        int16x8_t pairs[SUBBYTE_ARM_FEW_ROWS * SUBBYTE_ARM_FEW_OUTPUTS], codes[SUBBYTE_ARM_FEW_ROWS];
        groups -= n;
        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
            codes[m] = vdupq_n_s16(0);
            SUBBYTE_UNROLL for (i = 0; i < 8; ++i) pairs[m * 8 + i] = vdupq_n_s16(0);
        }
        for (; n > 0; --n, x += 16) {
            int8x16_t from[SUBBYTE_ARM_FEW_ROWS];
            uint8x16_t bytes[4];
            SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
                from[m] = subbyte_arm_load_s8(x + m * pitch);
                codes[m] = vpadalq_s8(codes[m], from[m]);
            }
            SUBBYTE_UNROLL for (i = 0; i < p->bits; ++i) bytes[i] = subbyte_arm_load_u8(w + SUBBYTE_ARM_BYTES * i);
            w += SUBBYTE_ARM_BYTES * p->bits;
            SUBBYTE_UNROLL for (i = 0; i < 8; i += 4) {  // sums of four outputs take turns
                int8x16_t digits[4];
                SUBBYTE_UNROLL for (j = 0; j < 4; ++j) {
                    digits[j] = subbyte_arm_digit(bytes[(i + j) / sharing], p->bits, (i + j) % sharing);
                }
                SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
                    int16x8_t* four = pairs + m * 8 + i;
                    SUBBYTE_UNROLL for (j = 0; j < 4; ++j) {
                        four[j] = subbyte_arm_multiply_add_low(four[j], from[m], digits[j]);
                    }
                    SUBBYTE_UNROLL for (j = 0; j < 4; ++j) {
                        four[j] = subbyte_arm_multiply_add_high(four[j], from[m], digits[j]);
                    }
                }
            }
        }
        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
            of_x[m] = vpadalq_s16(of_x[m], codes[m]);
            SUBBYTE_UNROLL for (i = 0; i < 8; ++i) sums[m * 8 + i] = vpadalq_s16(sums[m * 8 + i], pairs[m * 8 + i]);
        }
    }
}

#if defined(__ARM_FEATURE_DOTPROD)
// By sdot: what is multiplied is all digits up to j, which takes one mask and for the top one none; the differences in the end
// are multiples of the digits.
SUBBYTE_INLINE void subbyte_arm_few_rows_sums_sdot(int32x4_t* sums, int32x4_t* of_x, const int8_t* x, int32_t pitch,
                                                   int32_t groups, const uint8_t* w, int32_t rows,
                                                   const struct subbyte_arm_few_rows* p) {
    const int32_t sharing = 8 / p->bits;
    int32_t m, i, j;
    for (; groups > 0; --groups, x += 16) {
        int8x16_t from[SUBBYTE_ARM_FEW_ROWS];
        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
            from[m] = subbyte_arm_load_s8(x + m * pitch);
            of_x[m] = vdotq_s32(of_x[m], from[m], vdupq_n_s8(1));
        }
        SUBBYTE_UNROLL for (i = 0; i < 8; i += sharing) {
            const uint8x16_t bytes = subbyte_arm_load_u8(w);
            w += SUBBYTE_ARM_BYTES;
            SUBBYTE_UNROLL for (j = 0; j < sharing; ++j) {
                const uint8x16_t mask = vdupq_n_u8((uint8_t)((1 << (j + 1) * p->bits) - 1));
                const int8x16_t up_to = vreinterpretq_s8_u8(j + 1 < sharing ? vandq_u8(bytes, mask) : bytes);
                SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
                    sums[m * 8 + i + j] = vdotq_s32(sums[m * 8 + i + j], up_to, from[m]);
                }
            }
        }
    }
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
        SUBBYTE_UNROLL for (i = 7; i > 0; --i) {
            const int32x4_t places = vdupq_n_s32(-(i % sharing * p->bits));
            if (i % sharing) sums[m * 8 + i] = vshlq_s32(vsubq_s32(sums[m * 8 + i], sums[m * 8 + i - 1]), places);
        }
    }
}
#endif

// A register tile of `rows` rows and 8 outputs.
SUBBYTE_INLINE void subbyte_arm_few_rows_tile(const struct subbyte_arm_register_tile* tile,
                                              const struct subbyte_arm_conv* g, const struct subbyte_arm_few_rows* p,
                                              subbyte_arm_few_rows_sums* multiply) {
    const int32_t groups = (g->channels + 15) / 16, rows = g->pixels;
    const uint8_t* w = p->w + (ptrdiff_t)tile->panel * groups * p->bits * SUBBYTE_ARM_BYTES;
    int32x4_t sums[SUBBYTE_ARM_FEW_ROWS * SUBBYTE_ARM_FEW_OUTPUTS], of_x[SUBBYTE_ARM_FEW_ROWS];
    int32x4_t together[2 * SUBBYTE_ARM_FEW_ROWS];
    int32_t m, i;
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
        of_x[m] = vdupq_n_s32(0);
        SUBBYTE_UNROLL for (i = 0; i < 8; ++i) sums[m * 8 + i] = vdupq_n_s32(0);
    }
    multiply(sums, of_x, tile->x, tile->step, groups, w, rows, p);
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
        const int32x4_t codes = subbyte_arm_sums_across(of_x[m], of_x[m], of_x[m], of_x[m]);
        SUBBYTE_UNROLL for (i = 0; i < 2; ++i) {
            const int32x4_t* four = sums + m * 8 + 4 * i;
            const int32x4_t digits = subbyte_arm_sums_across(four[0], four[1], four[2], four[3]);
            const int32x4_t offsets = vmulq_s32(codes, vld1q_s32(p->offsets + tile->output + 4 * i));
            together[2 * m + i] = p->step == 1 ? vaddq_s32(offsets, digits) : vmlaq_n_s32(offsets, digits, p->step);
        }
    }
    subbyte_arm_finish(&p->results, tile->y, together, rows, 2, tile->output, tile->stored, g);
}

SUBBYTE_INLINE void subbyte_arm_few_rows_tile_neon(const struct subbyte_arm_register_tile* tile,
                                                   const struct subbyte_arm_conv* g, const void* own) {
    subbyte_arm_few_rows_tile(tile, g, (const struct subbyte_arm_few_rows*)own, subbyte_arm_few_rows_sums_neon);
}
SUBBYTE_INLINE void subbyte_arm_few_rows_area_neon(const struct subbyte_arm_area* area,
                                                   const struct subbyte_arm_conv* g, const void* own) {
    subbyte_arm_register_tiles(area, g, subbyte_arm_few_rows_tile_neon, own);
}

// y = N4 of x * w + bias; one run, read in whole groups of 16.
SUBBYTE_INLINE void subbyte_arm_few_rows_neon(const void* x, const uint8_t* w, const int32_t* offsets,
                                              const int32_t* bias, const float* multiplier, const float* shift, void* y,
                                              const struct subbyte_arm_conv* g, int32_t bits, int32_t step,
                                              int32_t block, int32_t begin, int32_t end, void* scratch) {
    const struct subbyte_arm_few_rows own = {w, offsets, bits, step, block, {y, bias, multiplier, shift}};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_few_rows_area_neon, &own);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void subbyte_arm_raw_few_rows_neon(const void* x, const uint8_t* w, const int32_t* offsets,
                                                  const int32_t* bias, int32_t* y, const struct subbyte_arm_conv* g,
                                                  int32_t bits, int32_t step, int32_t block, int32_t begin, int32_t end,
                                                  void* scratch) {
    subbyte_arm_few_rows_neon(x, w, offsets, bias, 0, 0, y, g, bits, step, block, begin, end, scratch);
}

#if defined(__ARM_FEATURE_DOTPROD)
SUBBYTE_INLINE void subbyte_arm_few_rows_tile_sdot(const struct subbyte_arm_register_tile* tile,
                                                   const struct subbyte_arm_conv* g, const void* own) {
    subbyte_arm_few_rows_tile(tile, g, (const struct subbyte_arm_few_rows*)own, subbyte_arm_few_rows_sums_sdot);
}
SUBBYTE_INLINE void subbyte_arm_few_rows_area_sdot(const struct subbyte_arm_area* area,
                                                   const struct subbyte_arm_conv* g, const void* own) {
    subbyte_arm_register_tiles(area, g, subbyte_arm_few_rows_tile_sdot, own);
}

// As subbyte_arm_few_rows_neon.
SUBBYTE_INLINE void subbyte_arm_few_rows_sdot(const void* x, const uint8_t* w, const int32_t* offsets,
                                              const int32_t* bias, const float* multiplier, const float* shift, void* y,
                                              const struct subbyte_arm_conv* g, int32_t bits, int32_t step,
                                              int32_t block, int32_t begin, int32_t end, void* scratch) {
    const struct subbyte_arm_few_rows own = {w, offsets, bits, step, block, {y, bias, multiplier, shift}};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_few_rows_area_sdot, &own);
}
SUBBYTE_INLINE void subbyte_arm_raw_few_rows_sdot(const void* x, const uint8_t* w, const int32_t* offsets,
                                                  const int32_t* bias, int32_t* y, const struct subbyte_arm_conv* g,
                                                  int32_t bits, int32_t step, int32_t block, int32_t begin, int32_t end,
                                                  void* scratch) {
    subbyte_arm_few_rows_sdot(x, w, offsets, bias, 0, 0, y, g, bits, step, block, begin, end, scratch);
}
#endif

#endif  // SUBBYTE_ARM_FEW_ROWS_H
