// Included for each instruction set: convolutions and matrix products with constant weights, exact sums, then N4.
//
// Before: #define SUBBYTE_ISA avx512 (registers), SUBBYTE_DOT avx512vnni (instruction), SUBBYTE_WORDS 0 (1: the products
// are of 16-bit integers, two a lane, instead of bytes, four a lane; 2: the weights are stored as such, too).

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT) || !defined(SUBBYTE_WORDS)
#error "x86_sums_body.h is a part of x86_sums_*.h"
#endif
#include "x86_sums_names.h"

#include "x86_panels_body.h"

// Bytes that a register tile fetches for the panel behind its own: a line of memory with each group of products, where there
// are more weights than the first cache level holds; else none.
SUBBYTE_INLINE int32_t F(subbyte_x86_fetched_)(const struct subbyte_x86_conv* g) {
    const int32_t vector_bytes = g->vectors * F(SUBBYTE_X86_STORED_);
    const int32_t panels = (g->outputs + g->vectors * LANES - 1) / (g->vectors * LANES);
    const int32_t bytes = F(subbyte_x86_panel_bytes_)(g);
    return panels > 1 && bytes > SUBBYTE_X86_NEAR / panels ? bytes / vector_bytes * SUBBYTE_X86_LINE : 0;
}

// With a group of products: fetches the line at `ahead`; returns where the next one is.
SUBBYTE_INLINE const int8_t* F(subbyte_x86_fetch_)(const int8_t* ahead, const struct subbyte_x86_parameters* p,
                                                   const struct subbyte_x86_conv* g) {
    if (!F(subbyte_x86_fetched_)(g)) return ahead;
    _mm_prefetch((const char*)ahead, _MM_HINT_T0);
    return ahead + p->ahead_step;
}

// One vector of packed weights: LANES outputs by GROUP products.
SUBBYTE_INLINE INTS F(subbyte_x86_weights_)(const int8_t* w) {
#if SUBBYTE_WORDS == 1
    return V(subbyte_load_s8_as_s16_)(w);
#elif SUBBYTE_WORDS == 2
    INTS weights = V(subbyte_load_)(w);
    V(SUBBYTE_HOLD_)(weights);
    return weights;
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
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) weights[v] = F(subbyte_x86_weights_)(w + v * F(SUBBYTE_X86_STORED_));
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
    const int8_t* ahead = p->ahead;
    int32_t ky, kx, k, m, v;
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
        const INTS bias = V(subbyte_load_)(p->bias + v * LANES);
        SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) sums[m * vectors + v] = bias;
    }
    for (ky = 0; ky < g->kernel_height; ++ky)
        for (kx = 0; kx < taps; ++kx) {
            const CELL* at = x + ky * g->dilation_height * pitch + kx * g->dilation_width * g->channels;
            for (k = (run + GROUP - 1) / GROUP; k > 0; --k) {
                ahead = F(subbyte_x86_fetch_)(ahead, p, g);
                F(subbyte_x86_add_group_)(sums, at, step, w, g->pixels, vectors);
                at += GROUP;
                w += vectors * F(SUBBYTE_X86_STORED_);
            }
        }
    if (p->more_of)
        for (k = p->more_of[panel]; k < p->more_of[panel + 1]; ++k) {
            const int32_t row = p->more_at[2 * k] / taps * g->dilation_height;
            const int32_t column = p->more_at[2 * k] % taps * g->dilation_width;
            F(subbyte_x86_add_group_)(sums, x + row * pitch + column * g->channels + p->more_at[2 * k + 1], step,
                                      p->more + k * g->vectors * F(SUBBYTE_X86_STORED_), g->pixels, vectors);
        }
}

#include "x86_tiles_body.h"

// y = N4 of x * w + bias, codes 0..255.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8u8_)(const uint8_t* x, const int8_t* w, const int32_t* bias,
                                                const float* multiplier, const float* shift, const int32_t* more_of,
                                                const int32_t* more_at, const int8_t* more, uint8_t* y,
                                                const struct subbyte_x86_conv* g, int32_t begin, int32_t end,
                                                void* scratch) {
    const struct subbyte_x86_parameters p = {bias, multiplier, shift, more_of, more_at, more, 0, 0};
    F(subbyte_x86_tiles_)(x, w, y, g->y_bits, &p, g, begin, end, (CELL*)scratch);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8s32_)(const uint8_t* x, const int8_t* w, const int32_t* bias,
                                                 const int32_t* more_of, const int32_t* more_at, const int8_t* more,
                                                 int32_t* y, const struct subbyte_x86_conv* g, int32_t begin,
                                                 int32_t end, void* scratch) {
    const struct subbyte_x86_parameters p = {bias, 0, 0, more_of, more_at, more, 0, 0};
    F(subbyte_x86_tiles_)(x, w, y, 32, &p, g, begin, end, (CELL*)scratch);
}

#include "x86_sums_names_end.h"
