// What the softmax kernels of every instruction set share.

#ifndef SUBBYTE_X86_SOFTMAX_H
#define SUBBYTE_X86_SOFTMAX_H

#include "subbyte_inline.h"
#include "subbyte_numerics.h"

// extent: codes of a row. reach: distances from the largest code whose result may differ from `none`, the code of 0; a
// multiple of 64. 1 / scale = m / 2^k (numerics/softmax.py), m = m_high * 2^16 + m_low.
struct subbyte_x86_softmax {
    int32_t extent, reach, none;
    int32_t m_high, m_low, k, y_zero, qmin, qmax;
};

// e / (sum of e * scale) lies between e * share and that times SUBBYTE_X86_SOFTMAX_ABOVE: the three roundings of the former (e,
// share and the product) move it by less than 3 * 2^-24 of itself, and SUBBYTE_X86_SOFTMAX_BELOW is in the share. Where both
// round to one integer, so does what is between them.
#define SUBBYTE_X86_SOFTMAX_BELOW (1.0 - 1.0 / 4194304.0)
#define SUBBYTE_X86_SOFTMAX_ABOVE (1.0f + 1.0f / 1048576.0f)

// results[d] for the distances where they do not, divided in integers (N7); table: exponentials in Q31. Called for few rows.
static __attribute__((noinline, cold, unused)) void subbyte_x86_softmax_ties(uint8_t* results,
                                                                             const float* exponentials,
                                                                             const uint32_t* table, float share,
                                                                             uint64_t total,
                                                                             const struct subbyte_x86_softmax* g) {
    const uint64_t m = ((uint64_t)(uint32_t)g->m_high << 16) + (uint64_t)(uint32_t)g->m_low;
    int32_t d;
    for (d = 0; d < g->reach; ++d) {
        const float below = subbyte_mul_f32(exponentials[d], share);
        const float above = subbyte_mul_f32(below, SUBBYTE_X86_SOFTMAX_ABOVE);
        if (subbyte_rint_s32(below) != subbyte_rint_s32(above))
            results[d] =
                (uint8_t)(subbyte_softmax_code(table[d], total, m, g->k, g->y_zero, g->qmin, g->qmax) - g->none);
    }
}

#endif  // SUBBYTE_X86_SOFTMAX_H
