// Included for each instruction set: convolutions and matrix products with constant weights, exact sums, then N4.
//
// Before: #define SUBBYTE_ISA avx512 (registers), SUBBYTE_DOT avx512vnni (instruction), SUBBYTE_WORDS 0 (1: the products
// are of 16-bit integers, two a lane, instead of bytes, four a lane).

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT) || !defined(SUBBYTE_WORDS)
#error "x86_sums_body.h is a part of x86_sums_*.h"
#endif
#include "x86_sums_names.h"

// Bytes of the weights of a panel: [runs][groups][vectors][LANES][GROUP].
SUBBYTE_INLINE int32_t F(subbyte_x86_panel_bytes_)(const struct subbyte_x86_conv* g) {
    const int32_t taps = g->dilation_width == 1 ? 1 : g->kernel_width;
    const int32_t run = g->dilation_width == 1 ? g->kernel_width * g->channels : g->channels;
    return g->kernel_height * taps * ((run + GROUP - 1) / GROUP) * g->vectors * LANES * GROUP;
}

// One vector of packed weights: LANES outputs by GROUP products.
SUBBYTE_INLINE INTS F(subbyte_x86_weights_)(const int8_t* w) {
#if SUBBYTE_WORDS
    return V(subbyte_load_s8_as_s16_)(w);
#else
    return V(subbyte_load_)(w);
#endif
}

// Adds one group of products to every sum of a register tile: pixel m takes GROUP cells from x + m * step on.
SUBBYTE_INLINE void F(subbyte_x86_add_group_)(INTS* sums, const CELL* x, int32_t step, const int8_t* w, int32_t pixels,
                                              int32_t vectors) {
    const INTS zero = V(subbyte_zero_)();
    INTS weights[SUBBYTE_X86_VECTORS] = {zero, zero, zero, zero, zero, zero, zero, zero};
    int32_t m, v;
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) weights[v] = F(subbyte_x86_weights_)(w + v * LANES * GROUP);
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
        const INTS cells = V(subbyte_broadcast_)(x + m * step);
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            INTS sum = F(subbyte_dot_)(sums[m * vectors + v], cells, weights[v]);
            V(SUBBYTE_IN_PLACE_)(sum);
            sums[m * vectors + v] = sum;
        }
    }
}

// A register tile of sums: sums[m * vectors + v] = bias + x * w for pixel m and vector v of outputs.
//
// x: the first cell of the first window. Rows are `pitch` cells apart, pixels `step`. w: the panel,
// [runs][groups of cells][vectors][LANES][GROUP]; a run is a row of the window, a tap where it is dilated.
SUBBYTE_INLINE void F(subbyte_x86_multiply_)(INTS* sums, const CELL* x, int32_t pitch, int32_t step, const int8_t* w,
                                             const struct subbyte_x86_parameters* p, const struct subbyte_x86_conv* g,
                                             int32_t panel, int32_t vectors) {
    const int32_t taps = g->dilation_width == 1 ? 1 : g->kernel_width;
    const int32_t run = g->dilation_width == 1 ? g->kernel_width * g->channels : g->channels;
    int32_t ky, kx, k, m, v;
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
        const INTS bias = V(subbyte_load_)(p->bias + v * LANES);
        SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) sums[m * vectors + v] = bias;
    }
    for (ky = 0; ky < g->kernel_height; ++ky)
        for (kx = 0; kx < taps; ++kx) {
            const CELL* at = x + ky * g->dilation_height * pitch + kx * g->dilation_width * g->channels;
            for (k = (run + GROUP - 1) / GROUP; k > 0; --k) {
                F(subbyte_x86_add_group_)(sums, at, step, w, g->pixels, vectors);
                at += GROUP;
                w += vectors * LANES * GROUP;
            }
        }
    if (p->more_of)
        for (k = p->more_of[panel]; k < p->more_of[panel + 1]; ++k) {
            const int32_t row = p->more_at[2 * k] / taps * g->dilation_height;
            const int32_t column = p->more_at[2 * k] % taps * g->dilation_width;
            F(subbyte_x86_add_group_)(sums, x + row * pitch + column * g->channels + p->more_at[2 * k + 1], step,
                                      p->more + k * g->vectors * LANES * GROUP, g->pixels, vectors);
        }
}

#include "x86_tiles_body.h"

// y = N4 of x * w + bias, codes 0..255.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8u8_)(const uint8_t* x, const int8_t* w, const int32_t* bias,
                                                const float* multiplier, const float* shift, const int32_t* more_of,
                                                const int32_t* more_at, const int8_t* more, uint8_t* y,
                                                const struct subbyte_x86_conv* g, int32_t begin, int32_t end,
                                                void* scratch) {
    const struct subbyte_x86_parameters p = {bias, multiplier, shift, more_of, more_at, more};
    F(subbyte_x86_tiles_)(x, w, y, g->y_bits, &p, g, begin, end, (CELL*)scratch);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8s32_)(const uint8_t* x, const int8_t* w, const int32_t* bias,
                                                 const int32_t* more_of, const int32_t* more_at, const int8_t* more,
                                                 int32_t* y, const struct subbyte_x86_conv* g, int32_t begin,
                                                 int32_t end, void* scratch) {
    const struct subbyte_x86_parameters p = {bias, 0, 0, more_of, more_at, more};
    F(subbyte_x86_tiles_)(x, w, y, 32, &p, g, begin, end, (CELL*)scratch);
}

#include "x86_sums_names_end.h"
