// Sums of products on Arm in bytes: each byte of a register the sum of another output, modulo 256, for as long as sums fit.
//
// Two kinds of steps add to such sums:
//   SUBBYTE_ARM_PRODUCTS: `mla` of a vector of weights, a byte each, and a code of the input in all bytes;
//   SUBBYTE_ARM_NIBBLES, SUBBYTE_ARM_OUTPUT_TABLES: `tbl` of weights that share bytes in the row of a table of tables that the codes
//     of a few neighbouring channels choose: x86 has the same, docs/lookup-sums.md.
// What is added between two widenings fits 8 bits, and between two further ones 16: of the sums of whole chunks this is
// proved from the weights; on the way there sums are exact modulo 256.

#ifndef SUBBYTE_ARM_BYTE_SUMS_H
#define SUBBYTE_ARM_BYTE_SUMS_H

#include "arm_slabs.h"

enum { SUBBYTE_ARM_PRODUCTS = 0, SUBBYTE_ARM_NIBBLES = 1, SUBBYTE_ARM_OUTPUT_TABLES = 2 };

enum {
    SUBBYTE_ARM_BYTE_PIXELS = 4,
    SUBBYTE_ARM_BYTE_VECTORS = 8,  // of a register tile, at most
    SUBBYTE_ARM_BYTE_CODES = 4     // of PRODUCTS, whose steps are not cut into chunks
};

// form: of the steps. A window is `steps` codes (PRODUCTS; a multiple of 4) or cells. cells: of a pixel of the input, codes in
// PRODUCTS; code_bits: of a code in a cell, code i of cell l that of channel i * cells + l. row_bytes: of a table's row.
// chunk: steps whose sums fit 8 bits; chunks: how many of those fit 16. slab: register tiles laid out at a time.
struct subbyte_arm_bytes {
    int32_t form, cells, code_bits, row_bytes, steps, chunk, chunks, slab;
};

// w: [panels][steps][vectors, or half as many in OUTPUTS][16], and as much behind it as one step has. tables: [rows][row_bytes];
// known: the bits of each cell of a pixel that are codes of channels. Both are null in PRODUCTS.
struct subbyte_arm_byte_sums {
    struct subbyte_arm_results results;
    const struct subbyte_arm_bytes* t;
    const uint8_t* w;
    const uint8_t* tables;
    const uint8_t* known;
};

// What stands in scratch behind the window of bytes; targets/arm/kernels_byte_sums.py has the same sum.
//   lines: the windows of the pixels of a slab, each with 16 bytes behind; cells: the window as cells.
struct subbyte_arm_byte_scratch {
    uint8_t *lines, *cells;
};

SUBBYTE_INLINE int32_t subbyte_arm_byte_line(const struct subbyte_arm_bytes* t) { return t->steps + SUBBYTE_ARM_BYTES; }

// Pixels whose bytes are multiplied where they lie, in the input or in the window of bytes.
SUBBYTE_INLINE int32_t subbyte_arm_byte_in_place(const struct subbyte_arm_conv* g, const struct subbyte_arm_bytes* t) {
    return t->form == SUBBYTE_ARM_PRODUCTS && subbyte_arm_is_pointwise(g);
}

// ---- codes as cells --------------------------------------------------------------------------------------------------

// `pixels` neighbours of g->channels bytes each as cells. Reads up to 14 bytes behind a pixel whose cells are no multiple of 8,
// writes up to 15 behind the last pixel.
SUBBYTE_INLINE void subbyte_arm_byte_cells(uint8_t* to, const uint8_t* x, int32_t pixels, const uint8_t* known,
                                           const struct subbyte_arm_conv* g, const struct subbyte_arm_bytes* t) {
    const int32_t whole = t->cells % SUBBYTE_ARM_BYTES == 0, wide = whole ? SUBBYTE_ARM_BYTES : 8;
    int32_t m, l, i;
    for (m = 0; m < pixels; ++m, x += g->channels, to += t->cells)
        for (l = 0; l < t->cells; l += wide) {
            uint8x16_t codes[8], cells;
            SUBBYTE_UNROLL for (i = 0; i < 8 / t->code_bits; ++i) {
                const uint8_t* from = x + i * t->cells + l;
                codes[i] = whole ? subbyte_arm_load_u8(from) : vcombine_u8(vld1_u8(from), vdup_n_u8(0));
            }
            if (t->code_bits == 2) {
                cells = vsliq_n_u8(vsliq_n_u8(vsliq_n_u8(codes[0], codes[1], 2), codes[2], 4), codes[3], 6);
            } else {
                cells = vsliq_n_u8(vsliq_n_u8(vsliq_n_u8(codes[0], codes[1], 1), codes[2], 2), codes[3], 3);
                cells = vsliq_n_u8(vsliq_n_u8(cells, codes[4], 4), codes[5], 5);
                cells = vsliq_n_u8(vsliq_n_u8(cells, codes[6], 6), codes[7], 7);
            }
            if (t->cells * (8 / t->code_bits) != g->channels) cells = vandq_u8(cells, subbyte_arm_load_u8(known + l));
            if (whole)
                subbyte_arm_store_u8(to + l, cells);
            else
                vst1_u8(to + l, vget_low_u8(cells));
        }
}

// The windows of `tiles` register tiles, from tile `first` of the area on.
SUBBYTE_INLINE void subbyte_arm_byte_lay_out(const struct subbyte_arm_byte_scratch* at, int32_t first, int32_t tiles,
                                             int32_t total, const uint8_t* known, const struct subbyte_arm_area* area,
                                             const struct subbyte_arm_conv* g, const struct subbyte_arm_bytes* t) {
    int32_t tile, m;
    for (tile = 0; tile < tiles; ++tile)
        for (m = 0; m < g->pixels; ++m) {
            const int32_t pixel = subbyte_arm_slab_pixel(first + tile, m, total, g);
            uint8_t* to = at->lines + (tile * g->pixels + m) * subbyte_arm_byte_line(t);
            if (subbyte_arm_is_pointwise(g)) {
                const int32_t from = subbyte_arm_slab_at(pixel, area->pitch, g->channels, g);
                subbyte_arm_byte_cells(to, (const uint8_t*)area->x + from, 1, known, g, t);
            } else if (t->form == SUBBYTE_ARM_PRODUCTS) {
                const int32_t from = subbyte_arm_slab_at(pixel, area->pitch, g->channels, g);
                subbyte_arm_slab_line(to, (const uint8_t*)area->x + from, area->pitch, g->channels, g);
            } else {
                const int32_t pitch = subbyte_arm_window_columns(g) * t->cells;
                const int32_t from = subbyte_arm_slab_at(pixel, pitch, t->cells, g);
                subbyte_arm_slab_line(to, at->cells + from, pitch, t->cells, g);
            }
        }
}

// ---- sums ------------------------------------------------------------------------------------------------------------

typedef uint8x16_t subbyte_arm_bytes_of_tile[SUBBYTE_ARM_BYTE_PIXELS][SUBBYTE_ARM_BYTE_VECTORS];

// What is loaded a step before its use stays there: pipelines that run in order do not wait for it.
#define SUBBYTE_ARM_BYTE_LOADED(v) __asm__("" : "+w"(v))

// Byte `code` of four in all bytes; code a constant.
SUBBYTE_INLINE uint8x16_t subbyte_arm_byte_spread(uint8x8_t codes, int32_t code) {
    switch (code) {
        case 0:
            return vdupq_lane_u8(codes, 0);
        case 1:
            return vdupq_lane_u8(codes, 1);
        case 2:
            return vdupq_lane_u8(codes, 2);
        default:
            return vdupq_lane_u8(codes, 3);
    }
}

SUBBYTE_INLINE uint8x8_t subbyte_arm_byte_four(const uint8_t* x) {
    uint32_t word;
    memcpy(&word, x, sizeof word);
    return vreinterpret_u8_u32(vset_lane_u32(word, vdup_n_u32(0), 0));
}

// Adds the products of `steps` codes of each pixel, a multiple of 4. x[m]: the first code of pixel m.
SUBBYTE_INLINE void subbyte_arm_byte_products(subbyte_arm_bytes_of_tile sums, const uint8_t* const* x, const uint8_t* w,
                                              int32_t steps, int32_t pixels, int32_t vectors) {
    uint8x16_t of_w[SUBBYTE_ARM_BYTE_VECTORS];
    int32_t k, m, v, code;
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v, w += SUBBYTE_ARM_BYTES) of_w[v] = subbyte_arm_load_u8(w);
    for (k = 0; k < steps; k += SUBBYTE_ARM_BYTE_CODES) {
        uint8x8_t codes[SUBBYTE_ARM_BYTE_PIXELS];
        SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) codes[m] = subbyte_arm_byte_four(x[m] + k);
        SUBBYTE_UNROLL for (code = 0; code < SUBBYTE_ARM_BYTE_CODES; ++code) {
            SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
                const uint8x16_t of_x = subbyte_arm_byte_spread(codes[m], code);
                SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) sums[m][v] = vmlaq_u8(sums[m][v], of_w[v], of_x);
            }
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v, w += SUBBYTE_ARM_BYTES) {
                of_w[v] = subbyte_arm_load_u8(w);
                SUBBYTE_ARM_BYTE_LOADED(of_w[v]);
            }
        }
    }
}

// Adds what the weights of `steps` cells of each pixel look up. x[m]: the first cell of pixel m; reads one behind the last.
SUBBYTE_INLINE void subbyte_arm_byte_look_ups(subbyte_arm_bytes_of_tile sums, const uint8_t* const* x, const uint8_t* w,
                                              const uint8_t* tables, int32_t steps, int32_t pixels, int32_t vectors,
                                              const struct subbyte_arm_bytes* t) {
    const uint8x16_t low_bits = vdupq_n_u8(15);
    const int32_t halves = t->form == SUBBYTE_ARM_NIBBLES ? 2 : 1;
    const int32_t loads = halves == 2 ? vectors : (vectors + 1) / 2;
    uint8x16_t of_w[SUBBYTE_ARM_BYTE_VECTORS], rows[SUBBYTE_ARM_BYTE_PIXELS][2];
    int32_t k, m, v, half;
    SUBBYTE_UNROLL for (v = 0; v < loads; ++v, w += SUBBYTE_ARM_BYTES) of_w[v] = subbyte_arm_load_u8(w);
    SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
        SUBBYTE_UNROLL for (half = 0; half < halves; ++half) rows[m][half] =
            subbyte_arm_load_u8(tables + x[m][0] * t->row_bytes + half * SUBBYTE_ARM_BYTES);
    }
    for (k = 1; k <= steps; ++k) {
        uint8x16_t names[2][SUBBYTE_ARM_BYTE_VECTORS];
        SUBBYTE_UNROLL for (v = 0; v < loads; ++v, w += SUBBYTE_ARM_BYTES) {
            const uint8x16_t low = vandq_u8(of_w[v], low_bits), high = vshrq_n_u8(of_w[v], 4);
            if (halves == 2) {
                names[0][v] = low;
                names[1][v] = high;
            } else {
                names[0][2 * v] = low;
                if (2 * v + 1 < vectors) names[0][2 * v + 1] = high;
            }
            of_w[v] = subbyte_arm_load_u8(w);
            SUBBYTE_ARM_BYTE_LOADED(of_w[v]);
        }
        SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
            SUBBYTE_UNROLL for (half = 0; half < halves; ++half) {
                SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) sums[m][v] =
                    vaddq_u8(sums[m][v], subbyte_arm_look_up(rows[m][half], names[half][v]));
                rows[m][half] = subbyte_arm_load_u8(tables + x[m][k] * t->row_bytes + half * SUBBYTE_ARM_BYTES);
                SUBBYTE_ARM_BYTE_LOADED(rows[m][half]);
            }
        }
    }
}

// to[m][v * 4 + i] (with `more`: +=) the sums of vector v of pixel m.
SUBBYTE_INLINE void subbyte_arm_byte_widen_words(int32x4_t (*to)[4 * SUBBYTE_ARM_BYTE_VECTORS],
                                                 int16x8_t (*words)[SUBBYTE_ARM_BYTE_VECTORS][2], int32_t more,
                                                 int32_t pixels, int32_t vectors) {
    int32_t m, v, i;
    for (m = 0; m < pixels; ++m)
        for (v = 0; v < vectors; ++v) SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
                const int16x8_t eight = words[m][v][i / 2];
                const int16x4_t four = i % 2 ? vget_high_s16(eight) : vget_low_s16(eight);
                to[m][4 * v + i] = more ? vaddw_s16(to[m][4 * v + i], four) : vmovl_s16(four);
            }
}

// One register tile and one panel of outputs. x[m]: the window of pixel m; w: the panel.
SUBBYTE_INLINE void subbyte_arm_byte_panel(int32x4_t (*sums)[4 * SUBBYTE_ARM_BYTE_VECTORS], const uint8_t* const* x,
                                           const uint8_t* w, const uint8_t* tables, int32_t pixels, int32_t vectors,
                                           const struct subbyte_arm_bytes* t) {
    const int32_t w_step = (t->form == SUBBYTE_ARM_OUTPUT_TABLES ? (vectors + 1) / 2 : vectors) * SUBBYTE_ARM_BYTES;
    const int32_t block = t->chunk * t->chunks;
    int32_t first, k, m, v;
    for (first = 0; first < t->steps; first += block) {
        const int32_t last = subbyte_min_s32(first + block, t->steps);
        int16x8_t words[SUBBYTE_ARM_BYTE_PIXELS][SUBBYTE_ARM_BYTE_VECTORS][2];
        SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) words[m][v][0] = words[m][v][1] = vdupq_n_s16(0);
        }
        for (k = first; k < last; k += t->chunk) {
            const int32_t steps = subbyte_min_s32(t->chunk, last - k);
            const uint8_t* from[SUBBYTE_ARM_BYTE_PIXELS];
            subbyte_arm_bytes_of_tile bytes;
            SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
                from[m] = x[m] + k;
                SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) bytes[m][v] = vdupq_n_u8(0);
            }
            if (t->form == SUBBYTE_ARM_PRODUCTS)
                subbyte_arm_byte_products(bytes, from, w, steps, pixels, vectors);
            else
                subbyte_arm_byte_look_ups(bytes, from, w, tables, steps, pixels, vectors, t);
            w += steps * w_step;
            SUBBYTE_UNROLL for (m = 0; m < pixels; ++m) {
                SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                    const int8x16_t more = vreinterpretq_s8_u8(bytes[m][v]);
                    words[m][v][0] = vaddw_s8(words[m][v][0], vget_low_s8(more));
                    words[m][v][1] = vaddw_s8(words[m][v][1], vget_high_s8(more));
                }
            }
        }
        subbyte_arm_byte_widen_words(sums, words, first > 0, pixels, vectors);
    }
}

SUBBYTE_INLINE void subbyte_arm_byte_tile(const uint8_t* const* x, int32_t tile, int32_t total, int32_t panel,
                                          int32_t summed, int32_t stored, const struct subbyte_arm_area* area,
                                          const struct subbyte_arm_conv* g, const struct subbyte_arm_byte_sums* p) {
    const int32_t vectors = summed / SUBBYTE_ARM_BYTES, output = panel * g->panel;
    const int32_t of_panel =
        p->t->form == SUBBYTE_ARM_OUTPUT_TABLES ? (g->panel / SUBBYTE_ARM_BYTES + 1) / 2 * SUBBYTE_ARM_BYTES : g->panel;
    int32x4_t sums[SUBBYTE_ARM_BYTE_PIXELS][4 * SUBBYTE_ARM_BYTE_VECTORS];
    int32_t m, v;
    subbyte_arm_byte_panel(sums, x, p->w + (ptrdiff_t)panel * p->t->steps * of_panel, p->tables, g->pixels, vectors,
                           p->t);
    for (m = 0; m < g->pixels; ++m) {
        const int32_t y = subbyte_arm_slab_y(subbyte_arm_slab_pixel(tile, m, total, g), output, area, g);
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int32_t at = v * SUBBYTE_ARM_BYTES;
            subbyte_arm_finish(&p->results, y + at, sums[m] + 4 * v, 1, 4, output + at,
                               subbyte_min_s32(stored - at, SUBBYTE_ARM_BYTES), g);
        }
    }
}

// A subbyte_arm_area_sums.
SUBBYTE_INLINE void subbyte_arm_byte_area(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                          const void* own) {
    const struct subbyte_arm_byte_sums* p = (const struct subbyte_arm_byte_sums*)own;
    const struct subbyte_arm_bytes* t = p->t;
    const int32_t total = (area->row_1 - area->row_0) * (area->column_1 - area->column_0);
    const int32_t tiles = (total + g->pixels - 1) / g->pixels;
    struct subbyte_arm_byte_scratch at;
    int32_t first, tile, panel, row, m;
    at.lines = (uint8_t*)area->free;
    at.cells = at.lines + t->slab * g->pixels * subbyte_arm_byte_line(t);
    if (t->form != SUBBYTE_ARM_PRODUCTS && !subbyte_arm_is_pointwise(g))
        for (row = 0; row < subbyte_arm_area_rows(area, g); ++row)
            subbyte_arm_byte_cells(at.cells + row * subbyte_arm_window_columns(g) * t->cells,
                                   (const uint8_t*)area->x + row * area->pitch, subbyte_arm_area_columns(area, g),
                                   p->known, g, t);
    for (first = 0; first < tiles; first += t->slab) {
        const int32_t now = subbyte_min_s32(t->slab, tiles - first);
        if (!subbyte_arm_byte_in_place(g, t)) subbyte_arm_byte_lay_out(&at, first, now, total, p->known, area, g, t);
        for (panel = area->panel_0; panel < area->panel_1; ++panel)
            for (tile = 0; tile < now; ++tile) {
                const uint8_t* x[SUBBYTE_ARM_BYTE_PIXELS];
                SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
                    const int32_t pixel = subbyte_arm_slab_pixel(first + tile, m, total, g);
                    if (subbyte_arm_byte_in_place(g, t))
                        x[m] = (const uint8_t*)area->x + subbyte_arm_slab_at(pixel, area->pitch, g->channels, g);
                    else
                        x[m] = at.lines + (tile * g->pixels + m) * subbyte_arm_byte_line(t);
                }
                if (g->outputs % g->panel == 0 || (panel + 1) * g->panel <= g->outputs)
                    subbyte_arm_byte_tile(x, first + tile, total, panel, g->panel, g->panel, area, g, p);
                else
                    subbyte_arm_byte_tile(x, first + tile, total, panel, g->last_panel, g->outputs % g->panel, area, g,
                                          p);
            }
    }
}

// y = N4 of x * w + bias, or with a null multiplier the sums themselves.
SUBBYTE_INLINE void subbyte_arm_sums_bytes(const void* x, const uint8_t* w, const uint8_t* tables, const uint8_t* known,
                                           const int32_t* bias, const float* multiplier, const float* shift, void* y,
                                           const struct subbyte_arm_conv* g, const struct subbyte_arm_bytes* t,
                                           int32_t begin, int32_t end, void* scratch) {
    const struct subbyte_arm_byte_sums own = {{y, bias, multiplier, shift}, t, w, tables, known};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_byte_area, &own);
}

// By products.
SUBBYTE_INLINE void subbyte_arm_sums_products(const void* x, const uint8_t* w, const int32_t* bias,
                                              const float* multiplier, const float* shift, void* y,
                                              const struct subbyte_arm_conv* g, const struct subbyte_arm_bytes* t,
                                              int32_t begin, int32_t end, void* scratch) {
    subbyte_arm_sums_bytes(x, w, 0, 0, bias, multiplier, shift, y, g, t, begin, end, scratch);
}

SUBBYTE_INLINE void subbyte_arm_sums_s32_products(const void* x, const uint8_t* w, const int32_t* bias, void* y,
                                                  const struct subbyte_arm_conv* g, const struct subbyte_arm_bytes* t,
                                                  int32_t begin, int32_t end, void* scratch) {
    subbyte_arm_sums_bytes(x, w, 0, 0, bias, 0, 0, y, g, t, begin, end, scratch);
}

// By look-ups.
SUBBYTE_INLINE void subbyte_arm_sums_lookup(const void* x, const uint8_t* w, const uint8_t* tables,
                                            const uint8_t* known, const int32_t* bias, const float* multiplier,
                                            const float* shift, void* y, const struct subbyte_arm_conv* g,
                                            const struct subbyte_arm_bytes* t, int32_t begin, int32_t end,
                                            void* scratch) {
    subbyte_arm_sums_bytes(x, w, tables, known, bias, multiplier, shift, y, g, t, begin, end, scratch);
}

SUBBYTE_INLINE void subbyte_arm_sums_s32_lookup(const void* x, const uint8_t* w, const uint8_t* tables,
                                                const uint8_t* known, const int32_t* bias, void* y,
                                                const struct subbyte_arm_conv* g, const struct subbyte_arm_bytes* t,
                                                int32_t begin, int32_t end, void* scratch) {
    subbyte_arm_sums_bytes(x, w, tables, known, bias, 0, 0, y, g, t, begin, end, scratch);
}

#endif  // SUBBYTE_ARM_BYTE_SUMS_H
