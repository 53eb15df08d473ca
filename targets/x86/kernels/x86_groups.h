// Convolutions of several groups on x86: how their channels lie among each other, read by x86_groups_body.h.

#ifndef SUBBYTE_X86_GROUPS_H
#define SUBBYTE_X86_GROUPS_H

#include <string.h>

#include "subbyte_inline.h"

// x [images][in_pixels][count * channels] -> y [images][out_pixels][count * outputs]: `count` convolutions beside each other.
//
// The input of one is copied to scratch, its result from there: in_bytes and out_bytes are what they take, whole multiples of
// 64. lanes: outputs padded to whole vectors. weight_bytes: of one. tiles: what its convolution is cut into.
struct subbyte_x86_groups {
    int32_t count, channels, outputs, in_pixels, out_pixels, in_bytes, out_bytes, lanes, weight_bytes, tiles;
};

// n pieces of `bytes` bytes, `from_pitch` bytes apart, to pieces `to_pitch` bytes apart.
SUBBYTE_INLINE void subbyte_x86_copy_pieces(uint8_t* to, int32_t to_pitch, const uint8_t* from, int32_t from_pitch,
                                            int32_t bytes, int32_t n) {
    int32_t i;
    for (i = 0; i < n; ++i) memcpy(to + i * to_pitch, from + i * from_pitch, (size_t)bytes);
}

#endif  // SUBBYTE_X86_GROUPS_H
