/* The float environment that every result depends on (design N8): rounding to nearest even, subnormals kept. */
#ifndef SUBBYTE_ENVIRONMENT_H
#define SUBBYTE_ENVIRONMENT_H

/* Where constants stand in memory. */
#define SUBBYTE_ALIGN(bytes) __attribute__((aligned(bytes)))

#if defined(__x86_64__) && defined(__SSE__)
#include <xmmintrin.h>

/* Whether float32 arithmetic rounds to nearest even and keeps subnormals: rounding control, flush-to-zero and
 * denormals-are-zero of MXCSR are all 0. */
static inline int subbyte_float_environment_is_default(void) { return (_mm_getcsr() & 0xe040u) == 0; }

#else

/* Whether float32 arithmetic rounds to nearest even and keeps subnormals; found by arithmetic, so it needs no libm.
 * 1 + 2^-24 is a tie and stays 1 (upward: more); -1 - 2^-24 likewise (downward); 1 + 3 * 2^-25 goes up (toward zero:
 * stays); half the smallest normal number is not zero, and a subnormal operand is not taken for zero. */
static inline int subbyte_float_environment_is_default(void) {
    const volatile float one = 1.0f, tie = 0x1p-24f, above = 0x1.8p-24f, smallest = 0x1p-126f, half = 0.5f;
    const volatile float up = one + tie, down = -one - tie, near = one + above, subnormal = smallest * half;
    const volatile float doubled = subnormal + subnormal;
    return up == 1.0f && down == -1.0f && near > 1.0f && subnormal != 0.0f && doubled == smallest;
}

#endif

#endif
