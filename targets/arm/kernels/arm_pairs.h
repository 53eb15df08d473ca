// Functions of two tensors of narrow codes on Arm, by a table of every pair: entry a + (b << a_bits), for codes a and b.

#ifndef SUBBYTE_ARM_PAIRS_H
#define SUBBYTE_ARM_PAIRS_H

#include "arm_tables.h"
#include "span.h"

// 16 codes, or one code 16 times; n: how many there are.
SUBBYTE_INLINE uint8x16_t subbyte_arm_pair_operand(const uint8_t* x, int32_t stride, int32_t n) {
    return !stride ? vdupq_n_u8(*x) : n >= 16 ? vld1q_u8(x) : subbyte_arm_load_part(x, n);
}

// The indices of 16 pairs; n: how many there are.
SUBBYTE_INLINE uint8x16_t subbyte_arm_pairs(const uint8_t* a, const uint8_t* b, int8x16_t shift, int32_t n,
                                            const struct subbyte_run* run) {
    const uint8x16_t other = subbyte_arm_pair_operand(b, run->b_stride, n);
    return vorrq_u8(subbyte_arm_pair_operand(a, run->a_stride, n), vshlq_u8(other, shift));
}

// table[pairs] of 32 entries.
SUBBYTE_INLINE uint8x16_t subbyte_arm_of_32(uint8x16_t low, uint8x16_t high, uint8x16_t pairs) {
#if defined(__aarch64__)
    uint8x16x2_t entries;
    entries.val[0] = low;
    entries.val[1] = high;
    return vqtbl2q_u8(entries, pairs);
#else
    uint8x8x4_t entries;
    entries.val[0] = vget_low_u8(low);
    entries.val[1] = vget_high_u8(low);
    entries.val[2] = vget_low_u8(high);
    entries.val[3] = vget_high_u8(high);
    return vcombine_u8(vtbl4_u8(entries, vget_low_u8(pairs)), vtbl4_u8(entries, vget_high_u8(pairs)));
#endif
}

// y = table[a + (b << a_bits)], 32 entries, broadcast as `span` says, with strides 0 and 1. y may be a or b where that is not
// broadcast.
SUBBYTE_ONE_COPY void subbyte_arm_pairs_of_32(const void* a, const void* b, void* y, const uint8_t* table,
                                              int32_t a_bits, const struct subbyte_span* span, int32_t begin,
                                              int32_t end) {
    const uint8x16_t low = vld1q_u8(table), high = vld1q_u8(table + 16);
    const int8x16_t shift = vdupq_n_s8((int8_t)a_bits);
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        const uint8_t *left = (const uint8_t*)a + run.a, *right = (const uint8_t*)b + run.b;
        const int32_t left_step = 16 * run.a_stride, right_step = 16 * run.b_stride;
        uint8_t* to = (uint8_t*)y + run.y;
        int32_t n = run.n;
        for (; n >= 16; n -= 16, left += left_step, right += right_step, to += 16)
            vst1q_u8(to, subbyte_arm_of_32(low, high, subbyte_arm_pairs(left, right, shift, 16, &run)));
        if (n > 0)
            subbyte_arm_store_part(to, subbyte_arm_of_32(low, high, subbyte_arm_pairs(left, right, shift, n, &run)), n);
    }
}

#if defined(__aarch64__)
// table[pairs] of 256 entries.
SUBBYTE_INLINE uint8x16_t subbyte_arm_of_256(uint8x16x4_t first, uint8x16x4_t second, uint8x16x4_t third,
                                             uint8x16x4_t fourth, uint8x16_t pairs) {
    uint8x16_t codes = vqtbl4q_u8(first, pairs);  // 0 where the index is 64 or more
    codes = vqtbx4q_u8(codes, second, veorq_u8(pairs, vdupq_n_u8(64)));
    codes = vqtbx4q_u8(codes, third, veorq_u8(pairs, vdupq_n_u8(128)));
    return vqtbx4q_u8(codes, fourth, veorq_u8(pairs, vdupq_n_u8(192)));
}

// The same with 256 entries.
SUBBYTE_ONE_COPY void subbyte_arm_pairs_of_256(const void* a, const void* b, void* y, const uint8_t* table,
                                               int32_t a_bits, const struct subbyte_span* span, int32_t begin,
                                               int32_t end) {
    const uint8x16x4_t first = subbyte_arm_load_64(table), second = subbyte_arm_load_64(table + 64);
    const uint8x16x4_t third = subbyte_arm_load_64(table + 128), fourth = subbyte_arm_load_64(table + 192);
    const int8x16_t shift = vdupq_n_s8((int8_t)a_bits);
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        const uint8_t *left = (const uint8_t*)a + run.a, *right = (const uint8_t*)b + run.b;
        const int32_t left_step = 16 * run.a_stride, right_step = 16 * run.b_stride;
        uint8_t* to = (uint8_t*)y + run.y;
        int32_t n = run.n;
        for (; n >= 16; n -= 16, left += left_step, right += right_step, to += 16)
            vst1q_u8(to,
                     subbyte_arm_of_256(first, second, third, fourth, subbyte_arm_pairs(left, right, shift, 16, &run)));
        if (n > 0) {
            const uint8x16_t pairs = subbyte_arm_pairs(left, right, shift, n, &run);
            subbyte_arm_store_part(to, subbyte_arm_of_256(first, second, third, fourth, pairs), n);
        }
    }
}
#endif

#endif  // SUBBYTE_ARM_PAIRS_H
