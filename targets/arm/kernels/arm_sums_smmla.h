// Sums of products by `smmla`: two pixels by two outputs by eight products at a time; constant weights of 8 bits, or of fewer
// in their bits.

#ifndef SUBBYTE_ARM_SUMS_SMMLA_H
#define SUBBYTE_ARM_SUMS_SMMLA_H

#include "arm_finish.h"
#include "arm_stored_weights.h"

#if !defined(__ARM_FEATURE_MATMUL_INT8)
#error "this file needs matrix products of bytes: compile with -march=armv8.2-a+i8mm"
#endif

// What the inner loop needs beside the geometry. w: [panels][runs][groups of products][pairs of outputs][2 outputs]
// [8 products], each run padded to whole groups; those that share bytes follow each other, and belong to one group.
// levels: see subbyte_arm_load_levels.
struct subbyte_arm_smmla {
    struct subbyte_arm_results results;
    const uint8_t* w;
    const int8_t* levels;
    int32_t bits;
};

enum { SUBBYTE_ARM_SMMLA_SUMS = 24, SUBBYTE_ARM_SMMLA_PIXELS = 8 };  // of a register tile, at most

SUBBYTE_INLINE int32x4_t subbyte_arm_low_halves(int32x4_t a, int32x4_t b) {
    return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}
SUBBYTE_INLINE int32x4_t subbyte_arm_high_halves(int32x4_t a, int32x4_t b) {
    return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

// of_pairs[p * pairs + v], two pixels by two outputs: 0 for a register tile.
SUBBYTE_INLINE void subbyte_arm_smmla_clear(int32x4_t* of_pairs, int32_t pixels, int32_t pairs) {
    int32_t m, v;
    SUBBYTE_UNROLL for (m = 0; m < pixels / 2; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < pairs; ++v) of_pairs[m * pairs + v] = vdupq_n_s32(0);
    }
}

// Adds a run of products, in whole groups of 8, to all sums of a register tile; returns the weights behind them.
SUBBYTE_INLINE const uint8_t* subbyte_arm_smmla_run(int32x4_t* of_pairs, const int8_t* x, int32_t step,
                                                    const uint8_t* w, const struct subbyte_arm_levels* levels,
                                                    int32_t bits, int32_t run, int32_t pixels, int32_t pairs) {
    const int32_t sharing = subbyte_arm_sharing(bits);
    uint8x16_t bytes = vdupq_n_u8(0);
    int32_t k, m, v;
    for (k = (run + 7) / 8; k > 0; --k, x += 8) {
        int8x16_t of_x[SUBBYTE_ARM_SMMLA_PIXELS / 2];
        SUBBYTE_UNROLL for (m = 0; m < pixels / 2; ++m) {
            of_x[m] = vcombine_s8(vld1_s8(x + 2 * m * step), vld1_s8(x + (2 * m + 1) * step));
        }
        SUBBYTE_UNROLL for (v = 0; v < pairs; ++v) {
            int8x16_t of_w;
            if (v % sharing == 0) {
                bytes = subbyte_arm_load_u8(w);
                w += SUBBYTE_ARM_BYTES;
            }
            of_w = subbyte_arm_expand(bytes, levels, bits, v % sharing);
            SUBBYTE_UNROLL for (m = 0; m < pixels / 2; ++m) {
                of_pairs[m * pairs + v] = vmmlaq_s32(of_pairs[m * pairs + v], of_x[m], of_w);
            }
        }
    }
    return w;
}

// sums[m * vectors + v], of one pixel and four outputs each, out of those of pairs.
SUBBYTE_INLINE void subbyte_arm_smmla_apart(int32x4_t* sums, const int32x4_t* of_pairs, int32_t pixels,
                                            int32_t vectors) {
    int32_t m, v;
    SUBBYTE_UNROLL for (m = 0; m < pixels / 2; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int32x4_t a = of_pairs[2 * (m * vectors + v)], b = of_pairs[2 * (m * vectors + v) + 1];
            sums[2 * m * vectors + v] = subbyte_arm_low_halves(a, b);
            sums[(2 * m + 1) * vectors + v] = subbyte_arm_high_halves(a, b);
        }
    }
}

// A subbyte_arm_register_tile_sums; pixels are even.
SUBBYTE_INLINE void subbyte_arm_smmla_tile(const struct subbyte_arm_register_tile* tile,
                                           const struct subbyte_arm_conv* g, const void* own) {
    const struct subbyte_arm_smmla* p = (const struct subbyte_arm_smmla*)own;
    const struct subbyte_arm_levels levels = subbyte_arm_load_levels(p->levels, p->bits);
    const int32_t vectors = tile->summed / 4, run = subbyte_arm_run(g);
    const uint8_t* w = p->w + (ptrdiff_t)tile->panel * subbyte_arm_runs(g) * ((run + 7) / 8) * g->panel * 8 /
                                  subbyte_arm_sharing(p->bits);
    int32x4_t of_pairs[SUBBYTE_ARM_SMMLA_SUMS], sums[SUBBYTE_ARM_SMMLA_SUMS];
    int32_t i;
    subbyte_arm_smmla_clear(of_pairs, tile->pixels, 2 * vectors);
    for (i = 0; i < subbyte_arm_runs(g); ++i) {
        const int8_t* x = tile->x + subbyte_arm_run_at(g, tile->pitch, i);
        w = subbyte_arm_smmla_run(of_pairs, x, tile->step, w, &levels, p->bits, run, tile->pixels, 2 * vectors);
    }
    subbyte_arm_smmla_apart(sums, of_pairs, tile->pixels, vectors);
    subbyte_arm_finish(&p->results, tile->y, sums, tile->pixels, vectors, tile->output, tile->stored, g);
}

SUBBYTE_INLINE void subbyte_arm_smmla_area(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                           const void* own) {
    subbyte_arm_register_tiles(area, g, subbyte_arm_smmla_tile, own);
}

// y = N4 of x * w + bias, or where `multiplier` is null the sums themselves, weights of `bits` bits. A run that is no multiple of
// 8 is read up to 7 bytes beyond its end.
SUBBYTE_INLINE void subbyte_arm_sums_smmla(const void* x, const uint8_t* w, const int8_t* levels, int32_t bits,
                                           const int32_t* bias, const float* multiplier, const float* shift, void* y,
                                           const struct subbyte_arm_conv* g, int32_t begin, int32_t end,
                                           void* scratch) {
    const struct subbyte_arm_smmla own = {{y, bias, multiplier, shift}, w, levels, bits};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_smmla_area, &own);
}

SUBBYTE_ARM_STORED_SUMS(smmla)

#endif  // SUBBYTE_ARM_SUMS_SMMLA_H
