// Functions of a byte on Arm, by tables. Tiles are runs of `chunk` of n bytes. y may be x.

#ifndef SUBBYTE_ARM_TABLES_H
#define SUBBYTE_ARM_TABLES_H

#include "arm_vector.h"
#include "codes.h"

#if defined(__aarch64__)
// 64 entries of a table; older compilers have no one intrinsic for it.
SUBBYTE_INLINE uint8x16x4_t subbyte_arm_load_64(const uint8_t* table) {
    uint8x16x4_t entries;
    entries.val[0] = vld1q_u8(table);
    entries.val[1] = vld1q_u8(table + 16);
    entries.val[2] = vld1q_u8(table + 32);
    entries.val[3] = vld1q_u8(table + 48);
    return entries;
}
#endif

// y = table[x], 256 entries. With 64 bits four instructions look 16 codes up among 64 entries each; 32 bits have too few
// registers for the table, and take four codes at a time out of memory.
SUBBYTE_ONE_COPY void subbyte_arm_lookup(const void* x, void* y, const uint8_t* table, int32_t n, int32_t chunk,
                                         int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const uint8_t* from = (const uint8_t*)x;
    uint8_t* to = (uint8_t*)y;
    int32_t i = begin * chunk;
#if defined(__aarch64__)
    const uint8x16x4_t a = subbyte_arm_load_64(table), b = subbyte_arm_load_64(table + 64);
    const uint8x16x4_t c = subbyte_arm_load_64(table + 128), d = subbyte_arm_load_64(table + 192);
    for (; i + 16 <= stop; i += 16) {
        const uint8x16_t codes = vld1q_u8(from + i);
        uint8x16_t found = vqtbl4q_u8(a, codes);  // 0 where the index is 64 or more
        found = vqtbx4q_u8(found, b, veorq_u8(codes, vdupq_n_u8(64)));
        found = vqtbx4q_u8(found, c, veorq_u8(codes, vdupq_n_u8(128)));
        found = vqtbx4q_u8(found, d, veorq_u8(codes, vdupq_n_u8(192)));
        vst1q_u8(to + i, found);
    }
#else
    for (; i + 4 <= stop; i += 4) {
        uint32_t four;
        memcpy(&four, from + i, 4);
        to[i] = table[four & 255];
        to[i + 1] = table[four >> 8 & 255];
        to[i + 2] = table[four >> 16 & 255];
        to[i + 3] = table[four >> 24];
    }
#endif
    for (; i < stop; ++i) to[i] = table[from[i]];
}

// The same for codes below 32.
SUBBYTE_ONE_COPY void subbyte_arm_lookup_of_32(const void* x, void* y, const uint8_t* table, int32_t n, int32_t chunk,
                                               int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const uint8_t* from = (const uint8_t*)x;
    uint8_t* to = (uint8_t*)y;
    int32_t i = begin * chunk;
#if defined(__aarch64__)
    uint8x16x2_t entries;
    entries.val[0] = vld1q_u8(table);
    entries.val[1] = vld1q_u8(table + 16);
    for (; i + 16 <= stop; i += 16) vst1q_u8(to + i, vqtbl2q_u8(entries, vld1q_u8(from + i)));
#else
    uint8x8x4_t entries;
    entries.val[0] = vld1_u8(table);
    entries.val[1] = vld1_u8(table + 8);
    entries.val[2] = vld1_u8(table + 16);
    entries.val[3] = vld1_u8(table + 24);
    for (; i + 16 <= stop; i += 16) {
        const uint8x16_t codes = vld1q_u8(from + i);
        vst1q_u8(to + i, vcombine_u8(vtbl4_u8(entries, vget_low_u8(codes)), vtbl4_u8(entries, vget_high_u8(codes))));
    }
#endif
    for (; i < stop; ++i) to[i] = table[from[i]];
}

#endif  // SUBBYTE_ARM_TABLES_H
