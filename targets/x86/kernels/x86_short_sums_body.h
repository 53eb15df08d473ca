// Included for each instruction set: convolutions and matrix products with constant weights of few bits. Products are added
// in 16 bits for as long as they provably fit, then in 32.
//
// Before: #define SUBBYTE_ISA avx2 (registers), SUBBYTE_DOT avx2_short (suffix of the kernels).

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT)
#error "x86_short_sums_body.h is a part of x86_short_sums_*.h"
#endif
#define SUBBYTE_WORDS 0
#include "x86_sums_names.h"

#include "x86_panels_body.h"

// Nothing is fetched ahead: 16-bit sums keep every port busy, and weights of few bits are not many.
SUBBYTE_INLINE int32_t F(subbyte_x86_fetched_)(const struct subbyte_x86_conv* g) {
    (void)g;
    return 0;
}

// Adds `groups` groups of products to the 16-bit sums of a register tile.
SUBBYTE_INLINE void F(subbyte_x86_add_short_)(INTS* pairs, const CELL* x, int32_t step, const int8_t* w, int32_t groups,
                                              int32_t pixels, int32_t vectors) {
    const INTS zero = V(subbyte_zero_)();
    int32_t m, v;
    for (; groups > 0; --groups) {
        INTS weights[SUBBYTE_X86_VECTORS] = {zero, zero, zero, zero, zero, zero, zero, zero};
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            INTS vector = V(subbyte_load_)(w + v * LANES * GROUP);
            V(SUBBYTE_HOLD_)(vector);
            weights[v] = vector;
        }
        SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
            const INTS cells = V(subbyte_broadcast_)(x + m * step);
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                const INTS products = V(subbyte_pairs_)(cells, weights[v]);
                INTS sum = pairs[m * vectors + v];
                V(SUBBYTE_ADD_PAIRS_)(sum, products);
                pairs[m * vectors + v] = sum;
            }
        }
        x += GROUP;
        w += vectors * LANES * GROUP;
    }
}

// The 16-bit sums of a register tile are added to those of 32 bits and begin anew.
SUBBYTE_INLINE void F(subbyte_x86_flush_)(INTS* sums, INTS* pairs, int32_t total) {
    int32_t m;
    SUBBYTE_UNROLL for (m = 0; m < total; ++m) {
        sums[m] = V(subbyte_add_pairs_)(sums[m], pairs[m]);
        pairs[m] = V(subbyte_zero_)();
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
    const int32_t groups = (run + GROUP - 1) / GROUP, total = g->pixels * vectors;
    INTS pairs[SUBBYTE_X86_SUMS];
    int32_t ky, kx, k, m, v, held = 0;
    (void)panel;
    SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_X86_SUMS; ++m) pairs[m] = V(subbyte_zero_)();
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
        const INTS bias = V(subbyte_load_)(p->bias + v * LANES);
        SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) sums[m * vectors + v] = bias;
    }
    for (ky = 0; ky < g->kernel_height; ++ky)
        for (kx = 0; kx < taps; ++kx) {
            const CELL* at = x + ky * g->dilation_height * pitch + kx * g->dilation_width * g->channels;
            if (g->held_runs > 1) {  // whole runs fit
                F(subbyte_x86_add_short_)(pairs, at, step, w, groups, g->pixels, vectors);
                w += groups * vectors * LANES * GROUP;
                if (++held == g->held_runs) {
                    F(subbyte_x86_flush_)(sums, pairs, total);
                    held = 0;
                }
            } else {
                for (k = 0; k < groups; k += g->held_groups) {
                    const int32_t n = subbyte_min_s32(g->held_groups, groups - k);
                    F(subbyte_x86_add_short_)(pairs, at + k * GROUP, step, w, n, g->pixels, vectors);
                    F(subbyte_x86_flush_)(sums, pairs, total);
                    w += n * vectors * LANES * GROUP;
                }
            }
        }
    if (g->held_runs > 1) F(subbyte_x86_flush_)(sums, pairs, total);
}

#include "x86_tiles_body.h"

// y = N4 of x * w + bias, codes 0..255. In 16 bits g->held_runs runs are added or, where that is 1,
// g->held_groups groups of one run.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8u8_)(const uint8_t* x, const int8_t* w, const int32_t* bias,
                                                const float* multiplier, const float* shift, uint8_t* y,
                                                const struct subbyte_x86_conv* g, int32_t begin, int32_t end,
                                                void* scratch) {
    const struct subbyte_x86_parameters p = {bias, multiplier, shift, 0, 0, 0, 0, 0};
    F(subbyte_x86_tiles_)(x, w, y, g->y_bits, &p, g, begin, end, (CELL*)scratch);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8s32_)(const uint8_t* x, const int8_t* w, const int32_t* bias, int32_t* y,
                                                 const struct subbyte_x86_conv* g, int32_t begin, int32_t end,
                                                 void* scratch) {
    const struct subbyte_x86_parameters p = {bias, 0, 0, 0, 0, 0, 0, 0};
    F(subbyte_x86_tiles_)(x, w, y, 32, &p, g, begin, end, (CELL*)scratch);
}

#include "x86_sums_names_end.h"
