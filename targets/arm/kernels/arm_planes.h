// Planes and pixels on Arm: [images][channels][pixels] <-> [images][pixels][channels], bytes, and N1 and N2 on the way.

#ifndef SUBBYTE_ARM_PLANES_H
#define SUBBYTE_ARM_PLANES_H

#include "arm_codes.h"

enum { SUBBYTE_ARM_PLANE_PIXELS = 16, SUBBYTE_ARM_PLANES = 8 };  // that are turned at a time

// The pixels of an image are cut into `tiles` tiles of about equal size, between blocks of SUBBYTE_ARM_PLANE_PIXELS.
struct subbyte_arm_planes {
    int32_t images, channels, pixels, tiles;
};

// Pixels first to last - 1 of an image.
struct subbyte_arm_pixels {
    int32_t image, first, last;
};

SUBBYTE_INLINE struct subbyte_arm_pixels subbyte_arm_pixels(const struct subbyte_arm_planes* g, int32_t tile) {
    const int32_t blocks = (g->pixels + SUBBYTE_ARM_PLANE_PIXELS - 1) / SUBBYTE_ARM_PLANE_PIXELS;
    const int32_t part = tile % g->tiles;
    struct subbyte_arm_pixels at;
    at.image = tile / g->tiles;
    at.first = part * blocks / g->tiles * SUBBYTE_ARM_PLANE_PIXELS;
    at.last = subbyte_min_s32((part + 1) * blocks / g->tiles * SUBBYTE_ARM_PLANE_PIXELS, g->pixels);
    return at;
}

// rows[i] byte j becomes rows[j] byte i, 8 by 8: interleaving row i with row i + 4, three times.
SUBBYTE_INLINE void subbyte_arm_turn(uint8x8_t* rows) {
    int32_t i, round;
    SUBBYTE_UNROLL for (round = 0; round < 3; ++round) {
        uint8x8_t mixed[8];
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            const uint8x8x2_t pair = vzip_u8(rows[i], rows[i + 4]);
            mixed[2 * i] = pair.val[0];
            mixed[2 * i + 1] = pair.val[1];
        }
        SUBBYTE_UNROLL for (i = 0; i < 8; ++i) rows[i] = mixed[i];
    }
}

// y[j * y_pitch + i] = x[i * x_pitch + j] for i < rows and j < columns, both at most 8.
SUBBYTE_INLINE void subbyte_arm_turn_part(uint8_t* y, ptrdiff_t y_pitch, const uint8_t* x, ptrdiff_t x_pitch,
                                          int32_t rows, int32_t columns) {
    int32_t i, j;
    if (rows == 8 && columns == 8) {
        uint8x8_t bytes[8];
        SUBBYTE_UNROLL for (i = 0; i < 8; ++i) bytes[i] = vld1_u8(x + i * x_pitch);
        subbyte_arm_turn(bytes);
        SUBBYTE_UNROLL for (i = 0; i < 8; ++i) vst1_u8(y + i * y_pitch, bytes[i]);
        return;
    }
    for (j = 0; j < columns; ++j)
        for (i = 0; i < rows; ++i) y[j * y_pitch + i] = x[i * x_pitch + j];
}

// Bytes of planes to pixels, n of them; 2 to 4 planes are interleaved by the store. Returns how many were done.
SUBBYTE_INLINE int32_t subbyte_arm_interleave(uint8_t* y, const uint8_t* x, ptrdiff_t pitch, int32_t planes,
                                              int32_t n) {
    int32_t i = 0;
    if (planes == 2)
        for (; i + 16 <= n; i += 16) {
            uint8x16x2_t pixels;
            pixels.val[0] = vld1q_u8(x + i);
            pixels.val[1] = vld1q_u8(x + pitch + i);
            vst2q_u8(y + 2 * i, pixels);
        }
    if (planes == 3)
        for (; i + 16 <= n; i += 16) {
            uint8x16x3_t pixels;
            pixels.val[0] = vld1q_u8(x + i);
            pixels.val[1] = vld1q_u8(x + pitch + i);
            pixels.val[2] = vld1q_u8(x + 2 * pitch + i);
            vst3q_u8(y + 3 * i, pixels);
        }
    if (planes == 4)
        for (; i + 16 <= n; i += 16) {
            uint8x16x4_t pixels;
            pixels.val[0] = vld1q_u8(x + i);
            pixels.val[1] = vld1q_u8(x + pitch + i);
            pixels.val[2] = vld1q_u8(x + 2 * pitch + i);
            pixels.val[3] = vld1q_u8(x + 3 * pitch + i);
            vst4q_u8(y + 4 * i, pixels);
        }
    return i;
}

// The inverse: bytes of pixels to planes.
SUBBYTE_INLINE int32_t subbyte_arm_separate(uint8_t* y, const uint8_t* x, ptrdiff_t pitch, int32_t planes, int32_t n) {
    int32_t i = 0;
    if (planes == 2)
        for (; i + 16 <= n; i += 16) {
            const uint8x16x2_t pixels = vld2q_u8(x + 2 * i);
            vst1q_u8(y + i, pixels.val[0]);
            vst1q_u8(y + pitch + i, pixels.val[1]);
        }
    if (planes == 3)
        for (; i + 16 <= n; i += 16) {
            const uint8x16x3_t pixels = vld3q_u8(x + 3 * i);
            vst1q_u8(y + i, pixels.val[0]);
            vst1q_u8(y + pitch + i, pixels.val[1]);
            vst1q_u8(y + 2 * pitch + i, pixels.val[2]);
        }
    if (planes == 4)
        for (; i + 16 <= n; i += 16) {
            const uint8x16x4_t pixels = vld4q_u8(x + 4 * i);
            vst1q_u8(y + i, pixels.val[0]);
            vst1q_u8(y + pitch + i, pixels.val[1]);
            vst1q_u8(y + 2 * pitch + i, pixels.val[2]);
            vst1q_u8(y + 3 * pitch + i, pixels.val[3]);
        }
    return i;
}

// y [images][pixels][channels] = x [images][channels][pixels], bytes.
SUBBYTE_ONE_COPY void subbyte_arm_transpose_bytes(const void* x, void* y, const struct subbyte_arm_planes* g,
                                                  int32_t begin, int32_t end) {
    const int32_t channels = g->channels, pixels = g->pixels;
    int32_t tile, pixel, channel;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_arm_pixels at = subbyte_arm_pixels(g, tile);
        const uint8_t* from = (const uint8_t*)x + at.image * channels * pixels;
        uint8_t* to = (uint8_t*)y + at.image * channels * pixels;
        pixel = at.first +
                subbyte_arm_interleave(to + at.first * channels, from + at.first, pixels, channels, at.last - at.first);
        for (; pixel < at.last; pixel += 8) {
            const int32_t n = subbyte_min_s32(at.last - pixel, 8);
            for (channel = 0; channel < channels; channel += 8)
                subbyte_arm_turn_part(to + pixel * channels + channel, channels, from + channel * pixels + pixel,
                                      pixels, subbyte_min_s32(channels - channel, 8), n);
        }
    }
}

// y [images][channels][pixels] = x [images][pixels][channels], bytes. Requires 2 to 4 channels; for more, channels and pixels
// change their places in subbyte_arm_transpose_bytes.
SUBBYTE_ONE_COPY void subbyte_arm_separate_bytes(const void* x, void* y, const struct subbyte_arm_planes* g,
                                                 int32_t begin, int32_t end) {
    const int32_t planes = g->channels, pixels = g->pixels;
    int32_t tile, pixel, plane;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_arm_pixels at = subbyte_arm_pixels(g, tile);
        const uint8_t* from = (const uint8_t*)x + at.image * planes * pixels;
        uint8_t* to = (uint8_t*)y + at.image * planes * pixels;
        pixel = at.first +
                subbyte_arm_separate(to + at.first, from + at.first * planes, pixels, planes, at.last - at.first);
        for (; pixel < at.last; ++pixel)
            for (plane = 0; plane < planes; ++plane) to[plane * pixels + pixel] = from[pixel * planes + plane];
    }
}

// y [images][pixels][channels] = N2 of x [images][channels][pixels].
SUBBYTE_ONE_COPY void subbyte_arm_quantize_planes(const float* x, void* y, const struct subbyte_arm_planes* g,
                                                  const struct subbyte_arm_grid* grid, int32_t begin, int32_t end) {
    const struct subbyte_arm_grid numbers = *grid;  // no store of a result changes it
    const int32_t channels = g->channels, pixels = g->pixels;
    int32_t tile, pixel, channel, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_arm_pixels at = subbyte_arm_pixels(g, tile);
        const float* from = x + at.image * channels * pixels;
        uint8_t* to = (uint8_t*)y + at.image * channels * pixels;
        for (pixel = at.first; pixel < at.last; pixel += SUBBYTE_ARM_PLANE_PIXELS) {
            const int32_t n = subbyte_min_s32(at.last - pixel, SUBBYTE_ARM_PLANE_PIXELS);
            for (channel = 0; channel < channels; channel += SUBBYTE_ARM_PLANES) {
                const int32_t planes = subbyte_min_s32(channels - channel, SUBBYTE_ARM_PLANES);
                uint8_t codes[SUBBYTE_ARM_PLANES * SUBBYTE_ARM_PLANE_PIXELS];
                uint8_t* there = to + pixel * channels + channel;
                for (i = 0; i < planes; ++i) {
                    const float* plane = from + (channel + i) * pixels + pixel;
                    if (n == SUBBYTE_ARM_PLANE_PIXELS)
                        vst1q_u8(codes + i * SUBBYTE_ARM_PLANE_PIXELS, subbyte_arm_quantize_16(plane, &numbers, grid));
                    else
                        subbyte_arm_quantize_each(plane, codes + i * SUBBYTE_ARM_PLANE_PIXELS, n, grid);
                }
                if (planes == channels &&
                    subbyte_arm_interleave(there, codes, SUBBYTE_ARM_PLANE_PIXELS, planes, n) == n)
                    continue;
                for (i = 0; i < n; i += 8)
                    subbyte_arm_turn_part(there + i * channels, channels, codes + i, SUBBYTE_ARM_PLANE_PIXELS, planes,
                                          subbyte_min_s32(n - i, 8));
            }
        }
    }
}

// y [images][channels][pixels] = N1 of x [images][pixels][channels]; scale as for subbyte_arm_dequantize.
SUBBYTE_ONE_COPY void subbyte_arm_dequantize_pixels(const void* x, float* y, const struct subbyte_arm_planes* g,
                                                    float scale, int32_t zero_point, int32_t flip, int32_t begin,
                                                    int32_t end) {
    const int32_t channels = g->channels, pixels = g->pixels;
    int32_t tile, pixel, channel, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_arm_pixels at = subbyte_arm_pixels(g, tile);
        const uint8_t* from = (const uint8_t*)x + at.image * channels * pixels;
        float* to = y + at.image * channels * pixels;
        for (pixel = at.first; pixel < at.last; pixel += SUBBYTE_ARM_PLANE_PIXELS) {
            const int32_t n = subbyte_min_s32(at.last - pixel, SUBBYTE_ARM_PLANE_PIXELS);
            for (channel = 0; channel < channels; channel += SUBBYTE_ARM_PLANES) {
                const int32_t planes = subbyte_min_s32(channels - channel, SUBBYTE_ARM_PLANES);
                const uint8_t* there = from + pixel * channels + channel;
                uint8_t codes[SUBBYTE_ARM_PLANES * SUBBYTE_ARM_PLANE_PIXELS];
                if (planes < channels || subbyte_arm_separate(codes, there, SUBBYTE_ARM_PLANE_PIXELS, planes, n) != n)
                    for (i = 0; i < n; i += 8)
                        subbyte_arm_turn_part(codes + i, SUBBYTE_ARM_PLANE_PIXELS, there + i * channels, channels,
                                              subbyte_min_s32(n - i, 8), planes);
                for (i = 0; i < planes; ++i)
                    subbyte_arm_dequantize(codes + i * SUBBYTE_ARM_PLANE_PIXELS, to + (channel + i) * pixels + pixel,
                                           scale, zero_point, flip, n, SUBBYTE_ARM_PLANE_PIXELS, 0, 1);
            }
        }
    }
}

#endif  // SUBBYTE_ARM_PLANES_H
