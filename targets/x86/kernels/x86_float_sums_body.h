// Included for each register size by x86_float_sums_*.h: float sums of products in the tree of 8 lanes (N8).
//
// A vector is of outputs. The lanes of the tree are taken one after the other, each with the elements k, k + 8, k + 16, ...
// for all pixels of the register tile, so that a row of weights, floats or looked up, is read once for all of them.

#if !defined(SUBBYTE_ISA)
#error "x86_float_sums_body.h is a part of x86_float_sums_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define FLOATS V(subbyte_floats_)
#define LANES V(SUBBYTE_LANES_)
#define VECTORS SUBBYTE_X86_FLOAT_VECTORS
#define COLUMNS (VECTORS * LANES)
#define ADD V(subbyte_add_f32_)

// Sums of `pixels` pixels, `pitch` floats apart, with one panel of weights; n: columns of it that are there.
// lanes: [8][pixels][COLUMNS].
SUBBYTE_INLINE void V(subbyte_x86_float_panel_)(const float* x, int32_t pitch, const uint8_t* w, const float* table,
                                                const float* scales, const float* bias, float* y, int32_t y_pitch,
                                                const struct subbyte_x86_float_sums* g, int32_t pixels, int32_t n,
                                                float* lanes) {
    const int32_t depth = g->kernel_height * g->kernel_width * g->channels;
    const int32_t row_bytes = COLUMNS * g->bits / 8, vectors = n > LANES ? 2 : 1;
    const V(subbyte_x86_table_) levels = V(subbyte_x86_load_table_)(table, g->bits);
    int32_t lane, k, p, v;
    for (lane = 0; lane < 8; ++lane) {
        FLOATS sums[SUBBYTE_X86_FLOAT_PIXELS * VECTORS];
        SUBBYTE_UNROLL for (p = 0; p < pixels * VECTORS; ++p) sums[p] = V(subbyte_set_f32_)(0.0f);
        for (k = lane; k < depth; k += 8, w += row_bytes) {
            FLOATS weights[VECTORS];
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                const uint8_t* at = w + v * LANES * g->bits / 8;
                weights[v] = V(subbyte_x86_weights_)(at, &levels, table, g->bits);
                if (scales) weights[v] = V(subbyte_mul_f32_)(weights[v], V(subbyte_load_f32_)(scales + v * LANES));
            }
            SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) {
                const FLOATS value = V(subbyte_set_f32_)(x[p * pitch + k]);
                SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) sums[p * VECTORS + v] =
                    ADD(sums[p * VECTORS + v], V(subbyte_mul_f32_)(value, weights[v]));
            }
        }
        SUBBYTE_UNROLL for (p = 0; p < pixels; ++p) {
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) V(subbyte_store_)(
                lanes + (lane * pixels + p) * COLUMNS + v * LANES, V(subbyte_bits_)(sums[p * VECTORS + v]));
        }
    }
    for (p = 0; p < pixels; ++p) SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int32_t rest = subbyte_min_s32(n - v * LANES, LANES);
            const float* at = lanes + p * COLUMNS + v * LANES;
            FLOATS l[8], sum;
            SUBBYTE_UNROLL for (k = 0; k < 8; ++k) l[k] = V(subbyte_load_f32_)(at + k * pixels * COLUMNS);
            sum = ADD(ADD(ADD(l[0], l[4]), ADD(l[2], l[6])), ADD(ADD(l[1], l[5]), ADD(l[3], l[7])));
            if (bias) sum = ADD(sum, V(subbyte_load_f32_)(bias + v * LANES));
            V(subbyte_store_part_)(y + p * y_pitch + v * LANES, V(subbyte_bits_)(sum), 4 * rest);
        }
}

// `pixels` pixels of y from `first` on, all groups and panels.
SUBBYTE_INLINE void V(subbyte_x86_float_pixels_)(const float* x, const uint8_t* w, const float* table,
                                                 const float* scales, const float* bias, float* y,
                                                 const struct subbyte_x86_float_sums* g, int32_t first, int32_t pixels,
                                                 float* scratch) {
    const int32_t depth = g->kernel_height * g->kernel_width * g->channels, y_pitch = g->groups * g->outputs;
    const int32_t panels = (g->outputs + COLUMNS - 1) / COLUMNS, pitch = g->in_place ? g->groups * g->channels : depth;
    float* windows = scratch + 8 * SUBBYTE_X86_FLOAT_PIXELS * COLUMNS;
    int32_t group, panel, p;
    for (group = 0; group < g->groups; ++group) {
        const float* from = g->in_place ? x + first * pitch + group * g->channels : windows;
        if (!g->in_place)
            for (p = 0; p < pixels; ++p) subbyte_x86_float_window(windows + p * depth, x, g, first + p, group);
        for (panel = 0; panel < panels; ++panel) {
            const int32_t column = (group * panels + panel) * COLUMNS;
            const uint8_t* weights = w + (size_t)column / 8 * (size_t)(depth * g->bits);
            const float* own_scales = scales ? scales + column : 0;
            const float* own_bias = bias ? bias + column : 0;
            float* to = y + first * y_pitch + group * g->outputs + panel * COLUMNS;
            if ((panel + 1) * COLUMNS <= g->outputs)  // a constant number of outputs in both calls
                V(subbyte_x86_float_panel_)(from, pitch, weights, table, own_scales, own_bias, to, y_pitch, g, pixels,
                                            COLUMNS, scratch);
            else
                V(subbyte_x86_float_panel_)(from, pitch, weights, table, own_scales, own_bias, to, y_pitch, g, pixels,
                                            g->outputs % COLUMNS, scratch);
        }
    }
}

// y = tree over k of f32(x * w), plus bias. w: [groups][panels][taps * channels][COLUMNS], floats, or indices into table; the
// rows of lane 0 of the tree first, then those of lane 1...
// table: 16 or 256 floats. scales, which multiply what is looked up, and bias: [groups][panels][COLUMNS], or null.
// Tiles: runs of g->pixels pixels. scratch: lanes [8][8][COLUMNS], windows [g->pixels][taps * channels].
SUBBYTE_INLINE void V(subbyte_x86_float_sums_)(const float* x, const void* w, const float* table, const float* scales,
                                               const float* bias, float* y, const struct subbyte_x86_float_sums* g,
                                               int32_t begin, int32_t end, void* scratch) {
    int32_t tile, first;
    for (tile = begin; tile < end; ++tile) {
        first = tile * g->pixels;
        if (first + g->pixels <= g->rows)
            V(subbyte_x86_float_pixels_)(x, (const uint8_t*)w, table, scales, bias, y, g, first, g->pixels,
                                         (float*)scratch);
        else
            for (; first < g->rows; ++first)
                V(subbyte_x86_float_pixels_)(x, (const uint8_t*)w, table, scales, bias, y, g, first, 1,
                                             (float*)scratch);
    }
}

// One panel of a product of run-time matrices, b as `panel` has it: all rows of a, n columns.
SUBBYTE_INLINE void V(subbyte_x86_float_rows_)(const float* a, const float* panel, float* y,
                                               const struct subbyte_x86_float_product* g, int32_t n, float* lanes) {
    const struct subbyte_x86_float_sums sums = {
        .channels = g->depth, .kernel_height = 1, .kernel_width = 1, .bits = 32};
    int32_t row = 0;
    for (; row + g->tile_rows <= g->rows; row += g->tile_rows)
        V(subbyte_x86_float_panel_)(a + row * g->a_row, g->a_row, (const uint8_t*)panel, 0, 0, 0, y + row * g->columns,
                                    g->columns, &sums, g->tile_rows, n, lanes);
    for (; row < g->rows; ++row)
        V(subbyte_x86_float_panel_)(a + row * g->a_row, g->a_row, (const uint8_t*)panel, 0, 0, 0, y + row * g->columns,
                                    g->columns, &sums, 1, n, lanes);
}

// y = tree over k of f32(a * b). a_at, b_at: where the matrices of each batch begin. Tiles: batches * panels of COLUMNS columns.
// scratch: lanes [8][8][COLUMNS], a panel of b [depth][COLUMNS].
SUBBYTE_INLINE void V(subbyte_x86_float_product_)(const float* a, const float* b, float* y, const int32_t* a_at,
                                                  const int32_t* b_at, const struct subbyte_x86_float_product* g,
                                                  int32_t begin, int32_t end, void* scratch) {
    const int32_t panels = (g->columns + COLUMNS - 1) / COLUMNS;
    float* lanes = (float*)scratch;
    float* panel = lanes + 8 * SUBBYTE_X86_FLOAT_PIXELS * COLUMNS;
    int32_t tile, lane, k, i;
    for (tile = begin; tile < end; ++tile) {
        const int32_t batch = tile / panels, column = tile % panels * COLUMNS;
        const int32_t n = subbyte_min_s32(g->columns - column, COLUMNS);
        const float* from = a + a_at[batch];
        float* to = panel;
        float* result = y + batch * g->rows * g->columns + column;
        for (lane = 0; lane < 8; ++lane)
            for (k = lane; k < g->depth; k += 8, to += COLUMNS) {
                const float* row = b + b_at[batch] + k * g->b_depth + column * g->b_column;
                if (n < COLUMNS) memset(to, 0, COLUMNS * sizeof *to);
                for (i = 0; i < n; ++i, row += g->b_column) to[i] = *row;
            }
        if (n == COLUMNS)  // a constant number of columns in both calls
            V(subbyte_x86_float_rows_)(from, panel, result, g, COLUMNS, lanes);
        else
            V(subbyte_x86_float_rows_)(from, panel, result, g, g->columns % COLUMNS, lanes);
    }
}

#undef V
#undef FLOATS
#undef LANES
#undef VECTORS
#undef COLUMNS
#undef ADD
#undef SUBBYTE_ISA
