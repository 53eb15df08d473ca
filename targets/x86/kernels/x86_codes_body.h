// Included for each instruction set by x86_codes_*.h: elementwise work on bytes.

#if !defined(SUBBYTE_ISA)
#error "x86_codes_body.h is a part of x86_codes_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#define BLOCK ((int32_t)sizeof(INTS))
#define LANES V(SUBBYTE_LANES_)

// y = x xor 0x80: codes of the other signedness. Tiles: runs of `chunk` of n bytes. y may be x.
SUBBYTE_INLINE void V(subbyte_x86_offset_codes_)(const void* x, void* y, int32_t n, int32_t chunk, int32_t begin,
                                                 int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const INTS flip = V(subbyte_set_u8_)(0x80);
    int32_t i = begin * chunk;
    for (; i + BLOCK <= stop; i += BLOCK)
        V(subbyte_store_)((uint8_t*)y + i, V(subbyte_xor_)(V(subbyte_load_)((const uint8_t*)x + i), flip));
    if (i < stop)
        V(subbyte_store_part_)((uint8_t*)y + i,
                               V(subbyte_xor_)(V(subbyte_load_part_)((const uint8_t*)x + i, stop - i), flip), stop - i);
}

// y = min(max(x, low), high), unsigned codes of `bits` bits in memory. Tiles: runs of `chunk` of n codes. y may be x.
SUBBYTE_INLINE void V(subbyte_x86_clamp_u8_)(const uint8_t* x, uint8_t* y, int32_t low, int32_t high, int32_t bits,
                                             int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const INTS lowest = V(subbyte_set_u8_)(low), highest = V(subbyte_set_u8_)(high);
    int32_t i;
    for (i = begin * chunk; i < stop; i += BLOCK) {
        const int32_t rest = subbyte_min_s32(stop - i, BLOCK);
        const ptrdiff_t at = subbyte_whole_bytes(i, bits);
        const INTS codes = V(subbyte_load_codes_part_)(x + at, bits, rest);
        V(subbyte_store_codes_part_)(y + at, V(subbyte_min_u8_)(V(subbyte_max_u8_)(codes, lowest), highest), bits,
                                     rest);
    }
}

// y = f32(f32(x - zero_point) * scale): N1; x: n codes of `bits` bits in memory. Tiles: runs of `chunk` of them.
SUBBYTE_INLINE void V(subbyte_x86_dequantize_u8_)(const uint8_t* x, float* y, float scale, int32_t zero_point,
                                                  int32_t bits, int32_t n, int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const INTS zero = V(subbyte_set_s32_)(zero_point);
    const FLOATS scales = V(subbyte_set_f32_)(scale);
    int32_t i, k;
    for (i = begin * chunk; i < stop; i += BLOCK) {
        const int32_t rest = subbyte_min_s32(stop - i, BLOCK);
        const uint8_t* codes = x + i;
        uint8_t apart[BLOCK];
        if (bits < 8) {
            V(subbyte_store_)(apart, V(subbyte_load_codes_part_)(x + subbyte_whole_bytes(i, bits), bits, rest));
            codes = apart;
        }
        for (k = 0; k + LANES <= rest; k += LANES) {
            const INTS centred = V(subbyte_sub_s32_)(V(subbyte_load_u8_as_s32_)(codes + k), zero);
            V(subbyte_store_)(y + i + k, V(subbyte_bits_)(V(subbyte_mul_f32_)(V(subbyte_to_f32_)(centred), scales)));
        }
        for (; k < rest; ++k) y[i + k] = subbyte_dequantize(codes[k] - zero_point, scale);
    }
}

// y = clamp(rne(f32(x / scale)) + zero_point, qmin, qmax), NaN to qmin: N2; y: n codes of `bits` bits in memory. Tiles: runs of
// `chunk` of them.
SUBBYTE_INLINE void V(subbyte_x86_quantize_u8_)(const float* x, uint8_t* y, float scale, int32_t zero_point,
                                                int32_t qmin, int32_t qmax, int32_t bits, int32_t n, int32_t chunk,
                                                int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    const FLOATS scales = V(subbyte_set_f32_)(scale);
    int32_t i = begin * chunk, k;
    for (; i + BLOCK <= stop; i += BLOCK) {
        INTS steps[4];
        SUBBYTE_UNROLL for (k = 0; k < 4; ++k) steps[k] =
            V(subbyte_round_)(V(subbyte_div_f32_)(V(subbyte_load_f32_)(x + i + k * LANES), scales));
        V(subbyte_store_codes_part_)(
            y + subbyte_whole_bytes(i, bits),
            V(subbyte_pack_codes_)(steps[0], steps[1], steps[2], steps[3], zero_point, qmin, qmax), bits, BLOCK);
    }
    if (i < stop) {
        uint8_t codes[BLOCK] = {0};
        for (k = 0; k < stop - i; ++k)
            codes[k] = (uint8_t)subbyte_quantize_f32(x[i + k], scale, zero_point, qmin, qmax);
        V(subbyte_store_codes_part_)(y + subbyte_whole_bytes(i, bits), V(subbyte_load_)(codes), bits, stop - i);
    }
}

#undef V
#undef INTS
#undef FLOATS
#undef BLOCK
#undef LANES
#undef SUBBYTE_ISA
