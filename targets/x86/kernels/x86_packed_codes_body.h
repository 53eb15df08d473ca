// Included for each instruction set by x86_packed_codes_*.h: tables and sums of codes that share bytes.
//
// Bits of codes in memory are 1, 2, 4 or 8; tensors begin with whole bytes, and fill whole bytes. Tiles are runs of `chunk`
// elements of n, a multiple of 512.

#if !defined(SUBBYTE_ISA)
#error "x86_packed_codes_body.h is a part of x86_packed_codes_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define BLOCK ((int32_t)sizeof(INTS))

// The lower and the upper four bits of every byte.
SUBBYTE_INLINE INTS V(subbyte_x86_low_)(INTS x) { return V(subbyte_and_)(x, V(subbyte_set_u8_)(15)); }
SUBBYTE_INLINE INTS V(subbyte_x86_high_)(INTS x) { return V(subbyte_x86_low_)(V(subbyte_right_u16_)(x, 4)); }

// y = table[x], x and y of as many bits, 4 or fewer: a byte at a time. n, chunk: bytes. tables: [2][16], what four bits become,
// those that are the lower ones of a byte, and those that are the upper ones. y may be x.
SUBBYTE_INLINE void V(subbyte_x86_lookup_joined_)(const void* x, void* y, const uint8_t* tables, int32_t n,
                                                  int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i;
    for (i = begin * chunk; i < stop; i += BLOCK) {
        const int32_t rest = subbyte_min_s32(stop - i, BLOCK);
        const INTS codes = V(subbyte_load_part_)((const uint8_t*)x + i, rest);
        const INTS low = V(subbyte_one_of_16_)(tables, V(subbyte_x86_low_)(codes));
        const INTS high = V(subbyte_one_of_16_)(tables + 16, V(subbyte_x86_high_)(codes));
        V(subbyte_store_part_)((uint8_t*)y + i, V(subbyte_or_)(low, high), rest);
    }
}

// y = table[x], 16 entries. y may be x where both have as many bits.
SUBBYTE_INLINE void V(subbyte_x86_lookup_of_16_)(const void* x, void* y, const uint8_t* table, int32_t x_bits,
                                                 int32_t y_bits, int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i;
    for (i = begin * chunk; i < stop; i += BLOCK) {
        const int32_t rest = subbyte_min_s32(stop - i, BLOCK);
        const uint8_t* from = (const uint8_t*)x + subbyte_whole_bytes(i, x_bits);
        const INTS codes = V(subbyte_load_codes_part_)(from, x_bits, rest);
        V(subbyte_store_codes_part_)((uint8_t*)y + subbyte_whole_bytes(i, y_bits), V(subbyte_one_of_16_)(table, codes),
                                     y_bits, rest);
    }
}

// y = first + the sum of deltas[k] where x >= thresholds[k], modulo 256: any table of x with few steps, x a byte each.
SUBBYTE_INLINE void V(subbyte_x86_lookup_steps_)(const void* x, void* y, const uint8_t* thresholds,
                                                 const uint8_t* deltas, int32_t steps, int32_t first, int32_t y_bits,
                                                 int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i, k;
    for (i = begin * chunk; i < stop; i += BLOCK) {
        const int32_t rest = subbyte_min_s32(stop - i, BLOCK);
        const INTS codes = V(subbyte_load_part_)((const uint8_t*)x + i, rest);
        INTS sum = V(subbyte_set_u8_)(first);
        SUBBYTE_UNROLL for (k = 0; k < steps; ++k) sum = V(subbyte_add_step_)(sum, codes, thresholds[k], deltas[k]);
        V(subbyte_store_codes_part_)((uint8_t*)y + subbyte_whole_bytes(i, y_bits), sum, y_bits, rest);
    }
}

// y = a op b, all of 1 bit or all of 2: a byte at a time. n, chunk: bytes. tables: [4][16]: table k has at a' + 4 * b' what
// two bits a' of a and two bits b' of b become, moved left by 2 * k. y may be a or b.
SUBBYTE_INLINE void V(subbyte_x86_pairs_joined_)(const uint8_t* a, const uint8_t* b, uint8_t* y, const uint8_t* tables,
                                                 int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const INTS even = V(subbyte_set_u8_)(0x33), odd = V(subbyte_set_u8_)(0xCC);
    int32_t i;
    for (i = begin * chunk; i < stop; i += BLOCK) {
        const int32_t rest = subbyte_min_s32(stop - i, BLOCK);
        const INTS left = V(subbyte_load_part_)(a + i, rest), right = V(subbyte_load_part_)(b + i, rest);
        const INTS evens =
            V(subbyte_or_)(V(subbyte_and_)(left, even), V(subbyte_left_u16_)(V(subbyte_and_)(right, even), 2));
        const INTS odds =
            V(subbyte_or_)(V(subbyte_and_)(V(subbyte_right_u16_)(left, 2), even), V(subbyte_and_)(right, odd));
        const INTS low = V(subbyte_or_)(V(subbyte_one_of_16_)(tables, V(subbyte_x86_low_)(evens)),
                                        V(subbyte_one_of_16_)(tables + 16, V(subbyte_x86_low_)(odds)));
        const INTS high = V(subbyte_or_)(V(subbyte_one_of_16_)(tables + 32, V(subbyte_x86_high_)(evens)),
                                         V(subbyte_one_of_16_)(tables + 48, V(subbyte_x86_high_)(odds)));
        V(subbyte_store_part_)(y + i, V(subbyte_or_)(low, high), rest);
    }
}

// y = table[a + 4 * b], 16 entries, for codes up to 3. y may be a or b where they have as many bits.
SUBBYTE_INLINE void V(subbyte_x86_pairs_of_16_)(const uint8_t* a, const uint8_t* b, uint8_t* y, const uint8_t* table,
                                                int32_t a_bits, int32_t b_bits, int32_t y_bits, int32_t n,
                                                int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i;
    for (i = begin * chunk; i < stop; i += BLOCK) {
        const int32_t rest = subbyte_min_s32(stop - i, BLOCK);
        const INTS left = V(subbyte_load_codes_part_)(a + subbyte_whole_bytes(i, a_bits), a_bits, rest);
        const INTS right = V(subbyte_load_codes_part_)(b + subbyte_whole_bytes(i, b_bits), b_bits, rest);
        const INTS pairs = V(subbyte_or_)(left, V(subbyte_left_u16_)(right, 2));
        V(subbyte_store_codes_part_)(y + subbyte_whole_bytes(i, y_bits), V(subbyte_one_of_16_)(table, pairs), y_bits,
                                     rest);
    }
}

// y = a op b by the form of x86_binary.h. y may be a or b where they have as many bits.
SUBBYTE_INLINE void V(subbyte_x86_binary_packed_)(const uint8_t* a, const uint8_t* b, uint8_t* y,
                                                  const struct subbyte_x86_binary* g, int32_t a_bits, int32_t b_bits,
                                                  int32_t y_bits, int32_t n, int32_t chunk, int32_t begin,
                                                  int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i;
    for (i = begin * chunk; i < stop; i += BLOCK) {
        const int32_t rest = subbyte_min_s32(stop - i, BLOCK);
        uint8_t left[BLOCK], right[BLOCK];
        V(subbyte_store_)(left, V(subbyte_load_codes_part_)(a + subbyte_whole_bytes(i, a_bits), a_bits, rest));
        V(subbyte_store_)(right, V(subbyte_load_codes_part_)(b + subbyte_whole_bytes(i, b_bits), b_bits, rest));
        V(subbyte_store_codes_part_)(y + subbyte_whole_bytes(i, y_bits),
                                     V(subbyte_x86_binary_block_)(left, right, 1, 1, g), y_bits, rest);
    }
}

#undef V
#undef INTS
#undef BLOCK
#undef SUBBYTE_ISA
