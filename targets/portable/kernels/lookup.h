// Tables: every function of an 8-bit code, and those of codes of up to 16 bits that have one table.

#ifndef SUBBYTE_LOOKUP_H
#define SUBBYTE_LOOKUP_H

#include <stdint.h>
#include <string.h>

// x as stored: [outer][channels][inner] codes in bytes. tables: [channels][1 << 8] entries of `bytes` bytes, indexed by the
// code as an unsigned byte; with channels == 1 one table serves all.
struct subbyte_lookup {
    int32_t channels, inner;
    int32_t bytes;  // of an entry
    int32_t elements, chunk;
};

// y[i] = table of the channel of i, at x[i]. Tiles: chunks of `chunk` elements.
static inline void subbyte_lookup(const void* x, void* y, const void* tables, const struct subbyte_lookup* g,
                                  int32_t begin, int32_t end) {
    const unsigned char* codes = (const unsigned char*)x;
    unsigned char* to = (unsigned char*)y;
    const size_t bytes = (size_t)g->bytes;
    const int32_t stop = g->chunk * end < g->elements ? g->chunk * end : g->elements;
    int32_t i = g->chunk * begin;
    while (i < stop) {
        const int32_t channel = i / g->inner % g->channels, rest = g->inner - i % g->inner;
        const int32_t n = rest < stop - i ? rest : stop - i;
        const unsigned char* table = (const unsigned char*)tables + (size_t)channel * 256u * bytes;
        int32_t k;
        switch (bytes) {
            case 1:
                for (k = i; k < i + n; ++k) to[k] = table[codes[k]];
                break;
            case 2:
                for (k = i; k < i + n; ++k) memcpy(to + (size_t)k * 2u, table + (size_t)codes[k] * 2u, 2);
                break;
            case 4:
                for (k = i; k < i + n; ++k) memcpy(to + (size_t)k * 4u, table + (size_t)codes[k] * 4u, 4);
                break;
            default:
                for (k = i; k < i + n; ++k) memcpy(to + (size_t)k * bytes, table + (size_t)codes[k] * bytes, bytes);
                break;
        }
        i += n;
    }
}

// y[i] = table[x[i] - low] for codes that stand in 16 bits, signed or not; entries of `bytes` bytes. Tiles: chunks of
// `chunk` elements. Requires 1 <= bytes <= 8, and an entry for every code in x.
static inline void subbyte_lookup_wide(const void* x, void* y, const void* table, int32_t is_signed, int32_t low,
                                       int32_t bytes, int32_t elements, int32_t chunk, int32_t begin, int32_t end) {
    const unsigned char* entries = (const unsigned char*)table;
    unsigned char* to = (unsigned char*)y;
    const int32_t stop = chunk * end < elements ? chunk * end : elements;
    int32_t i;
    for (i = chunk * begin; i < stop; ++i) {
        const int32_t code = is_signed ? (int32_t)((const int16_t*)x)[i] : (int32_t)((const uint16_t*)x)[i];
        memcpy(to + (size_t)i * (size_t)bytes, entries + (size_t)(code - low) * (size_t)bytes, (size_t)bytes);
    }
}

#endif  // SUBBYTE_LOOKUP_H
