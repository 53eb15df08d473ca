// Included for each instruction set by x86_tables_*.h: functions of a byte, by a table of 256 bytes.

#if !defined(SUBBYTE_ISA)
#error "x86_tables_body.h is a part of x86_tables_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define BLOCK ((int32_t)sizeof(INTS))

// table[codes[i]], 256 entries: 16 rows, each adds what it has for the codes that are its own.
SUBBYTE_INLINE INTS V(subbyte_x86_pick_)(const uint8_t* table, INTS codes) {
    INTS picked = V(subbyte_zero_)();
    int32_t row;
    SUBBYTE_UNROLL for (row = 0; row < 16; ++row) {
        const INTS within = V(subbyte_xor_)(codes, V(subbyte_set_u8_)(row * 16));
        picked = V(subbyte_either_)(picked, V(subbyte_pick_of_16_)(table + row * 16, within));
    }
    return picked;
}

// y = table[x]. Tiles: runs of `chunk` of n bytes. y may be x. Requires chunk % BLOCK == 0.
SUBBYTE_INLINE void V(subbyte_x86_lookup_)(const void* x, void* y, const uint8_t* table, int32_t n, int32_t chunk,
                                           int32_t begin, int32_t end) {
    const int32_t stop = subbyte_x86_smaller(end * chunk, n);
    int32_t i = begin * chunk;
    for (; i + BLOCK <= stop; i += BLOCK)
        V(subbyte_store_)((uint8_t*)y + i, V(subbyte_x86_pick_)(table, V(subbyte_load_)((const uint8_t*)x + i)));
    for (; i < stop; ++i) ((uint8_t*)y)[i] = table[((const uint8_t*)x)[i]];
}

// Softmax of rows of bytes (N7): y = clamp(rne(e / (sum of e * scale)) + zero, qmin, qmax), e = table[largest x - x], 256
// entries. The result depends on the distance alone: it is divided once for each distance that occurs, then looked up.
// Tiles: rows of g->extent bytes.
SUBBYTE_INLINE void V(subbyte_x86_softmax_u8_)(const uint8_t* x, uint8_t* y, const uint32_t* table,
                                               const struct subbyte_x86_softmax* g, int32_t begin, int32_t end) {
    const uint64_t m = ((uint64_t)(uint32_t)g->m_high << 16) + (uint64_t)(uint32_t)g->m_low;
    const int32_t extent = g->extent;
    int32_t row, i;
    for (row = begin; row < end; ++row) {
        const uint8_t* codes = x + row * extent;
        uint8_t* to = y + row * extent;
        int32_t count[256];
        uint8_t result[256];
        int32_t largest = 0;
        uint64_t total = 0;
        INTS highest;
        for (i = 0; i < extent; ++i) largest = codes[i] > largest ? codes[i] : largest;
        memset(count, 0, sizeof count);
        memset(result, 0, sizeof result);
        for (i = 0; i < extent; ++i) ++count[largest - codes[i]];
        for (i = 0; i <= largest; ++i) total += (uint64_t)table[i] * (uint64_t)(uint32_t)count[i];
        for (i = 0; i <= largest; ++i)
            if (count[i])
                result[i] = (uint8_t)subbyte_softmax_code(table[i], total, m, g->k, g->y_zero, g->qmin, g->qmax);
        highest = V(subbyte_set_u8_)(largest);
        for (i = 0; i + BLOCK <= extent; i += BLOCK)
            V(subbyte_store_)(to + i,
                              V(subbyte_x86_pick_)(result, V(subbyte_less_)(highest, V(subbyte_load_)(codes + i))));
        for (; i < extent; ++i) to[i] = result[largest - codes[i]];
    }
}

#undef V
#undef INTS
#undef BLOCK
#undef SUBBYTE_ISA
