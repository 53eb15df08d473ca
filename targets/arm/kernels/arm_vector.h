// What the Arm kernels need of NEON beside its intrinsics, the same for 32 bits (Armv7) and 64 (Armv8): parts of registers
// to and from memory, products of bytes, sums across lanes, tables of 16 bytes, codes that share bytes.
//
// Memory is asked for no alignment: where the intrinsics of a compiler promise one, bytes pass through memcpy, which is one
// load or store. 32-bit Arm has 16 registers of 128 bits, each made of two of 64; what is one instruction on one of the two
// and two on the other says so.

#ifndef SUBBYTE_ARM_VECTOR_H
#define SUBBYTE_ARM_VECTOR_H

#include "subbyte_inline.h"

#if !defined(__ARM_NEON)
#error "this file needs NEON: compile with -mfpu=neon for 32 bits; 64 bits have it"
#endif
#if defined(__ARM_BIG_ENDIAN) || defined(__AARCH64EB__)
#error "the Arm kernels are for little endian: lanes follow each other as bytes in memory do"
#endif

#include <arm_neon.h>
#include <string.h>

enum { SUBBYTE_ARM_BYTES = 16 };  // of a register

// ---- memory ----------------------------------------------------------------------------------------------------------

SUBBYTE_INLINE int8x16_t subbyte_arm_load_s8(const void* p) { return vld1q_s8((const int8_t*)p); }
SUBBYTE_INLINE uint8x16_t subbyte_arm_load_u8(const void* p) { return vld1q_u8((const uint8_t*)p); }
SUBBYTE_INLINE void subbyte_arm_store_u8(void* p, uint8x16_t v) { vst1q_u8((uint8_t*)p, v); }

// Four 32-bit lanes at an address of four bytes' alignment.
SUBBYTE_INLINE int32x4_t subbyte_arm_load_s32(const int32_t* p) { return vld1q_s32(p); }

// The first n bytes at p, zeros behind; n <= 16. Reads nothing beyond them.
SUBBYTE_INLINE uint8x16_t subbyte_arm_load_part(const void* p, int32_t n) {
    uint8_t bytes[SUBBYTE_ARM_BYTES] = {0};
    if (n == 16) return subbyte_arm_load_u8(p);
    if (n == 8) return vcombine_u8(vld1_u8((const uint8_t*)p), vdup_n_u8(0));
    memcpy(bytes, p, (size_t)(n & 15));
    return vld1q_u8(bytes);
}

// The first n bytes of v; n <= 16. Writes nothing beyond them.
SUBBYTE_INLINE void subbyte_arm_store_part(void* p, uint8x16_t v, int32_t n) {
    uint8_t bytes[SUBBYTE_ARM_BYTES];
    if (n == 16) {
        subbyte_arm_store_u8(p, v);
    } else if (n == 8) {
        vst1_u8((uint8_t*)p, vget_low_u8(v));
    } else {
        vst1q_u8(bytes, v);
        memcpy(p, bytes, (size_t)(n & 15));
    }
}

// Bytes first to first + n of v: n <= 8, all in one half of v; first a constant.
SUBBYTE_INLINE void subbyte_arm_store_bytes(void* p, uint8x16_t v, int32_t first, int32_t n) {
    const uint64x2_t halves = vreinterpretq_u64_u8(v);
    const uint32x4_t words = vreinterpretq_u32_u8(v);
    if (n == 4 && first % 4 == 0) {  // one instruction
        const uint32_t word = first == 0   ? vgetq_lane_u32(words, 0)
                              : first == 4 ? vgetq_lane_u32(words, 1)
                              : first == 8 ? vgetq_lane_u32(words, 2)
                                           : vgetq_lane_u32(words, 3);
        memcpy(p, &word, 4);
    } else {
        const uint64_t bytes = (first < 8 ? vgetq_lane_u64(halves, 0) : vgetq_lane_u64(halves, 1)) >> first % 8 * 8;
        memcpy(p, &bytes, (size_t)(n & 15));
    }
}

// The first n 32-bit lanes of v; n <= 4.
SUBBYTE_INLINE void subbyte_arm_store_s32(int32_t* p, int32x4_t v, int32_t n) {
    if (n == 4)
        vst1q_s32(p, v);
    else
        subbyte_arm_store_part(p, vreinterpretq_u8_s32(v), 4 * n);
}

// n bytes from x; reads and writes nothing beyond them. flip is 0, or 0x80 to turn codes 0..255 into -128..127.
SUBBYTE_INLINE void subbyte_arm_copy(uint8_t* to, const uint8_t* x, int32_t n, int32_t flip) {
    const uint8x16_t mask = vdupq_n_u8((uint8_t)flip);
    int32_t i = 0;
    for (; i + SUBBYTE_ARM_BYTES <= n; i += SUBBYTE_ARM_BYTES) {
        uint8x16_t bytes = subbyte_arm_load_u8(x + i);
        if (flip) bytes = veorq_u8(bytes, mask);
        __asm__("" : "+w"(bytes));  // keeps this loop from becoming a call of memcpy
        subbyte_arm_store_u8(to + i, bytes);
    }
    if (i < n) {
        uint8x16_t bytes = subbyte_arm_load_part(x + i, n - i);
        if (flip) bytes = veorq_u8(bytes, mask);
        subbyte_arm_store_part(to + i, bytes, n - i);
    }
}

// n bytes of one value.
SUBBYTE_INLINE void subbyte_arm_fill(uint8_t* to, int32_t value, int32_t n) {
    uint8x16_t bytes = vdupq_n_u8((uint8_t)value);
    int32_t i = 0;
    for (; i + SUBBYTE_ARM_BYTES <= n; i += SUBBYTE_ARM_BYTES) {
        __asm__("" : "+w"(bytes));  // keeps this loop from becoming a call of memset
        subbyte_arm_store_u8(to + i, bytes);
    }
    if (i < n) subbyte_arm_store_part(to + i, bytes, n - i);
}

// ---- products of bytes, in 16 bits --------------------------------------------------------------------------------------

// low and high: of the eight lower and of the eight upper bytes of both operands. One instruction each.
SUBBYTE_INLINE int16x8_t subbyte_arm_multiply_low(int8x16_t a, int8x16_t b) {
    return vmull_s8(vget_low_s8(a), vget_low_s8(b));
}
SUBBYTE_INLINE int16x8_t subbyte_arm_multiply_high(int8x16_t a, int8x16_t b) {
    return vmull_s8(vget_high_s8(a), vget_high_s8(b));
}
SUBBYTE_INLINE int16x8_t subbyte_arm_multiply_add_low(int16x8_t sum, int8x16_t a, int8x16_t b) {
    return vmlal_s8(sum, vget_low_s8(a), vget_low_s8(b));
}
SUBBYTE_INLINE int16x8_t subbyte_arm_multiply_add_high(int16x8_t sum, int8x16_t a, int8x16_t b) {
    return vmlal_s8(sum, vget_high_s8(a), vget_high_s8(b));
}

// ---- sums across lanes --------------------------------------------------------------------------------------------------

// {sum of a, of b, of c, of d}.
SUBBYTE_INLINE int32x4_t subbyte_arm_sums_across(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
#if defined(__aarch64__)
    return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
#else
    const int32x2_t a_2 = vadd_s32(vget_low_s32(a), vget_high_s32(a)),
                    b_2 = vadd_s32(vget_low_s32(b), vget_high_s32(b));
    const int32x2_t c_2 = vadd_s32(vget_low_s32(c), vget_high_s32(c)),
                    d_2 = vadd_s32(vget_low_s32(d), vget_high_s32(d));
    return vcombine_s32(vpadd_s32(a_2, b_2), vpadd_s32(c_2, d_2));
#endif
}

// ---- tables -------------------------------------------------------------------------------------------------------------

// table[index[i]] for every byte, 0 where index[i] > 15. One instruction with 64 bits, two with 32.
SUBBYTE_INLINE uint8x16_t subbyte_arm_look_up(uint8x16_t table, uint8x16_t index) {
#if defined(__aarch64__)
    return vqtbl1q_u8(table, index);
#else
    uint8x8x2_t halves;
    halves.val[0] = vget_low_u8(table);
    halves.val[1] = vget_high_u8(table);
    return vcombine_u8(vtbl2_u8(halves, vget_low_u8(index)), vtbl2_u8(halves, vget_high_u8(index)));
#endif
}

// ---- codes that share bytes: code i of a row has bits i * bits to i * bits + bits - 1 -------------------------------------

// The 128 / bits codes of 16 bytes, of `bits` bits (1, 2 or 4), as bytes: stores of two or four registers put them in order.
SUBBYTE_INLINE void subbyte_arm_split(uint8_t* to, uint8x16_t x, int32_t bits) {
    if (bits == 4) {
        uint8x16x2_t codes;
        codes.val[0] = vandq_u8(x, vdupq_n_u8(15));
        codes.val[1] = vshrq_n_u8(x, 4);
        vst2q_u8(to, codes);
    } else if (bits == 2) {
        const uint8x16_t mask = vdupq_n_u8(3);
        uint8x16x4_t codes;
        codes.val[0] = vandq_u8(x, mask);
        codes.val[1] = vandq_u8(vshrq_n_u8(x, 2), mask);
        codes.val[2] = vandq_u8(vshrq_n_u8(x, 4), mask);
        codes.val[3] = vshrq_n_u8(x, 6);
        vst4q_u8(to, codes);
    } else {
        const uint8x16_t mask = vdupq_n_u8(1);
        const uint8x16x2_t first = vzipq_u8(vandq_u8(x, mask), vandq_u8(vshrq_n_u8(x, 4), mask));
        const uint8x16x2_t second = vzipq_u8(vandq_u8(vshrq_n_u8(x, 1), mask), vandq_u8(vshrq_n_u8(x, 5), mask));
        const uint8x16x2_t third = vzipq_u8(vandq_u8(vshrq_n_u8(x, 2), mask), vandq_u8(vshrq_n_u8(x, 6), mask));
        const uint8x16x2_t fourth = vzipq_u8(vandq_u8(vshrq_n_u8(x, 3), mask), vshrq_n_u8(x, 7));
        int32_t half;
        SUBBYTE_UNROLL for (half = 0; half < 2; ++half) {
            uint8x16x4_t codes;
            codes.val[0] = first.val[half];
            codes.val[1] = second.val[half];
            codes.val[2] = third.val[half];
            codes.val[3] = fourth.val[half];
            vst4q_u8(to + 64 * half, codes);
        }
    }
}

// n codes of `bits` bits (1, 2 or 4) as bytes. Reads and writes nothing beyond them; n codes are whole bytes.
SUBBYTE_INLINE void subbyte_arm_unpack(uint8_t* to, const uint8_t* x, int32_t n, int32_t bits) {
    const int32_t each = 128 / bits;
    for (; n >= each; n -= each, to += each, x += 16) subbyte_arm_split(to, vld1q_u8(x), bits);
    if (n > 0) {
        uint8_t codes[128];
        subbyte_arm_split(codes, subbyte_arm_load_part(x, (int32_t)subbyte_whole_bytes(n, bits)), bits);
        subbyte_arm_copy(to, codes, n, 0);
    }
}

// How far to the left each of 16 codes of `bits` bits (1, 2 or 4) lies in its byte.
SUBBYTE_INLINE int8x16_t subbyte_arm_lefts(int32_t bits) {
    const uint64_t lefts = bits == 1 ? 0x0706050403020100u : bits == 2 ? 0x0604020006040200u : 0x0400040004000400u;
    return vreinterpretq_s8_u64(vdupq_n_u64(lefts));
}

// 16 codes, a byte each, as 2 * bits bytes; what stands behind them is not meant. Requires codes below 2^bits.
SUBBYTE_INLINE uint8x16_t subbyte_arm_join(uint8x16_t codes, int32_t bits) {
    if (bits == 8) return codes;
    codes = vshlq_u8(codes, subbyte_arm_lefts(bits));
#if defined(__aarch64__)
    codes = vpaddq_u8(codes, codes);
    if (bits < 4) codes = vpaddq_u8(codes, codes);
    if (bits < 2) codes = vpaddq_u8(codes, codes);
    return codes;
#else
    {
        uint8x8_t half = vpadd_u8(vget_low_u8(codes), vget_high_u8(codes));
        if (bits < 4) half = vpadd_u8(half, half);
        if (bits < 2) half = vpadd_u8(half, half);
        return vcombine_u8(half, half);
    }
#endif
}

#endif  // SUBBYTE_ARM_VECTOR_H
