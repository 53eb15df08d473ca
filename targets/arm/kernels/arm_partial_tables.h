// Tables of partial sums: rows of all sums that a cell of codes can select, built from packed weights.

#ifndef SUBBYTE_ARM_PARTIAL_TABLES_H
#define SUBBYTE_ARM_PARTIAL_TABLES_H

#include "arm_partial_cells.h"

// a + b modulo 2^8 or, with `wide`, 2^16.
SUBBYTE_INLINE uint8x16_t subbyte_arm_partial_plus(uint8x16_t a, uint8x16_t b, int32_t wide) {
    return wide ? vreinterpretq_u8_u16(vaddq_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b))) : vaddq_u8(a, b);
}
SUBBYTE_INLINE uint8x16_t subbyte_arm_partial_minus(uint8x16_t a, uint8x16_t b, int32_t wide) {
    return wide ? vreinterpretq_u8_u16(vsubq_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b))) : vsubq_u8(a, b);
}

// Bytes of the packed weights of a block.
SUBBYTE_INLINE int32_t subbyte_arm_partial_weight_bytes(int32_t cells, const struct subbyte_arm_partial_sums* t) {
    const int32_t per = 8 / t->weight_bits, outputs = t->wide ? 16 : 32;
    return (cells * t->codes + per - 1) / per * outputs;
}

// n weights, each of the outputs of a panel, one behind the other, bytes or (wide) 16 bits: [n][32] bytes, and up to seven more
// weights. Packed: [n / per][outputs] bytes, a byte the numbers in `levels` of `per` weights, the first in the lowest bits.
SUBBYTE_INLINE void subbyte_arm_partial_expand(uint8_t* to, const uint8_t* packed, const int8_t* levels, int32_t n,
                                               int32_t weight_bits, int32_t wide) {
    const uint8x16_t table = weight_bits < 8 ? vld1q_u8((const uint8_t*)levels) : vdupq_n_u8(0);
    const uint8x16_t mask = vdupq_n_u8((uint8_t)((1 << weight_bits) - 1));
    const int32_t per = 8 / weight_bits;
    int32_t i, k, half;
    for (i = 0; i < n; i += per) {
        SUBBYTE_UNROLL for (half = 0; half < (wide ? 1 : 2); ++half) {
            uint8x16_t bytes = vld1q_u8(packed);
            packed += 16;
            SUBBYTE_UNROLL for (k = 0; k < per; ++k) {
                uint8_t* place = to + 32 * (i + k) + 16 * half;
                uint8x16_t values = bytes;
                if (weight_bits < 8) values = subbyte_arm_look_up(table, vandq_u8(bytes, mask));
                if (weight_bits == 1) bytes = vshrq_n_u8(bytes, 1);
                if (weight_bits == 2) bytes = vshrq_n_u8(bytes, 2);
                if (weight_bits == 4) bytes = vshrq_n_u8(bytes, 4);
                if (wide) {
                    vst1q_s16((int16_t*)(void*)place, vmovl_s8(vreinterpret_s8_u8(vget_low_u8(values))));
                    vst1q_s16((int16_t*)(void*)place + 8, vmovl_s8(vreinterpret_s8_u8(vget_high_u8(values))));
                } else {
                    vst1q_u8(place, values);
                }
            }
        }
    }
}

// The table of one cell, `halves` halves of its rows from `half` on: row r is offset + the sum over the bits of r of what a bit
// adds: bit b of code c adds 2^b times weight c. Four rows are in registers, the next four differ from them by one vector.
SUBBYTE_INLINE void subbyte_arm_partial_table(uint8_t* table, const uint8_t* weights, uint8x16_t offset,
                                              int32_t code_bits, int32_t codes, int32_t split, int32_t wide,
                                              int32_t half, int32_t halves) {
    const int32_t bits = code_bits * codes, second = split ? SUBBYTE_ARM_PARTIAL_SECOND : 16, step = split ? 16 : 32;
    uint8x16_t row[4][2], up[2], over[2], carry[2], carry_over[2];
    int32_t group, i, h;
    SUBBYTE_UNROLL for (h = 0; h < halves; ++h) {
        uint8x16_t bit[6];
        SUBBYTE_UNROLL for (i = 0; i < 6; ++i) {
            if (i >= bits)
                bit[i] = vdupq_n_u8(0);
            else if (i % code_bits == 0)
                bit[i] = vld1q_u8(weights + 32 * (i / code_bits) + 16 * (half + h));
            else
                bit[i] = subbyte_arm_partial_plus(bit[i - 1], bit[i - 1], wide);
        }
        row[0][h] = offset;
        row[1][h] = subbyte_arm_partial_plus(offset, bit[0], wide);
        row[2][h] = subbyte_arm_partial_plus(offset, bit[1], wide);
        row[3][h] = subbyte_arm_partial_plus(row[1][h], bit[1], wide);
        up[h] = bit[2];                                              // to groups 1 and 3 of four
        over[h] = subbyte_arm_partial_minus(bit[3], bit[2], wide);   // to group 2
        bit[3] = subbyte_arm_partial_plus(bit[3], bit[2], wide);     // what group 3 has more than group 0
        carry[h] = subbyte_arm_partial_minus(bit[4], bit[3], wide);  // to the second and the fourth four groups
        carry_over[h] = subbyte_arm_partial_minus(subbyte_arm_partial_minus(bit[5], bit[4], wide), bit[3], wide);
    }
    SUBBYTE_UNROLL for (group = 0; group < 1 << (bits - 2); ++group) {
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            SUBBYTE_UNROLL for (h = 0; h < halves; ++h) {
                const uint8x16_t by = group % 4 == 2    ? over[h]
                                      : group % 4 != 0  ? up[h]
                                      : group % 16 == 8 ? carry_over[h]
                                                        : carry[h];
                if (group) row[i][h] = subbyte_arm_partial_plus(row[i][h], by, wide);
                vst1q_u8(table + (4 * group + i) * step + (half + h) * second, row[i][h]);
            }
        }
    }
}

SUBBYTE_INLINE void subbyte_arm_partial_tables(uint8_t* tables, const uint8_t* weights, int32_t cells, int32_t offset,
                                               int32_t code_bits, int32_t codes, int32_t split, int32_t wide) {
    const int32_t stride = (split ? 16 : 32) << (code_bits * codes);
    uint8x16_t first = vdupq_n_u8(wide ? 0 : (uint8_t)offset);
    int32_t cell;
    for (cell = 0; cell < cells; ++cell, tables += stride, weights += 32 * codes) {
#if defined(__aarch64__)
        subbyte_arm_partial_table(tables, weights, first, code_bits, codes, split, wide, 0, 2);
#else
        subbyte_arm_partial_table(tables, weights, first, code_bits, codes, split, wide, 0, 1);
        subbyte_arm_partial_table(tables, weights, first, code_bits, codes, split, wide, 1, 1);
#endif
        first = vdupq_n_u8(0);
    }
}

typedef void subbyte_arm_partial_expand_to(uint8_t* to, const uint8_t* packed, const int8_t* levels, int32_t n);
typedef void subbyte_arm_partial_build_of(uint8_t* tables, const uint8_t* weights, int32_t cells, int32_t offset);

#define SUBBYTE_ARM_PARTIAL_EXPAND(weight_bits, wide)                                                          \
    SUBBYTE_ARM_SHARED void subbyte_arm_partial_expand_##weight_bits##wide(uint8_t* to, const uint8_t* packed, \
                                                                           const int8_t* levels, int32_t n) {  \
        subbyte_arm_partial_expand(to, packed, levels, n, weight_bits, wide);                                  \
    }
SUBBYTE_ARM_PARTIAL_EXPAND(1, 0)
SUBBYTE_ARM_PARTIAL_EXPAND(2, 0)
SUBBYTE_ARM_PARTIAL_EXPAND(4, 0)
SUBBYTE_ARM_PARTIAL_EXPAND(8, 0)
SUBBYTE_ARM_PARTIAL_EXPAND(1, 1)
SUBBYTE_ARM_PARTIAL_EXPAND(2, 1)
SUBBYTE_ARM_PARTIAL_EXPAND(4, 1)
SUBBYTE_ARM_PARTIAL_EXPAND(8, 1)
#undef SUBBYTE_ARM_PARTIAL_EXPAND

SUBBYTE_INLINE subbyte_arm_partial_expand_to* subbyte_arm_partial_expand_for(const struct subbyte_arm_partial_sums* t) {
    if (t->weight_bits == 1) return t->wide ? subbyte_arm_partial_expand_11 : subbyte_arm_partial_expand_10;
    if (t->weight_bits == 2) return t->wide ? subbyte_arm_partial_expand_21 : subbyte_arm_partial_expand_20;
    if (t->weight_bits == 4) return t->wide ? subbyte_arm_partial_expand_41 : subbyte_arm_partial_expand_40;
    return t->wide ? subbyte_arm_partial_expand_81 : subbyte_arm_partial_expand_80;
}

#define SUBBYTE_ARM_PARTIAL_BUILD(code_bits, codes, split, wide)                                   \
    SUBBYTE_ARM_SHARED void subbyte_arm_partial_build_##code_bits##codes##split##wide(             \
        uint8_t* tables, const uint8_t* weights, int32_t cells, int32_t offset) {                  \
        subbyte_arm_partial_tables(tables, weights, cells, offset, code_bits, codes, split, wide); \
    }
#define SUBBYTE_ARM_PARTIAL_BUILDS(code_bits, codes)                                                              \
    SUBBYTE_ARM_PARTIAL_BUILD(code_bits, codes, 0, 0)                                                             \
    SUBBYTE_ARM_PARTIAL_BUILD(code_bits, codes, 0, 1)                                                             \
    SUBBYTE_ARM_PARTIAL_BUILD(code_bits, codes, 1, 0)                                                             \
    SUBBYTE_ARM_PARTIAL_BUILD(code_bits, codes, 1, 1)                                                             \
    SUBBYTE_INLINE subbyte_arm_partial_build_of* subbyte_arm_partial_build_for_##code_bits##codes(int32_t split,  \
                                                                                                  int32_t wide) { \
        if (split)                                                                                                \
            return wide ? subbyte_arm_partial_build_##code_bits##codes##11                                        \
                        : subbyte_arm_partial_build_##code_bits##codes##10;                                       \
        return wide ? subbyte_arm_partial_build_##code_bits##codes##01                                            \
                    : subbyte_arm_partial_build_##code_bits##codes##00;                                           \
    }
SUBBYTE_ARM_PARTIAL_BUILDS(1, 4)
SUBBYTE_ARM_PARTIAL_BUILDS(1, 6)
SUBBYTE_ARM_PARTIAL_BUILDS(2, 2)
SUBBYTE_ARM_PARTIAL_BUILDS(2, 3)
SUBBYTE_ARM_PARTIAL_BUILDS(3, 2)
#undef SUBBYTE_ARM_PARTIAL_BUILD
#undef SUBBYTE_ARM_PARTIAL_BUILDS

SUBBYTE_INLINE subbyte_arm_partial_build_of* subbyte_arm_partial_build_for(const struct subbyte_arm_partial_sums* t) {
    if (t->code_bits == 1 && t->codes == 4) return subbyte_arm_partial_build_for_14(t->split, t->wide);
    if (t->code_bits == 1) return subbyte_arm_partial_build_for_16(t->split, t->wide);
    if (t->code_bits == 3) return subbyte_arm_partial_build_for_32(t->split, t->wide);
    if (t->codes == 2) return subbyte_arm_partial_build_for_22(t->split, t->wide);
    return subbyte_arm_partial_build_for_23(t->split, t->wide);
}

#endif  // SUBBYTE_ARM_PARTIAL_TABLES_H
