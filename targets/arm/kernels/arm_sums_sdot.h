// Sums of products by `sdot`: four products a lane, lanes are outputs; constant weights of 8 bits, or of fewer in their bits.

#ifndef SUBBYTE_ARM_SUMS_SDOT_H
#define SUBBYTE_ARM_SUMS_SDOT_H

#include "arm_finish.h"
#include "arm_stored_weights.h"

#if !defined(__ARM_FEATURE_DOTPROD)
#error "this file needs dot products: compile with -march=armv8.2-a+dotprod"
#endif

// What the inner loop needs beside the geometry. w: [panels][runs][groups of products][vectors][4 outputs][4 products], each
// run padded to whole groups of 4 products, or of 16 where weights have fewer than 8 bits; those that share bytes follow
// each other. levels: see subbyte_arm_load_levels.
struct subbyte_arm_sdot {
    struct subbyte_arm_results results;
    const uint8_t* w;
    const int8_t* levels;
    int32_t bits;
};

enum { SUBBYTE_ARM_SDOT_SUMS = 24, SUBBYTE_ARM_SDOT_PIXELS = 8 };  // of a register tile, at most

// sum + w * (products 4 * group to 4 * group + 3 of x), group a constant.
SUBBYTE_INLINE int32x4_t subbyte_arm_sdot_by_group(int32x4_t sum, int8x16_t w, int8x16_t x, int32_t group) {
    switch (group) {
        case 0:
            return vdotq_laneq_s32(sum, w, x, 0);
        case 1:
            return vdotq_laneq_s32(sum, w, x, 1);
        case 2:
            return vdotq_laneq_s32(sum, w, x, 2);
        default:
            return vdotq_laneq_s32(sum, w, x, 3);
    }
}

// The first 4 * groups bytes at x, of 4 groups at most; reads nothing beyond them.
SUBBYTE_INLINE int8x16_t subbyte_arm_sdot_load(const int8_t* x, int32_t groups) {
    int32_t last;
    if (groups == 4) return subbyte_arm_load_s8(x);
    if (groups == 2) return vcombine_s8(vld1_s8(x), vdup_n_s8(0));
    memcpy(&last, x + 4 * (groups - 1), sizeof last);
    if (groups == 1) return vreinterpretq_s8_s32(vdupq_n_s32(last));
    return vcombine_s8(vld1_s8(x), vreinterpret_s8_s32(vdup_n_s32(last)));
}

// Adds up to 4 groups of products to all sums of a register tile; returns the weights behind them.
SUBBYTE_INLINE const uint8_t* subbyte_arm_sdot_step(int32x4_t* sums, const int8_t* x, int32_t step, const uint8_t* w,
                                                    const struct subbyte_arm_levels* levels, int32_t bits,
                                                    int32_t groups, int32_t pixels, int32_t vectors) {
    const int32_t sharing = subbyte_arm_sharing(bits);
    uint8x16_t bytes = vdupq_n_u8(0);
    int8x16_t of_x[SUBBYTE_ARM_SDOT_PIXELS];
    int32_t m, k, v;
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) of_x[m] = subbyte_arm_sdot_load(x + m * step, groups);
    SUBBYTE_UNROLL for (k = 0; k < 4; ++k) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int32_t at = k * vectors + v;
            int8x16_t of_w;
            if (bits == 8 && k >= groups) continue;
            if (at % sharing == 0) {
                bytes = subbyte_arm_load_u8(w);
                w += SUBBYTE_ARM_BYTES;
            }
            if (k >= groups) continue;
            of_w = subbyte_arm_expand(bytes, levels, bits, at % sharing);
            SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) sums[m * vectors + v] =
                subbyte_arm_sdot_by_group(sums[m * vectors + v], of_w, of_x[m], k);
        }
    }
    return w;
}

// sums[m * vectors + v] = 0 for a register tile.
SUBBYTE_INLINE void subbyte_arm_sdot_clear(int32x4_t* sums, int32_t pixels, int32_t vectors) {
    int32_t m, v;
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) sums[m * vectors + v] = vdupq_n_s32(0);
    }
}

// Adds a run of products to all sums of a register tile; returns the weights behind them.
SUBBYTE_INLINE const uint8_t* subbyte_arm_sdot_run(int32x4_t* sums, const int8_t* x, int32_t step, const uint8_t* w,
                                                   const struct subbyte_arm_levels* levels, int32_t bits, int32_t run,
                                                   int32_t pixels, int32_t vectors) {
    const int32_t rest = (run % 16 + 3) / 4;
    int32_t k;
    for (k = run / 16; k > 0; --k, x += 16)
        w = subbyte_arm_sdot_step(sums, x, step, w, levels, bits, 4, pixels, vectors);
    return rest ? subbyte_arm_sdot_step(sums, x, step, w, levels, bits, rest, pixels, vectors) : w;
}

// A subbyte_arm_register_tile_sums.
SUBBYTE_INLINE void subbyte_arm_sdot_tile(const struct subbyte_arm_register_tile* tile,
                                          const struct subbyte_arm_conv* g, const void* own) {
    const struct subbyte_arm_sdot* p = (const struct subbyte_arm_sdot*)own;
    const struct subbyte_arm_levels levels = subbyte_arm_load_levels(p->levels, p->bits);
    const int32_t vectors = tile->summed / 4, run = subbyte_arm_run(g);
    const int32_t groups = p->bits == 8 ? (run + 3) / 4 : (run + 15) / 16 * 4;
    const uint8_t* w =
        p->w + (ptrdiff_t)tile->panel * subbyte_arm_runs(g) * groups * g->panel * 4 / subbyte_arm_sharing(p->bits);
    int32x4_t sums[SUBBYTE_ARM_SDOT_SUMS];
    int32_t i;
    subbyte_arm_sdot_clear(sums, tile->pixels, vectors);
    for (i = 0; i < subbyte_arm_runs(g); ++i) {
        const int8_t* x = tile->x + subbyte_arm_run_at(g, tile->pitch, i);
        w = subbyte_arm_sdot_run(sums, x, tile->step, w, &levels, p->bits, run, tile->pixels, vectors);
    }
    subbyte_arm_finish(&p->results, tile->y, sums, tile->pixels, vectors, tile->output, tile->stored, g);
}

SUBBYTE_INLINE void subbyte_arm_sdot_area(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                          const void* own) {
    subbyte_arm_register_tiles(area, g, subbyte_arm_sdot_tile, own);
}

// y = N4 of x * w + bias, or where `multiplier` is null the sums themselves, weights of `bits` bits. A run that is no multiple of
// 4 is read up to 3 bytes beyond its end.
SUBBYTE_INLINE void subbyte_arm_sums_sdot(const void* x, const uint8_t* w, const int8_t* levels, int32_t bits,
                                          const int32_t* bias, const float* multiplier, const float* shift, void* y,
                                          const struct subbyte_arm_conv* g, int32_t begin, int32_t end, void* scratch) {
    const struct subbyte_arm_sdot own = {{y, bias, multiplier, shift}, w, levels, bits};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_sdot_area, &own);
}

SUBBYTE_ARM_STORED_SUMS(sdot)

#endif  // SUBBYTE_ARM_SUMS_SDOT_H
