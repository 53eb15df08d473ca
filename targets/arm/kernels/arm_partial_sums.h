// Sums of products by tables of partial sums in memory: convolutions and matrix products, exact, then N4.
//
// The input has codes of a few bits. A cell is the codes of a few neighbouring channels, 6 bits or 4 together. For a block of
// cells and a panel of outputs the kernel builds the tables of all sums that a cell can select, a row of 32 bytes for each
// number of the cell: 32 outputs of 8 bits or, where `wide` is 1, 16 of 16 bits. Then each pixel of the area adds the rows
// that its cells name: two loads and two additions for the products of a cell with the weights of all outputs of the panel.
// The tables stay in the first cache level while the pixels pass.
//
// 8-bit sums of a block are exact modulo 256, lie in 0..255 once `offset` is added, and are added to 16-bit sums in scratch;
// 16-bit sums are signed and are added to 32-bit ones. targets/arm/partial_sums.py proves that they fit.

#ifndef SUBBYTE_ARM_PARTIAL_SUMS_H
#define SUBBYTE_ARM_PARTIAL_SUMS_H

#include "arm_finish.h"
#include "arm_partial_cells.h"
#include "arm_partial_tables.h"

#if defined(__aarch64__)
#define SUBBYTE_ARM_PARTIAL_TOGETHER 4  // pixels whose sums are in registers together
#else
#define SUBBYTE_ARM_PARTIAL_TOGETHER 2
#endif

// ---- sums of a block ------------------------------------------------------------------------------------------------------

// A row, or the first half of one.
SUBBYTE_INLINE void subbyte_arm_partial_row(uint8x16_t* part, const uint8_t* row, int32_t split, int32_t vectors) {
    part[0] = vld1q_u8(row);
    if (vectors == 2) part[1] = vld1q_u8(row + (split ? SUBBYTE_ARM_PARTIAL_SECOND : 16));
}

#if defined(__aarch64__)
// What computes the registers comes before, and what reads them after.
SUBBYTE_INLINE void subbyte_arm_partial_in_order(uint8x16_t (*of)[2], int32_t vectors) {
    if (vectors == 2)
        __asm__ volatile(""
                         : "+w"(of[0][0]), "+w"(of[0][1]), "+w"(of[1][0]), "+w"(of[1][1]), "+w"(of[2][0]),
                           "+w"(of[2][1]), "+w"(of[3][0]), "+w"(of[3][1]));
    else
        __asm__ volatile("" : "+w"(of[0][0]), "+w"(of[1][0]), "+w"(of[2][0]), "+w"(of[3][0]));
}
#else
// Adds two whole rows of each of two pixels, or (cells 1) one. A load of 32 bytes needs neighbouring registers, for which
// compilers copy what they have loaded, so these have names.
SUBBYTE_INLINE void subbyte_arm_partial_add_rows(uint8x16_t (*block)[2], const uint8_t* (*row)[2], int32_t cells,
                                                 int32_t wide) {
#define SUBBYTE_ARM_PARTIAL_ROWS_1(add)                                                                        \
    __asm__ volatile("vld1.8 {d16, d17, d18, d19}, [%4]\n\tvld1.8 {d20, d21, d22, d23}, [%5]\n\t" add          \
                     " %q0, %q0, q8\n\t" add " %q1, %q1, q9\n\t" add " %q2, %q2, q10\n\t" add " %q3, %q3, q11" \
                     : "+w"(block[0][0]), "+w"(block[0][1]), "+w"(block[1][0]), "+w"(block[1][1])              \
                     : "r"(row[0][0]), "r"(row[0][1])                                                          \
                     : "q8", "q9", "q10", "q11", "memory")
#define SUBBYTE_ARM_PARTIAL_ROWS_2(add)                                                                          \
    __asm__ volatile(                                                                                            \
        "vld1.8 {d16, d17, d18, d19}, [%4]\n\tvld1.8 {d20, d21, d22, d23}, [%5]\n\t"                             \
        "vld1.8 {d24, d25, d26, d27}, [%6]\n\tvld1.8 {d28, d29, d30, d31}, [%7]\n\t" add " %q0, %q0, q8\n\t" add \
        " %q1, %q1, q9\n\t" add " %q2, %q2, q10\n\t" add " %q3, %q3, q11\n\t" add " %q0, %q0, q12\n\t" add       \
        " %q1, %q1, q13\n\t" add " %q2, %q2, q14\n\t" add " %q3, %q3, q15"                                       \
        : "+w"(block[0][0]), "+w"(block[0][1]), "+w"(block[1][0]), "+w"(block[1][1])                             \
        : "r"(row[0][0]), "r"(row[0][1]), "r"(row[1][0]), "r"(row[1][1])                                         \
        : "q8", "q9", "q10", "q11", "q12", "q13", "q14", "q15", "memory")
    if (cells == 1) {
        if (wide)
            SUBBYTE_ARM_PARTIAL_ROWS_1("vadd.i16");
        else
            SUBBYTE_ARM_PARTIAL_ROWS_1("vadd.i8");
    } else {
        if (wide)
            SUBBYTE_ARM_PARTIAL_ROWS_2("vadd.i16");
        else
            SUBBYTE_ARM_PARTIAL_ROWS_2("vadd.i8");
    }
#undef SUBBYTE_ARM_PARTIAL_ROWS_1
#undef SUBBYTE_ARM_PARTIAL_ROWS_2
}
#endif

// Adds to the sums of `pixels` pixels, a multiple of SUBBYTE_ARM_PARTIAL_PIXELS, the rows that the cells of one block name.
//
// The slots of a pixel begin at slots + places[pixel], bytes. Tables of the cells are `stride` bytes apart. sums: [pixels][32
// * vectors] bytes: 16-bit or, with `wide`, 32-bit sums of 16 (8) outputs a vector. Reads slots in pairs.
SUBBYTE_INLINE void subbyte_arm_partial_add(const uint8_t* slots, const int32_t* places, const uint8_t* tables,
                                            int32_t stride, uint8_t* sums, int32_t pixels, int32_t cells, int32_t split,
                                            int32_t vectors, int32_t wide) {
    int32_t pixel, cell, m, v, i;
    for (pixel = 0; pixel < pixels; pixel += SUBBYTE_ARM_PARTIAL_TOGETHER) {
        uint8x16_t block[SUBBYTE_ARM_PARTIAL_TOGETHER][2];
        const uint8_t* at[SUBBYTE_ARM_PARTIAL_TOGETHER];
        uint32_t slots_2[SUBBYTE_ARM_PARTIAL_TOGETHER][2];
        SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER; ++m) at[m] = slots + places[pixel + m];
        SUBBYTE_UNROLL for (cell = 0; cell < cells; cell += 2) {
            uint8x16_t part[2][SUBBYTE_ARM_PARTIAL_TOGETHER][2];
            const uint8_t* row[2][SUBBYTE_ARM_PARTIAL_TOGETHER];
            SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER; ++m) {
                const int32_t half = cell / 2 % 2;
                if (!split || half == 0) memcpy(&slots_2[m][half], at[m] + 2 * cell, sizeof slots_2[m][half]);
                if (split && half == 0 && cell + 2 < cells)  // a load of a pair
                    memcpy(&slots_2[m][1], at[m] + 2 * cell + 4, sizeof slots_2[m][1]);
            }
            SUBBYTE_UNROLL for (i = 0; i < 2; ++i) {
                SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER; ++m) {
                    const uint32_t two = slots_2[m][cell / 2 % 2];
                    row[i][m] = tables + (cell + i) * stride + (i ? two >> 16 : (uint16_t)two);
                }
            }
#if !defined(__aarch64__)
            if (vectors == 2) {
                if (cell == 0) {
                    SUBBYTE_UNROLL for (m = 0; m < 2; ++m) block[m][0] = block[m][1] = vdupq_n_u8(0);
                }
                subbyte_arm_partial_add_rows(block, row, subbyte_min_s32(cells - cell, 2), wide);
                continue;
            }
#endif
            SUBBYTE_UNROLL for (i = 0; i < 2 && cell + i < cells; ++i) {
                SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER; ++m) {
                    subbyte_arm_partial_row(part[i][m], row[i][m], split, vectors);
                }
            }
            // All loads, then all additions: a pipeline that works in order waits where the two take turns.
#if defined(__aarch64__)
            SUBBYTE_UNROLL for (i = 0; i < 2 && cell + i < cells; ++i) subbyte_arm_partial_in_order(part[i], vectors);
#endif
            SUBBYTE_UNROLL for (i = 0; i < 2 && cell + i < cells; ++i) {
                SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER; ++m) {
                    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                        block[m][v] =
                            cell + i ? subbyte_arm_partial_plus(block[m][v], part[i][m][v], wide) : part[i][m][v];
                    }
                }
            }
#if defined(__aarch64__)
            subbyte_arm_partial_in_order(block, vectors);
#endif
        }
        SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER; ++m) {
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                uint8_t* sum = sums + 32 * v;
                if (wide) {
                    const int16x8_t of = vreinterpretq_s16_u8(block[m][v]);
                    int32_t* to = (int32_t*)(void*)sum;
                    vst1q_s32(to, vaddw_s16(vld1q_s32(to), vget_low_s16(of)));
                    vst1q_s32(to + 4, vaddw_s16(vld1q_s32(to + 4), vget_high_s16(of)));
                } else {
                    uint16_t* to = (uint16_t*)(void*)sum;
                    vst1q_u16(to, vaddw_u8(vld1q_u16(to), vget_low_u8(block[m][v])));
                    vst1q_u16(to + 8, vaddw_u8(vld1q_u16(to + 8), vget_high_u8(block[m][v])));
                }
            }
            sums += 32 * vectors;
        }
    }
}

#define SUBBYTE_ARM_PARTIAL_ADD(cells, split, vectors, wide)                                               \
    SUBBYTE_ARM_SHARED void subbyte_arm_partial_add_##cells##split##vectors##wide(                         \
        const uint8_t* slots, const int32_t* places, const uint8_t* tables, int32_t stride, uint8_t* sums, \
        int32_t pixels) {                                                                                  \
        subbyte_arm_partial_add(slots, places, tables, stride, sums, pixels, cells, split, vectors, wide); \
    }
#define SUBBYTE_ARM_PARTIAL_ADDS(cells)                                                                                \
    SUBBYTE_ARM_PARTIAL_ADD(cells, 0, 1, 0)                                                                            \
    SUBBYTE_ARM_PARTIAL_ADD(cells, 0, 1, 1)                                                                            \
    SUBBYTE_ARM_PARTIAL_ADD(cells, 0, 2, 0)                                                                            \
    SUBBYTE_ARM_PARTIAL_ADD(cells, 0, 2, 1)                                                                            \
    SUBBYTE_ARM_PARTIAL_ADD(cells, 1, 1, 0)                                                                            \
    SUBBYTE_ARM_PARTIAL_ADD(cells, 1, 1, 1)                                                                            \
    SUBBYTE_ARM_PARTIAL_ADD(cells, 1, 2, 0)                                                                            \
    SUBBYTE_ARM_PARTIAL_ADD(cells, 1, 2, 1)                                                                            \
    SUBBYTE_INLINE void subbyte_arm_partial_adds_##cells(                                                              \
        const uint8_t* slots, const int32_t* places, const uint8_t* tables, int32_t stride, uint8_t* sums,             \
        int32_t pixels, int32_t split, int32_t vectors, int32_t wide) {                                                \
        (split ? (vectors == 1 ? (wide ? subbyte_arm_partial_add_##cells##111 : subbyte_arm_partial_add_##cells##110)  \
                               : (wide ? subbyte_arm_partial_add_##cells##121 : subbyte_arm_partial_add_##cells##120)) \
         : vectors == 1 ? (wide ? subbyte_arm_partial_add_##cells##011 : subbyte_arm_partial_add_##cells##010)         \
                        : (wide ? subbyte_arm_partial_add_##cells##021 : subbyte_arm_partial_add_##cells##020))(       \
            slots, places, tables, stride, sums, pixels);                                                              \
    }
SUBBYTE_ARM_PARTIAL_ADDS(1)
SUBBYTE_ARM_PARTIAL_ADDS(2)
SUBBYTE_ARM_PARTIAL_ADDS(3)
SUBBYTE_ARM_PARTIAL_ADDS(4)
SUBBYTE_ARM_PARTIAL_ADDS(5)
SUBBYTE_ARM_PARTIAL_ADDS(6)
SUBBYTE_ARM_PARTIAL_ADDS(7)
SUBBYTE_ARM_PARTIAL_ADDS(8)
SUBBYTE_ARM_PARTIAL_ADDS(9)
SUBBYTE_ARM_PARTIAL_ADDS(10)
SUBBYTE_ARM_PARTIAL_ADDS(11)
SUBBYTE_ARM_PARTIAL_ADDS(12)
#undef SUBBYTE_ARM_PARTIAL_ADD
#undef SUBBYTE_ARM_PARTIAL_ADDS

// ---- areas ----------------------------------------------------------------------------------------------------------------

// The parts of scratch.
struct subbyte_arm_partial_scratch {
    uint8_t* tables;
    uint8_t* weights;
    int32_t* places;
    uint8_t* sums;
    uint8_t* unpacked;
    uint16_t* window;
};

// One block of `cells` cells, a constant: expands the weights, builds the tables, adds the rows for all pixels.
SUBBYTE_INLINE void subbyte_arm_partial_block(const uint8_t* weights, const int8_t* levels, const uint8_t* slots,
                                              const struct subbyte_arm_partial_scratch* s, int32_t pixels,
                                              int32_t cells, int32_t vectors,
                                              const struct subbyte_arm_partial_sums* t) {
    const int32_t stride = (SUBBYTE_ARM_PARTIAL_ROW / (t->split ? 2 : 1)) << (t->code_bits * t->codes);
    subbyte_arm_partial_expand_for(t)(s->weights, weights, levels, cells * t->codes);
    subbyte_arm_partial_build_for(t)(s->tables, s->weights, cells, t->offset);
#define SUBBYTE_ARM_PARTIAL_CASE(count)                                                                           \
    if (cells == count)                                                                                           \
        subbyte_arm_partial_adds_##count(slots, s->places, s->tables, stride, s->sums, pixels, t->split, vectors, \
                                         t->wide);
    SUBBYTE_ARM_PARTIAL_CASE(1)
    SUBBYTE_ARM_PARTIAL_CASE(2)
    SUBBYTE_ARM_PARTIAL_CASE(3)
    SUBBYTE_ARM_PARTIAL_CASE(4)
    SUBBYTE_ARM_PARTIAL_CASE(5)
    SUBBYTE_ARM_PARTIAL_CASE(6)
    SUBBYTE_ARM_PARTIAL_CASE(7)
    SUBBYTE_ARM_PARTIAL_CASE(8)
    SUBBYTE_ARM_PARTIAL_CASE(9)
    SUBBYTE_ARM_PARTIAL_CASE(10)
    SUBBYTE_ARM_PARTIAL_CASE(11)
    SUBBYTE_ARM_PARTIAL_CASE(12)
#undef SUBBYTE_ARM_PARTIAL_CASE
}

// All blocks of one panel of 16 * vectors outputs (wide: 8 * vectors) for all pixels of an area.
SUBBYTE_INLINE void subbyte_arm_partial_panel(const uint8_t* weights, const int8_t* levels,
                                              const struct subbyte_arm_partial_scratch* s, int32_t pixels, int32_t rows,
                                              int32_t columns, int32_t vectors, const struct subbyte_arm_conv* g,
                                              const struct subbyte_arm_partial_sums* t) {
    const int32_t down = g->dilation_height * columns * t->of_plane, right = g->dilation_width * t->of_plane;
    const int32_t run = t->planes > 1 ? t->cells : t->side * t->cells, blocks = t->planes * t->parts;
    const int32_t fewest = run / blocks;
    int32_t block, y, x, i;
    for (i = 0; i < pixels * vectors; ++i) {
        const uint16x8_t start = t->wide ? vdupq_n_u16(0) : vdupq_n_u16((uint16_t)t->start);
        vst1q_u16((uint16_t*)(void*)(s->sums + 32 * i), start);
        vst1q_u16((uint16_t*)(void*)(s->sums + 32 * i + 16), start);
    }
    for (block = 0; block < blocks; ++block) {
        const int32_t begin = block * run / blocks, cells = (block + 1) * run / blocks - begin;
        const uint16_t* first =
            s->window + (t->planes > 1 ? block * subbyte_arm_partial_plane(rows, columns, t) : begin);
        for (y = 0; y < g->kernel_height; ++y)
            for (x = 0; x < g->kernel_width; x += t->side) {
                const uint8_t* slots = (const uint8_t*)(first + y * down + x * right);
                if (cells == fewest)
                    subbyte_arm_partial_block(weights, levels, slots, s, pixels, fewest, vectors, t);
                else
                    subbyte_arm_partial_block(weights, levels, slots, s, pixels, fewest + 1, vectors, t);
                weights += subbyte_arm_partial_weight_bytes(cells, t);
            }
    }
}

// The sums of `pixels` pixels to codes: outputs `output` to output + stored - 1, at most 16, of each, from element y on. sums:
// 16 of 16 bits for each pixel, `pitch` bytes apart. What belongs to outputs stays in registers.
SUBBYTE_INLINE void subbyte_arm_partial_codes(const uint8_t* sums, int32_t pitch, int32_t pixels, int32_t y,
                                              int32_t output, int32_t stored, const struct subbyte_arm_results* r,
                                              const struct subbyte_arm_conv* g) {
    const int32_t bytes = (int32_t)subbyte_whole_bytes(stored, g->y_bits);
    int32x4_t bias[4];
    float32x4_t multiplier[4], shift[4];
    int32_t pixel, m, i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
        bias[i] = vld1q_s32(r->bias + output + 4 * i);
        multiplier[i] = vld1q_f32(r->multiplier + output + 4 * i);
        shift[i] = r->shift ? vld1q_f32(r->shift + output + 4 * i) : vdupq_n_f32(0);
    }
    for (pixel = 0; pixel < pixels; pixel += SUBBYTE_ARM_PARTIAL_TOGETHER / 2) {
        int32x4_t steps[SUBBYTE_ARM_PARTIAL_TOGETHER / 2][4];
        int32_t at[SUBBYTE_ARM_PARTIAL_TOGETHER / 2];
        SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER / 2; ++m) at[m] =
            subbyte_min_s32(pixel + m, pixels - 1);
        SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER / 2; ++m) {
            const int16_t* from = (const int16_t*)(const void*)(sums + at[m] * pitch);
            SUBBYTE_UNROLL for (i = 0; i < 4; ++i) steps[m][i] = vaddw_s16(bias[i], vld1_s16(from + 4 * i));
        }
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER / 2; ++m) {
                steps[m][i] = r->shift ? subbyte_scale_shift_neon(steps[m][i], multiplier[i], shift[i])
                                       : subbyte_scale_neon(steps[m][i], multiplier[i]);
            }
        }
        SUBBYTE_UNROLL for (m = 0; m < SUBBYTE_ARM_PARTIAL_TOGETHER / 2; ++m) {
            const uint8x16_t codes = subbyte_pack_codes_neon(steps[m][0], steps[m][1], steps[m][2], steps[m][3],
                                                             g->y_zero, g->qmin, g->qmax);
            uint8_t* to = (uint8_t*)r->y + subbyte_whole_bytes(y + at[m] * g->outputs, g->y_bits);
            subbyte_arm_store_part(to, subbyte_arm_join(codes, g->y_bits), bytes);
        }
    }
}

// The same of 32-bit sums (wide), or to the sums themselves.
SUBBYTE_INLINE void subbyte_arm_partial_raw(const uint8_t* sums, int32_t pitch, int32_t pixels, int32_t y,
                                            int32_t output, int32_t stored, int32_t vectors,
                                            const struct subbyte_arm_results* r, const struct subbyte_arm_conv* g,
                                            int32_t wide) {
    int32_t pixel, i;
    for (pixel = 0; pixel < pixels; ++pixel, sums += pitch, y += g->outputs) {
        int32x4_t of[4];
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            if (!wide)
                of[i] = vmovl_s16(vld1_s16((const int16_t*)(const void*)sums + 4 * i));
            else
                of[i] = i < 2 * vectors ? vld1q_s32((const int32_t*)(const void*)sums + 4 * i) : vdupq_n_s32(0);
        }
        subbyte_arm_finish(r, y, of, 1, 4, output, stored, g);
    }
}

// A panel of an area, `stored` outputs of it; vectors, stored: constants. The pixels of an area are neighbours in the result.
SUBBYTE_INLINE void subbyte_arm_partial_results(const struct subbyte_arm_area* area, const uint8_t* weights,
                                                const int8_t* levels, int32_t panel, int32_t vectors, int32_t stored,
                                                const struct subbyte_arm_partial_scratch* s, int32_t rows,
                                                int32_t columns, const struct subbyte_arm_results* r,
                                                const struct subbyte_arm_conv* g,
                                                const struct subbyte_arm_partial_sums* t) {
    const int32_t pixels = (area->row_1 - area->row_0) * (area->column_1 - area->column_0);
    const int32_t padded = (pixels + SUBBYTE_ARM_PARTIAL_PIXELS - 1) / SUBBYTE_ARM_PARTIAL_PIXELS;
    const int32_t first = (area->image * g->out_height + area->row_0) * g->out_width + area->column_0;
    const int32_t output = panel * g->panel, y = first * g->outputs + output;
    int32_t v;
    subbyte_arm_partial_panel(weights, levels, s, padded * SUBBYTE_ARM_PARTIAL_PIXELS, rows, columns, vectors, g, t);
    if (t->wide) {
        subbyte_arm_partial_raw(s->sums, 32 * vectors, pixels, y, output, stored, vectors, r, g, 1);
        return;
    }
    SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
        const int32_t rest = subbyte_min_s32(stored - 16 * v, 16);
        if (r->multiplier)
            subbyte_arm_partial_codes(s->sums + 32 * v, 32 * vectors, pixels, y + 16 * v, output + 16 * v, rest, r, g);
        else
            subbyte_arm_partial_raw(s->sums + 32 * v, 32 * vectors, pixels, y + 16 * v, output + 16 * v, rest, 1, r, g,
                                    0);
    }
}

// What subbyte_arm_areas hands on.
struct subbyte_arm_partial_own {
    const uint8_t* x;
    const uint8_t* weights;
    const int8_t* levels;
    const struct subbyte_arm_results* results;
    const struct subbyte_arm_partial_sums* t;
};

SUBBYTE_INLINE void subbyte_arm_partial_area(const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                             const void* own) {
    const struct subbyte_arm_partial_own* o = (const struct subbyte_arm_partial_own*)own;
    const struct subbyte_arm_partial_sums* t = o->t;
    const int32_t high = area->row_1 - area->row_0, broad = area->column_1 - area->column_0, half = g->panel / 2;
    const int32_t rows = subbyte_arm_partial_reach(high, g->kernel_height, g->stride_height, g->dilation_height);
    const int32_t columns = subbyte_arm_partial_reach(broad, g->kernel_width, g->stride_width, g->dilation_width);
    const int32_t down = g->kernel_height == 1 ? 1 : g->stride_height,
                  right = g->kernel_width == 1 ? 1 : g->stride_width;
    const int32_t last = g->outputs % g->panel;
    struct subbyte_arm_partial_scratch s;
    int32_t panel, row, column, i = 0;
    s.tables = (uint8_t*)area->free;
    s.weights = s.tables + t->tables_bytes;
    s.places = (int32_t*)(void*)(s.weights + t->weights_bytes);
    s.sums = (uint8_t*)s.places + t->places_bytes;
    s.unpacked = s.sums + t->sums_bytes;
    s.window = (uint16_t*)(void*)(s.unpacked + t->unpacked_bytes);
    for (row = 0; row < high; ++row)
        for (column = 0; column < broad; ++column)
            s.places[i++] = (row * down * columns + column * right) * t->of_plane * 2;
    while (i % SUBBYTE_ARM_PARTIAL_PIXELS) s.places[i++] = 0;
    subbyte_arm_partial_window(s.window, s.unpacked, o->x, area, g, t, rows, columns);
    for (panel = area->panel_0; panel < area->panel_1; ++panel) {
        const uint8_t* weights = o->weights + (ptrdiff_t)panel * t->panel_bytes;
        if (last == 0 || (panel + 1) * g->panel <= g->outputs)
            subbyte_arm_partial_results(area, weights, o->levels, panel, 2, g->panel, &s, rows, columns, o->results, g,
                                        t);
        else
            subbyte_arm_partial_results(area, weights, o->levels, panel, last > half ? 2 : 1, last, &s, rows, columns,
                                        o->results, g, t);
    }
}

// y = N4 of x * w + bias. The rows of the tables are loaded in pairs, or (split) their halves apart: t->split says so.
SUBBYTE_INLINE void subbyte_arm_sums_partial(const void* x, const uint8_t* weights, const int8_t* levels,
                                             const int32_t* bias, const float* multiplier, const float* shift, void* y,
                                             const struct subbyte_arm_conv* g, const struct subbyte_arm_partial_sums* t,
                                             int32_t begin, int32_t end, void* scratch) {
    const struct subbyte_arm_results r = {y, bias, multiplier, shift};
    const struct subbyte_arm_partial_own own = {(const uint8_t*)x, weights, levels, &r, t};
    subbyte_arm_areas(x, g, begin, end, scratch, subbyte_arm_partial_area, &own);
}
SUBBYTE_INLINE void subbyte_arm_sums_partial_split(const void* x, const uint8_t* weights, const int8_t* levels,
                                                   const int32_t* bias, const float* multiplier, const float* shift,
                                                   void* y, const struct subbyte_arm_conv* g,
                                                   const struct subbyte_arm_partial_sums* t, int32_t begin, int32_t end,
                                                   void* scratch) {
    subbyte_arm_sums_partial(x, weights, levels, bias, multiplier, shift, y, g, t, begin, end, scratch);
}

// y = x * w + bias, 32 bits.
SUBBYTE_INLINE void subbyte_arm_sums_s32_partial(const void* x, const uint8_t* weights, const int8_t* levels,
                                                 const int32_t* bias, int32_t* y, const struct subbyte_arm_conv* g,
                                                 const struct subbyte_arm_partial_sums* t, int32_t begin, int32_t end,
                                                 void* scratch) {
    subbyte_arm_sums_partial(x, weights, levels, bias, 0, 0, y, g, t, begin, end, scratch);
}
SUBBYTE_INLINE void subbyte_arm_sums_s32_partial_split(const void* x, const uint8_t* weights, const int8_t* levels,
                                                       const int32_t* bias, int32_t* y,
                                                       const struct subbyte_arm_conv* g,
                                                       const struct subbyte_arm_partial_sums* t, int32_t begin,
                                                       int32_t end, void* scratch) {
    subbyte_arm_sums_partial(x, weights, levels, bias, 0, 0, y, g, t, begin, end, scratch);
}

#endif  // SUBBYTE_ARM_PARTIAL_SUMS_H
