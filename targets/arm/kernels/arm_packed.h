// Elementwise work on codes that share bytes on Arm: tables of them, sums, the largest of windows, N1 and N2.
//
// Bits of codes in memory are 1, 2, 4 or 8, code i at bits i * bits to i * bits + bits - 1 of a row, the lowest first. Tensors
// begin with whole bytes, and fill whole bytes. Tiles are runs of `chunk` of n elements, a multiple of 128.

#ifndef SUBBYTE_ARM_PACKED_H
#define SUBBYTE_ARM_PACKED_H

#include "arm_binary.h"
#include "arm_codes.h"
#include "arm_pool.h"
#include "arm_tables.h"

// ---- 16 codes from memory and to it ------------------------------------------------------------------------------------

// Where 16 codes of a tensor are: which byte each is in, and how far to the right it is to go there.
struct subbyte_arm_places {
    uint8x16_t byte, mask;
    int8x16_t right;
    int32_t bits;
};

SUBBYTE_INLINE struct subbyte_arm_places subbyte_arm_places(int32_t bits) {
    uint8_t byte[16];
    struct subbyte_arm_places places;
    int32_t i;
    for (i = 0; i < 16; ++i) byte[i] = (uint8_t)(i * bits / 8);
    places.byte = vld1q_u8(byte);
    places.mask = vdupq_n_u8((uint8_t)((1 << bits) - 1));
    places.right = bits == 8 ? vdupq_n_s8(0) : vnegq_s8(subbyte_arm_lefts(bits));
    places.bits = bits;
    return places;
}

// The codes at `from`, a byte each, 16 or as many as there are in the `rest` bytes that belong to the tile.
SUBBYTE_INLINE uint8x16_t subbyte_arm_take(const uint8_t* from, ptrdiff_t rest, const struct subbyte_arm_places* p) {
    const uint8x16_t bytes = rest >= 16 ? vld1q_u8(from) : subbyte_arm_load_part(from, (int32_t)rest);
    return vandq_u8(vshlq_u8(subbyte_arm_look_up(bytes, p->byte), p->right), p->mask);
}

// The first n codes to y.
SUBBYTE_INLINE void subbyte_arm_put(uint8_t* y, uint8x16_t codes, int32_t n, int32_t bits) {
    const uint8x16_t bytes = subbyte_arm_join(codes, bits);
    if (n >= 16 && bits == 2) {
        const uint32_t word = vgetq_lane_u32(vreinterpretq_u32_u8(bytes), 0);
        memcpy(y, &word, 4);
    } else if (n >= 16 && bits == 1) {
        const uint16_t half = vgetq_lane_u16(vreinterpretq_u16_u8(bytes), 0);
        memcpy(y, &half, 2);
    } else {
        subbyte_arm_store_part(y, bytes, (int32_t)subbyte_whole_bytes(subbyte_min_s32(n, 16), bits));
    }
}

// ---- tables -------------------------------------------------------------------------------------------------------------

// 16 bytes by tables of their lower and of their upper halves.
SUBBYTE_INLINE uint8x16_t subbyte_arm_by_halves(uint8x16_t bytes, uint8x16_t of_low, uint8x16_t of_high) {
    return vorrq_u8(subbyte_arm_look_up(of_low, vandq_u8(bytes, vdupq_n_u8(15))),
                    subbyte_arm_look_up(of_high, vshrq_n_u8(bytes, 4)));
}

// y = table[x], x and y of as many bits, 4 or fewer: a byte at a time. n, chunk: bytes. tables: [2][16], what four bits become,
// those that are the lower ones of a byte, and those that are the upper ones. y may be x.
SUBBYTE_ONE_COPY void subbyte_arm_lookup_joined(const void* x, void* y, const uint8_t* tables, int32_t n, int32_t chunk,
                                                int32_t begin, int32_t end) {
    const uint8x16_t of_low = vld1q_u8(tables), of_high = vld1q_u8(tables + 16);
    const uint8_t* from = (const uint8_t*)x + begin * chunk;
    uint8_t* to = (uint8_t*)y + begin * chunk;
    int32_t rest = subbyte_min_s32(end * chunk, n) - begin * chunk;
    for (; rest >= 16; rest -= 16, from += 16, to += 16)
        vst1q_u8(to, subbyte_arm_by_halves(vld1q_u8(from), of_low, of_high));
    if (rest > 0)
        subbyte_arm_store_part(to, subbyte_arm_by_halves(subbyte_arm_load_part(from, rest), of_low, of_high), rest);
}

// y = table[x], 16 entries. y may be x where both have as many bits.
SUBBYTE_ONE_COPY void subbyte_arm_lookup_of_16(const void* x, void* y, const uint8_t* table, int32_t x_bits,
                                               int32_t y_bits, int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const struct subbyte_arm_places of_x = subbyte_arm_places(x_bits);
    const uint8x16_t entries = vld1q_u8(table);
    const uint8_t* from = (const uint8_t*)x + subbyte_whole_bytes(begin * chunk, x_bits);
    const uint8_t* behind = (const uint8_t*)x + subbyte_whole_bytes(stop, x_bits);
    uint8_t* to = (uint8_t*)y + subbyte_whole_bytes(begin * chunk, y_bits);
    int32_t i;
    for (i = begin * chunk; i < stop; i += 16, from += 2 * x_bits, to += 2 * y_bits)
        subbyte_arm_put(to, subbyte_arm_look_up(entries, subbyte_arm_take(from, behind - from, &of_x)), stop - i,
                        y_bits);
}

// y = first + the sum of deltas[k] where x >= thresholds[k], modulo 256: any table of x with few steps. x, a byte each, and the
// thresholds are -128..127; flip: 0x80 where x has codes 0..255, which turning bit 7 over makes those.
SUBBYTE_ONE_COPY void subbyte_arm_lookup_steps(const void* x, void* y, const int8_t* thresholds, const uint8_t* deltas,
                                               int32_t steps, int32_t first, int32_t flip, int32_t y_bits, int32_t n,
                                               int32_t chunk, int32_t begin, int32_t end) {
    const uint8x16_t turn = vdupq_n_u8((uint8_t)flip);
    const uint8_t* from = (const uint8_t*)x + begin * chunk;
    uint8_t* to = (uint8_t*)y + subbyte_whole_bytes(begin * chunk, y_bits);
    int32_t rest = subbyte_min_s32(end * chunk, n) - begin * chunk, k;
    for (; rest > 0; rest -= 16, from += 16, to += 2 * y_bits) {
        const uint8x16_t bytes = rest >= 16 ? vld1q_u8(from) : subbyte_arm_load_part(from, rest);
        const int8x16_t codes = vreinterpretq_s8_u8(veorq_u8(bytes, turn));
        uint8x16_t sum = vdupq_n_u8((uint8_t)first);
        for (k = 0; k < steps; ++k) {
            const uint8x16_t reached = vcgeq_s8(codes, vld1q_dup_s8(thresholds + k));
            sum = vaddq_u8(sum, vandq_u8(reached, vld1q_dup_u8(deltas + k)));
        }
        subbyte_arm_put(to, sum, rest, y_bits);
    }
}

// ---- sums, differences and products ------------------------------------------------------------------------------------

// 16 bytes of a with 16 of b. first, third: tables for the even pairs of bits, second, fourth: for the odd ones.
SUBBYTE_INLINE uint8x16_t subbyte_arm_join_pairs(uint8x16_t a, uint8x16_t b, uint8x16_t first, uint8x16_t second,
                                                 uint8x16_t third, uint8x16_t fourth) {
    const uint8x16_t of_a = vdupq_n_u8(0x33);
    const uint8x16_t evens = vbslq_u8(of_a, a, vshlq_n_u8(b, 2)), odds = vbslq_u8(of_a, vshrq_n_u8(a, 2), b);
    return vorrq_u8(subbyte_arm_by_halves(evens, first, third), subbyte_arm_by_halves(odds, second, fourth));
}

// y = a op b, all of 1 bit or all of 2: a byte at a time. n, chunk: bytes. tables: [4][16]: table k has at a' + 4 * b' what
// two bits a' of a and two bits b' of b become, moved left by 2 * k. y may be a or b.
SUBBYTE_ONE_COPY void subbyte_arm_pairs_joined(const void* a, const void* b, void* y, const uint8_t* tables, int32_t n,
                                               int32_t chunk, int32_t begin, int32_t end) {
    const uint8x16_t first = vld1q_u8(tables), second = vld1q_u8(tables + 16);
    const uint8x16_t third = vld1q_u8(tables + 32), fourth = vld1q_u8(tables + 48);
    const uint8_t *left = (const uint8_t*)a + begin * chunk, *right = (const uint8_t*)b + begin * chunk;
    uint8_t* to = (uint8_t*)y + begin * chunk;
    int32_t rest = subbyte_min_s32(end * chunk, n) - begin * chunk;
    for (; rest >= 16; rest -= 16, left += 16, right += 16, to += 16)
        vst1q_u8(to, subbyte_arm_join_pairs(vld1q_u8(left), vld1q_u8(right), first, second, third, fourth));
    if (rest > 0) {
        const uint8x16_t one = subbyte_arm_load_part(left, rest), other = subbyte_arm_load_part(right, rest);
        subbyte_arm_store_part(to, subbyte_arm_join_pairs(one, other, first, second, third, fourth), rest);
    }
}

// y = table[a + (b << shift)], 16 entries. y may be a or b where they have as many bits.
SUBBYTE_ONE_COPY void subbyte_arm_pairs_of_16(const void* a, const void* b, void* y, const uint8_t* table,
                                              int32_t shift, int32_t a_bits, int32_t b_bits, int32_t y_bits, int32_t n,
                                              int32_t chunk, int32_t begin, int32_t end) {
    const int32_t start = begin * chunk, stop = subbyte_min_s32(end * chunk, n);
    const struct subbyte_arm_places of_a = subbyte_arm_places(a_bits), of_b = subbyte_arm_places(b_bits);
    const uint8x16_t entries = vld1q_u8(table);
    const int8x16_t left = vdupq_n_s8((int8_t)shift);
    const uint8_t* one = (const uint8_t*)a + subbyte_whole_bytes(start, a_bits);
    const uint8_t* other = (const uint8_t*)b + subbyte_whole_bytes(start, b_bits);
    const uint8_t* behind_one = (const uint8_t*)a + subbyte_whole_bytes(stop, a_bits);
    const uint8_t* behind_other = (const uint8_t*)b + subbyte_whole_bytes(stop, b_bits);
    uint8_t* to = (uint8_t*)y + subbyte_whole_bytes(start, y_bits);
    int32_t i;
    for (i = start; i < stop; i += 16, one += 2 * a_bits, other += 2 * b_bits, to += 2 * y_bits) {
        const uint8x16_t codes = subbyte_arm_take(one, behind_one - one, &of_a);
        const uint8x16_t beside = vshlq_u8(subbyte_arm_take(other, behind_other - other, &of_b), left);
        subbyte_arm_put(to, subbyte_arm_look_up(entries, vorrq_u8(codes, beside)), stop - i, y_bits);
    }
}

// ---- the largest of windows --------------------------------------------------------------------------------------------

// y = the largest code of each window; no window is empty. channels of g are the bytes of a pixel, of x and of y.
//
// Codes stay where they are: the largest byte of those whose bits of other codes are 0 holds the largest code.
SUBBYTE_INLINE void subbyte_arm_max_pool_packed(const void* x, void* y, int32_t bits,
                                                const struct subbyte_arm_pool* geometry, int32_t begin, int32_t end) {
    const struct subbyte_arm_pool g = *geometry;  // no store of a result changes it
    const int32_t column_step = g.dilation_width * g.channels;
    int32_t row, column, block, ky, kx, code;
    for (row = begin; row < end; ++row) {
        const uint8_t* image = (const uint8_t*)x + row / g.out_height * g.height * g.width * g.channels;
        const struct subbyte_arm_inside rows = subbyte_arm_inside(row % g.out_height, g.stride_height, g.pad_top,
                                                                  g.kernel_height, g.dilation_height, g.height);
        uint8_t* to = (uint8_t*)y + row * g.out_width * g.channels;
        for (column = 0; column < g.out_width; ++column, to += g.channels) {
            const struct subbyte_arm_inside columns =
                subbyte_arm_inside(column, g.stride_width, g.pad_left, g.kernel_width, g.dilation_width, g.width);
            for (block = 0; block < g.channels; block += 16) {
                const int32_t at = subbyte_arm_block_start(block, g.channels);
                const int32_t n = subbyte_min_s32(g.channels - at, 16);
                const uint8x16_t zero = vdupq_n_u8(0);
                uint8x16_t largest[4] = {zero, zero, zero, zero};
                for (ky = rows.first; ky < rows.last; ++ky) {
                    const uint8_t* from = image + (rows.start + ky * g.dilation_height) * g.width * g.channels +
                                          (columns.start + columns.first * g.dilation_width) * g.channels + at;
                    for (kx = columns.first; kx < columns.last; ++kx, from += column_step) {
                        const uint8x16_t codes = subbyte_arm_load_part(from, n);
                        if (bits == 1)
                            largest[0] = vorrq_u8(largest[0], codes);
                        else
                            SUBBYTE_UNROLL for (code = 0; code < 8 / bits; ++code) largest[code] =
                                vmaxq_u8(largest[code],
                                         vandq_u8(codes, vdupq_n_u8((uint8_t)(((1 << bits) - 1) << code * bits))));
                    }
                }
                if (bits > 1)
                    SUBBYTE_UNROLL for (code = 1; code < 8 / bits; ++code) largest[0] =
                        vorrq_u8(largest[0], largest[code]);
                subbyte_arm_store_part(to + at, largest[0], n);
            }
        }
    }
}

#define SUBBYTE_ARM_MAX_POOL_PACKED(name, bits)                                                                        \
    SUBBYTE_ONE_COPY void name(const void* x, void* y, const struct subbyte_arm_pool* g, int32_t begin, int32_t end) { \
        subbyte_arm_max_pool_packed(x, y, bits, g, begin, end);                                                        \
    }
SUBBYTE_ARM_MAX_POOL_PACKED(subbyte_arm_max_pool_u1, 1)
SUBBYTE_ARM_MAX_POOL_PACKED(subbyte_arm_max_pool_u2, 2)
SUBBYTE_ARM_MAX_POOL_PACKED(subbyte_arm_max_pool_u4, 4)
#undef SUBBYTE_ARM_MAX_POOL_PACKED

// ---- N1 and N2 ----------------------------------------------------------------------------------------------------------

// y = f32(f32(x - zero_point) * scale): N1. With 32 bits, scale is a normal number, as in arm_codes.h.
SUBBYTE_ONE_COPY void subbyte_arm_dequantize_packed(const void* x, float* y, float scale, int32_t zero_point,
                                                    int32_t bits, int32_t n, int32_t chunk, int32_t begin,
                                                    int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const struct subbyte_arm_places of_x = subbyte_arm_places(bits);
    const int8x8_t zero = vdup_n_s8((int8_t)zero_point);
    const float32x4_t scales = vdupq_n_f32(scale);
    const uint8_t* from = (const uint8_t*)x + subbyte_whole_bytes(begin * chunk, bits);
    const uint8_t* behind = (const uint8_t*)x + subbyte_whole_bytes(stop, bits);
    int32_t i, k;
    for (i = begin * chunk; i + 16 <= stop; i += 16, from += 2 * bits) {
        const int8x16_t codes = vreinterpretq_s8_u8(subbyte_arm_take(from, behind - from, &of_x));
        const int16x8_t low = vsubl_s8(vget_low_s8(codes), zero), high = vsubl_s8(vget_high_s8(codes), zero);
        vst1q_f32(y + i, subbyte_arm_reals(vget_low_s16(low), scales));
        vst1q_f32(y + i + 4, subbyte_arm_reals(vget_high_s16(low), scales));
        vst1q_f32(y + i + 8, subbyte_arm_reals(vget_low_s16(high), scales));
        vst1q_f32(y + i + 12, subbyte_arm_reals(vget_high_s16(high), scales));
    }
    if (i < stop) {
        uint8_t codes[16];
        vst1q_u8(codes, subbyte_arm_take(from, behind - from, &of_x));
        for (k = 0; i + k < stop; ++k) y[i + k] = subbyte_dequantize(codes[k] - zero_point, scale);
    }
}

// y = clamp(rne(f32(x / scale)) + zero_point, qmin, qmax), NaN to qmin: N2.
SUBBYTE_ONE_COPY void subbyte_arm_quantize_packed(const float* x, void* y, const struct subbyte_arm_grid* grid,
                                                  int32_t bits, int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const struct subbyte_arm_grid g = *grid;  // no store of a result changes it
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    uint8_t* to = (uint8_t*)y + subbyte_whole_bytes(begin * chunk, bits);
    int32_t i;
    for (i = begin * chunk; i + 16 <= stop; i += 16, to += 2 * bits)
        subbyte_arm_put(to, subbyte_arm_quantize_16(x + i, &g, grid), 16, bits);
    if (i < stop) {
        uint8_t codes[16] = {0};
        subbyte_arm_quantize_each(x + i, codes, stop - i, grid);
        subbyte_arm_put(to, vld1q_u8(codes), stop - i, bits);
    }
}

#endif  // SUBBYTE_ARM_PACKED_H
