// Convolutions in groups on Arm, above all depthwise ones: outputs in lanes, exact sums, then N4.
//
// A depthwise convolution has a filter for each channel. Where groups have several channels or outputs, the window is copied
// once for each channel of a group, and every output finds the codes it multiplies in its own lane: a tap more for each.
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
    SUBBYTE_ARM_DEPTHWISE_PIXELS = 4                                 // the most whose sums are made at a time
};

// x [images][height][width][group_channels * channels / group_outputs] -> y [images][out_height][out_width][channels].
//
// The input of a tile is copied to scratch, codes -128..127: `flip` is 0x80 where those of x are 0..255; x_zero stands where
// there is no input. For each channel of a group there are plane_bytes, of which rows of `columns` pixels of `channels` bytes
// are filled: the code of that channel of the group of each output. row_tiles: tiles of an image.
// abreast: neighbouring pixels whose bytes are cut into `blocks` blocks; more than one only where no column is skipped. Block
// b begins with byte b * SUBBYTE_ARM_DEPTHWISE_LANES, or with the last that leaves it whole.
struct subbyte_arm_depthwise {
    int32_t height, width, channels, group_channels, group_outputs, out_height, out_width;
    int32_t stride_height, stride_width, pad_top, pad_left;
    int32_t reach_height, columns;  // rows of the input that a row of the result needs; pixels of a copied row
    int32_t plane_bytes, row_tiles, blocks, abreast;
    int32_t flip, x_zero, y_zero, qmin, qmax;
};

// Bytes of a pixel of x.
SUBBYTE_INLINE int32_t subbyte_arm_depthwise_pixel(const struct subbyte_arm_depthwise* g) {
    return g->channels / g->group_outputs * g->group_channels;
}

// n pixels of a row of x, for each output the code of channel `channel` of its group; x_zero where row is null.
SUBBYTE_INLINE uint8_t* subbyte_arm_depthwise_copy(uint8_t* to, const uint8_t* row, int32_t n, int32_t channel,
                                                   const struct subbyte_arm_depthwise* g) {
    const int32_t bytes = n * g->channels;
    int32_t k;
    if (n <= 0) return to;
    if (!row) {
        subbyte_arm_fill(to, g->x_zero, bytes);
    } else if (g->group_outputs == 1 && g->group_channels == 1) {
        subbyte_arm_copy(to, row, bytes, g->flip);
    } else {
        // Eight bytes at a time: what is too much, the next group is written over, and there is room behind the last.
        uint8_t* of_group = to;
        for (row += channel; of_group < to + bytes; of_group += g->group_outputs, row += g->group_channels)
            for (k = 0; k < g->group_outputs; k += 8) vst1_u8(of_group + k, vdup_n_u8((uint8_t)(*row ^ g->flip)));
    }
    return to + bytes;
}

// The window of the tile whose first input row is `top`, for one channel of each group.
SUBBYTE_INLINE void subbyte_arm_depthwise_plane(uint8_t* to, const uint8_t* image, int32_t top, int32_t rows,
                                                int32_t channel, const struct subbyte_arm_depthwise* g) {
    const int32_t before = subbyte_min_s32(g->pad_left, g->columns);
    const int32_t inside = subbyte_min_s32(g->columns - before, g->width), pixel = subbyte_arm_depthwise_pixel(g);
    int32_t row;
    for (row = top; row < top + rows; ++row) {
        const int32_t is_inside = row >= 0 && row < g->height;
        to = subbyte_arm_depthwise_copy(to, 0, is_inside ? before : g->columns, channel, g);
        if (!is_inside) continue;
        to = subbyte_arm_depthwise_copy(to, image + row * g->width * pixel, inside, channel, g);
        to = subbyte_arm_depthwise_copy(to, 0, g->columns - before - inside, channel, g);
    }
}

#if defined(__aarch64__)
#define SUBBYTE_ARM_DEPTHWISE_TAPS int8x16_t
#define SUBBYTE_ARM_DEPTHWISE_STORE vst1q_s8
SUBBYTE_INLINE int8x16_t subbyte_arm_depthwise_load(const void* p) { return vld1q_s8((const int8_t*)p); }
SUBBYTE_INLINE void subbyte_arm_depthwise_first(int16x8_t* sums, int8x16_t x, int8x16_t w) {
    sums[0] = subbyte_arm_multiply_low(x, w);
    sums[1] = subbyte_arm_multiply_high(x, w);
}
SUBBYTE_INLINE void subbyte_arm_depthwise_more(int16x8_t* sums, int8x16_t x, int8x16_t w) {
    sums[0] = subbyte_arm_multiply_add_low(sums[0], x, w);
    sums[1] = subbyte_arm_multiply_add_high(sums[1], x, w);
}
#else
#define SUBBYTE_ARM_DEPTHWISE_TAPS int8x8_t
#define SUBBYTE_ARM_DEPTHWISE_STORE vst1_s8
SUBBYTE_INLINE int8x8_t subbyte_arm_depthwise_load(const void* p) { return vld1_s8((const int8_t*)p); }
SUBBYTE_INLINE void subbyte_arm_depthwise_first(int16x8_t* sums, int8x8_t x, int8x8_t w) { sums[0] = vmull_s8(x, w); }
SUBBYTE_INLINE void subbyte_arm_depthwise_more(int16x8_t* sums, int8x8_t x, int8x8_t w) {
    sums[0] = vmlal_s8(sums[0], x, w);
}
#endif

// What is multiplied next: a tap of every pixel, which begins at from[p], and its weights; and where the taps after it are.
struct subbyte_arm_depthwise_tap {
    SUBBYTE_ARM_DEPTHWISE_TAPS in[SUBBYTE_ARM_DEPTHWISE_PIXELS], weights;
    const uint8_t* from[SUBBYTE_ARM_DEPTHWISE_PIXELS];
    const int8_t* w;
    const int32_t* places;
};

// shorts[p] gains a tap, or becomes it; the next one is loaded meanwhile, so that in-order pipelines wait for nothing.
SUBBYTE_INLINE void subbyte_arm_depthwise_add_tap(int16x8_t shorts[][SUBBYTE_ARM_DEPTHWISE_HALVES],
                                                  struct subbyte_arm_depthwise_tap* tap, int first, int pixels) {
    const ptrdiff_t place = *++tap->places;
    int32_t p;
    tap->w += SUBBYTE_ARM_DEPTHWISE_LANES;
    SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) {
        if (first)
            subbyte_arm_depthwise_first(shorts[p], tap->in[p], tap->weights);
        else
            subbyte_arm_depthwise_more(shorts[p], tap->in[p], tap->weights);
        tap->in[p] = subbyte_arm_depthwise_load(tap->from[p] + place);
    }
    tap->weights = subbyte_arm_depthwise_load(tap->w);
}

// sums[p] gains a group of `count` taps; the first group is added to the bias.
SUBBYTE_INLINE void subbyte_arm_depthwise_group(int32x4_t sums[][2 * SUBBYTE_ARM_DEPTHWISE_HALVES],
                                                struct subbyte_arm_depthwise_tap* tap, int32_t count,
                                                const int32_t* bias, int first, int pixels) {
    int16x8_t shorts[SUBBYTE_ARM_DEPTHWISE_PIXELS][SUBBYTE_ARM_DEPTHWISE_HALVES];
    int32_t i, p;
    subbyte_arm_depthwise_add_tap(shorts, tap, 1, pixels);
    _Pragma("GCC unroll 1")  // a group has few taps: no copies of this loop for many
        while (--count > 0) subbyte_arm_depthwise_add_tap(shorts, tap, 0, pixels);
    SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_ARM_DEPTHWISE_HALVES; ++i) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        if (first) {
            low = vld1q_s32(bias + 8 * i);
            high = vld1q_s32(bias + 8 * i + 4);
        }
        SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) {
            sums[p][2 * i] = vaddw_s16(first ? low : sums[p][2 * i], vget_low_s16(shorts[p][i]));
            sums[p][2 * i + 1] = vaddw_s16(first ? high : sums[p][2 * i + 1], vget_high_s16(shorts[p][i]));
        }
    }
}

// codes[p] of sums[p].
SUBBYTE_INLINE void subbyte_arm_depthwise_codes(SUBBYTE_ARM_DEPTHWISE_TAPS* codes,
                                                int32x4_t sums[][2 * SUBBYTE_ARM_DEPTHWISE_HALVES],
                                                const float* multiplier, const float* shift, int pixels,
                                                const struct subbyte_arm_depthwise* g) {
    int32_t i, p;
    SUBBYTE_UNROLL for (i = 0; i < 2 * SUBBYTE_ARM_DEPTHWISE_HALVES; ++i) {
        const float32x4_t factor = vld1q_f32(multiplier + 4 * i);
        if (shift) {
            const float32x4_t summand = vld1q_f32(shift + 4 * i);
            SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) sums[p][i] =
                subbyte_scale_shift_neon(sums[p][i], factor, summand);
        } else {
            SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) sums[p][i] = subbyte_scale_neon(sums[p][i], factor);
        }
    }
    SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) {
#if defined(__aarch64__)
        codes[p] = subbyte_arm_narrow_16(sums[p][0], sums[p][1], sums[p][2], sums[p][3], g->y_zero, g->qmin);
#else
        codes[p] = subbyte_arm_narrow_8(sums[p][0], sums[p][1], g->y_zero, g->qmin);
#endif
    }
    if (g->qmin == -128 && g->qmax == 127) return;
    SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) {
#if defined(__aarch64__)
        codes[p] = subbyte_arm_fit_16(codes[p], g->qmin, g->qmax);
#else
        codes[p] = subbyte_arm_fit_8(codes[p], g->qmin, g->qmax);
#endif
    }
}

// The first n bytes of a block; all of them where n is larger.
SUBBYTE_INLINE void subbyte_arm_depthwise_store(uint8_t* to, SUBBYTE_ARM_DEPTHWISE_TAPS codes, int32_t n) {
#if defined(__aarch64__)
    subbyte_arm_store_part(to, vreinterpretq_u8_s8(codes), subbyte_min_s32(n, SUBBYTE_ARM_DEPTHWISE_LANES));
#else
    subbyte_arm_store_part_8(to, codes, n);
#endif
}

// The parameters of a block of channels: taps in groups (`counts` of them each), and what makes codes of sums.
struct subbyte_arm_depthwise_filter {
    const int8_t* w;
    const int32_t *places, *counts, *bias;
    const float *multiplier, *shift;
    int32_t groups;
};

// One row of the result from `to` on, of the window from `from` on, for a block of channels: `left` bytes of the row, and
// `writable` up to the end of the tile.
SUBBYTE_INLINE void subbyte_arm_depthwise_row(uint8_t* to, const uint8_t* from, int32_t left, int32_t writable,
                                              const struct subbyte_arm_depthwise_filter* f, int pixels,
                                              const struct subbyte_arm_depthwise* g) {
    const int32_t pixel_bytes = g->abreast * g->channels;
    const ptrdiff_t step = g->stride_width * pixel_bytes;
    int32_t k, p;
    while (left > 0) {
        int32x4_t sums[SUBBYTE_ARM_DEPTHWISE_PIXELS][2 * SUBBYTE_ARM_DEPTHWISE_HALVES];
        SUBBYTE_ARM_DEPTHWISE_TAPS codes[SUBBYTE_ARM_DEPTHWISE_PIXELS];
        struct subbyte_arm_depthwise_tap tap;
        tap.w = f->w;
        tap.places = f->places;
        tap.weights = subbyte_arm_depthwise_load(tap.w);
        SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) {
            tap.from[p] = from + p * step;
            tap.in[p] = subbyte_arm_depthwise_load(tap.from[p] + *tap.places);
        }
        subbyte_arm_depthwise_group(sums, &tap, f->counts[0], f->bias, 1, pixels);
        _Pragma("GCC unroll 1") for (k = 1; k < f->groups; ++k)
            subbyte_arm_depthwise_group(sums, &tap, f->counts[k], f->bias, 0, pixels);
        subbyte_arm_depthwise_codes(codes, sums, f->multiplier, f->shift, pixels, g);
        if (left >= (pixels - 1) * pixel_bytes + SUBBYTE_ARM_DEPTHWISE_LANES) {
            SUBBYTE_UNROLL for (p = 0; p < pixels; ++p)
                SUBBYTE_ARM_DEPTHWISE_STORE((int8_t*)to + p * pixel_bytes, codes[p]);
        } else {
            // Pixels of fewer bytes than a block are written in order, each over the excess of the last.
            const int32_t most = pixel_bytes < SUBBYTE_ARM_DEPTHWISE_LANES ? writable : left;
            SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) if (left > p * pixel_bytes)
                subbyte_arm_depthwise_store(to + p * pixel_bytes, codes[p], most - p * pixel_bytes);
        }
        to += pixels * pixel_bytes;
        left -= pixels * pixel_bytes;
        writable -= pixels * pixel_bytes;
        from += pixels * step;
    }
}

// y = N4 of the sums, `pixels` neighbours in a row at a time.
SUBBYTE_INLINE void subbyte_arm_depthwise(const void* x, const int8_t* w, const int32_t* places, const int32_t* counts,
                                          const int32_t* bias, const float* multiplier, const float* shift, void* y,
                                          int pixels, const struct subbyte_arm_depthwise* geometry, int32_t begin,
                                          int32_t end, void* scratch) {
    const struct subbyte_arm_depthwise g = *geometry;  // no store of a result changes it
    const int32_t pitch = g.columns * g.channels, out_pitch = g.out_width * g.channels;
    const int32_t last = g.abreast * g.channels - SUBBYTE_ARM_DEPTHWISE_LANES;
    int32_t tile, row, block, k;
    for (tile = begin; tile < end; ++tile) {
        const int32_t image = tile / g.row_tiles, row_tile = tile % g.row_tiles;
        const int32_t row_0 = row_tile * g.out_height / g.row_tiles;
        const int32_t row_1 = (row_tile + 1) * g.out_height / g.row_tiles;
        struct subbyte_arm_depthwise_filter f = {w, places, counts + g.blocks, bias, multiplier, shift, 0};
        for (k = 0; k < g.group_channels; ++k)
            subbyte_arm_depthwise_plane(
                (uint8_t*)scratch + k * g.plane_bytes,
                (const uint8_t*)x + image * g.height * g.width * subbyte_arm_depthwise_pixel(&g),
                row_0 * g.stride_height - g.pad_top, (row_1 - row_0 - 1) * g.stride_height + g.reach_height, k, &g);
        for (block = 0; block < g.blocks; ++block) {
            const int32_t at = block * SUBBYTE_ARM_DEPTHWISE_LANES;
            const int32_t channel = at <= last || last < 0 ? at : last;
            uint8_t* to = (uint8_t*)y + (image * g.out_height + row_0) * out_pitch + channel;
            const uint8_t* from = (const uint8_t*)scratch + channel;
            f.groups = counts[block];
            for (row = row_0; row < row_1; ++row, to += out_pitch, from += g.stride_height * pitch)
                subbyte_arm_depthwise_row(to, from, out_pitch - channel, (row_1 - row) * out_pitch - channel, &f,
                                          pixels, &g);
            for (k = 0; k < f.groups; ++k) {
                f.w += f.counts[k] * SUBBYTE_ARM_DEPTHWISE_LANES;
                f.places += f.counts[k];
            }
            f.counts += f.groups;
            f.bias += SUBBYTE_ARM_DEPTHWISE_LANES;
            f.multiplier += SUBBYTE_ARM_DEPTHWISE_LANES;
            if (f.shift) f.shift += SUBBYTE_ARM_DEPTHWISE_LANES;
        }
    }
}

// The kernels: y = N4 of the sums, four or three pixels at a time.
//
// w: [taps of block 0, those of block 1, ..., one that is only read][SUBBYTE_ARM_DEPTHWISE_LANES]; places: of each of these in
// the windows, in bytes from their first. counts: groups of every block, then taps of every group. bias (zero point terms
// included), multiplier and shift: [blocks][SUBBYTE_ARM_DEPTHWISE_LANES]; shift may be null. Tiles: images * row_tiles.
// scratch: the windows of a tile, and SUBBYTE_ARM_DEPTHWISE_PIXELS * stride_width * abreast pixels and a block more.
#define SUBBYTE_ARM_DEPTHWISE(name, pixels)                                                                        \
    SUBBYTE_ONE_COPY void name(const void* x, const int8_t* w, const int32_t* places, const int32_t* counts,       \
                               const int32_t* bias, const float* multiplier, const float* shift, void* y,          \
                               const struct subbyte_arm_depthwise* g, int32_t begin, int32_t end, void* scratch) { \
        subbyte_arm_depthwise(x, w, places, counts, bias, multiplier, shift, y, pixels, g, begin, end, scratch);   \
    }
SUBBYTE_ARM_DEPTHWISE(subbyte_arm_depthwise_of_4, 4)
SUBBYTE_ARM_DEPTHWISE(subbyte_arm_depthwise_of_3, 3)
#undef SUBBYTE_ARM_DEPTHWISE

#undef SUBBYTE_ARM_DEPTHWISE_TAPS
#undef SUBBYTE_ARM_DEPTHWISE_STORE

#endif  // SUBBYTE_ARM_DEPTHWISE_H
