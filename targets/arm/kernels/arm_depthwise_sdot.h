// Depthwise convolutions 3x3 of stride 1 by `sdot`: the four products of a lane are those of four rows of one channel, for two
// rows of results at once.

#ifndef SUBBYTE_ARM_DEPTHWISE_SDOT_H
#define SUBBYTE_ARM_DEPTHWISE_SDOT_H

#include "arm_finish.h"

#if !defined(__ARM_FEATURE_DOTPROD)
#error "this file needs dot products: compile with -march=armv8.2-a+dotprod"
#endif

// w: for each block of 8 channels [2 rows of results][3 columns][2][4 channels][4 rows of the window]: the upper row of results
// has weight 0 for the last row of the window, the lower one for the first.
struct subbyte_arm_depthwise_sdot {
    const int8_t* w;
    struct subbyte_arm_results results;
};

enum { SUBBYTE_ARM_DEPTHWISE_SDOT_PIXELS = 4 };  // neighbours in a row, at most

// 8 channels of four rows: [2][4 channels][4 rows].
SUBBYTE_INLINE void subbyte_arm_depthwise_column(int8x16_t* to, const int8_t* const* rows, int32_t at) {
    const int8x16_t zero = vdupq_n_s8(0);
    const int8x16_t a = vcombine_s8(vld1_s8(rows[0] + at), vget_low_s8(zero));
    const int8x16_t b = vcombine_s8(vld1_s8(rows[1] + at), vget_low_s8(zero));
    const int8x16_t c = vcombine_s8(vld1_s8(rows[2] + at), vget_low_s8(zero));
    const int8x16_t d = vcombine_s8(vld1_s8(rows[3] + at), vget_low_s8(zero));
    const int16x8_t upper = vreinterpretq_s16_s8(vzip1q_s8(a, b)), lower = vreinterpretq_s16_s8(vzip1q_s8(c, d));
    to[0] = vreinterpretq_s8_s16(vzip1q_s16(upper, lower));
    to[1] = vreinterpretq_s8_s16(vzip2q_s16(upper, lower));
}

// Two rows by g->pixels neighbours of 8 channels from `channel` on; y: the element of the first; rows: of the window, at its
// first column. `both` is 0 where the lower row is not stored.
SUBBYTE_INLINE void subbyte_arm_depthwise_sdot_tile(const int8_t* const* rows, const int8x16_t* w, int32_t y,
                                                    int32_t channel, int32_t both, const struct subbyte_arm_conv* g,
                                                    const struct subbyte_arm_depthwise_sdot* p) {
    int32x4_t upper[2 * SUBBYTE_ARM_DEPTHWISE_SDOT_PIXELS], lower[2 * SUBBYTE_ARM_DEPTHWISE_SDOT_PIXELS];
    int32_t column, m, v;
    SUBBYTE_UNROLL for (m = 0; m < 2 * g->pixels; ++m) upper[m] = lower[m] = vdupq_n_s32(0);
    SUBBYTE_UNROLL for (column = 0; column < g->pixels + 2; ++column) {
        int8x16_t of_x[2];
        subbyte_arm_depthwise_column(of_x, rows, column * g->channels);
        SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
            const int32_t tap = column - m;
            if (tap < 0 || tap > 2) continue;
            SUBBYTE_UNROLL for (v = 0; v < 2; ++v) {
                upper[2 * m + v] = vdotq_s32(upper[2 * m + v], of_x[v], w[2 * tap + v]);
                lower[2 * m + v] = vdotq_s32(lower[2 * m + v], of_x[v], w[6 + 2 * tap + v]);
            }
        }
    }
    subbyte_arm_finish(&p->results, y, upper, g->pixels, 2, channel, 8, g);
    if (both) subbyte_arm_finish(&p->results, y + g->out_width * g->outputs, lower, g->pixels, 2, channel, 8, g);
}

// A subbyte_arm_area_sums.
SUBBYTE_INLINE void subbyte_arm_depthwise_sdot_area(const struct subbyte_arm_area* area,
                                                    const struct subbyte_arm_conv* g, const void* own) {
    const struct subbyte_arm_depthwise_sdot* p = (const struct subbyte_arm_depthwise_sdot*)own;
    const int32_t both = area->row_1 - area->row_0 > 1;
    int32_t row, channel, column, i;
    for (row = area->row_0; row < area->row_1; row += 2) {
        // The last pair of rows begins early enough to be whole; of a single row the window ends before a fourth.
        const int32_t first = both ? subbyte_min_s32(row, area->row_1 - 2) : row;
        const int8_t* window = area->x + (first - area->row_0) * area->pitch;
        for (channel = 0; channel < g->channels; channel += 8) {
            int8x16_t w[12];
            SUBBYTE_UNROLL for (i = 0; i < 12; ++i) w[i] = subbyte_arm_load_s8(p->w + channel * 24 + 16 * i);
            for (column = area->column_0; column < area->column_1; column += g->pixels) {
                const int32_t at = subbyte_min_s32(column, area->column_1 - g->pixels);
                const int8_t* from = window + (at - area->column_0) * g->channels + channel;
                const int8_t* rows[4];
                SUBBYTE_UNROLL for (i = 0; i < 4; ++i) rows[i] = from + (i < 3 || both ? i : 2) * area->pitch;
                subbyte_arm_depthwise_sdot_tile(
                    rows, w, ((area->image * g->out_height + first) * g->out_width + at) * g->outputs + channel,
                    channel, both, g, p);
            }
        }
    }
}

// y = N4 of the sums of x * w by channel, plus bias.
SUBBYTE_INLINE void subbyte_arm_depthwise_sdot(const void* x, const int8_t* w, const int32_t* bias,
                                               const float* multiplier, const float* shift, void* y,
                                               const struct subbyte_arm_conv* g, int32_t begin, int32_t end,
                                               void* scratch) {
    const struct subbyte_arm_depthwise_sdot own = {w, {y, bias, multiplier, shift}};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_depthwise_sdot_area, &own);
}

#endif  // SUBBYTE_ARM_DEPTHWISE_SDOT_H
