// Included for each instruction set by x86_tables_*.h: functions of a byte, by a table of 256 bytes.

#if !defined(SUBBYTE_ISA)
#error "x86_tables_body.h is a part of x86_tables_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define BLOCK ((int32_t)sizeof(INTS))

// table[codes[i]], 0 where codes[i] is 16 * rows or more: each row of 16 entries adds what it has for its own codes.
SUBBYTE_INLINE INTS V(subbyte_x86_pick_)(const uint8_t* table, int32_t rows, INTS codes) {
    INTS picked = V(subbyte_zero_)();
    int32_t row;
    SUBBYTE_UNROLL for (row = 0; row < rows; ++row) {
        const INTS within = V(subbyte_xor_)(codes, V(subbyte_set_u8_)(row * 16));
        picked = V(subbyte_either_)(picked, V(subbyte_pick_of_16_)(table + row * 16, within));
    }
    return picked;
}

// y = table[x]. Tiles: runs of `chunk` of n bytes. y may be x. Requires chunk % BLOCK == 0.
SUBBYTE_INLINE void V(subbyte_x86_lookup_)(const void* x, void* y, const uint8_t* table, int32_t n, int32_t chunk,
                                           int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i = begin * chunk;
    for (; i + BLOCK <= stop; i += BLOCK)
        V(subbyte_store_)((uint8_t*)y + i, V(subbyte_x86_pick_)(table, 16, V(subbyte_load_)((const uint8_t*)x + i)));
    for (; i < stop; ++i) ((uint8_t*)y)[i] = table[((const uint8_t*)x)[i]];
}

#undef V
#undef INTS
#undef BLOCK
#undef SUBBYTE_ISA
