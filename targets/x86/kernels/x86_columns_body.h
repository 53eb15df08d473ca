// Included for each instruction set: depthwise convolutions by columns of the window, exact sums, then N4.
//
// Before: #define SUBBYTE_ISA avx512 (registers), SUBBYTE_DOT avx512vnni (instruction), SUBBYTE_WORDS 0 (1: the products
// are of 16-bit integers, two a lane, instead of bytes, four a lane).
//
// Four input rows that lie one below the other are brought side by side into lanes of 32 bits by unpacking bytes. Such a
// column serves all windows that hold it: with weights (a, b, c, 0) those of one row of the result, with (0, a, b, c) those of
// the next, and with the weights of each column of the filter as many windows of a row. Unpacking works within 128 bits, so
// vector i holds channels 4 * i to 4 * i + 3 of every 16; packing the results undoes it.

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT) || !defined(SUBBYTE_WORDS)
#error "x86_columns_body.h is a part of x86_columns_*.h"
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

// column[i]: the rows of one group side by side, at byte `at` of the row; the zero point outside of it.
SUBBYTE_INLINE void F(subbyte_x86_load_group_)(INTS* column, const uint8_t* const* rows, int32_t group, int32_t at,
                                               const struct subbyte_x86_columns* g) {
    const INTS zero = V(subbyte_zero_)(), fill = V(subbyte_set_u8_)(g->x_zero);
    const int32_t row_bytes = g->width * g->channels;
    const int32_t inside = at >= 0 && at + BLOCK <= row_bytes;
    INTS taps[GROUP];
    int32_t k;
    SUBBYTE_UNROLL for (k = 0; k < GROUP; ++k) {
        const uint8_t* row = rows[group * GROUP + k];
        if (g->offset[group * GROUP + k] < 0)
            taps[k] = zero;
        else if (inside)
            taps[k] = V(subbyte_load_)(row + at);
        else
            taps[k] = V(subbyte_load_inside_)(row, at, row_bytes, fill);
    }
#if SUBBYTE_WORDS
    {
        const INTS low = V(subbyte_unpack_low_u8_)(taps[0], taps[1]);
        const INTS high = V(subbyte_unpack_high_u8_)(taps[0], taps[1]);
        column[0] = V(subbyte_unpack_low_u8_)(low, zero);
        column[1] = V(subbyte_unpack_high_u8_)(low, zero);
        column[2] = V(subbyte_unpack_low_u8_)(high, zero);
        column[3] = V(subbyte_unpack_high_u8_)(high, zero);
    }
#else
    {
        const INTS low_0 = V(subbyte_unpack_low_u8_)(taps[0], taps[1]);
        const INTS low_1 = V(subbyte_unpack_low_u8_)(taps[2], taps[3]);
        const INTS high_0 = V(subbyte_unpack_high_u8_)(taps[0], taps[1]);
        const INTS high_1 = V(subbyte_unpack_high_u8_)(taps[2], taps[3]);
        column[0] = V(subbyte_unpack_low_u16_)(low_0, low_1);
        column[1] = V(subbyte_unpack_high_u16_)(low_0, low_1);
        column[2] = V(subbyte_unpack_low_u16_)(high_0, high_1);
        column[3] = V(subbyte_unpack_high_u16_)(high_0, high_1);
    }
#endif
}

// sums[4 * row + i] gains the products of one group of a column with the weights of that column of the filter,
// [groups][results][4 vectors][lanes][GROUP].
SUBBYTE_INLINE void F(subbyte_x86_add_group_of_column_)(INTS* sums, const INTS* column, int32_t group, const WEIGHT* w,
                                                        const struct subbyte_x86_columns* g) {
    int32_t row, i;
    SUBBYTE_UNROLL for (row = 0; row < g->results; ++row) {
        const int32_t at = group * g->results + row;
        if (!(g->used >> at & 1)) continue;
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            INTS sum =
                F(subbyte_dot_)(sums[4 * row + i], column[i], V(subbyte_load_)(w + (4 * at + i) * LANES * GROUP));
            V(SUBBYTE_IN_PLACE_)(sum);
            sums[4 * row + i] = sum;
        }
    }
}

// The sums of a block of channels in `rows` rows of the result to codes; y: the first of them, y_pitch bytes a row.
SUBBYTE_INLINE void F(subbyte_x86_finish_columns_)(uint8_t* y, int32_t y_pitch, INTS* sums, const float* multiplier,
                                                   const float* shift, const struct subbyte_x86_columns* g,
                                                   int32_t rows, int32_t rest) {
    int32_t row, i;
    SUBBYTE_UNROLL for (row = 0; row < g->results; ++row) {
        INTS codes, *own = sums + 4 * row;
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            if (shift)
                own[i] = V(subbyte_scale_shift_)(own[i], V(subbyte_load_f32_)(multiplier + i * LANES),
                                                 V(subbyte_load_f32_)(shift + i * LANES));
            else if (g->wide)
                own[i] = V(subbyte_scale_wide_)(own[i], V(subbyte_load_f32_)(multiplier + i * LANES));
            else
                own[i] = V(subbyte_scale_)(own[i], V(subbyte_load_f32_)(multiplier + i * LANES));
        }
        codes = V(subbyte_pack_codes_in_lanes_)(own[0], own[1], own[2], own[3], g->y_zero, g->qmin, g->qmax);
        if (row >= rows) continue;
        if (rest >= BLOCK)
            V(subbyte_store_)(y + row * y_pitch, codes);
        else
            V(subbyte_store_part_)(y + row * y_pitch, codes, rest);
    }
}

// The bias of a block of channels in every row of the result.
SUBBYTE_INLINE void F(subbyte_x86_begin_columns_)(INTS* sums, const int32_t* bias,
                                                  const struct subbyte_x86_columns* g) {
    int32_t row, i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
        SUBBYTE_UNROLL for (row = 0; row < g->results; ++row) sums[4 * row + i] = V(subbyte_load_)(bias + i * LANES);
    }
}

// `count` rows of the result from y on, of the input rows rows[0], rows[1], ..., block by block along the bytes of a row.
SUBBYTE_INLINE void F(subbyte_x86_flat_columns_)(const uint8_t* const* rows, const WEIGHT* w, const int32_t* bias,
                                                 const float* multiplier, const float* shift, uint8_t* y,
                                                 const struct subbyte_x86_columns* g, int32_t count) {
    const int32_t length = g->out_width * g->channels, of_column = g->groups * g->results * BLOCK * GROUP;
    int32_t at, kx, group, block = 0;
    for (at = 0; at < length; at += BLOCK) {
        INTS sums[SUBBYTE_X86_COLUMN_SUMS], column[4];
        F(subbyte_x86_begin_columns_)(sums, bias + block * BLOCK, g);
        SUBBYTE_UNROLL for (kx = 0; kx < g->kernel_width; ++kx) {
            const int32_t there = at + (kx * g->dilation_width - g->pad_left) * g->channels;
            SUBBYTE_UNROLL for (group = 0; group < g->groups; ++group) {
                F(subbyte_x86_load_group_)(column, rows, group, there, g);
                F(subbyte_x86_add_group_of_column_)(sums, column, group, w + (block * g->kernel_width + kx) * of_column,
                                                    g);
            }
        }
        F(subbyte_x86_finish_columns_)(y + at, length, sums, multiplier + block * BLOCK,
                                       shift ? shift + block * BLOCK : shift, g, count, length - at);
        if (++block == g->blocks) block = 0;
    }
}

// The same for one block of channels, window by window along the row.
SUBBYTE_INLINE void F(subbyte_x86_pixel_columns_)(const uint8_t* const* rows, const WEIGHT* w, const int32_t* bias,
                                                  const float* multiplier, const float* shift, uint8_t* y,
                                                  const struct subbyte_x86_columns* g, int32_t count, int32_t channel) {
    const int32_t length = g->out_width * g->channels, of_column = g->groups * g->results * BLOCK * GROUP;
    const int32_t vectors = 4 * g->groups, shared = g->slides ? g->kernel_width - g->stride_width : 0;
    const int32_t first = channel - g->pad_left * g->channels;
    INTS columns[SUBBYTE_X86_COLUMN_VECTORS];
    int32_t pixel, kx, group, i;
    SUBBYTE_UNROLL for (kx = 0; kx < shared; ++kx) {
        SUBBYTE_UNROLL for (group = 0; group < g->groups; ++group) F(subbyte_x86_load_group_)(
            columns + (kx + g->stride_width) * vectors + 4 * group, rows, group, first + kx * g->channels, g);
    }
    for (pixel = 0; pixel < g->out_width; ++pixel) {
        INTS sums[SUBBYTE_X86_COLUMN_SUMS];
        F(subbyte_x86_begin_columns_)(sums, bias, g);
        SUBBYTE_UNROLL for (kx = 0; kx < g->kernel_width; ++kx) {
            const int32_t there = first + (pixel * g->stride_width + kx * g->dilation_width) * g->channels;
            SUBBYTE_UNROLL for (group = 0; group < g->groups; ++group) {
                INTS* column = columns + (g->slides ? kx * vectors + 4 * group : 0);
                if (kx < shared) {
                    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) column[i] = column[i + g->stride_width * vectors];
                } else {
                    F(subbyte_x86_load_group_)(column, rows, group, there, g);
                }
                F(subbyte_x86_add_group_of_column_)(sums, column, group, w + kx * of_column, g);
            }
        }
        F(subbyte_x86_finish_columns_)(y + pixel * g->channels + channel, length, sums, multiplier, shift, g, count,
                                       g->channels - channel);
    }
}

// Where the input rows of a strip of rows of the result begin; those outside of the image are one of the zero point.
SUBBYTE_INLINE void F(subbyte_x86_rows_of_strip_)(const uint8_t** rows, const uint8_t* image, const uint8_t* padding,
                                                  int32_t strip, const struct subbyte_x86_columns* g) {
    const int32_t top = strip * g->results * g->stride_height - g->pad_top;
    int32_t k;
    SUBBYTE_UNROLL for (k = 0; k < g->groups * GROUP; ++k) {
        const int32_t from = top + g->offset[k];
        const int32_t outside = g->offset[k] < 0 || from < 0 || from >= g->height;
        rows[k] = outside ? padding : image + from * g->width * g->channels;
    }
}

// y = N4 of the sums, codes 0..255.
//
// w: [blocks][columns of the filter][groups][results][4 vectors][lanes][GROUP]; bias (zero point terms included), multiplier
// and shift: [blocks][4 vectors][lanes]; shift may be null. scratch: a row of the input where `padded`.
SUBBYTE_INLINE void F(subbyte_x86_columns_u8s8u8_)(const uint8_t* x, const WEIGHT* w, const int32_t* bias,
                                                   const float* multiplier, const float* shift, uint8_t* y,
                                                   const struct subbyte_x86_columns* g, int32_t begin, int32_t end,
                                                   void* scratch) {
    const int32_t strips = (g->out_height + g->results - 1) / g->results, row_bytes = g->out_width * g->channels;
    const int32_t of_block = g->kernel_width * g->groups * g->results * BLOCK * GROUP;
    const uint8_t* rows[SUBBYTE_X86_COLUMN_ROWS];
    int32_t tile, strip, block;
    if (g->padded) V(subbyte_fill_)((uint8_t*)scratch, g->x_zero, g->width * g->channels);
    for (tile = begin; tile < end; ++tile) {
        const int32_t image = tile / g->row_tiles, row_tile = tile % g->row_tiles;
        const int32_t first = row_tile * strips / g->row_tiles, last = (row_tile + 1) * strips / g->row_tiles;
        const uint8_t* from = x + image * g->height * g->width * g->channels;
        uint8_t* to = y + image * g->out_height * row_bytes;
        for (block = 0; block * BLOCK < (g->flat ? 1 : g->channels); ++block)
            for (strip = first; strip < last; ++strip) {
                const int32_t row = strip * g->results, count = subbyte_min_s32(g->out_height - row, g->results);
                F(subbyte_x86_rows_of_strip_)(rows, from, (const uint8_t*)scratch, strip, g);
                if (g->flat)
                    F(subbyte_x86_flat_columns_)(rows, w, bias, multiplier, shift, to + row * row_bytes, g, count);
                else
                    F(subbyte_x86_pixel_columns_)(rows, w + block * of_block, bias + block * BLOCK,
                                                  multiplier + block * BLOCK, shift ? shift + block * BLOCK : shift,
                                                  to + row * row_bytes, g, count, block * BLOCK);
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
