// What the softmax kernels of every instruction set share.

#ifndef SUBBYTE_X86_SOFTMAX_H
#define SUBBYTE_X86_SOFTMAX_H

#include "subbyte_numerics.h"
#include "x86_inline.h"

// extent: codes of a row. reach: distances from the largest code whose result may differ from `none`, the code of 0; a
// multiple of 64. 1 / scale = m / 2^k (numerics/softmax.py), m = m_high * 2^16 + m_low.
struct subbyte_x86_softmax {
    int32_t extent, reach, none;
    int32_t m_high, m_low, k, y_zero, qmin, qmax;
};

// A product of floats that is nearer than this to the middle of two integers is not rounded as it is: below 256, three
// roundings move it by less than 3 * 2^-16.
#define SUBBYTE_X86_SOFTMAX_NEAR (1.0f / 16384.0f)

// results[d] for the distances whose product is near a tie, divided in integers (N7); table: exponentials in Q31.
// Called for few rows.
static __attribute__((noinline, cold, unused)) void subbyte_x86_softmax_ties(uint8_t* results,
                                                                             const float* exponentials,
                                                                             const uint32_t* table, float share,
                                                                             uint64_t total,
                                                                             const struct subbyte_x86_softmax* g) {
    const uint64_t m = ((uint64_t)(uint32_t)g->m_high << 16) + (uint64_t)(uint32_t)g->m_low;
    int32_t d;
    for (d = 0; d < g->reach; ++d) {
        const float product = subbyte_mul_f32(exponentials[d], share);
        const float rest = product < 256.0f ? product - (float)(int32_t)product - 0.5f : 0.5f;
        if (subbyte_abs_f32(rest) < SUBBYTE_X86_SOFTMAX_NEAR)
            results[d] =
                (uint8_t)(subbyte_softmax_code(table[d], total, m, g->k, g->y_zero, g->qmin, g->qmax) - g->none);
    }
}

#endif  // SUBBYTE_X86_SOFTMAX_H
