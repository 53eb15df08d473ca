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
// by_sign: 1: results take one step, at sum + bias = 0 (subbyte_arm_finish_signs); 0: they are N4's, or the sums.
struct subbyte_arm_bits {
    int32_t x_planes, w_planes, lanes, steps, chunk, group, slab, level, by_sign;
    int32_t factors[SUBBYTE_ARM_BITS_PAIRS];
};

// w: [panels][16 / group][steps][group][w_planes][16]. known: [steps][16], the bits that weights meet.
struct subbyte_arm_bits_sums {
    struct subbyte_arm_results results;
    const struct subbyte_arm_bits* t;
    const uint8_t* w;
    const uint8_t* known;
};

// What stands in scratch behind the window of bytes; targets/arm/kernels_bit_serial.py has the same sum.
//   planes: x_planes times the window of the area, a plane after the other, if windows are more than a pixel;
//   line: the planes of one pixel's window; counts: the sums of the codes of each pixel of a slab;
//   tiles: [register tiles][steps][pixels][x_planes][16].
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
    at.line = at.tiles + t->slab * t->steps * g->pixels * t->x_planes * SUBBYTE_ARM_BYTES;
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

// The compiler forgets what v was made of: it adds to a pointer, or an index, rather than keep all places that follow from it.
// Vectors are loaded without offsets with 32 bits, and there are few registers for pointers.
#define SUBBYTE_ARM_BITS_FORGET(v) __asm__("" : "+r"(v))

// Pipelines that run in order wait for results of the last few instructions: the order of the program stays as it is written
// here, in waves of instructions that do not wait for each other. With 32 bits it also keeps compilers within 16 registers.
#define SUBBYTE_ARM_BITS_IN_ORDER(v) __asm__ volatile("" : "+w"(v))

enum { SUBBYTE_ARM_BITS_WAVE = 4 };

// What a step works on, loaded during the one before; what two waves of it have in common.
struct subbyte_arm_bits_loaded {
    uint8x16_t x[SUBBYTE_ARM_BITS_PIXELS][SUBBYTE_ARM_BITS_PLANES], w[SUBBYTE_ARM_BITS_GROUP][SUBBYTE_ARM_BITS_PLANES];
    uint8x16_t both[2 * SUBBYTE_ARM_BITS_WAVE];
};

// Count number `at` of a register tile is that of a pixel, an output and a pair of planes. With 32 bits the planes of pixels
// stay in registers while those of outputs pass by, or the other way round: those that are fewer stay.
struct subbyte_arm_bits_place {
    int32_t pixel, output, pair;
};
SUBBYTE_INLINE struct subbyte_arm_bits_place subbyte_arm_bits_place(int32_t at, const struct subbyte_arm_conv* g,
                                                                    const struct subbyte_arm_bits* t) {
    const int32_t pairs = t->w_planes * t->x_planes;
#if defined(__aarch64__)
    const int32_t by_output = 1;
#else
    const int32_t by_output = t->group * t->w_planes > g->pixels * t->x_planes;
#endif
    const struct subbyte_arm_bits_place place = {by_output ? at / pairs % g->pixels : at / pairs / t->group,
                                                 by_output ? at / pairs / g->pixels : at / pairs % t->group,
                                                 at % pairs};
    return place;
}

SUBBYTE_INLINE int32_t subbyte_arm_bits_total(const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    return g->pixels * t->group * t->w_planes * t->x_planes;
}

// The bits that planes have in common, of the counts of a wave.
SUBBYTE_INLINE void subbyte_arm_bits_and(struct subbyte_arm_bits_loaded* now, int32_t wave,
                                         const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_ARM_BITS_WAVE; ++i) {
        const int32_t at = wave * SUBBYTE_ARM_BITS_WAVE + i;
        const struct subbyte_arm_bits_place place = subbyte_arm_bits_place(at, g, t);
        uint8x16_t* both = now->both + at % (2 * SUBBYTE_ARM_BITS_WAVE);
        if (at >= subbyte_arm_bits_total(g, t)) continue;
        SUBBYTE_ARM_BITS_IN_ORDER(now->w[place.output][place.pair / t->x_planes]);
        *both = vandq_u8(now->x[place.pixel][place.pair % t->x_planes], now->w[place.output][place.pair / t->x_planes]);
        SUBBYTE_ARM_BITS_IN_ORDER(*both);
    }
}

// How many of each byte are ones.
SUBBYTE_INLINE void subbyte_arm_bits_ones(struct subbyte_arm_bits_loaded* now, int32_t wave,
                                          const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_ARM_BITS_WAVE; ++i) {
        const int32_t at = wave * SUBBYTE_ARM_BITS_WAVE + i;
        uint8x16_t* both = now->both + at % (2 * SUBBYTE_ARM_BITS_WAVE);
        if (at >= subbyte_arm_bits_total(g, t)) continue;
        *both = vcntq_u8(*both);
        SUBBYTE_ARM_BITS_IN_ORDER(*both);
    }
}

SUBBYTE_INLINE void subbyte_arm_bits_add(subbyte_arm_bits_counts counts, struct subbyte_arm_bits_loaded* now,
                                         int32_t wave, int32_t first, const struct subbyte_arm_conv* g,
                                         const struct subbyte_arm_bits* t) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_ARM_BITS_WAVE; ++i) {
        const int32_t at = wave * SUBBYTE_ARM_BITS_WAVE + i;
        const struct subbyte_arm_bits_place place = subbyte_arm_bits_place(at, g, t);
        const uint8x16_t ones = now->both[at % (2 * SUBBYTE_ARM_BITS_WAVE)];
        uint8x16_t* count = &counts[place.pixel][place.output][place.pair];
        if (at >= subbyte_arm_bits_total(g, t)) continue;
        *count = first ? ones : vaddq_u8(*count, ones);
        SUBBYTE_ARM_BITS_IN_ORDER(*count);
    }
}

#if defined(__aarch64__)
SUBBYTE_INLINE void subbyte_arm_bits_load(struct subbyte_arm_bits_loaded* now, const uint8_t* x, const uint8_t* w,
                                          const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    int32_t m, n, i;
    SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
        SUBBYTE_UNROLL for (i = 0; i < t->x_planes; ++i, x += SUBBYTE_ARM_BYTES) {
            now->x[m][i] = subbyte_arm_load_u8(x);
            SUBBYTE_ARM_BITS_IN_ORDER(now->x[m][i]);
        }
    }
    SUBBYTE_UNROLL for (n = 0; n < t->group; ++n) {
        SUBBYTE_UNROLL for (i = 0; i < t->w_planes; ++i, w += SUBBYTE_ARM_BYTES) {
            now->w[n][i] = subbyte_arm_load_u8(w);
            SUBBYTE_ARM_BITS_IN_ORDER(now->w[n][i]);
        }
    }
}

// Adds the counts of a step, or begins with them where it is the first; with `more`, loads what stands at x and w for the next.
SUBBYTE_INLINE void subbyte_arm_bits_step(subbyte_arm_bits_counts counts, struct subbyte_arm_bits_loaded* now,
                                          const uint8_t* x, const uint8_t* w, int32_t first, int32_t more,
                                          const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    const int32_t waves = (subbyte_arm_bits_total(g, t) + SUBBYTE_ARM_BITS_WAVE - 1) / SUBBYTE_ARM_BITS_WAVE;
    int32_t wave;
    subbyte_arm_bits_and(now, 0, g, t);
    subbyte_arm_bits_and(now, 1, g, t);
    SUBBYTE_UNROLL for (wave = 0; wave < waves; wave += 2) {
        if (more && wave + 2 >= waves) subbyte_arm_bits_load(now, x, w, g, t);
        subbyte_arm_bits_ones(now, wave, g, t);
        subbyte_arm_bits_ones(now, wave + 1, g, t);
        subbyte_arm_bits_add(counts, now, wave, first, g, t);
        subbyte_arm_bits_and(now, wave + 2, g, t);
        subbyte_arm_bits_add(counts, now, wave + 1, first, g, t);
        subbyte_arm_bits_and(now, wave + 3, g, t);
    }
}

// The counts of `steps` steps, at least one.
SUBBYTE_INLINE void subbyte_arm_bits_count(subbyte_arm_bits_counts counts, const uint8_t* x, const uint8_t* w,
                                           int32_t steps, const struct subbyte_arm_conv* g,
                                           const struct subbyte_arm_bits* t) {
    const int32_t x_step = g->pixels * t->x_planes * SUBBYTE_ARM_BYTES;
    const int32_t w_step = t->group * t->w_planes * SUBBYTE_ARM_BYTES;
    struct subbyte_arm_bits_loaded now;
    subbyte_arm_bits_load(&now, x, w, g, t);
    if (steps == 1) {
        subbyte_arm_bits_step(counts, &now, x, w, 1, 0, g, t);
        return;
    }
    subbyte_arm_bits_step(counts, &now, x += x_step, w += w_step, 1, 1, g, t);
    for (steps -= 2; steps >= 2; steps -= 2) {
        subbyte_arm_bits_step(counts, &now, x + x_step, w + w_step, 0, 1, g, t);
        subbyte_arm_bits_step(counts, &now, x += 2 * x_step, w += 2 * w_step, 0, 1, g, t);
    }
    if (steps) subbyte_arm_bits_step(counts, &now, x + x_step, w + w_step, 0, 1, g, t);
    subbyte_arm_bits_step(counts, &now, x, w, 0, 0, g, t);
}

#else

// The planes that a wave is the first of its step to need: one vector of each stream behind the other.
SUBBYTE_INLINE void subbyte_arm_bits_load(struct subbyte_arm_bits_loaded* now, const uint8_t** x, const uint8_t** w,
                                          int32_t wave, const struct subbyte_arm_conv* g,
                                          const struct subbyte_arm_bits* t) {
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_ARM_BITS_WAVE; ++i) {
        const int32_t at = wave * SUBBYTE_ARM_BITS_WAVE + i;
        const struct subbyte_arm_bits_place place = subbyte_arm_bits_place(at, g, t);
        const int32_t of_x = place.pair % t->x_planes, of_w = place.pair / t->x_planes;
        if (at >= subbyte_arm_bits_total(g, t)) continue;
        if (place.output == 0 && of_w == 0) {
            uint8x16_t* to = &now->x[place.pixel][of_x];
            *to = subbyte_arm_load_u8(*x);
            SUBBYTE_ARM_BITS_IN_ORDER(*to);
            *x += SUBBYTE_ARM_BYTES;
            SUBBYTE_ARM_BITS_FORGET(*x);
        }
        if (place.pixel == 0 && of_x == 0) {
            uint8x16_t* to = &now->w[place.output][of_w];
            *to = subbyte_arm_load_u8(*w);
            SUBBYTE_ARM_BITS_IN_ORDER(*to);
            *w += SUBBYTE_ARM_BYTES;
            SUBBYTE_ARM_BITS_FORGET(*w);
        }
    }
}

// Adds the counts of a step, or begins with them where it is the first. What a wave needs is loaded during the one before: the
// first wave's before the step, and with `more` those of the next step's. 8 counts, 4 planes and 4 of their counts fill the
// registers.
SUBBYTE_INLINE void subbyte_arm_bits_step(subbyte_arm_bits_counts counts, struct subbyte_arm_bits_loaded* now,
                                          const uint8_t** x, const uint8_t** w, int32_t first, int32_t more,
                                          const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    const int32_t waves = (subbyte_arm_bits_total(g, t) + SUBBYTE_ARM_BITS_WAVE - 1) / SUBBYTE_ARM_BITS_WAVE;
    int32_t wave;
    SUBBYTE_UNROLL for (wave = 0; wave < waves; ++wave) {
        subbyte_arm_bits_and(now, wave, g, t);
        if (more || wave + 1 < waves) subbyte_arm_bits_load(now, x, w, (wave + 1) % waves, g, t);
        subbyte_arm_bits_ones(now, wave, g, t);
        subbyte_arm_bits_add(counts, now, wave, first, g, t);
    }
}

// The counts of `steps` steps, at least one.
SUBBYTE_INLINE void subbyte_arm_bits_count(subbyte_arm_bits_counts counts, const uint8_t* x, const uint8_t* w,
                                           int32_t steps, const struct subbyte_arm_conv* g,
                                           const struct subbyte_arm_bits* t) {
    struct subbyte_arm_bits_loaded now;
    subbyte_arm_bits_load(&now, &x, &w, 0, g, t);
    if (steps == 1) {
        subbyte_arm_bits_step(counts, &now, &x, &w, 1, 0, g, t);
        return;
    }
    subbyte_arm_bits_step(counts, &now, &x, &w, 1, 1, g, t);
    for (steps -= 2; steps >= 2; steps -= 2) {
        subbyte_arm_bits_step(counts, &now, &x, &w, 0, 1, g, t);
        subbyte_arm_bits_step(counts, &now, &x, &w, 0, 1, g, t);
    }
    if (steps) subbyte_arm_bits_step(counts, &now, &x, &w, 0, 1, g, t);
    subbyte_arm_bits_step(counts, &now, &x, &w, 0, 0, g, t);
}

#endif

// The products of the counts of one pixel and output with their factors, eight parts of a sum.
SUBBYTE_INLINE int16x8_t subbyte_arm_bits_weigh(const uint8x16_t* counts, const struct subbyte_arm_bits* t) {
    int16x8_t sum = vreinterpretq_s16_u16(vpaddlq_u8(counts[0]));
    int32_t i;
    if (t->factors[0] != 1) sum = vmulq_n_s16(sum, (int16_t)t->factors[0]);
    SUBBYTE_UNROLL for (i = 1; i < t->w_planes * t->x_planes; ++i) {
        const int16x8_t more = vreinterpretq_s16_u16(vpaddlq_u8(counts[i]));
        sum = t->factors[i] == 1 ? vaddq_s16(sum, more) : vmlaq_n_s16(sum, more, (int16_t)t->factors[i]);
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

// Four counts of one pair of planes each, times its factor: bytes are added in pairs for as long as their sums are bytes.
SUBBYTE_INLINE int32x4_t subbyte_arm_bits_of_one_pair(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d,
                                                      int32_t steps, const struct subbyte_arm_bits* t) {
    int32x4_t sums;
#if defined(__aarch64__)
    if (steps <= 7) {
        sums = vreinterpretq_s32_u32(vpaddlq_u16(vpaddlq_u8(vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d)))));
    } else if (steps <= 15) {
        const uint16x8_t low = vpaddlq_u8(vpaddq_u8(a, b)), high = vpaddlq_u8(vpaddq_u8(c, d));
        sums = vreinterpretq_s32_u32(vpaddlq_u16(vpaddq_u16(low, high)));
    } else {
        const uint16x8_t low = vpaddq_u16(vpaddlq_u8(a), vpaddlq_u8(b));
        sums = vreinterpretq_s32_u32(vpaddlq_u16(vpaddq_u16(low, vpaddq_u16(vpaddlq_u8(c), vpaddlq_u8(d)))));
    }
#else
    if (steps <= 7) {
        const uint8x8_t a_8 = vadd_u8(vget_low_u8(a), vget_high_u8(a)), b_8 = vadd_u8(vget_low_u8(b), vget_high_u8(b));
        const uint8x8_t c_8 = vadd_u8(vget_low_u8(c), vget_high_u8(c)), d_8 = vadd_u8(vget_low_u8(d), vget_high_u8(d));
        const uint8x16_t fours = vcombine_u8(vpadd_u8(a_8, b_8), vpadd_u8(c_8, d_8));
        sums = vreinterpretq_s32_u32(vpaddlq_u16(vpaddlq_u8(fours)));
    } else if (steps <= 15) {
        const uint8x8_t a_8 = vadd_u8(vget_low_u8(a), vget_high_u8(a)), b_8 = vadd_u8(vget_low_u8(b), vget_high_u8(b));
        const uint8x8_t c_8 = vadd_u8(vget_low_u8(c), vget_high_u8(c)), d_8 = vadd_u8(vget_low_u8(d), vget_high_u8(d));
        const uint16x8_t low = vpaddlq_u8(vcombine_u8(a_8, b_8)), high = vpaddlq_u8(vcombine_u8(c_8, d_8));
        sums = vreinterpretq_s32_u32(vpaddlq_u16(vcombine_u16(vpadd_u16(vget_low_u16(low), vget_high_u16(low)),
                                                              vpadd_u16(vget_low_u16(high), vget_high_u16(high)))));
    } else {
        sums = subbyte_arm_bits_across(vreinterpretq_s16_u16(vpaddlq_u8(a)), vreinterpretq_s16_u16(vpaddlq_u8(b)),
                                       vreinterpretq_s16_u16(vpaddlq_u8(c)), vreinterpretq_s16_u16(vpaddlq_u8(d)));
    }
#endif
    return t->factors[0] == 1 ? sums : vmulq_n_s32(sums, t->factors[0]);
}

// sums[i], lane l = (with `more`: +=) what the counts of number 4 * i + l of the register tile, outputs of a pixel side by side,
// come to. steps: the most that were counted, a constant.
SUBBYTE_INLINE void subbyte_arm_bits_reduce(int32x4_t* sums, subbyte_arm_bits_counts counts, int32_t steps,
                                            int32_t more, const struct subbyte_arm_conv* g,
                                            const struct subbyte_arm_bits* t) {
    const int32_t total = g->pixels * t->group;
    int32_t i, l;
    SUBBYTE_UNROLL for (i = 0; 4 * i < total; ++i) {
        const uint8x16_t* four[4];
        int32x4_t of_four;
        SUBBYTE_UNROLL for (l = 0; l < 4; ++l) {
            const int32_t at = subbyte_min_s32(4 * i + l, total - 1);
            four[l] = counts[at / t->group][at % t->group];
        }
        if (t->w_planes * t->x_planes == 1)
            of_four = subbyte_arm_bits_of_one_pair(four[0][0], four[1][0], four[2][0], four[3][0], steps, t);
        else
            of_four = subbyte_arm_bits_across(subbyte_arm_bits_weigh(four[0], t), subbyte_arm_bits_weigh(four[1], t),
                                              subbyte_arm_bits_weigh(four[2], t), subbyte_arm_bits_weigh(four[3], t));
        sums[i] = more ? vaddq_s32(sums[i], of_four) : of_four;
    }
}

// One register tile. x: its window, laid out; w: the weights of its outputs.
SUBBYTE_INLINE void subbyte_arm_bits_tile(int32x4_t* sums, const uint8_t* x, const uint8_t* w,
                                          const struct subbyte_arm_conv* g, const struct subbyte_arm_bits* t) {
    const int32_t x_step = g->pixels * t->x_planes * SUBBYTE_ARM_BYTES;
    const int32_t w_step = t->group * t->w_planes * SUBBYTE_ARM_BYTES;
    subbyte_arm_bits_counts counts;
    int32_t k;
    subbyte_arm_bits_count(counts, x, w, subbyte_min_s32(t->chunk, t->steps), g, t);
    subbyte_arm_bits_reduce(sums, counts, t->chunk, 0, g, t);
    for (k = t->chunk; k < t->steps; k += t->chunk) {
        subbyte_arm_bits_count(counts, x + k * x_step, w + k * w_step, subbyte_min_s32(t->chunk, t->steps - k), g, t);
        subbyte_arm_bits_reduce(sums, counts, t->chunk, 1, g, t);
    }
}

// Results of `pixels` pixels and 16 outputs from `output` on, `stored` of them stored from element y on.
SUBBYTE_INLINE void subbyte_arm_bits_finish(const struct subbyte_arm_bits_sums* p, int32_t y, const int32x4_t* sums,
                                            int32_t pixels, int32_t output, int32_t stored,
                                            const struct subbyte_arm_conv* g) {
    if (p->t->by_sign)
        subbyte_arm_finish_signs(&p->results, y, sums, pixels, SUBBYTE_ARM_BITS_PANEL / 4, output, stored, g);
    else
        subbyte_arm_finish(&p->results, y, sums, pixels, SUBBYTE_ARM_BITS_PANEL / 4, output, stored, g);
}

// The `stored` results of one panel of a register tile. x: its window, laid out; codes: the sums of the codes of its pixels;
// w: the panel; y: the first element.
SUBBYTE_INLINE void subbyte_arm_bits_panel(const uint8_t* x, const int32_t* codes, const uint8_t* w, int32_t y,
                                           int32_t panel, int32_t stored, const struct subbyte_arm_conv* g,
                                           const struct subbyte_arm_bits_sums* p) {
    const struct subbyte_arm_bits* t = p->t;
    const int32_t of_group = t->steps * t->group * t->w_planes * SUBBYTE_ARM_BYTES;
    int32_t all[SUBBYTE_ARM_BITS_PIXELS * SUBBYTE_ARM_BITS_PANEL];
    int32x4_t sums[SUBBYTE_ARM_BITS_PIXELS * SUBBYTE_ARM_BITS_PANEL / 4];
    int32_t output, i, l;
    if (stored < SUBBYTE_ARM_BITS_PANEL) memset(all, 0, sizeof all);
    for (output = 0; output < stored; output += t->group, w += of_group) {
        int32x4_t part[SUBBYTE_ARM_BITS_PIXELS * SUBBYTE_ARM_BITS_GROUP / 4];
        subbyte_arm_bits_tile(part, x, w, g, t);
        SUBBYTE_UNROLL for (i = 0; i < g->pixels * t->group; i += 4) {
            if (t->group % 4 == 0) {
                vst1q_s32(all + i / t->group * SUBBYTE_ARM_BITS_PANEL + output + i % t->group, part[i / 4]);
            } else {
                SUBBYTE_UNROLL for (l = 0; l < 4; l += 2) {
                    const int32x2_t two = l == 0 ? vget_low_s32(part[i / 4]) : vget_high_s32(part[i / 4]);
                    const int32_t at = (i + l) / t->group * SUBBYTE_ARM_BITS_PANEL + output + (i + l) % t->group;
                    if (i + l < g->pixels * t->group) vst1_s32(all + at, two);
                }
            }
        }
    }
#if defined(__aarch64__)
    SUBBYTE_UNROLL for (i = 0; i < g->pixels * SUBBYTE_ARM_BITS_PANEL / 4; ++i) {
        sums[i] = vld1q_s32(all + 4 * i);
        if (t->level) sums[i] = vaddq_s32(sums[i], vdupq_n_s32(t->level * codes[i / (SUBBYTE_ARM_BITS_PANEL / 4)]));
    }
    subbyte_arm_bits_finish(p, y, sums, g->pixels, panel * SUBBYTE_ARM_BITS_PANEL, stored, g);
#else  // one pixel after the other: registers do not hold what more have in common
    for (i = 0; i < g->pixels; ++i) {
        const int32_t* from = all + i * SUBBYTE_ARM_BITS_PANEL;
        const int32x4_t more = vdupq_n_s32(t->level ? t->level * codes[i] : 0);
        int32_t first = panel * SUBBYTE_ARM_BITS_PANEL;
        if (g->pixels > 1) SUBBYTE_ARM_BITS_FORGET(first);
        SUBBYTE_UNROLL for (l = 0; l < SUBBYTE_ARM_BITS_PANEL / 4; ++l) {
            sums[l] = vld1q_s32(from + 4 * l);
            if (t->level) sums[l] = vaddq_s32(sums[l], more);
        }
        subbyte_arm_bits_finish(p, y + i * g->outputs, sums, 1, first, stored, g);
    }
#endif
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
                const int32_t first_output = panel * SUBBYTE_ARM_BITS_PANEL;
                const int32_t pixel = subbyte_arm_slab_pixel(first + tile, 0, total, g);
                const int32_t y = subbyte_arm_slab_y(pixel, first_output, area, g);
                const int32_t* codes = at.counts + tile * g->pixels;
                const uint8_t *x = at.tiles + tile * tile_bytes, *w = p->w + (ptrdiff_t)panel * panel_bytes;
                if (g->outputs % SUBBYTE_ARM_BITS_PANEL == 0 || first_output + SUBBYTE_ARM_BITS_PANEL <= g->outputs)
                    subbyte_arm_bits_panel(x, codes, w, y, panel, SUBBYTE_ARM_BITS_PANEL, g, p);
                else
                    subbyte_arm_bits_panel(x, codes, w, y, panel, g->outputs % SUBBYTE_ARM_BITS_PANEL, g, p);
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
