// Weights stored in 8, 4, 2 or 1 bits a piece, expanded in registers to the signed bytes that they stand for.
//
// 8 / bits vectors of 16 weights share 16 bytes of memory: weight i of vector j is what bits j * bits to j * bits + bits - 1 of
// byte i stand for. A table says what that is. Two weights of 2 bits, or four of 1 bit, lie side by side in four bits and are
// not taken apart: weight j of them has a table of its own, which looks at its bits alone.

#ifndef SUBBYTE_ARM_STORED_WEIGHTS_H
#define SUBBYTE_ARM_STORED_WEIGHTS_H

#include "arm_vector.h"

// tables[j]: what four bits stand for as weight j of the 4 / bits that lie in them; none for weights of 8 bits.
struct subbyte_arm_levels {
    uint8x16_t tables[4];
};

// How many vectors of weights share 16 bytes.
SUBBYTE_INLINE int32_t subbyte_arm_sharing(int32_t bits) { return 8 / bits; }

// levels: int8 [4 / bits][16], null for 8 bits.
SUBBYTE_INLINE struct subbyte_arm_levels subbyte_arm_load_levels(const int8_t* levels, int32_t bits) {
    const int32_t count = bits < 8 ? 4 / bits : 0;
    struct subbyte_arm_levels loaded;
    int32_t j;
    SUBBYTE_UNROLL for (j = 0; j < 4; ++j) loaded.tables[j] =
        j < count ? subbyte_arm_load_u8(levels + SUBBYTE_ARM_BYTES * j) : vdupq_n_u8(0);
    return loaded;
}

// Vector j of those that share `bytes`.
SUBBYTE_INLINE int8x16_t subbyte_arm_expand(uint8x16_t bytes, const struct subbyte_arm_levels* levels, int32_t bits,
                                            int32_t j) {
    const int32_t count = bits < 8 ? 4 / bits : 1;
    if (bits == 8) return vreinterpretq_s8_u8(bytes);
    bytes = j < count ? vandq_u8(bytes, vdupq_n_u8(15)) : vshrq_n_u8(bytes, 4);
    return vreinterpretq_s8_u8(subbyte_arm_look_up(levels->tables[j % count], bytes));
}

// The kernels of an instruction, for subbyte_arm_sums_`name`: codes or, raw, the sums; weights of 8, 4, 2 and 1 bits.
#define SUBBYTE_ARM_SUMS_OF_BITS(name, bits)                                                                        \
    SUBBYTE_INLINE void subbyte_arm_sums_##name##_w##bits(                                                          \
        const void* x, const uint8_t* w, const int8_t* levels, const int32_t* bias, const float* multiplier,        \
        const float* shift, void* y, const struct subbyte_arm_conv* g, int32_t begin, int32_t end, void* scratch) { \
        subbyte_arm_sums_##name(x, w, levels, bits, bias, multiplier, shift, y, g, begin, end, scratch);            \
    }                                                                                                               \
    SUBBYTE_INLINE void subbyte_arm_raw_sums_##name##_w##bits(                                                      \
        const void* x, const uint8_t* w, const int8_t* levels, const int32_t* bias, int32_t* y,                     \
        const struct subbyte_arm_conv* g, int32_t begin, int32_t end, void* scratch) {                              \
        subbyte_arm_sums_##name(x, w, levels, bits, bias, 0, 0, y, g, begin, end, scratch);                         \
    }
#define SUBBYTE_ARM_STORED_SUMS(name) \
    SUBBYTE_ARM_SUMS_OF_BITS(name, 8) \
    SUBBYTE_ARM_SUMS_OF_BITS(name, 4) \
    SUBBYTE_ARM_SUMS_OF_BITS(name, 2) \
    SUBBYTE_ARM_SUMS_OF_BITS(name, 1)

#endif  // SUBBYTE_ARM_STORED_WEIGHTS_H
