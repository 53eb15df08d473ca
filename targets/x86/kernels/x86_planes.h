// Planes and pixels on x86: [images][channels][pixels] <-> [images][pixels][channels], bytes.

#ifndef SUBBYTE_X86_PLANES_H
#define SUBBYTE_X86_PLANES_H

#include <immintrin.h>
#include <string.h>

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"

enum { SUBBYTE_X86_TILE = 16 };  // rows and columns that are transposed at a time

// The pixels of an image are cut into `tiles` tiles of about equal size, between blocks of SUBBYTE_X86_PIXELS.
struct subbyte_x86_planes {
    int32_t images, channels, pixels, tiles;
};

enum { SUBBYTE_X86_PIXELS = 64 };

// Pixels first to last - 1 of an image.
struct subbyte_x86_pixels {
    int32_t image, first, last;
};

SUBBYTE_INLINE struct subbyte_x86_pixels subbyte_x86_pixels(const struct subbyte_x86_planes* g, int32_t tile) {
    const int32_t blocks = (g->pixels + SUBBYTE_X86_PIXELS - 1) / SUBBYTE_X86_PIXELS, part = tile % g->tiles;
    struct subbyte_x86_pixels at;
    at.image = tile / g->tiles;
    at.first = part * blocks / g->tiles * SUBBYTE_X86_PIXELS;
    at.last = subbyte_min_s32((part + 1) * blocks / g->tiles * SUBBYTE_X86_PIXELS, g->pixels);
    return at;
}

// The first n bytes at p, and others behind; n <= 16. Nothing beyond is read.
SUBBYTE_INLINE __m128i subbyte_x86_load_few(const uint8_t* p, int32_t n) {
    uint8_t bytes[SUBBYTE_X86_TILE] = {0};
    if (n == SUBBYTE_X86_TILE) return _mm_loadu_si128((const __m128i*)(const void*)p);
    memcpy(bytes, p, (size_t)(n & (SUBBYTE_X86_TILE - 1)));
    return _mm_loadu_si128((const __m128i*)(const void*)bytes);
}

SUBBYTE_INLINE void subbyte_x86_store_few(uint8_t* p, __m128i v, int32_t n) {
    uint8_t bytes[SUBBYTE_X86_TILE];
    if (n == SUBBYTE_X86_TILE) {
        _mm_storeu_si128((__m128i*)(void*)p, v);
        return;
    }
    _mm_storeu_si128((__m128i*)(void*)bytes, v);
    memcpy(p, bytes, (size_t)(n & (SUBBYTE_X86_TILE - 1)));
}

// y[j * y_pitch + i] = x[i * x_pitch + j] for i < rows and j < columns, both at most 16.
//
// Interleaving row i with row i + 8, four times, brings 16 rows of 16 bytes to the order of their columns.
SUBBYTE_INLINE void subbyte_x86_transpose_tile(uint8_t* y, int32_t y_pitch, const uint8_t* x, int32_t x_pitch,
                                               int32_t rows, int32_t columns) {
    __m128i a[SUBBYTE_X86_TILE], b[SUBBYTE_X86_TILE];
    int32_t i, round;
    SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_X86_TILE; ++i) a[i] =
        i < rows ? subbyte_x86_load_few(x + i * x_pitch, columns) : _mm_setzero_si128();
    SUBBYTE_UNROLL for (round = 0; round < 2; ++round) {
        SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_X86_TILE / 2; ++i) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + SUBBYTE_X86_TILE / 2]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + SUBBYTE_X86_TILE / 2]);
        }
        SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_X86_TILE / 2; ++i) {
            a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + SUBBYTE_X86_TILE / 2]);
            a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + SUBBYTE_X86_TILE / 2]);
        }
    }
    SUBBYTE_UNROLL for (i = 0; i < SUBBYTE_X86_TILE; ++i) if (i < columns)
        subbyte_x86_store_few(y + i * y_pitch, a[i], rows);
}

// y[3 * i + k] = the byte i of a, b and c, for 16 values of i.
SUBBYTE_INLINE void subbyte_x86_interleave_three(uint8_t* y, __m128i a, __m128i b, __m128i c) {
    const __m128i a_0 = _mm_setr_epi8(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5);
    const __m128i b_0 = _mm_setr_epi8(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1);
    const __m128i c_0 = _mm_setr_epi8(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1);
    const __m128i a_1 = _mm_setr_epi8(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1);
    const __m128i b_1 = _mm_setr_epi8(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10);
    const __m128i c_1 = _mm_setr_epi8(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1);
    const __m128i a_2 = _mm_setr_epi8(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1);
    const __m128i b_2 = _mm_setr_epi8(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1);
    const __m128i c_2 = _mm_setr_epi8(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15);
    const __m128i first =
        _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, a_0), _mm_shuffle_epi8(b, b_0)), _mm_shuffle_epi8(c, c_0));
    const __m128i second =
        _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, a_1), _mm_shuffle_epi8(b, b_1)), _mm_shuffle_epi8(c, c_1));
    const __m128i third =
        _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, a_2), _mm_shuffle_epi8(b, b_2)), _mm_shuffle_epi8(c, c_2));
    _mm_storeu_si128((__m128i*)(void*)y, first);
    _mm_storeu_si128((__m128i*)(void*)(y + 16), second);
    _mm_storeu_si128((__m128i*)(void*)(y + 32), third);
}

// `pixels` pixels, at most 16, of `channels` planes that are x_pitch bytes apart, to y, channels side by side.
SUBBYTE_INLINE void subbyte_x86_join_planes(uint8_t* y, const uint8_t* x, int32_t x_pitch, int32_t channels,
                                            int32_t pixels) {
    int32_t channel;
    if (channels == 3 && pixels == SUBBYTE_X86_TILE) {
        subbyte_x86_interleave_three(y, subbyte_x86_load_few(x, SUBBYTE_X86_TILE),
                                     subbyte_x86_load_few(x + x_pitch, SUBBYTE_X86_TILE),
                                     subbyte_x86_load_few(x + 2 * x_pitch, SUBBYTE_X86_TILE));
        return;
    }
    for (channel = 0; channel < channels; channel += SUBBYTE_X86_TILE)
        subbyte_x86_transpose_tile(y + channel, channels, x + channel * x_pitch, x_pitch,
                                   subbyte_min_s32(channels - channel, SUBBYTE_X86_TILE), pixels);
}

// y [images][pixels][channels] = x [images][channels][pixels].
SUBBYTE_INLINE void subbyte_x86_transpose_bytes(const void* x, void* y, const struct subbyte_x86_planes* g,
                                                int32_t begin, int32_t end) {
    int32_t tile, pixel;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_x86_pixels at = subbyte_x86_pixels(g, tile);
        const uint8_t* from = (const uint8_t*)x + at.image * g->channels * g->pixels;
        uint8_t* to = (uint8_t*)y + at.image * g->channels * g->pixels;
        for (pixel = at.first; pixel + SUBBYTE_X86_TILE <= at.last; pixel += SUBBYTE_X86_TILE)
            subbyte_x86_join_planes(to + pixel * g->channels, from + pixel, g->pixels, g->channels, SUBBYTE_X86_TILE);
        if (pixel < at.last)
            subbyte_x86_join_planes(to + pixel * g->channels, from + pixel, g->pixels, g->channels, at.last - pixel);
    }
}

#endif  // SUBBYTE_X86_PLANES_H
