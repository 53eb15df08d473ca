// Included for each instruction set by x86_dynamic_*.h: the range of floats, and their codes.

#if !defined(SUBBYTE_ISA)
#error "x86_dynamic_body.h is a part of x86_dynamic_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define FLOATS V(subbyte_floats_)
#define LANES V(SUBBYTE_LANES_)

// The scale and zero point of codes 0..255 that cover x and 0; NaN is left out. In one piece.
SUBBYTE_INLINE void V(subbyte_x86_dynamic_range_)(const float* x, float* scale, uint8_t* zero_point, int32_t elements) {
    FLOATS lows[4], highs[4];
    float low[LANES], high[LANES];
    int32_t i, k;
    SUBBYTE_UNROLL for (k = 0; k < 4; ++k) lows[k] = highs[k] = V(subbyte_set_f32_)(0.0f);
    for (i = 0; i + 4 * LANES <= elements; i += 4 * LANES) SUBBYTE_UNROLL for (k = 0; k < 4; ++k) {
            const FLOATS some = V(subbyte_load_f32_)(x + i + k * LANES);
            lows[k] = V(subbyte_lower_)(some, lows[k]);
            highs[k] = V(subbyte_higher_)(some, highs[k]);
        }
    SUBBYTE_UNROLL for (k = 1; k < 4; ++k) {
        lows[0] = V(subbyte_lower_)(lows[0], lows[k]);
        highs[0] = V(subbyte_higher_)(highs[0], highs[k]);
    }
    V(subbyte_store_)(low, V(subbyte_bits_)(lows[0]));
    V(subbyte_store_)(high, V(subbyte_bits_)(highs[0]));
    for (k = 1; k < LANES; ++k) {
        low[0] = low[k] < low[0] ? low[k] : low[0];
        high[0] = high[k] > high[0] ? high[k] : high[0];
    }
    for (; i < elements; ++i) {
        low[0] = x[i] < low[0] ? x[i] : low[0];
        high[0] = x[i] > high[0] ? x[i] : high[0];
    }
    subbyte_cover_range(low[0], high[0], scale, zero_point);
}

// y = clamp(rne(x / scale) + zero_point, 0, 255): N2. Tiles: runs of `chunk` of n elements.
SUBBYTE_INLINE void V(subbyte_x86_dynamic_quantize_)(const float* x, const float* scale, const uint8_t* zero_point,
                                                     uint8_t* y, int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    V(subbyte_x86_quantize_u8_)(x, y, *scale, *zero_point, 0, 255, 8, n, chunk, begin, end);
}

#undef V
#undef FLOATS
#undef LANES
#undef SUBBYTE_ISA
