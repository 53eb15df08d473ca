// What the table kernels of every instruction set share.

#ifndef SUBBYTE_X86_TABLES_H
#define SUBBYTE_X86_TABLES_H

#include <stdint.h>

// How codes become the result of a softmax: 1 / scale = m / 2^k (numerics/softmax.py), m = m_high * 2^16 + m_low.
struct subbyte_x86_softmax {
    int32_t extent;
    int32_t m_high, m_low, k, y_zero, qmin, qmax;
};

#endif  // SUBBYTE_X86_TABLES_H
