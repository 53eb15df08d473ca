// Convolutions and matrix products with constant weights of signed bytes on Arm: exact sums, then N4. Products of bytes are
// added in 16 bits for as long as they provably fit, then in 32.
//
// Lanes run along K: a group is 16 codes that lie side by side in the input, and lane i of a sum gains the products of codes
// i and i + 8 of it. So weights need no more than a load, and codes no copies; the lanes of a sum are added at its end.

#ifndef SUBBYTE_ARM_SUMS_H
#define SUBBYTE_ARM_SUMS_H

#include "arm_finish.h"
#if !defined(__aarch64__)
#include "arm_sums_in_turn.h"
#endif

enum { SUBBYTE_ARM_SUMS = 16, SUBBYTE_ARM_PIXELS = 8, SUBBYTE_ARM_OUTPUTS = 8 };  // the most of a register tile

// w: for each panel [runs][groups][outputs][16], of a last panel those that are summed; a run is one of arm_conv.h, padded
// with zeros to whole groups. Products are added in 16 bits
//   * piece > 0: of `piece` groups of a run, or of `pieces` pieces if pieces are whole runs; then they begin anew;
//   * piece = 0: of one group.
// gathered: 1: the runs of each pixel's window are copied to scratch without gaps, where they make one run; for runs that are
// no multiple of 16, of windows that are copies themselves.
// rest_of: null, or rests[k], for k from rest_of[panel] to rest_of[panel + 1] - 1, is a further group [outputs][16] for the
// codes at rest_at[k] of a window or of what was gathered: what was taken from weights, so that their products fit 16 bits.
struct subbyte_arm_sums {
    const int8_t* w;
    const int32_t* rest_of;
    const int32_t* rest_at;
    const int8_t* rests;
    int32_t groups, piece, pieces, gathered;
    struct subbyte_arm_results results;
};

// sums[m] += products of codes[m] * weights of one group, in 16 bits.
SUBBYTE_INLINE void subbyte_arm_add_group(int16x8_t* sums, const int8x16_t* codes, int8x16_t weights, int32_t pixels) {
    int32_t m;
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) sums[m] = subbyte_arm_multiply_add_low(sums[m], codes[m], weights);
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) sums[m] = subbyte_arm_multiply_add_high(sums[m], codes[m], weights);
}

// Adds one group to sums of 32 bits by way of 16 bits: sums[j * pixels + m] for output j and pixel m, whose codes are at
// x + m * step. The operands that are more, codes or weights, stay in registers while the others come one by one: four and
// more sums are on their way at a time, and compilers have no reason to begin further ones, for which registers would not do.
SUBBYTE_INLINE void subbyte_arm_add_widened(int32x4_t* sums, const int8_t* x, int32_t step, const int8_t* w,
                                            int32_t pixels, int32_t outputs) {
    const int32_t by_output = pixels >= outputs, held = by_output ? pixels : outputs,
                  others = by_output ? outputs : pixels;
    int8x16_t operands[SUBBYTE_ARM_PIXELS];
    int32_t i, k;
    SUBBYTE_UNROLL for (i = 0; i < held; ++i) operands[i] = subbyte_arm_load_s8(by_output ? x + i * step : w + 16 * i);
    SUBBYTE_UNROLL for (k = 0; k < others; ++k) {
        const int8x16_t other = subbyte_arm_load_s8(by_output ? w + 16 * k : x + k * step);
        int16x8_t pairs[SUBBYTE_ARM_PIXELS];
        SUBBYTE_UNROLL for (i = 0; i < held; ++i) pairs[i] = subbyte_arm_multiply_low(operands[i], other);
        SUBBYTE_UNROLL for (i = 0; i < held; ++i) pairs[i] =
            subbyte_arm_multiply_add_high(pairs[i], operands[i], other);
        SUBBYTE_UNROLL for (i = 0; i < held; ++i) {
            int32x4_t* sum = sums + (by_output ? k * pixels + i : i * pixels + k);
            *sum = vpadalq_s16(*sum, pairs[i]);
        }
    }
}

// The same of `groups` groups of a run.
SUBBYTE_INLINE void subbyte_arm_add_run(int32x4_t* sums, const int8_t* x, int32_t step, const int8_t* w, int32_t groups,
                                        int32_t pixels, int32_t outputs) {
    for (; groups > 0; --groups) {
#if defined(__aarch64__)
        subbyte_arm_add_widened(sums, x, step, w, pixels, outputs);
#else
        subbyte_arm_add_in_turn(sums, x, step, w, pixels, outputs);
#endif
        x += 16;
        w += outputs * 16;
    }
}

// Adds `groups` groups of a run to sums that stay in 16 bits.
SUBBYTE_INLINE void subbyte_arm_add_short(int16x8_t* sums, const int8_t* x, int32_t step, const int8_t* w,
                                          int32_t groups, int32_t pixels, int32_t outputs) {
    int32_t j, m;
    for (; groups > 0; --groups) {
        int8x16_t codes[SUBBYTE_ARM_PIXELS];
        SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) codes[m] = subbyte_arm_load_s8(x + m * step);
        SUBBYTE_UNROLL for (j = 0; j < outputs; ++j) {
            subbyte_arm_add_group(sums + j * pixels, codes, subbyte_arm_load_s8(w + 16 * j), pixels);
        }
        x += 16;
        w += outputs * 16;
    }
}

// sums[j * pixels + m] of a register tile, which are zeros before; w: the panel.
SUBBYTE_INLINE void subbyte_arm_multiply(int32x4_t* sums, const struct subbyte_arm_register_tile* tile, const int8_t* w,
                                         const struct subbyte_arm_sums* s, const struct subbyte_arm_conv* g,
                                         int32_t pixels, int32_t outputs) {
    const int32_t runs = s->gathered ? 1 : subbyte_arm_runs(g), group_bytes = outputs * 16;
    const int32_t pieces = s->piece ? runs * ((s->groups + s->piece - 1) / s->piece) : 0;
    const int16x8_t zero = vdupq_n_s16(0);
    int16x8_t shorts[SUBBYTE_ARM_SUMS];
    int32_t r, k, m, held = 0;
    SUBBYTE_UNROLL for (m = 0; m < pixels * outputs; ++m) shorts[m] = zero;
    for (r = 0; r < runs; ++r, w += s->groups * group_bytes) {
        const int8_t* x = tile->x + subbyte_arm_run_at(g, tile->pitch, r);
        if (!s->piece) {
            subbyte_arm_add_run(sums, x, tile->step, w, s->groups, pixels, outputs);
            continue;
        }
        for (k = 0; k < s->groups; k += s->piece) {
            subbyte_arm_add_short(shorts, x + 16 * k, tile->step, w + k * group_bytes,
                                  subbyte_min_s32(s->groups - k, s->piece), pixels, outputs);
            if (s->pieces < pieces && ++held == s->pieces) {
                SUBBYTE_UNROLL for (m = 0; m < pixels * outputs; ++m) {
                    sums[m] = vpadalq_s16(sums[m], shorts[m]);
                    shorts[m] = zero;
                }
                held = 0;
            }
        }
    }
    if (pieces == 1 || s->pieces > 1) {
        SUBBYTE_UNROLL for (m = 0; m < pixels * outputs; ++m) sums[m] = vpadalq_s16(sums[m], shorts[m]);
    }
    if (s->rest_of)
        for (k = s->rest_of[tile->panel]; k < s->rest_of[tile->panel + 1]; ++k)
            subbyte_arm_add_widened(sums, tile->x + s->rest_at[k], tile->step, s->rests + k * g->panel * 16, pixels,
                                    outputs);
}

// The register tile `tile`: its sums, their lanes added, and what becomes of them.
SUBBYTE_INLINE void subbyte_arm_sum_tile(const struct subbyte_arm_register_tile* tile, const struct subbyte_arm_conv* g,
                                         const void* own) {
    const struct subbyte_arm_sums* s = (const struct subbyte_arm_sums*)own;
    const int32_t runs = s->gathered ? 1 : subbyte_arm_runs(g);
    const int8_t* w = s->w + tile->panel * g->panel * runs * s->groups * 16;
    const int32_t pixels = g->pixels, outputs = tile->summed, vectors = (outputs + 3) / 4;
    const int32x4_t zero = vdupq_n_s32(0);
    int32x4_t sums[SUBBYTE_ARM_SUMS], of_pixels[SUBBYTE_ARM_SUMS];
    int32_t m, v;
    SUBBYTE_UNROLL for (m = 0; m < pixels * outputs; ++m) sums[m] = zero;
    subbyte_arm_multiply(sums, tile, w, s, g, pixels, outputs);
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int32_t j = 4 * v;
            of_pixels[m * vectors + v] =
                subbyte_arm_sums_across(sums[j * pixels + m], j + 1 < outputs ? sums[(j + 1) * pixels + m] : zero,
                                        j + 2 < outputs ? sums[(j + 2) * pixels + m] : zero,
                                        j + 3 < outputs ? sums[(j + 3) * pixels + m] : zero);
        }
    }
    subbyte_arm_finish(&s->results, tile->y, of_pixels, pixels, vectors, tile->output, tile->stored, g);
}

// The runs of a pixel's window, one behind the other. Reads and writes up to 15 bytes behind them.
SUBBYTE_INLINE void subbyte_arm_gather(int8_t* to, const int8_t* x, int32_t pitch, const struct subbyte_arm_conv* g) {
    const int32_t run = subbyte_arm_run(g);
    int32_t r, k;
    for (r = 0; r < subbyte_arm_runs(g); ++r, to += run) {
        const int8_t* from = x + subbyte_arm_run_at(g, pitch, r);
        for (k = 0; k < run; k += 16) vst1q_s8(to + k, subbyte_arm_load_s8(from + k));
    }
}

SUBBYTE_INLINE void subbyte_arm_sum_area(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                         const void* own) {
    const struct subbyte_arm_sums* s = (const struct subbyte_arm_sums*)own;
    struct subbyte_arm_area row = *area;
    int32_t column;
    if (!s->gathered) {
        subbyte_arm_register_tiles(area, g, subbyte_arm_sum_tile, own);
        return;
    }
    row.x = (const int8_t*)area->free;
    row.pitch = 0;
    row.step = s->groups * 16;
    for (row.row_0 = area->row_0; row.row_0 < area->row_1; ++row.row_0) {
        const int8_t* x = area->x + (row.row_0 - area->row_0) * g->stride_height * area->pitch;
        row.row_1 = row.row_0 + 1;
        for (column = 0; column < area->column_1 - area->column_0; ++column)
            subbyte_arm_gather((int8_t*)area->free + column * row.step, x + column * area->step, area->pitch, g);
        subbyte_arm_register_tiles(&row, g, subbyte_arm_sum_tile, own);
    }
}

// y = N4 of x * w + bias, codes of a byte; arguments as in struct subbyte_arm_sums and subbyte_arm_results.
SUBBYTE_INLINE void subbyte_arm_sums_s8s8(const void* x, const int8_t* w, const int32_t* rest_of,
                                          const int32_t* rest_at, const int8_t* rests, const int32_t* bias,
                                          const float* multiplier, const float* shift, void* y,
                                          const struct subbyte_arm_conv* g, int32_t groups, int32_t piece,
                                          int32_t pieces, int32_t gathered, int32_t begin, int32_t end, void* scratch) {
    const struct subbyte_arm_sums own = {
        w, rest_of, rest_at, rests, groups, piece, pieces, gathered, {y, bias, multiplier, shift}};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_sum_area, &own);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void subbyte_arm_sums_s8s8s32(const void* x, const int8_t* w, const int32_t* rest_of,
                                             const int32_t* rest_at, const int8_t* rests, const int32_t* bias,
                                             int32_t* y, const struct subbyte_arm_conv* g, int32_t groups,
                                             int32_t piece, int32_t pieces, int32_t gathered, int32_t begin,
                                             int32_t end, void* scratch) {
    const struct subbyte_arm_sums own = {w, rest_of, rest_at, rests, groups, piece, pieces, gathered, {y, bias, 0, 0}};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_sum_area, &own);
}

#endif  // SUBBYTE_ARM_SUMS_H
