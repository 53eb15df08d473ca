// Depthwise convolutions on Arm: a filter for each channel, channels in lanes, exact sums, then N4.
//
// Products of bytes are added in 16 bits, as many of a channel's taps as its weights allow: the taps of a block of channels
// come in groups that cannot overflow, in any order that makes the groups few. A group is then added to sums of 32 bits.

#ifndef SUBBYTE_ARM_DEPTHWISE_H
#define SUBBYTE_ARM_DEPTHWISE_H

#include "arm_steps.h"
#include "codes.h"

#if defined(__aarch64__)
#define SUBBYTE_ARM_DEPTHWISE_HALVES \
    2  // of eight channels, that a block has: 32 registers hold the sums of 16 channels
#else
#define SUBBYTE_ARM_DEPTHWISE_HALVES 1
#endif

enum {
    SUBBYTE_ARM_DEPTHWISE_LANES = 8 * SUBBYTE_ARM_DEPTHWISE_HALVES,  // of a block
    SUBBYTE_ARM_DEPTHWISE_PIXELS = 4,                                // whose sums are made at a time
    SUBBYTE_ARM_TAP_ENDS_GROUP = 1,
    SUBBYTE_ARM_TAP_ENDS_BLOCK = 2
};

// x [images][height][width][channels / multiplier] -> y [images][out_height][out_width][channels].
//
// The input of a tile is copied to scratch, `rows` rows of `columns` pixels of `channels` bytes, codes -128..127: `flip` is
// 0x80 where those of x are 0..255; x_zero stands where there is no input. row_tiles: tiles of an image.
// abreast: neighbouring pixels whose bytes are cut into `blocks` blocks; more than one only where no column is skipped. Block
// b begins with byte b * SUBBYTE_ARM_DEPTHWISE_LANES, or with the last that leaves it whole.
struct subbyte_arm_depthwise {
    int32_t height, width, channels, multiplier, out_height, out_width;
    int32_t stride_height, stride_width, pad_top, pad_left;
    int32_t reach_height, columns;  // rows of the input that a row of the result needs; pixels of a copied row
    int32_t row_tiles, blocks, abreast;
    int32_t flip, x_zero, y_zero, qmin, qmax;
};

// Pixels `first` to `first + n - 1` of a row of x, each channel as often as it has filters; n bytes of x_zero where row is null.
SUBBYTE_INLINE uint8_t* subbyte_arm_depthwise_copy(uint8_t* to, const uint8_t* row, int32_t n,
                                                   const struct subbyte_arm_depthwise* g) {
    const int32_t bytes = n * g->channels;
    int32_t i, k;
    if (n <= 0) return to;
    if (!row) {
        subbyte_arm_fill(to, g->x_zero, bytes);
    } else if (g->multiplier == 1) {
        subbyte_arm_copy(to, row, bytes, g->flip);
    } else {
        for (i = 0; i * g->multiplier < bytes; ++i)
            for (k = 0; k < g->multiplier; ++k) to[i * g->multiplier + k] = (uint8_t)(row[i] ^ g->flip);
    }
    return to + bytes;
}

// The window of the tile whose first input row is `top`; image: channels / multiplier bytes a pixel.
SUBBYTE_INLINE void subbyte_arm_depthwise_window(uint8_t* to, const uint8_t* image, int32_t top, int32_t rows,
                                                 const struct subbyte_arm_depthwise* g) {
    const int32_t x_channels = g->channels / g->multiplier, from = g->pad_left < 0 ? -g->pad_left : 0;
    const int32_t before = subbyte_min_s32(g->pad_left < 0 ? 0 : g->pad_left, g->columns);
    const int32_t inside = subbyte_min_s32(g->columns - before, g->width - from);
    int32_t row;
    for (row = top; row < top + rows; ++row) {
        const int32_t is_inside = row >= 0 && row < g->height;
        to = subbyte_arm_depthwise_copy(to, 0, is_inside ? before : g->columns, g);
        if (!is_inside) continue;
        to = subbyte_arm_depthwise_copy(to, image + (row * g->width + from) * x_channels, inside, g);
        to = subbyte_arm_depthwise_copy(to, 0, g->columns - before - inside, g);
    }
}

#if defined(__aarch64__)
#define SUBBYTE_ARM_DEPTHWISE_TAPS int8x16_t
SUBBYTE_INLINE int8x16_t subbyte_arm_load_taps(const void* p) { return vld1q_s8((const int8_t*)p); }
SUBBYTE_INLINE void subbyte_arm_first_taps(int16x8_t* sums, int8x16_t x, int8x16_t w) {
    sums[0] = subbyte_arm_multiply_low(x, w);
    sums[1] = subbyte_arm_multiply_high(x, w);
}
SUBBYTE_INLINE void subbyte_arm_more_taps(int16x8_t* sums, int8x16_t x, int8x16_t w) {
    sums[0] = subbyte_arm_multiply_add_low(sums[0], x, w);
    sums[1] = subbyte_arm_multiply_add_high(sums[1], x, w);
}
#else
#define SUBBYTE_ARM_DEPTHWISE_TAPS int8x8_t
SUBBYTE_INLINE int8x8_t subbyte_arm_load_taps(const void* p) { return vld1_s8((const int8_t*)p); }
SUBBYTE_INLINE void subbyte_arm_first_taps(int16x8_t* sums, int8x8_t x, int8x8_t w) { sums[0] = vmull_s8(x, w); }
SUBBYTE_INLINE void subbyte_arm_more_taps(int16x8_t* sums, int8x8_t x, int8x8_t w) {
    sums[0] = vmlal_s8(sums[0], x, w);
}
#endif

// One tap of every pixel: shorts[p] gains in[p] * weights, or becomes it; then in[p] and weights are those of the next tap.
SUBBYTE_INLINE void subbyte_arm_depthwise_tap(int16x8_t shorts[][SUBBYTE_ARM_DEPTHWISE_HALVES],
                                              SUBBYTE_ARM_DEPTHWISE_TAPS* in, SUBBYTE_ARM_DEPTHWISE_TAPS* weights,
                                              int32_t first, const uint8_t* next, int32_t step, const int8_t* w_next) {
    const SUBBYTE_ARM_DEPTHWISE_TAPS w = *weights;
    int32_t p;
    *weights = subbyte_arm_load_taps(w_next);
    SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p) {
        if (first)
            subbyte_arm_first_taps(shorts[p], in[p], w);
        else
            subbyte_arm_more_taps(shorts[p], in[p], w);
        in[p] = subbyte_arm_load_taps(next + p * step);
    }
}

// sums[p] gains the taps of a block for the pixels that begin at from + p * step. *w and *taps are moved to the next block,
// whose first are read. The operands of a tap are loaded during the one before: in-order pipelines wait for nothing.
SUBBYTE_INLINE void subbyte_arm_depthwise_sums(int32x4_t sums[][2 * SUBBYTE_ARM_DEPTHWISE_HALVES], const uint8_t* from,
                                               int32_t step, const int8_t** w, const int32_t** taps) {
    SUBBYTE_ARM_DEPTHWISE_TAPS in[SUBBYTE_ARM_DEPTHWISE_PIXELS], weights = subbyte_arm_load_taps(*w);
    int32_t next = **taps, tap, i, p;
    SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p) in[p] =
        subbyte_arm_load_taps(from + (next >> 2) + p * step);
    do {
        int16x8_t shorts[SUBBYTE_ARM_DEPTHWISE_PIXELS][SUBBYTE_ARM_DEPTHWISE_HALVES];
        tap = next;
        next = *++*taps;
        *w += SUBBYTE_ARM_DEPTHWISE_LANES;
        subbyte_arm_depthwise_tap(shorts, in, &weights, 1, from + (next >> 2), step, *w);
        while (!(tap & SUBBYTE_ARM_TAP_ENDS_GROUP)) {
            tap = next;
            next = *++*taps;
            *w += SUBBYTE_ARM_DEPTHWISE_LANES;
            subbyte_arm_depthwise_tap(shorts, in, &weights, 0, from + (next >> 2), step, *w);
        }
        SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p) {
            SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_ARM_DEPTHWISE_HALVES; ++i) {
                sums[p][2 * i] = vaddw_s16(sums[p][2 * i], vget_low_s16(shorts[p][i]));
                sums[p][2 * i + 1] = vaddw_s16(sums[p][2 * i + 1], vget_high_s16(shorts[p][i]));
            }
        }
    } while (!(tap & SUBBYTE_ARM_TAP_ENDS_BLOCK));
}

#if defined(__aarch64__)
#define SUBBYTE_ARM_DEPTHWISE_CODES uint8x16_t
#else
#define SUBBYTE_ARM_DEPTHWISE_CODES uint8x8_t
#endif

// codes[p] of sums[p], for the pixels of a tile.
SUBBYTE_INLINE void subbyte_arm_depthwise_codes(SUBBYTE_ARM_DEPTHWISE_CODES* codes,
                                                int32x4_t sums[][2 * SUBBYTE_ARM_DEPTHWISE_HALVES],
                                                const float* multiplier, const float* shift,
                                                const struct subbyte_arm_depthwise* g) {
    int32_t i, p;
    SUBBYTE_UNROLL for (i = 0; i < 2 * SUBBYTE_ARM_DEPTHWISE_HALVES; ++i) {
        const float32x4_t factor = vld1q_f32(multiplier + 4 * i);
        if (shift) {
            const float32x4_t summand = vld1q_f32(shift + 4 * i);
            SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p) sums[p][i] =
                subbyte_scale_shift_neon(sums[p][i], factor, summand);
        } else {
            SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p) sums[p][i] =
                subbyte_scale_neon(sums[p][i], factor);
        }
    }
    SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p) {
#if defined(__aarch64__)
        codes[p] = subbyte_arm_pack_16(sums[p][0], sums[p][1], sums[p][2], sums[p][3], g->y_zero, g->qmin, g->qmax);
#else
        codes[p] = subbyte_arm_pack_8(sums[p][0], sums[p][1], g->y_zero, g->qmin, g->qmax);
#endif
    }
}

// The first n bytes of a block; all of them where n is larger.
SUBBYTE_INLINE void subbyte_arm_depthwise_store(uint8_t* to, SUBBYTE_ARM_DEPTHWISE_CODES codes, int32_t n) {
#if defined(__aarch64__)
    subbyte_arm_store_part(to, codes, subbyte_min_s32(n, SUBBYTE_ARM_DEPTHWISE_LANES));
#else
    subbyte_arm_store_part_8(to, codes, n);
#endif
}

SUBBYTE_INLINE void subbyte_arm_depthwise_store_whole(uint8_t* to, SUBBYTE_ARM_DEPTHWISE_CODES codes) {
#if defined(__aarch64__)
    vst1q_u8(to, codes);
#else
    vst1_u8(to, codes);
#endif
}

// y = N4 of the sums.
//
// w: [taps of block 0, those of block 1, ..., one that is only read][SUBBYTE_ARM_DEPTHWISE_LANES]; taps: for each of them 4
// times its place in the window, in bytes from the first, and flags. bias (zero point terms included), multiplier and shift:
// [blocks][SUBBYTE_ARM_DEPTHWISE_LANES]; shift may be null. Tiles: images * row_tiles. scratch: the window of a tile, and
// SUBBYTE_ARM_DEPTHWISE_PIXELS * stride_width * abreast pixels and a block more.
SUBBYTE_ONE_COPY void subbyte_arm_depthwise(const void* x, const int8_t* w, const int32_t* taps, const int32_t* bias,
                                            const float* multiplier, const float* shift, void* y,
                                            const struct subbyte_arm_depthwise* geometry, int32_t begin, int32_t end,
                                            void* scratch) {
    const struct subbyte_arm_depthwise g = *geometry;  // no store of a result changes it
    const int32_t pitch = g.columns * g.channels, step = g.stride_width * g.abreast * g.channels;
    const int32_t out_pitch = g.out_width * g.channels, pixel_bytes = g.abreast * g.channels;
    const int32_t places = (g.out_width + g.abreast - 1) / g.abreast;
    const int32_t overlaps = pixel_bytes < SUBBYTE_ARM_DEPTHWISE_LANES;
    int32_t tile, row, block, place, i, p;
    for (tile = begin; tile < end; ++tile) {
        const int32_t image = tile / g.row_tiles, row_tile = tile % g.row_tiles;
        const int32_t row_0 = row_tile * g.out_height / g.row_tiles;
        const int32_t row_1 = (row_tile + 1) * g.out_height / g.row_tiles;
        const int8_t* w_block = w;
        const int32_t* taps_block = taps;
        const uint8_t* stop = (const uint8_t*)y + (image * g.out_height + row_1) * out_pitch;
        subbyte_arm_depthwise_window(
            (uint8_t*)scratch, (const uint8_t*)x + image * g.height * g.width * (g.channels / g.multiplier),
            row_0 * g.stride_height - g.pad_top, (row_1 - row_0 - 1) * g.stride_height + g.reach_height, &g);
        for (block = 0; block < g.blocks; ++block) {
            const int32_t last = pixel_bytes - SUBBYTE_ARM_DEPTHWISE_LANES, at = block * SUBBYTE_ARM_DEPTHWISE_LANES;
            const int32_t channel = at <= last || last < 0 ? at : last, lane = block * SUBBYTE_ARM_DEPTHWISE_LANES;
            const int8_t* w_next = w_block;
            const int32_t* taps_next = taps_block;
            for (row = row_0; row < row_1; ++row) {
                const uint8_t* from = (const uint8_t*)scratch + (row - row_0) * g.stride_height * pitch + channel;
                uint8_t* to = (uint8_t*)y + (image * g.out_height + row) * out_pitch + channel;
                int32_t left = out_pitch - channel;
                for (place = 0; place < places; place += SUBBYTE_ARM_DEPTHWISE_PIXELS) {
                    int32x4_t sums[SUBBYTE_ARM_DEPTHWISE_PIXELS][2 * SUBBYTE_ARM_DEPTHWISE_HALVES];
                    SUBBYTE_ARM_DEPTHWISE_CODES codes[SUBBYTE_ARM_DEPTHWISE_PIXELS];
                    w_next = w_block;
                    taps_next = taps_block;
                    SUBBYTE_UNROLL for (i = 0; i < 2 * SUBBYTE_ARM_DEPTHWISE_HALVES; ++i) {
                        const int32x4_t first = vld1q_s32(bias + lane + 4 * i);
                        SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p) sums[p][i] = first;
                    }
                    subbyte_arm_depthwise_sums(sums, from, step, &w_next, &taps_next);
                    subbyte_arm_depthwise_codes(codes, sums, multiplier + lane, shift ? shift + lane : shift, &g);
                    if (left >= (SUBBYTE_ARM_DEPTHWISE_PIXELS - 1) * pixel_bytes + SUBBYTE_ARM_DEPTHWISE_LANES &&
                        !overlaps) {
                        SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p)
                            subbyte_arm_depthwise_store_whole(to + p * pixel_bytes, codes[p]);
                    } else {
                        SUBBYTE_UNROLL for (p = 0; p < SUBBYTE_ARM_DEPTHWISE_PIXELS; ++p) {
                            const int32_t rest = left - p * pixel_bytes;
                            // Pixels of fewer bytes than a block are written in order, each over the excess of the last.
                            if (rest > 0)
                                subbyte_arm_depthwise_store(to + p * pixel_bytes, codes[p],
                                                            overlaps ? (int32_t)(stop - to) - p * pixel_bytes : rest);
                        }
                    }
                    to += SUBBYTE_ARM_DEPTHWISE_PIXELS * pixel_bytes;
                    left -= SUBBYTE_ARM_DEPTHWISE_PIXELS * pixel_bytes;
                    from += SUBBYTE_ARM_DEPTHWISE_PIXELS * step;
                }
            }
            w_block = w_next;
            taps_block = taps_next;
        }
    }
}

#undef SUBBYTE_ARM_DEPTHWISE_TAPS
#undef SUBBYTE_ARM_DEPTHWISE_CODES

#endif  // SUBBYTE_ARM_DEPTHWISE_H
