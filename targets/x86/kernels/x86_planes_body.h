// Included for each instruction set by x86_planes_*.h: planes of floats to pixels of codes (N2), and back (N1).

#if !defined(SUBBYTE_ISA)
#error "x86_planes_body.h is a part of x86_planes_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#define BLOCK ((int32_t)sizeof(INTS))
#define LANES V(SUBBYTE_LANES_)

// n codes, at most BLOCK, of the floats at x.
SUBBYTE_INLINE void V(subbyte_x86_quantize_few_)(uint8_t* y, const float* x, float scale, int32_t zero_point,
                                                 int32_t qmin, int32_t qmax, int32_t n) {
    INTS steps[4];
    int32_t i;
    if (n < BLOCK) {
        for (i = 0; i < n; ++i) y[i] = (uint8_t)subbyte_quantize_f32(x[i], scale, zero_point, qmin, qmax);
        return;
    }
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) steps[i] =
        V(subbyte_round_)(V(subbyte_div_f32_)(V(subbyte_load_f32_)(x + i * LANES), V(subbyte_set_f32_)(scale)));
    V(subbyte_store_)(y, V(subbyte_pack_codes_)(steps[0], steps[1], steps[2], steps[3], zero_point, qmin, qmax));
}

// n floats, at most BLOCK, of the codes at x.
SUBBYTE_INLINE void V(subbyte_x86_dequantize_few_)(float* y, const uint8_t* x, float scale, int32_t zero_point,
                                                   int32_t n) {
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const INTS codes = V(subbyte_sub_s32_)(V(subbyte_load_u8_as_s32_)(x + i), V(subbyte_set_s32_)(zero_point));
        V(subbyte_store_)(y + i,
                          V(subbyte_bits_)(V(subbyte_mul_f32_)(V(subbyte_to_f32_)(codes), V(subbyte_set_f32_)(scale))));
    }
    for (; i < n; ++i) y[i] = subbyte_dequantize(x[i] - zero_point, scale);
}

// y [images][pixels][channels] = the codes of x [images][channels][pixels]: N2, NaN to qmin.
SUBBYTE_INLINE void V(subbyte_x86_quantize_planes_u8_)(const float* x, uint8_t* y, const struct subbyte_x86_planes* g,
                                                       float scale, int32_t zero_point, int32_t qmin, int32_t qmax,
                                                       int32_t begin, int32_t end) {
    int32_t tile, pixel, first, i, k;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_x86_pixels at = subbyte_x86_pixels(g, tile);
        const float* image = x + at.image * g->channels * g->pixels;
        uint8_t* to = y + at.image * g->channels * g->pixels;
        for (pixel = at.first; pixel < at.last; pixel += BLOCK) {
            const int32_t n = subbyte_min_s32(at.last - pixel, BLOCK);
            for (first = 0; first < g->channels; first += SUBBYTE_X86_TILE) {
                const int32_t channels = subbyte_min_s32(g->channels - first, SUBBYTE_X86_TILE);
                uint8_t codes[SUBBYTE_X86_TILE * BLOCK];
                for (k = 0; k < channels; ++k)
                    V(subbyte_x86_quantize_few_)(codes + k * BLOCK, image + (first + k) * g->pixels + pixel, scale,
                                                 zero_point, qmin, qmax, n);
                for (i = 0; i < n; i += SUBBYTE_X86_TILE) {
                    const int32_t few = subbyte_min_s32(n - i, SUBBYTE_X86_TILE);
                    uint8_t* there = to + (pixel + i) * g->channels + first;
                    if (g->channels <= SUBBYTE_X86_TILE)
                        subbyte_x86_join_planes(there, codes + i, BLOCK, g->channels, few);
                    else
                        subbyte_x86_transpose_tile(there, g->channels, codes + i, BLOCK, channels, few);
                }
            }
        }
    }
}

// y [images][channels][pixels] = the reals of x [images][pixels][channels]: f32(f32(x - zero_point) * scale), N1.
SUBBYTE_INLINE void V(subbyte_x86_dequantize_pixels_u8_)(const uint8_t* x, float* y, const struct subbyte_x86_planes* g,
                                                         float scale, int32_t zero_point, int32_t begin, int32_t end) {
    int32_t tile, pixel, first, i, k;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_x86_pixels at = subbyte_x86_pixels(g, tile);
        const uint8_t* image = x + at.image * g->channels * g->pixels;
        float* to = y + at.image * g->channels * g->pixels;
        for (pixel = at.first; pixel < at.last; pixel += BLOCK) {
            const int32_t n = subbyte_min_s32(at.last - pixel, BLOCK);
            for (first = 0; first < g->channels; first += SUBBYTE_X86_TILE) {
                const int32_t channels = subbyte_min_s32(g->channels - first, SUBBYTE_X86_TILE);
                uint8_t codes[SUBBYTE_X86_TILE * BLOCK];
                for (i = 0; i < n; i += SUBBYTE_X86_TILE)
                    subbyte_x86_transpose_tile(codes + i, BLOCK, image + (pixel + i) * g->channels + first, g->channels,
                                               subbyte_min_s32(n - i, SUBBYTE_X86_TILE), channels);
                for (k = 0; k < channels; ++k)
                    V(subbyte_x86_dequantize_few_)(to + (first + k) * g->pixels + pixel, codes + k * BLOCK, scale,
                                                   zero_point, n);
            }
        }
    }
}

#undef V
#undef INTS
#undef FLOATS
#undef BLOCK
#undef LANES
#undef SUBBYTE_ISA
