// Sums of products on Arm by bits: codes and weights of a few bits each as planes of bits, `and` of two planes, and a count.
//
//     sum over k of w_k * x_k = level * (sum over k of x_k) + sum over i, j of factor_ij * count(W_i & X_j)
//
// where w_k = level + sum over i of f_i * (bit k of plane W_i), x_k = sum over j of 2^j * (bit k of plane X_j), and
// factor_ij = f_i * 2^j. Weights in two's complement have f = 1, 2, ..., -2^(b - 1) and level 0: zero maps to zero, and each
// pair of planes is counted once. Weights of two values are one plane, f their distance.
//
// Counts of 128 bits grow as bytes, at most 8 a step, and are widened after at most 31 steps.

#ifndef SUBBYTE_ARM_BIT_SERIAL_H
#define SUBBYTE_ARM_BIT_SERIAL_H

#include "arm_slabs.h"

enum {
    SUBBYTE_ARM_BITS_PIXELS = 4,
    SUBBYTE_ARM_BITS_GROUP = 8,
    SUBBYTE_ARM_BITS_PLANES = 4,
    SUBBYTE_ARM_BITS_PAIRS = 12,
    SUBBYTE_ARM_BITS_PANEL = 16,  // outputs; g->panel
};

// x_planes, w_planes: of codes and of weights. A pixel of the input is `lanes` bytes of each plane: of channel c = b * lanes + l
// it holds the bit in byte l, at bit 0, 2, 4, 6, 1, 3, 5, 7 for b = 0 to 7. The window of a pixel of the result is `steps`
// vectors of 16 bytes, taps one behind the other; bits that no weight meets are of no account.
// factors: of plane i of the weights and j of the codes, at i * x_planes + j. chunk: steps whose counts fit: 8 * chunk <= 255,
// and the products of all counts of a chunk with their factors sum within 16 bits.
// group: outputs of a register tile, g->pixels its pixels. slab: register tiles whose windows are laid out at a time.
struct subbyte_arm_bits {
    int32_t x_planes, w_planes, lanes, steps, chunk, group, slab, level;
    int32_t factors[SUBBYTE_ARM_BITS_PAIRS];
};

// w: [panels][16 / group][steps][group][w_planes][16], and as much behind it as one step has. known: [steps][16], the bits that
// weights meet.
struct subbyte_arm_bits_sums {
    struct subbyte_arm_results results;
    const struct subbyte_arm_bits* t;
    const uint8_t* w;
    const uint8_t* known;
};

// What stands in scratch behind the window of bytes; targets/arm/kernels_bit_serial.py has the same sum.
//   planes: x_planes times the window of the area, a plane after the other, if windows are more than a pixel;
//   line: the planes of one pixel's window; counts: the sums of the codes of each pixel of a slab;
//   tiles: [register tiles][steps][pixels][x_planes][16], and as much behind them as one step has.
struct subbyte_arm_bits_scratch {
    uint8_t *planes, *line, *tiles;
    int32_t* counts;
};

// Bytes of one plane of a window; what is written behind it belongs to no pixel.
SUBBYTE_INLINE int32_t subbyte_arm_bits_plane(const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    return subbyte_arm_window_rows(g) * subbyte_arm_window_columns(g) * t->lanes + SUBBYTE_ARM_BYTES;
}

SUBBYTE_INLINE int32_t subbyte_arm_bits_line(const struct subbyte_arm_bits* t) {
    return (t->steps + 1) * SUBBYTE_ARM_BYTES;
}

SUBBYTE_INLINE struct subbyte_arm_bits_scratch subbyte_arm_bits_scratch(void* free, const struct subbyte_arm_conv* g,
                                                                        const struct subbyte_arm_bits* t) {
    struct subbyte_arm_bits_scratch at;
    at.counts = (int32_t*)free;
    at.tiles = (uint8_t*)(at.counts + t->slab * g->pixels);
    at.line = at.tiles + (t->slab * t->steps + 1) * g->pixels * t->x_planes * SUBBYTE_ARM_BYTES;
    at.planes = at.line + t->x_planes * subbyte_arm_bits_line(t);
    return at;
}

// ---- codes as planes -------------------------------------------------------------------------------------------------

// The two planes of the lower bits of 8 vectors of codes, bit b of a byte from vector 0, 4, 1, 5, 2, 6, 3, 7.
SUBBYTE_INLINE void subbyte_arm_bits_two_planes(uint8x16_t* planes, const uint8x16_t* codes) {
    const uint8x16_t even = vdupq_n_u8(0x55);
    uint8x16_t low = codes[0], high = codes[4];
    low = vsliq_n_u8(low, codes[1], 2);
    high = vsliq_n_u8(high, codes[5], 2);
    low = vsliq_n_u8(low, codes[2], 4);
    high = vsliq_n_u8(high, codes[6], 4);
    low = vsliq_n_u8(low, codes[3], 6);
    high = vsliq_n_u8(high, codes[7], 6);
    planes[0] = vbslq_u8(even, low, vshlq_n_u8(high, 1));
    planes[1] = vbslq_u8(even, vshrq_n_u8(low, 1), high);
}

SUBBYTE_INLINE uint8x16_t subbyte_arm_bits_one_plane(const uint8x16_t* codes) {
    uint8x16_t plane = vsliq_n_u8(codes[0], codes[4], 1);
    plane = vsliq_n_u8(plane, codes[1], 2);
    plane = vsliq_n_u8(plane, codes[5], 3);
    plane = vsliq_n_u8(plane, codes[2], 4);
    plane = vsliq_n_u8(plane, codes[6], 5);
    plane = vsliq_n_u8(plane, codes[3], 6);
    return vsliq_n_u8(plane, codes[7], 7);
}

// `pixels` neighbours, `step` bytes apart, as planes: pixel m of plane j begins at to + j * plane + m * t->lanes. Reads up to 14
// bytes behind a pixel whose lanes are no multiple of 8, writes up to 15 behind the last pixel of a plane.
SUBBYTE_INLINE void subbyte_arm_bits_of_pixels(uint8_t* to, int32_t plane, const uint8_t* x, int32_t step,
                                               int32_t pixels, const struct subbyte_arm_bits* t) {
    const int32_t whole = t->lanes % SUBBYTE_ARM_BYTES == 0, wide = whole ? SUBBYTE_ARM_BYTES : 8;
    int32_t m, l, b, j;
    for (m = 0; m < pixels; ++m, x += step, to += t->lanes)
        for (l = 0; l < t->lanes; l += wide) {
            uint8x16_t codes[8], planes[SUBBYTE_ARM_BITS_PLANES];
            SUBBYTE_UNROLL for (b = 0; b < 8; ++b) {
                const uint8_t* from = x + b * t->lanes + l;
                codes[b] = whole ? subbyte_arm_load_u8(from) : vcombine_u8(vld1_u8(from), vdup_n_u8(0));
            }
            if (t->x_planes == 1)
                planes[0] = subbyte_arm_bits_one_plane(codes);
            else
                subbyte_arm_bits_two_planes(planes, codes);
            if (t->x_planes > 2) {
                SUBBYTE_UNROLL for (b = 0; b < 8; ++b) codes[b] = vshrq_n_u8(codes[b], 2);
                subbyte_arm_bits_two_planes(planes + 2, codes);
            }
            SUBBYTE_UNROLL for (j = 0; j < t->x_planes; ++j) {
                if (whole)
                    subbyte_arm_store_u8(to + j * plane + l, planes[j]);
                else
                    vst1_u8(to + j * plane + l, vget_low_u8(planes[j]));
            }
        }
}

// The sum of the codes of a window that lies in `line`.
SUBBYTE_INLINE int32_t subbyte_arm_bits_sum_codes(const uint8_t* line, const uint8_t* known,
                                                  const struct subbyte_arm_bits* t) {
    uint32x4_t sum = vdupq_n_u32(0);
    uint32x2_t halves;
    int32_t j, k;
    SUBBYTE_UNROLL for (j = 0; j < t->x_planes; ++j) {
        uint32x4_t of_plane = vdupq_n_u32(0);
        for (k = 0; k < t->steps * SUBBYTE_ARM_BYTES; k += SUBBYTE_ARM_BYTES) {
            const uint8x16_t bits = subbyte_arm_load_u8(line + j * subbyte_arm_bits_line(t) + k);
            const uint8x16_t counts = vcntq_u8(vandq_u8(bits, subbyte_arm_load_u8(known + k)));
            of_plane = vpadalq_u16(of_plane, vpaddlq_u8(counts));
        }
        sum = vaddq_u32(sum, vshlq_u32(of_plane, vdupq_n_s32(j)));
    }
    halves = vpadd_u32(vget_low_u32(sum), vget_high_u32(sum));
    return (int32_t)vget_lane_u32(vpadd_u32(halves, halves), 0);
}

// The windows of `tiles` register tiles, from tile `first` of the area on.
SUBBYTE_INLINE void subbyte_arm_bits_lay_out(const struct subbyte_arm_bits_scratch* at, int32_t first, int32_t tiles,
                                             int32_t total, const struct subbyte_arm_area* area,
                                             const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t,
                                             const uint8_t* known) {
    const int32_t line = subbyte_arm_bits_line(t), of_tile = g->pixels * t->x_planes * SUBBYTE_ARM_BYTES;
    int32_t tile, m, j, k;
    for (tile = 0; tile < tiles; ++tile)
        for (m = 0; m < g->pixels; ++m) {
            const int32_t pixel = subbyte_arm_slab_pixel(first + tile, m, total, g);
            uint8_t* to = at->tiles + tile * t->steps * of_tile + m * t->x_planes * SUBBYTE_ARM_BYTES;
            if (subbyte_arm_is_pointwise(g)) {
                const uint8_t* x = (const uint8_t*)area->x + subbyte_arm_slab_at(pixel, area->pitch, g->channels, g);
                subbyte_arm_bits_of_pixels(at->line, line, x, 0, 1, t);
            } else {
                const int32_t pitch = subbyte_arm_window_columns(g) * t->lanes;
                const uint8_t* from = at->planes + subbyte_arm_slab_at(pixel, pitch, t->lanes, g);
                for (j = 0; j < t->x_planes; ++j)
                    subbyte_arm_slab_line(at->line + j * line, from + j * subbyte_arm_bits_plane(g, t), pitch, t->lanes,
                                          g);
            }
            for (k = 0; k < t->steps; ++k) {
                SUBBYTE_UNROLL for (j = 0; j < t->x_planes; ++j) {
                    const uint8x16_t bits = subbyte_arm_load_u8(at->line + j * line + k * SUBBYTE_ARM_BYTES);
                    subbyte_arm_store_u8(to + k * of_tile + j * SUBBYTE_ARM_BYTES, bits);
                }
            }
            if (t->level) at->counts[tile * g->pixels + m] = subbyte_arm_bits_sum_codes(at->line, known, t);
        }
}

// ---- sums ------------------------------------------------------------------------------------------------------------

typedef uint8x16_t subbyte_arm_bits_counts[SUBBYTE_ARM_BITS_PIXELS][SUBBYTE_ARM_BITS_GROUP][SUBBYTE_ARM_BITS_PAIRS];

// Loads are kept where they stand, a step before their use: pipelines that run in order wait for no memory.
#define SUBBYTE_ARM_BITS_LOADED(v, before) __asm__("" : "+w"(v), "+w"(before))

// Adds the counts of `steps` steps. Reads one step further.
SUBBYTE_INLINE void subbyte_arm_bits_count(subbyte_arm_bits_counts counts, const uint8_t* x, const uint8_t* w,
                                           int32_t steps, const struct subbyte_arm_conv* g,
                                           const struct subbyte_arm_bits* t) {
    const int32_t pairs = t->w_planes * t->x_planes;
    uint8x16_t of_x[SUBBYTE_ARM_BITS_PIXELS][SUBBYTE_ARM_BITS_PLANES];
    uint8x16_t of_w[SUBBYTE_ARM_BITS_GROUP][SUBBYTE_ARM_BITS_PLANES];
    int32_t m, n, i, j;
    SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
        SUBBYTE_UNROLL for (j = 0; j < t->x_planes; ++j, x += SUBBYTE_ARM_BYTES) of_x[m][j] = subbyte_arm_load_u8(x);
    }
    SUBBYTE_UNROLL for (n = 0; n < t->group; ++n) {
        SUBBYTE_UNROLL for (i = 0; i < t->w_planes; ++i, w += SUBBYTE_ARM_BYTES) of_w[n][i] = subbyte_arm_load_u8(w);
    }
    for (; steps > 0; --steps) {
        SUBBYTE_UNROLL for (n = 0; n < t->group; ++n) {
            uint8x16_t both[SUBBYTE_ARM_BITS_PIXELS][SUBBYTE_ARM_BITS_PAIRS];
            SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
                SUBBYTE_UNROLL for (i = 0; i < pairs; ++i) {
                    both[m][i] = vandq_u8(of_x[m][i % t->x_planes], of_w[n][i / t->x_planes]);
                }
            }
            if (n == t->group - 1) {
                SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
                    SUBBYTE_UNROLL for (j = 0; j < t->x_planes; ++j, x += SUBBYTE_ARM_BYTES) {
                        of_x[m][j] = subbyte_arm_load_u8(x);
                        SUBBYTE_ARM_BITS_LOADED(of_x[m][j], both[g->pixels - 1][pairs - 1]);
                    }
                }
            }
            SUBBYTE_UNROLL for (i = 0; i < t->w_planes; ++i, w += SUBBYTE_ARM_BYTES) {
                of_w[n][i] = subbyte_arm_load_u8(w);
                __asm__("" : "+w"(of_w[n][i]));
            }
            SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
                SUBBYTE_UNROLL for (i = 0; i < pairs; ++i) counts[m][n][i] =
                    vaddq_u8(counts[m][n][i], vcntq_u8(both[m][i]));
            }
        }
    }
}

// The products of the counts of one pixel and output with their factors, eight parts of a sum.
SUBBYTE_INLINE int16x8_t subbyte_arm_bits_weigh(const uint8x16_t* counts, const struct subbyte_arm_bits* t) {
    int16x8_t sum = vdupq_n_s16(0);
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < t->w_planes * t->x_planes; ++i) {
        const int16x8_t pairs = vreinterpretq_s16_u16(vpaddlq_u8(counts[i]));
        sum = t->factors[i] == 1 ? vaddq_s16(sum, pairs) : vmlaq_n_s16(sum, pairs, (int16_t)t->factors[i]);
    }
    return sum;
}

// {sum of a, of b, of c, of d}, each within 16 bits.
SUBBYTE_INLINE int32x4_t subbyte_arm_bits_across(int16x8_t a, int16x8_t b, int16x8_t c, int16x8_t d) {
#if defined(__aarch64__)
    return vpaddlq_s16(vpaddq_s16(vpaddq_s16(a, b), vpaddq_s16(c, d)));
#else
    const int16x4_t a_4 = vadd_s16(vget_low_s16(a), vget_high_s16(a)),
                    b_4 = vadd_s16(vget_low_s16(b), vget_high_s16(b));
    const int16x4_t c_4 = vadd_s16(vget_low_s16(c), vget_high_s16(c)),
                    d_4 = vadd_s16(vget_low_s16(d), vget_high_s16(d));
    return vpaddlq_s16(vcombine_s16(vpadd_s16(a_4, b_4), vpadd_s16(c_4, d_4)));
#endif
}

// sums[m][output + n] = (with `more`: +=) what the counts of pixel m and output n come to.
SUBBYTE_INLINE void subbyte_arm_bits_reduce(int32_t (*sums)[SUBBYTE_ARM_BITS_PANEL], int32_t output,
                                            subbyte_arm_bits_counts counts, int32_t more,
                                            const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    const int32_t total = g->pixels * t->group;
    int32_t first, l;
    SUBBYTE_UNROLL for (first = 0; first < total; first += 4) {
        int16x8_t parts[4];
        int32x4_t four;
        SUBBYTE_UNROLL for (l = 0; l < 4; ++l) {
            const int32_t at = subbyte_min_s32(first + l, total - 1);
            parts[l] = subbyte_arm_bits_weigh(counts[at / t->group][at % t->group], t);
        }
        four = subbyte_arm_bits_across(parts[0], parts[1], parts[2], parts[3]);
        if (t->group % 4 == 0) {
            int32_t* to = sums[first / t->group] + output + first % t->group;
            vst1q_s32(to, more ? vaddq_s32(four, vld1q_s32(to)) : four);
        } else {
            SUBBYTE_UNROLL for (l = 0; l < 4; l += 2) {
                const int32x2_t two = l == 0 ? vget_low_s32(four) : vget_high_s32(four);
                int32_t* to = sums[(first + l) / t->group] + output;
                if (first + l < total) vst1_s32(to, more ? vadd_s32(two, vld1_s32(to)) : two);
            }
        }
    }
}

// One register tile and all 16 outputs of a panel. x: its window, laid out; w: the panel.
SUBBYTE_INLINE void subbyte_arm_bits_panel(int32_t (*sums)[SUBBYTE_ARM_BITS_PANEL], const uint8_t* x, const uint8_t* w,
                                           const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    const int32_t x_step = g->pixels * t->x_planes * SUBBYTE_ARM_BYTES;
    const int32_t w_step = t->group * t->w_planes * SUBBYTE_ARM_BYTES;
    int32_t output, k, m, n, i;
    for (output = 0; output < SUBBYTE_ARM_BITS_PANEL; output += t->group)
        for (k = 0; k < t->steps; k += t->chunk) {
            const int32_t steps = subbyte_min_s32(t->chunk, t->steps - k);
            subbyte_arm_bits_counts counts;
            SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
                SUBBYTE_UNROLL for (n = 0; n < t->group; ++n) {
                    SUBBYTE_UNROLL for (i = 0; i < t->w_planes * t->x_planes; ++i) counts[m][n][i] = vdupq_n_u8(0);
                }
            }
            subbyte_arm_bits_count(counts, x + k * x_step, w, steps, g, t);
            subbyte_arm_bits_reduce(sums, output, counts, k > 0, g, t);
            w += steps * w_step;
        }
}

// The sums of one register tile to results: 16 outputs of each of its pixels, or the `stored` that there are.
SUBBYTE_INLINE void subbyte_arm_bits_finish(int32_t (*sums)[SUBBYTE_ARM_BITS_PANEL], const int32_t* counts,
                                            int32_t tile, int32_t panel, int32_t stored, int32_t total,
                                            const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                            const struct subbyte_arm_bits_sums* p) {
    const int32_t output = panel * SUBBYTE_ARM_BITS_PANEL;
    int32_t m, i;
    for (m = 0; m < g->pixels; ++m) {
        const int32_t y = subbyte_arm_slab_y(subbyte_arm_slab_pixel(tile, m, total, g), output, area, g);
        int32x4_t all[SUBBYTE_ARM_BITS_PANEL / 4];
        SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_ARM_BITS_PANEL / 4; ++i) {
            all[i] = vld1q_s32(sums[m] + 4 * i);
            if (p->t->level) all[i] = vaddq_s32(all[i], vdupq_n_s32(p->t->level * counts[m]));
        }
        subbyte_arm_finish(&p->results, y, all, 1, SUBBYTE_ARM_BITS_PANEL / 4, output, stored, g);
    }
}

// A subbyte_arm_area_sums.
SUBBYTE_INLINE void subbyte_arm_bits_area(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                          const void* own) {
    const struct subbyte_arm_bits_sums* p = (const struct subbyte_arm_bits_sums*)own;
    const struct subbyte_arm_bits* t = p->t;
    const struct subbyte_arm_bits_scratch at = subbyte_arm_bits_scratch(area->free, g, t);
    const int32_t total = (area->row_1 - area->row_0) * (area->column_1 - area->column_0);
    const int32_t tiles = (total + g->pixels - 1) / g->pixels;
    const int32_t tile_bytes = t->steps * g->pixels * t->x_planes * SUBBYTE_ARM_BYTES;
    const int32_t panel_bytes = t->steps * SUBBYTE_ARM_BITS_PANEL * t->w_planes * SUBBYTE_ARM_BYTES;
    int32_t first, tile, panel, row;
    if (!subbyte_arm_is_pointwise(g))
        for (row = 0; row < subbyte_arm_area_rows(area, g); ++row)
            subbyte_arm_bits_of_pixels(at.planes + row * subbyte_arm_window_columns(g) * t->lanes,
                                       subbyte_arm_bits_plane(g, t), (const uint8_t*)area->x + row * area->pitch,
                                       g->channels, subbyte_arm_area_columns(area, g), t);
    for (first = 0; first < tiles; first += t->slab) {
        const int32_t now = subbyte_min_s32(t->slab, tiles - first);
        subbyte_arm_bits_lay_out(&at, first, now, total, area, g, t, p->known);
        for (panel = area->panel_0; panel < area->panel_1; ++panel)
            for (tile = 0; tile < now; ++tile) {
                const int32_t rest = g->outputs - panel * SUBBYTE_ARM_BITS_PANEL;
                const int32_t* counts = at.counts + tile * g->pixels;
                int32_t sums[SUBBYTE_ARM_BITS_PIXELS][SUBBYTE_ARM_BITS_PANEL];
                subbyte_arm_bits_panel(sums, at.tiles + tile * tile_bytes, p->w + (ptrdiff_t)panel * panel_bytes, g, t);
                if (rest >= SUBBYTE_ARM_BITS_PANEL)
                    subbyte_arm_bits_finish(sums, counts, first + tile, panel, SUBBYTE_ARM_BITS_PANEL, total, area, g,
                                            p);
                else
                    subbyte_arm_bits_finish(sums, counts, first + tile, panel, g->outputs % SUBBYTE_ARM_BITS_PANEL,
                                            total, area, g, p);
            }
    }
}

// y = N4 of x * w + bias.
SUBBYTE_INLINE void subbyte_arm_sums_bit_serial(const void* x, const uint8_t* w, const uint8_t* known,
                                                const int32_t* bias, const float* multiplier, const float* shift,
                                                void* y, const struct subbyte_arm_conv* g,
                                                const struct subbyte_arm_bits* t, int32_t begin, int32_t end,
                                                void* scratch) {
    const struct subbyte_arm_bits_sums own = {{y, bias, multiplier, shift}, t, w, known};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_bits_area, &own);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void subbyte_arm_sums_s32_bit_serial(const void* x, const uint8_t* w, const uint8_t* known,
                                                    const int32_t* bias, void* y, const struct subbyte_arm_conv* g,
                                                    const struct subbyte_arm_bits* t, int32_t begin, int32_t end,
                                                    void* scratch) {
    subbyte_arm_sums_bit_serial(x, w, known, bias, 0, 0, y, g, t, begin, end, scratch);
}

#endif  // SUBBYTE_ARM_BIT_SERIAL_H
