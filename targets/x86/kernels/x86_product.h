// Matrix products of two run-time matrices of u8 codes on x86: geometry and arguments, read by x86_product_body.h.

#ifndef SUBBYTE_X86_PRODUCT_H
#define SUBBYTE_X86_PRODUCT_H

#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_inline.h"

// a [matrices][rows][depth], b [matrices][depth][columns] -> y [batches][rows][columns].
// wide: 1: |sum * multiplier| may reach 2^31.
struct subbyte_x86_product {
    int32_t rows, columns, depth;
    int32_t a_zero, b_zero, y_zero, qmin, qmax, wide;
};

#endif  // SUBBYTE_X86_PRODUCT_H
