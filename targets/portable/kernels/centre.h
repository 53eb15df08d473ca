// Codes less their zero point, in the type that products are made of.

#ifndef SUBBYTE_CENTRE_H
#define SUBBYTE_CENTRE_H

#include "codes.h"

// to[i] = x[at + i] less its zero point, i < n.
SUBBYTE_ONE_COPY void subbyte_centre_s16(int16_t* to, const void* x, int type, int32_t zero_point, int32_t at,
                                         int32_t n) {
    int32_t codes[SUBBYTE_BLOCK], done, i;
    if (type == SUBBYTE_TYPE_U8) {
        const uint8_t* from = (const uint8_t*)x + at;
        for (i = 0; i < n; ++i) to[i] = (int16_t)(from[i] - zero_point);
        return;
    }
    if (type == SUBBYTE_TYPE_S8) {
        const int8_t* from = (const int8_t*)x + at;
        for (i = 0; i < n; ++i) to[i] = (int16_t)(from[i] - zero_point);
        return;
    }
    for (done = 0; done < n; done += SUBBYTE_BLOCK) {
        const int32_t block = subbyte_smaller(n - done, SUBBYTE_BLOCK);
        subbyte_load_codes(codes, x, type, at + done, 1, block, zero_point);
        for (i = 0; i < block; ++i) to[done + i] = (int16_t)codes[i];
    }
}

SUBBYTE_ONE_COPY void subbyte_centre_s32(int32_t* to, const void* x, int type, int32_t zero_point, int32_t at,
                                         int32_t n) {
    subbyte_load_codes(to, x, type, at, 1, n, zero_point);
}

#endif  // SUBBYTE_CENTRE_H
