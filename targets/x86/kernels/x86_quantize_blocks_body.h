// Included for each instruction set by x86_quantize_blocks_*.h: blocks of floats, each with a scale of its own (N9).

#if !defined(SUBBYTE_ISA)
#error "x86_quantize_blocks_body.h is a part of x86_quantize_blocks_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define FLOATS V(subbyte_floats_)
#define LANES V(SUBBYTE_LANES_)

// The largest |x| of n floats, NaN left out; 0 of none.
SUBBYTE_INLINE float V(subbyte_x86_largest_magnitude_)(const float* x, int32_t n) {
    FLOATS largest[4];
    float lanes[LANES], result = 0.0f;
    int32_t k, i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) largest[i] = V(subbyte_set_f32_)(0.0f);
    for (k = 0; k + 4 * LANES <= n; k += 4 * LANES)
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) largest[i] =
            V(subbyte_higher_)(V(subbyte_magnitude_)(V(subbyte_load_f32_)(x + k + i * LANES)), largest[i]);
    for (; k + LANES <= n; k += LANES)
        largest[0] = V(subbyte_higher_)(V(subbyte_magnitude_)(V(subbyte_load_f32_)(x + k)), largest[0]);
    SUBBYTE_UNROLL for (i = 1; i < 4; ++i) largest[0] = V(subbyte_higher_)(largest[0], largest[i]);
    V(subbyte_store_)(lanes, V(subbyte_bits_)(largest[0]));
    SUBBYTE_UNROLL for (i = 0; i < LANES; ++i) result = lanes[i] > result ? lanes[i] : result;
    for (; k < n; ++k) {
        const float magnitude = subbyte_abs_f32(x[k]);
        result = magnitude > result ? magnitude : result;
    }
    return result;
}

// Codes -127..127 of blocks of rows, scale = largest |x| / 127, 1 where that is 0; NaN is left out. Tiles: rows.
SUBBYTE_INLINE void V(subbyte_x86_quantize_blocks_)(const float* x, int8_t* y, float* scales, int32_t depth,
                                                    int32_t block, int32_t begin, int32_t end) {
    const int32_t blocks = (depth + block - 1) / block;
    int32_t piece, k;
    for (piece = begin * blocks; piece < end * blocks; ++piece) {
        const int32_t first = piece % blocks * block, n = subbyte_min_s32(depth - first, block);
        const float* from = x + (size_t)(piece / blocks) * (size_t)depth + first;
        int8_t* to = y + (size_t)(piece / blocks) * (size_t)depth + first;
        float scale = subbyte_div_f32(V(subbyte_x86_largest_magnitude_)(from, n), 127.0f);
        scale = scale == 0.0f ? 1.0f : scale;
        for (k = 0; k + LANES <= n; k += LANES)
            V(subbyte_store_codes_)(to + k,
                                    V(subbyte_div_f32_)(V(subbyte_load_f32_)(from + k), V(subbyte_set_f32_)(scale)));
        for (; k < n; ++k) to[k] = (int8_t)subbyte_quantize_f32(from[k], scale, 0, -127, 127);
        scales[piece] = scale;
    }
}

#undef V
#undef FLOATS
#undef LANES
#undef SUBBYTE_ISA
