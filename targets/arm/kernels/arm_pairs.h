// Functions of two tensors of narrow codes on Arm, by a table of every pair: entry a + (b << a_bits), for codes a and b.

#ifndef SUBBYTE_ARM_PAIRS_H
#define SUBBYTE_ARM_PAIRS_H

#include "arm_tables.h"
#include "span.h"

// 16 codes, or one code 16 times; n: how many there are.
SUBBYTE_INLINE uint8x16_t subbyte_arm_pair_operand(const uint8_t* x, int32_t stride, int32_t n) {
    return !stride ? vdupq_n_u8(*x) : n >= 16 ? vld1q_u8(x) : subbyte_arm_load_part(x, n);
}

// y = table[a + (b << a_bits)], 32 entries, broadcast as `span` says, with strides 0 and 1. y may be a or b where that is not
// broadcast.
SUBBYTE_ONE_COPY void subbyte_arm_pairs_of_32(const void* a, const void* b, void* y, const uint8_t* table,
                                              int32_t a_bits, const struct subbyte_span* span, int32_t begin,
                                              int32_t end) {
    const uint8x16_t low = vld1q_u8(table), high = vld1q_u8(table + 16), sixteen = vdupq_n_u8(16);
    const int8x16_t shift = vdupq_n_s8((int8_t)a_bits);
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        const uint8_t *left = (const uint8_t*)a + run.a, *right = (const uint8_t*)b + run.b;
        uint8_t* to = (uint8_t*)y + run.y;
        for (i = 0; i < run.n; i += 16) {
            const uint8x16_t one = subbyte_arm_pair_operand(left + i * run.a_stride, run.a_stride, run.n - i);
            const uint8x16_t other = subbyte_arm_pair_operand(right + i * run.b_stride, run.b_stride, run.n - i);
            const uint8x16_t pair = vorrq_u8(one, vshlq_u8(other, shift));
            const uint8x16_t codes =
                vorrq_u8(subbyte_arm_look_up(low, pair), subbyte_arm_look_up(high, veorq_u8(pair, sixteen)));
            subbyte_arm_store_part(to + i, codes, subbyte_min_s32(run.n - i, 16));
        }
    }
}

#if defined(__aarch64__)
// The same with 256 entries.
SUBBYTE_ONE_COPY void subbyte_arm_pairs_of_256(const void* a, const void* b, void* y, const uint8_t* table,
                                               int32_t a_bits, const struct subbyte_span* span, int32_t begin,
                                               int32_t end) {
    const uint8x16x4_t first = subbyte_arm_load_64(table), second = subbyte_arm_load_64(table + 64);
    const uint8x16x4_t third = subbyte_arm_load_64(table + 128), fourth = subbyte_arm_load_64(table + 192);
    const int8x16_t shift = vdupq_n_s8((int8_t)a_bits);
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        const uint8_t *left = (const uint8_t*)a + run.a, *right = (const uint8_t*)b + run.b;
        uint8_t* to = (uint8_t*)y + run.y;
        for (i = 0; i < run.n; i += 16) {
            const uint8x16_t one = subbyte_arm_pair_operand(left + i * run.a_stride, run.a_stride, run.n - i);
            const uint8x16_t other = subbyte_arm_pair_operand(right + i * run.b_stride, run.b_stride, run.n - i);
            const uint8x16_t pair = vorrq_u8(one, vshlq_u8(other, shift));
            uint8x16_t codes = vqtbl4q_u8(first, pair);  // 0 where the index is 64 or more
            codes = vqtbx4q_u8(codes, second, veorq_u8(pair, vdupq_n_u8(64)));
            codes = vqtbx4q_u8(codes, third, veorq_u8(pair, vdupq_n_u8(128)));
            codes = vqtbx4q_u8(codes, fourth, veorq_u8(pair, vdupq_n_u8(192)));
            subbyte_arm_store_part(to + i, codes, subbyte_min_s32(run.n - i, 16));
        }
    }
}
#endif

#endif  // SUBBYTE_ARM_PAIRS_H
