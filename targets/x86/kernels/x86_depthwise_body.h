// Included for each instruction set: depthwise convolutions, exact sums, then N4.
//
// Before: #define SUBBYTE_ISA avx512 (registers), SUBBYTE_DOT avx512vnni (instruction), SUBBYTE_WORDS 0 (1: the products
// are of 16-bit integers, two a lane, instead of bytes, four a lane).
//
// The taps of a channel are brought side by side into a lane of 32 bits by unpacking bytes: four taps become four vectors of
// sums. Unpacking works within 128 bits, so vector i holds channels 4 * i to 4 * i + 3 of every 16; packing the results
// undoes it.

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT) || !defined(SUBBYTE_WORDS)
#error "x86_depthwise_body.h is a part of x86_depthwise_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define F(stem) SUBBYTE_OF(stem, SUBBYTE_DOT)
#define INTS V(subbyte_ints_)
#define BLOCK ((int32_t)sizeof(INTS))
#define LANES V(SUBBYTE_LANES_)
#if SUBBYTE_WORDS
#define WEIGHT int16_t
#define GROUP 2
#else
#define WEIGHT int8_t
#define GROUP 4
#endif

// sums[i] gains the products of GROUP taps of a block of channels.
SUBBYTE_INLINE void F(subbyte_x86_add_taps_)(INTS* sums, const INTS* taps, const WEIGHT* w) {
#if SUBBYTE_WORDS
    const INTS zero = V(subbyte_zero_)();
    const INTS low = V(subbyte_unpack_low_u8_)(taps[0], taps[1]), high = V(subbyte_unpack_high_u8_)(taps[0], taps[1]);
    const INTS a = V(subbyte_unpack_low_u8_)(low, zero), b = V(subbyte_unpack_high_u8_)(low, zero);
    const INTS c = V(subbyte_unpack_low_u8_)(high, zero), d = V(subbyte_unpack_high_u8_)(high, zero);
#else
    const INTS low_0 = V(subbyte_unpack_low_u8_)(taps[0], taps[1]), low_1 = V(subbyte_unpack_low_u8_)(taps[2], taps[3]);
    const INTS high_0 = V(subbyte_unpack_high_u8_)(taps[0], taps[1]);
    const INTS high_1 = V(subbyte_unpack_high_u8_)(taps[2], taps[3]);
    const INTS a = V(subbyte_unpack_low_u16_)(low_0, low_1), b = V(subbyte_unpack_high_u16_)(low_0, low_1);
    const INTS c = V(subbyte_unpack_low_u16_)(high_0, high_1), d = V(subbyte_unpack_high_u16_)(high_0, high_1);
#endif
    sums[0] = F(subbyte_dot_)(sums[0], a, V(subbyte_load_)(w));
    sums[1] = F(subbyte_dot_)(sums[1], b, V(subbyte_load_)(w + LANES * GROUP));
    sums[2] = F(subbyte_dot_)(sums[2], c, V(subbyte_load_)(w + 2 * LANES * GROUP));
    sums[3] = F(subbyte_dot_)(sums[3], d, V(subbyte_load_)(w + 3 * LANES * GROUP));
}

// The codes of one block of a row; x: its first byte in the first row of the window, `pitch` bytes a row.
SUBBYTE_INLINE INTS F(subbyte_x86_depthwise_block_)(const uint8_t* x, int32_t pitch, const WEIGHT* w,
                                                    const int32_t* bias, const float* multiplier, const float* shift,
                                                    const struct subbyte_x86_depthwise* g) {
    const int32_t plain = g->kernel_height * g->kernel_width, count = plain + g->extras;
    INTS sums[4];
    int32_t first, i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) sums[i] = V(subbyte_load_)(bias + i * LANES);
    SUBBYTE_UNROLL for (first = 0; first < count; first += GROUP) {
        INTS taps[GROUP];
        SUBBYTE_UNROLL for (i = 0; i < GROUP; ++i) {
            const int32_t slot = subbyte_min_s32(first + i, count - 1);
            const int32_t tap = slot < plain ? slot : g->extra[slot - plain];
            const int32_t row = tap / g->kernel_width * g->dilation_height;
            const int32_t column = tap % g->kernel_width * g->dilation_width;
            taps[i] = first + i < count ? V(subbyte_load_)(x + row * pitch + column * g->channels) : V(subbyte_zero_)();
        }
        F(subbyte_x86_add_taps_)(sums, taps, w + first * BLOCK);
    }
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
        if (shift)
            sums[i] = V(subbyte_scale_shift_)(sums[i], V(subbyte_load_f32_)(multiplier + i * LANES),
                                              V(subbyte_load_f32_)(shift + i * LANES));
        else if (g->wide)
            sums[i] = V(subbyte_scale_wide_)(sums[i], V(subbyte_load_f32_)(multiplier + i * LANES));
        else
            sums[i] = V(subbyte_scale_)(sums[i], V(subbyte_load_f32_)(multiplier + i * LANES));
    }
    return V(subbyte_pack_codes_in_lanes_)(sums[0], sums[1], sums[2], sums[3], g->y_zero, g->qmin, g->qmax);
}

// One input row, columns -pad_left to columns - pad_left, the zero point where they are outside; row is null outside.
SUBBYTE_INLINE void F(subbyte_x86_padded_row_)(uint8_t* to, const uint8_t* row, int32_t columns,
                                               const struct subbyte_x86_depthwise* g) {
    const int32_t before = row ? subbyte_min_s32(g->pad_left, columns) : columns;
    const int32_t inside = row ? subbyte_min_s32(columns - before, g->width + g->pad_left - before) : 0;
    V(subbyte_fill_)(to, g->x_zero, before * g->channels);
    if (row)
        V(subbyte_copy_)(to + before * g->channels, row + (before - g->pad_left) * g->channels, inside * g->channels);
    V(subbyte_fill_)(to + (before + inside) * g->channels, g->x_zero, (columns - before - inside) * g->channels);
}

// y = N4 of the sums, codes 0..255.
//
// w: packed by taps4 (or taps2): [blocks][groups of taps][4 vectors][lanes][GROUP]; bias (zero point terms included),
// multiplier and shift: [blocks][4 vectors][lanes]; shift may be null. scratch: the window of a tile and BLOCK bytes more.
SUBBYTE_INLINE void F(subbyte_x86_depthwise_u8s8u8_)(const uint8_t* x, const WEIGHT* w, const int32_t* bias,
                                                     const float* multiplier, const float* shift, uint8_t* y,
                                                     const struct subbyte_x86_depthwise* g, int32_t begin, int32_t end,
                                                     void* scratch) {
    const int32_t columns = (g->out_width - 1) * g->stride_width + (g->kernel_width - 1) * g->dilation_width + 1;
    const int32_t pitch = columns * g->channels, step = g->stride_width * g->channels;
    const int32_t groups = (g->kernel_height * g->kernel_width + g->extras + GROUP - 1) / GROUP;
    uint8_t* window = (uint8_t*)scratch;
    int32_t tile, row, segment, at;
    for (tile = begin; tile < end; ++tile) {
        const int32_t image = tile / g->row_tiles, row_tile = tile % g->row_tiles;
        const int32_t row_0 = row_tile * g->out_height / g->row_tiles;
        const int32_t row_1 = (row_tile + 1) * g->out_height / g->row_tiles;
        const int32_t top = row_0 * g->stride_height - g->pad_top;
        const int32_t rows = (row_1 - row_0 - 1) * g->stride_height + (g->kernel_height - 1) * g->dilation_height + 1;
        const uint8_t* of_image = x + image * g->height * g->width * g->channels;
        for (row = 0; row < rows; ++row) {
            const int32_t from = top + row;
            const uint8_t* in_row = from < 0 || from >= g->height ? 0 : of_image + from * g->width * g->channels;
            F(subbyte_x86_padded_row_)(window + row * pitch, in_row, columns, g);
        }
        for (row = row_0; row < row_1; ++row)
            for (segment = 0; segment < g->segments; ++segment) {
                const uint8_t* from = window + (row - row_0) * g->stride_height * pitch + segment * step;
                uint8_t* to = y + ((image * g->out_height + row) * g->segments + segment) * g->length;
                int32_t block = 0;
                for (at = 0; at < g->length; at += BLOCK) {
                    const int32_t rest = subbyte_min_s32(g->length - at, BLOCK);
                    const INTS codes = F(subbyte_x86_depthwise_block_)(
                        from + at, pitch, w + block * groups * GROUP * BLOCK, bias + block * BLOCK,
                        multiplier + block * BLOCK, shift ? shift + block * BLOCK : shift, g);
                    if (rest == BLOCK)
                        V(subbyte_store_)(to + at, codes);
                    else
                        V(subbyte_store_part_)(to + at, codes, rest);
                    if (++block == g->blocks) block = 0;
                }
            }
    }
}

#undef V
#undef F
#undef INTS
#undef BLOCK
#undef LANES
#undef WEIGHT
#undef GROUP
#undef SUBBYTE_ISA
#undef SUBBYTE_DOT
#undef SUBBYTE_WORDS
