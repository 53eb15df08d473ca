// Included for each instruction set: convolutions and matrix products with constant weights of 8 bits by products of pairs in
// 16 bits. Four products at a time, a bundle of such fours is added in 16 bits before it is widened to 32: which of them may
// be added is proved when the weights are packed.
//
// Before: #define SUBBYTE_ISA avx2 (registers), SUBBYTE_DOT avx2_bundles (suffix of the kernels).

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_DOT)
#error "x86_bundles_body.h is a part of x86_bundles_*.h"
#endif
#define SUBBYTE_WORDS 0
#include "x86_sums_names.h"

enum { F(SUBBYTE_X86_BUNDLE_) = 4 };  // the most fours of a bundle

// Panels differ in size, p->bundles_of tells where they begin.
SUBBYTE_INLINE int32_t F(subbyte_x86_panel_bytes_)(const struct subbyte_x86_conv* g) {
    (void)g;
    return 0;
}

// Bundles are read one after the other; the processor itself fetches what comes next.
SUBBYTE_INLINE int32_t F(subbyte_x86_fetched_)(const struct subbyte_x86_conv* g) {
    (void)g;
    return 0;
}

// Adds `bundles` bundles to every sum of a register tile: four j of a bundle takes cells x + at[j] + m * step for pixel m.
SUBBYTE_INLINE void F(subbyte_x86_add_bundles_)(INTS* sums, const CELL* x, const int32_t* at, int32_t step,
                                                const int8_t* w, int32_t bundles, int32_t size, int32_t pixels) {
    const INTS zero = V(subbyte_zero_)();
    int32_t m, j;
    for (; bundles > 0; --bundles) {
        const CELL* from[F(SUBBYTE_X86_BUNDLE_)] = {x, x, x, x};
        INTS weights[F(SUBBYTE_X86_BUNDLE_)] = {zero, zero, zero, zero};
        SUBBYTE_UNROLL for (j = 0; j < size; ++j) {
            from[j] = x + at[j];
            weights[j] = V(subbyte_load_)(w + j * LANES * GROUP);
        }
        SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
            INTS pairs = V(subbyte_pairs_)(V(subbyte_broadcast_)(from[0] + m * step), weights[0]), sum;
            SUBBYTE_UNROLL for (j = 1; j < size; ++j) {
                const INTS cells = V(subbyte_broadcast_)(from[j] + m * step);
                pairs = V(subbyte_add_s16_)(pairs, V(subbyte_pairs_)(cells, weights[j]));
            }
            sum = V(subbyte_add_pairs_)(sums[m], pairs);
            V(SUBBYTE_IN_PLACE_)(sum);
            sums[m] = sum;
        }
        at += size;
        w += size * LANES * GROUP;
    }
}

// A register tile of sums: sums[m] = bias + x * w for pixel m and one vector of outputs.
//
// x: the first cell of the first window; pixels are `step` cells apart. w: all weights, fours of [LANES][GROUP]; those of a
// panel, from four p->bundles_of[4 * panel] on, are bundles of 4, of 2, of 1, as many as the next three numbers say.
SUBBYTE_INLINE void F(subbyte_x86_multiply_)(INTS* sums, const CELL* x, int32_t pitch, int32_t step, const int8_t* w,
                                             const struct subbyte_x86_parameters* p, const struct subbyte_x86_conv* g,
                                             int32_t panel, int32_t vectors) {
    const int32_t* of = p->more_of + 4 * panel;
    const int32_t* at = p->more_at + of[0];
    const INTS bias = V(subbyte_load_)(p->bias);
    int32_t m;
    (void)pitch;
    (void)vectors;
    SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) sums[m] = bias;
    w += (size_t)of[0] * (size_t)(LANES * GROUP);
    F(subbyte_x86_add_bundles_)(sums, x, at, step, w, of[1], 4, g->pixels);
    at += 4 * of[1];
    w += 4 * of[1] * LANES * GROUP;
    F(subbyte_x86_add_bundles_)(sums, x, at, step, w, of[2], 2, g->pixels);
    at += 2 * of[2];
    w += 2 * of[2] * LANES * GROUP;
    F(subbyte_x86_add_bundles_)(sums, x, at, step, w, of[3], 1, g->pixels);
}

#include "x86_tiles_body.h"

// y = N4 of x * w + bias, codes 0..255. of, at: bundles_of and bundles_at, the places of fours in the window.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8u8_)(const uint8_t* x, const int8_t* w, const int32_t* of, const int32_t* at,
                                                const int32_t* bias, const float* multiplier, const float* shift,
                                                uint8_t* y, const struct subbyte_x86_conv* g, int32_t begin,
                                                int32_t end, void* scratch) {
    const struct subbyte_x86_parameters p = {bias, multiplier, shift, of, at, 0, 0, 0};
    F(subbyte_x86_tiles_)(x, w, y, g->y_bits, &p, g, begin, end, (CELL*)scratch);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void F(subbyte_x86_sums_u8s8s32_)(const uint8_t* x, const int8_t* w, const int32_t* of,
                                                 const int32_t* at, const int32_t* bias, int32_t* y,
                                                 const struct subbyte_x86_conv* g, int32_t begin, int32_t end,
                                                 void* scratch) {
    const struct subbyte_x86_parameters p = {bias, 0, 0, of, at, 0, 0, 0};
    F(subbyte_x86_tiles_)(x, w, y, 32, &p, g, begin, end, (CELL*)scratch);
}

#include "x86_sums_names_end.h"
