// Quantization with a scale that is computed while the model runs (N9). Tiles: chunks of `chunk` elements.

#ifndef SUBBYTE_DYNAMIC_H
#define SUBBYTE_DYNAMIC_H

#include "codes.h"
#include "dynamic_range.h"

// The scale and zero point of codes 0..255 that cover x and 0; NaN is left out. In one piece.
static inline void subbyte_dynamic_range(const float* x, float* scale, uint8_t* zero_point, int32_t elements) {
    float low = 0.0f, high = 0.0f;
    int32_t i;
    for (i = 0; i < elements; ++i) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    subbyte_cover_range(low, high, scale, zero_point);
}

// y = clamp(rne(x / scale) + zero_point, 0, 255): N2.
static inline void subbyte_dynamic_quantize(const float* x, const float* scale, const uint8_t* zero_point, uint8_t* y,
                                            int32_t elements, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_smaller(chunk * end, elements);
    int32_t i;
    for (i = chunk * begin; i < stop; ++i) y[i] = (uint8_t)subbyte_quantize_f32(x[i], *scale, *zero_point, 0, 255);
}

// y = x - zero_point, both of `type`, which has 8 bits.
static inline void subbyte_centre_codes(const void* x, const void* zero_point, int16_t* y, int32_t type,
                                        int32_t elements, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_smaller(chunk * end, elements);
    int32_t codes[SUBBYTE_BLOCK], zero, i, k;
    subbyte_load_codes(&zero, zero_point, type, 0, 1, 1, 0);
    for (i = chunk * begin; i < stop; i += SUBBYTE_BLOCK) {
        const int32_t n = subbyte_smaller(stop - i, SUBBYTE_BLOCK);
        subbyte_load_codes(codes, x, type, i, 1, n, zero);
        for (k = 0; k < n; ++k) y[i + k] = (int16_t)codes[k];
    }
}

#endif  // SUBBYTE_DYNAMIC_H
