// Products of two run-time matrices by `sdot`.

#ifndef SUBBYTE_ARM_PRODUCT_SDOT_H
#define SUBBYTE_ARM_PRODUCT_SDOT_H

#include "arm_product_bytes.h"
#include "arm_sums_sdot.h"

SUBBYTE_INLINE void subbyte_arm_product_cells_sdot(void* cells, int32_t* starts, const uint8_t* b, const int32_t* bias,
                                                   int32_t n, const struct subbyte_arm_product* g) {
    subbyte_arm_product_cells_of((uint8_t*)cells, b, n, 4, g);
    subbyte_arm_product_starts(starts, (const uint8_t*)cells, bias, 4, g);
}

SUBBYTE_INLINE void subbyte_arm_product_sums_sdot(int32x4_t* sums, const void* a, int32_t pitch, const void* cells,
                                                  const struct subbyte_arm_product* g) {
    const struct subbyte_arm_levels none = subbyte_arm_load_levels(0, 8);
    subbyte_arm_sdot_clear(sums, g->tile_rows, g->vectors);
    subbyte_arm_sdot_run(sums, (const int8_t*)a, pitch, (const uint8_t*)cells, &none, 8, g->depth, g->tile_rows,
                         g->vectors);
    subbyte_arm_product_less_rows(sums, (const int8_t*)a, pitch, (g->depth + 3) / 4 * 4, g);
}

// y = N4 of a * b + bias, codes of a byte, or the sums where `multiplier` is null. bias, multiplier, shift: [columns], padded
// to whole blocks; bias and shift may be null. a_at, b_at, y_at: the first elements of each batch.
SUBBYTE_INLINE void subbyte_arm_product_sdot(const void* a, const void* b, const int32_t* bias, const float* multiplier,
                                             const float* shift, void* y, const int32_t* a_at, const int32_t* b_at,
                                             const int32_t* y_at, const struct subbyte_arm_product* g, int32_t begin,
                                             int32_t end, void* scratch) {
    const struct subbyte_arm_product_operands o = {
        (const uint8_t*)a, (const uint8_t*)b, bias, multiplier, shift, y, a_at, b_at, y_at};
    const struct subbyte_arm_product_form form = {subbyte_arm_product_cells_sdot, subbyte_arm_product_rows_bytes,
                                                  subbyte_arm_product_sums_sdot, 4, 1};
    subbyte_arm_product_tiles(&o, g, begin, end, scratch, &form);
}

#endif  // SUBBYTE_ARM_PRODUCT_SDOT_H
