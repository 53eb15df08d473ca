// The input of tables of partial sums as cells: the codes of a few neighbouring channels together, as offsets of rows.

#ifndef SUBBYTE_ARM_PARTIAL_CELLS_H
#define SUBBYTE_ARM_PARTIAL_CELLS_H

#include "arm_conv.h"

// How a sum is computed; kernels/arm_partial_sums.h is about it all.
//
// code_bits: of a code; codes: of a cell, whose number has code_bits * codes bits, 4 or 6.
// split: 1: the halves of a row stand in two tables, each a load at a constant distance; 0: side by side, a load of a pair.
// wide: 1: rows of 16 outputs, 16 bits each; 0: of 32 outputs, 8 bits each.
// cells: of a pixel, in `planes` planes of the window: plane i has cells i * cells / planes to (i + 1) * cells / planes - 1, in
// of_plane slots. side: pixels whose cells stand side by side in a run, 1 where there are several planes; parts: blocks that a
// run is cut into.
// zero_cell: the cell of zero points; last_mask: the bits of a pixel's last cell that stand for channels.
// offset: what is added to the 8-bit sums of a block; start: 16-bit sums begin with it: less the offset of all blocks.
// weight_bits: of a weight in memory, 1, 2 or 4 (a number of `levels`) or 8; panel_bytes: of the weights of a panel.
// x_bytes: of the input. The other *_bytes are of the parts of scratch in their order: tables, weights of a block, places of
// pixels, sums, codes of a row of the input that share bytes; the window is the last.
struct subbyte_arm_partial_sums {
    int32_t code_bits, codes, split, wide, cells, planes, of_plane, side, parts, zero_cell, last_mask;
    int32_t offset, start, weight_bits, panel_bytes, x_bytes;
    int32_t tables_bytes, weights_bytes, places_bytes, sums_bytes, unpacked_bytes;
};

enum {
    SUBBYTE_ARM_PARTIAL_ROW = 32,    // bytes of a row
    SUBBYTE_ARM_PARTIAL_CELLS = 12,  // the most of a block
    SUBBYTE_ARM_PARTIAL_BEYOND = 8,  // slots that may be written behind a plane
    SUBBYTE_ARM_PARTIAL_PIXELS = 4,  // areas are padded to a multiple
    SUBBYTE_ARM_PARTIAL_SECOND = 64 * 16 *
        SUBBYTE_ARM_PARTIAL_CELLS  // bytes from the first halves of rows to the second
};

// One function for all calls of a model that need it.
#define SUBBYTE_ARM_SHARED static __attribute__((noinline, unused))

// The numbers of eight cells, whose codes begin at x.
SUBBYTE_INLINE uint8x8_t subbyte_arm_partial_numbers(const uint8_t* x, int32_t code_bits, int32_t codes) {
    if (codes == 2) {
        const uint8x8x2_t of = vld2_u8(x);
        return vadd_u8(of.val[0], vshl_u8(of.val[1], vdup_n_s8((int8_t)code_bits)));
    }
    if (codes == 3) {
        const uint8x8x3_t of = vld3_u8(x);
        return vsli_n_u8(vsli_n_u8(of.val[0], of.val[1], 2), of.val[2], 4);
    }
    if (codes == 4) {
        const uint8x8x4_t of = vld4_u8(x);
        return vsli_n_u8(vsli_n_u8(of.val[0], of.val[1], 1), vsli_n_u8(of.val[2], of.val[3], 1), 2);
    }
    {
        const uint8x16x3_t of = vld3q_u8(x);  // three codes a lane, two lanes a cell
        const uint16x8_t threes = vreinterpretq_u16_u8(vsliq_n_u8(vsliq_n_u8(of.val[0], of.val[1], 1), of.val[2], 2));
        return vmovn_u16(vorrq_u16(threes, vshrq_n_u16(threes, 5)));
    }
}

// `cells` cells of each of `pixels` pixels, whose codes are `step` bytes apart, to `of_plane` slots each: a slot is the offset
// of the row that its cell names. masks: the bits that the numbers of cells may have. end: behind the last readable code;
// codes behind it count as 0. Writes up to seven slots beyond the last.
SUBBYTE_INLINE void subbyte_arm_partial_slots(uint16_t* to, int32_t of_plane, const uint8_t* x, ptrdiff_t step,
                                              int32_t pixels, int32_t cells, const uint8_t* masks, const uint8_t* end,
                                              int32_t code_bits, int32_t codes, int32_t split) {
    const int32_t reads = 8 * codes;
    int32_t cell, pixel, m;
    // The last eight cells come first: what is written beyond them is the beginning of the next pixel.
    for (cell = (cells - 1) / 8 * 8; cell >= 0; cell -= 8) {
        const uint8x8_t mask = vld1_u8(masks + cell);
        const uint8_t* from = x + cell * codes;
        uint16_t* slots = to + cell;
        for (pixel = 0; pixel + 4 <= pixels && end - from >= 3 * step + reads; pixel += 4) {
            uint8x8_t numbers[4];
            SUBBYTE_UNROLL for (m = 0; m < 4; ++m) {
                numbers[m] = vand_u8(subbyte_arm_partial_numbers(from, code_bits, codes), mask);
                from += step;
            }
            SUBBYTE_UNROLL for (m = 0; m < 4; ++m) {
                vst1q_u16(slots, split ? vshll_n_u8(numbers[m], 4) : vshll_n_u8(numbers[m], 5));
                slots += of_plane;
            }
        }
        for (; pixel < pixels; ++pixel, from += step, slots += of_plane) {
            const ptrdiff_t left = end - from;
            uint8_t part[48] = {0};
            const uint8_t* codes_at = from;
            uint8x8_t numbers;
            if (left < reads) {
                if (left > 0) memcpy(part, from, (size_t)left);
                codes_at = part;
            }
            numbers = vand_u8(subbyte_arm_partial_numbers(codes_at, code_bits, codes), mask);
            vst1q_u16(slots, split ? vshll_n_u8(numbers, 4) : vshll_n_u8(numbers, 5));
        }
    }
}

#define SUBBYTE_ARM_PARTIAL_SLOTS(code_bits, codes, split)                                                    \
    SUBBYTE_ARM_SHARED void subbyte_arm_partial_slots_##code_bits##codes##split(                              \
        uint16_t* to, int32_t of_plane, const uint8_t* x, ptrdiff_t step, int32_t pixels, int32_t cells,      \
        const uint8_t* masks, const uint8_t* end) {                                                           \
        subbyte_arm_partial_slots(to, of_plane, x, step, pixels, cells, masks, end, code_bits, codes, split); \
    }
SUBBYTE_ARM_PARTIAL_SLOTS(1, 4, 0)
SUBBYTE_ARM_PARTIAL_SLOTS(1, 4, 1)
SUBBYTE_ARM_PARTIAL_SLOTS(1, 6, 0)
SUBBYTE_ARM_PARTIAL_SLOTS(1, 6, 1)
SUBBYTE_ARM_PARTIAL_SLOTS(2, 2, 0)
SUBBYTE_ARM_PARTIAL_SLOTS(2, 2, 1)
SUBBYTE_ARM_PARTIAL_SLOTS(2, 3, 0)
SUBBYTE_ARM_PARTIAL_SLOTS(2, 3, 1)
SUBBYTE_ARM_PARTIAL_SLOTS(3, 2, 0)
SUBBYTE_ARM_PARTIAL_SLOTS(3, 2, 1)
#undef SUBBYTE_ARM_PARTIAL_SLOTS

typedef void subbyte_arm_partial_slots_of(uint16_t* to, int32_t of_plane, const uint8_t* x, ptrdiff_t step,
                                          int32_t pixels, int32_t cells, const uint8_t* masks, const uint8_t* end);

SUBBYTE_INLINE subbyte_arm_partial_slots_of* subbyte_arm_partial_slots_for(const struct subbyte_arm_partial_sums* t) {
    if (t->code_bits == 1 && t->codes == 4)
        return t->split ? subbyte_arm_partial_slots_141 : subbyte_arm_partial_slots_140;
    if (t->code_bits == 1) return t->split ? subbyte_arm_partial_slots_161 : subbyte_arm_partial_slots_160;
    if (t->code_bits == 3) return t->split ? subbyte_arm_partial_slots_321 : subbyte_arm_partial_slots_320;
    if (t->codes == 2) return t->split ? subbyte_arm_partial_slots_221 : subbyte_arm_partial_slots_220;
    return t->split ? subbyte_arm_partial_slots_231 : subbyte_arm_partial_slots_230;
}

// `cells` cells of zero points for each of `pixels` pixels, the last with the bits `last` alone. Writes as the slots do.
SUBBYTE_INLINE void subbyte_arm_partial_zeros(uint16_t* to, int32_t pixels, int32_t cells, int32_t last,
                                              const struct subbyte_arm_partial_sums* t) {
    const int32_t shift = t->split ? 4 : 5;
    const uint16x8_t zeros = vdupq_n_u16((uint16_t)(t->zero_cell << shift));
    int32_t pixel, cell;
    for (pixel = 0; pixel < pixels; ++pixel, to += t->of_plane) {
        for (cell = 0; cell < cells; cell += 8) vst1q_u16(to + cell, zeros);
        to[cells - 1] = (uint16_t)((t->zero_cell & last) << shift);
    }
}

// Rows (or columns) of the window for so many of the result: those that they need or, where the kernel has one alone, the ones
// that they begin with.
SUBBYTE_INLINE int32_t subbyte_arm_partial_reach(int32_t results, int32_t kernel, int32_t stride, int32_t dilation) {
    return kernel == 1 ? results : (results - 1) * stride + (kernel - 1) * dilation + 1;
}

// How many of `count` places from, from + step, ... come before 0..extent - 1; *inside: how many lie in it.
SUBBYTE_INLINE int32_t subbyte_arm_partial_before(int32_t from, int32_t step, int32_t count, int32_t extent,
                                                  int32_t* inside) {
    const int32_t before = from < 0 ? subbyte_min_s32((step - 1 - from) / step, count) : 0;
    const int32_t until = from < extent ? subbyte_min_s32((extent - from + step - 1) / step, count) : 0;
    *inside = until > before ? until - before : 0;
    return before;
}

// Slots from a plane of the window to the next: some are free behind each, for what is written beyond the last.
SUBBYTE_INLINE int32_t subbyte_arm_partial_plane(int32_t rows, int32_t columns,
                                                 const struct subbyte_arm_partial_sums* t) {
    return rows * columns * t->of_plane + SUBBYTE_ARM_PARTIAL_BEYOND;
}

// The window of an area: [planes][rows][columns][of_plane] slots. unpacked: room for a row of the input as bytes.
SUBBYTE_INLINE void subbyte_arm_partial_window(uint16_t* window, uint8_t* unpacked, const uint8_t* x,
                                               const struct subbyte_arm_area* area, const struct subbyte_arm_conv* g,
                                               const struct subbyte_arm_partial_sums* t, int32_t rows,
                                               int32_t columns) {
    const int32_t down = g->kernel_height == 1 ? g->stride_height : 1,
                  right = g->kernel_width == 1 ? g->stride_width : 1;
    const int32_t top = area->row_0 * g->stride_height - g->pad_top;
    const int32_t left = area->column_0 * g->stride_width - g->pad_left;
    const int32_t all = (1 << t->code_bits * t->codes) - 1, first_row = area->image * g->height;
    uint8_t masks[SUBBYTE_ARM_PARTIAL_CELLS + 8];
    int32_t plane, row, i, inside;
    const int32_t before = subbyte_arm_partial_before(left, right, columns, g->width, &inside);
    const int32_t after = columns - before - inside, begins = (left + before * right) * g->channels;
    for (i = 0; i < (int32_t)sizeof masks; ++i) masks[i] = (uint8_t)all;
    for (row = 0; row < rows; ++row) {
        const int32_t y = top + row * down, in_image = inside && y >= 0 && y < g->height;
        const uint8_t* codes = x + (ptrdiff_t)((first_row + y) * g->width * g->channels + begins) * g->x_bits / 8;
        const uint8_t* end = x + t->x_bytes;
        if (in_image && g->x_bits < 8) {
            const int32_t n = ((inside - 1) * right + 1) * g->channels;
            subbyte_arm_unpack(unpacked, codes, n, g->x_bits);
            codes = unpacked;
            end = unpacked + n;
        }
        for (plane = 0; plane < t->planes; ++plane) {
            const int32_t first = plane * t->cells / t->planes, cells = (plane + 1) * t->cells / t->planes - first;
            const int32_t last = plane == t->planes - 1 ? t->last_mask : all;
            uint16_t* to = window + plane * subbyte_arm_partial_plane(rows, columns, t) + row * columns * t->of_plane;
            if (!in_image) {
                subbyte_arm_partial_zeros(to, columns, cells, last, t);
                continue;
            }
            masks[cells - 1] = (uint8_t)last;
            subbyte_arm_partial_zeros(to, before, cells, last, t);
            subbyte_arm_partial_slots_for(t)(to + before * t->of_plane, t->of_plane, codes + first * t->codes,
                                             (ptrdiff_t)right * g->channels, inside, cells, masks, end);
            subbyte_arm_partial_zeros(to + (before + inside) * t->of_plane, after, cells, last, t);
            masks[cells - 1] = (uint8_t)all;
        }
    }
}

#endif  // SUBBYTE_ARM_PARTIAL_CELLS_H
