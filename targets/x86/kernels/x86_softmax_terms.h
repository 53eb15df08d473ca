// The sum of a row's exponentials, one at a time: terms[255 - distance], so that a row adds its codes to one address.

#ifndef SUBBYTE_X86_SOFTMAX_TERMS_H
#define SUBBYTE_X86_SOFTMAX_TERMS_H

#include "subbyte_inline.h"

SUBBYTE_INLINE uint64_t subbyte_x86_softmax_total(const uint8_t* codes, int32_t extent, int32_t largest,
                                                  const uint64_t* terms) {
    const uint64_t* of_code = terms + 255 - largest;
    uint64_t sums[4] = {0, 0, 0, 0};
    int32_t i;
    for (i = 0; i + 4 <= extent; i += 4) {
        sums[0] += of_code[codes[i]];
        sums[1] += of_code[codes[i + 1]];
        sums[2] += of_code[codes[i + 2]];
        sums[3] += of_code[codes[i + 3]];
    }
    for (; i < extent; ++i) sums[0] += of_code[codes[i]];
    return sums[0] + sums[1] + (sums[2] + sums[3]);
}

#endif  // SUBBYTE_X86_SOFTMAX_TERMS_H
