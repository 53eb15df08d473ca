// Included for each instruction set by x86_pool_*.h: the largest code and the average of windows.

#if !defined(SUBBYTE_ISA)
#error "x86_pool_body.h is a part of x86_pool_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#define BLOCK ((int32_t)sizeof(INTS))

// The bits of one of the codes in every byte.
SUBBYTE_INLINE INTS V(subbyte_x86_code_mask_)(int32_t code, int32_t bits) {
    return V(subbyte_set_u8_)(((1 << bits) - 1) << code * bits);
}

// y = the largest code of each window; no window is empty. Requires x_bits == y_bits.
//
// Codes that share bytes stay where they are: the largest byte of those whose bits of other codes are 0 holds the largest code.
SUBBYTE_INLINE void V(subbyte_x86_max_pool_u8_)(const uint8_t* x, uint8_t* y, const struct subbyte_x86_pool* g,
                                                int32_t begin, int32_t end) {
    const int32_t bits = g->x_bits, pixel = (int32_t)subbyte_whole_bytes(g->channels, bits);
    int32_t row, column, at, ky, kx, code;
    for (row = begin; row < end; ++row) {
        const uint8_t* image = x + row / g->out_height * g->height * g->width * pixel;
        const struct subbyte_x86_inside rows = subbyte_x86_inside(row % g->out_height, g->stride_height, g->pad_top,
                                                                  g->kernel_height, g->dilation_height, g->height);
        for (column = 0; column < g->out_width; ++column) {
            const struct subbyte_x86_inside columns =
                subbyte_x86_inside(column, g->stride_width, g->pad_left, g->kernel_width, g->dilation_width, g->width);
            for (at = 0; at < pixel; at += BLOCK) {
                const int32_t n = subbyte_min_s32(pixel - at, BLOCK);
                const INTS zero = V(subbyte_zero_)();
                INTS largest[8] = {zero, zero, zero, zero, zero, zero, zero, zero}, joined = zero;
                for (ky = rows.first; ky < rows.last; ++ky) {
                    const uint8_t* line = image + (rows.start + ky * g->dilation_height) * g->width * pixel;
                    for (kx = columns.first; kx < columns.last; ++kx) {
                        const INTS codes =
                            V(subbyte_load_part_)(line + (columns.start + kx * g->dilation_width) * pixel + at, n);
                        if (bits == 1)
                            largest[0] = V(subbyte_or_)(largest[0], codes);
                        else
                            SUBBYTE_UNROLL for (code = 0; code < 8 / bits; ++code) largest[code] = V(subbyte_max_u8_)(
                                largest[code], V(subbyte_and_)(codes, V(subbyte_x86_code_mask_)(code, bits)));
                    }
                }
                joined = largest[0];
                if (bits > 1)
                    SUBBYTE_UNROLL for (code = 1; code < 8 / bits; ++code) joined =
                        V(subbyte_or_)(joined, largest[code]);
                V(subbyte_store_part_)(y + (row * g->out_width + column) * pixel + at, joined, n);
            }
        }
    }
}

// One vector of sums of codes to rounded steps; excess: what the zero points add to each sum.
SUBBYTE_INLINE INTS V(subbyte_x86_average_steps_)(INTS sum, int32_t excess, int32_t n,
                                                  const struct subbyte_x86_average* e) {
    const FLOATS total = V(subbyte_to_f32_)(V(subbyte_sub_s32_)(sum, V(subbyte_set_s32_)(excess)));
    const FLOATS mean =
        V(subbyte_div_f32_)(V(subbyte_mul_f32_)(total, V(subbyte_set_f32_)(e->x_scale)), V(subbyte_set_f32_)((float)n));
    return V(subbyte_round_)(V(subbyte_div_f32_)(mean, V(subbyte_set_f32_)(e->y_scale)));
}

// y = the mean of each window, n = rows[.] * columns[.] counted elements. Requires windows of at most 2^23 elements.
//
// Codes are added in 16 bits, at most 256 of them, then in 32; unpacking orders channels as packing undoes it.
SUBBYTE_INLINE void V(subbyte_x86_average_pool_u8_)(const uint8_t* x, uint8_t* y, const int32_t* row_counts,
                                                    const int32_t* column_counts, const struct subbyte_x86_pool* g,
                                                    const struct subbyte_x86_average* e, int32_t begin, int32_t end) {
    const INTS zero = V(subbyte_zero_)();
    int32_t row, column, channel, ky, kx, i;
    for (row = begin; row < end; ++row) {
        const uint8_t* image =
            x + subbyte_whole_bytes(row / g->out_height * g->height * g->width * g->channels, g->x_bits);
        const struct subbyte_x86_inside rows = subbyte_x86_inside(row % g->out_height, g->stride_height, g->pad_top,
                                                                  g->kernel_height, g->dilation_height, g->height);
        for (column = 0; column < g->out_width; ++column) {
            const struct subbyte_x86_inside columns =
                subbyte_x86_inside(column, g->stride_width, g->pad_left, g->kernel_width, g->dilation_width, g->width);
            const int32_t inside = (rows.last - rows.first) * (columns.last - columns.first);
            const int32_t n = row_counts[row % g->out_height] * column_counts[column];
            for (channel = 0; channel < g->channels; channel += BLOCK) {
                const int32_t some = subbyte_min_s32(g->channels - channel, BLOCK);
                INTS low = zero, high = zero, sums[4] = {zero, zero, zero, zero};
                int32_t added = 0;
                for (ky = rows.first; ky < rows.last; ++ky) {
                    const int32_t line = (rows.start + ky * g->dilation_height) * g->width;
                    for (kx = columns.first; kx < columns.last; ++kx) {
                        const int32_t at = (line + columns.start + kx * g->dilation_width) * g->channels + channel;
                        const INTS codes =
                            V(subbyte_load_codes_part_)(image + subbyte_whole_bytes(at, g->x_bits), g->x_bits, some);
                        low = V(subbyte_add_s16_)(low, V(subbyte_unpack_low_u8_)(codes, zero));
                        high = V(subbyte_add_s16_)(high, V(subbyte_unpack_high_u8_)(codes, zero));
                        if (++added < 256 && (ky + 1 < rows.last || kx + 1 < columns.last)) continue;
                        sums[0] = V(subbyte_add_s32_)(sums[0], V(subbyte_unpack_low_u16_)(low, zero));
                        sums[1] = V(subbyte_add_s32_)(sums[1], V(subbyte_unpack_high_u16_)(low, zero));
                        sums[2] = V(subbyte_add_s32_)(sums[2], V(subbyte_unpack_low_u16_)(high, zero));
                        sums[3] = V(subbyte_add_s32_)(sums[3], V(subbyte_unpack_high_u16_)(high, zero));
                        low = high = zero;
                        added = 0;
                    }
                }
                SUBBYTE_UNROLL for (i = 0; i < 4; ++i) sums[i] =
                    V(subbyte_x86_average_steps_)(sums[i], inside * e->x_zero, n, e);
                V(subbyte_store_codes_part_)(
                    y + subbyte_whole_bytes((row * g->out_width + column) * g->channels + channel, g->y_bits),
                    V(subbyte_pack_codes_in_lanes_)(sums[0], sums[1], sums[2], sums[3], e->y_zero, e->qmin, e->qmax),
                    g->y_bits, some);
            }
        }
    }
}

#undef V
#undef INTS
#undef FLOATS
#undef BLOCK
#undef SUBBYTE_ISA
