// The scale and zero point of DynamicQuantizeLinear's codes (N9), once the range of its data is known.

#ifndef SUBBYTE_DYNAMIC_RANGE_H
#define SUBBYTE_DYNAMIC_RANGE_H

#include "subbyte_numerics.h"

// Codes 0..255 cover low..high: scale = (high - low) / 255, 1 where the two are equal, and zero_point = -low / scale. Requires
// low <= 0 <= high.
static inline void subbyte_cover_range(float low, float high, float* scale, uint8_t* zero_point) {
    float begin;
    *scale = high == low ? 1.0f : subbyte_div_f32(subbyte_sub_f32(high, low), 255.0f);
    begin = subbyte_sub_f32(0.0f, subbyte_div_f32(low, *scale));
    begin = begin < 255.0f ? begin : 255.0f;  // NaN becomes 255
    *zero_point = (uint8_t)subbyte_rint_s32(begin > 0.0f ? begin : 0.0f);
}

#endif  // SUBBYTE_DYNAMIC_RANGE_H
