// Weights packed to their real bits.
//
// A row of n codes of b bits, 1 to 8, takes (n * b + 7) / 8 bytes. Code i has bits i * b to i * b + b - 1 of its row, the
// lowest first; bit j of a row is bit j % 8 of its byte j / 8. So the first of two codes of 4 bits is the low nibble.

#ifndef SUBBYTE_PACKED_H
#define SUBBYTE_PACKED_H

#include "codes.h"

// A weight is table[code], or without a table (an array beside this struct) lowest + step * code.
struct subbyte_packing {
    int32_t bits, lowest, step;
};

static inline size_t subbyte_packed_row(int32_t n, int32_t bits) { return ((size_t)n * (size_t)bits + 7) / 8; }

// to[i] = code i of a row, i < n.
SUBBYTE_ONE_COPY void subbyte_unpack_codes(uint8_t* to, const uint8_t* row, int32_t n, int32_t bits) {
// Eight codes are b bytes.
#define SUBBYTE_UNPACK(b)                                                       \
    for (; i + 8 <= n; i += 8, row += b) {                                      \
        uint64_t eight = 0;                                                     \
        for (k = 0; k < b; ++k) eight |= (uint64_t)row[k] << (8 * k);           \
        for (k = 0; k < 8; ++k) to[i + k] = (uint8_t)(eight >> (b * k) & mask); \
    }                                                                           \
    break
// A byte is 8 / b codes.
#define SUBBYTE_SPLIT(b)                                                                       \
    for (; i + 8 / b <= n; i += 8 / b, ++row)                                                  \
        for (k = 0; k < 8 / b; ++k) to[i + k] = (uint8_t)((uint32_t)row[0] >> (k * b) & mask); \
    break
    const uint32_t mask = (1u << bits) - 1;
    int32_t i = 0, k, bit = 0;
    switch (bits) {
        case 1:
            SUBBYTE_SPLIT(1);
        case 2:
            SUBBYTE_SPLIT(2);
        case 3:
            SUBBYTE_UNPACK(3);
        case 4:
            SUBBYTE_SPLIT(4);
        case 5:
            SUBBYTE_UNPACK(5);
        case 6:
            SUBBYTE_UNPACK(6);
        case 7:
            SUBBYTE_UNPACK(7);
        default:
            memcpy(to, row, (size_t)n);
            return;
    }
    for (; i < n; ++i) {
        const uint32_t next = bit + bits > 8 ? (uint32_t)row[1] << 8 : 0;
        to[i] = (uint8_t)((row[0] | next) >> bit & mask);
        bit += bits;
        row += bit >> 3;
        bit &= 7;
    }
#undef SUBBYTE_UNPACK
#undef SUBBYTE_SPLIT
}

// to[i] = weight i of a row, i < n.
SUBBYTE_ONE_COPY void subbyte_unpack_weights(int8_t* to, const uint8_t* row, int32_t n, const struct subbyte_packing* p,
                                             const int8_t* table) {
    const int32_t lowest = p->lowest, step = p->step;
    int32_t i;
    subbyte_unpack_codes((uint8_t*)to, row, n, p->bits);
    if (table)
        for (i = 0; i < n; ++i) to[i] = table[(uint8_t)to[i]];
    else
        for (i = 0; i < n; ++i) to[i] = (int8_t)(lowest + step * (uint8_t)to[i]);
}

// The same for several rows of n weights, which follow each other.
static inline void subbyte_unpack_rows(int8_t* to, const uint8_t* rows, int32_t count, int32_t n,
                                       const struct subbyte_packing* p, const int8_t* table) {
    const size_t row_bytes = subbyte_packed_row(n, p->bits);
    int32_t row;
    for (row = 0; row < count; ++row, to += n, rows += row_bytes) subbyte_unpack_weights(to, rows, n, p, table);
}

#endif  // SUBBYTE_PACKED_H
