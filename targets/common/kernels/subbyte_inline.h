// How vector kernels ask to be specialised: every step of a model inlines its kernel with constant geometry, so that loops
// over the register tile unroll, and branches on the geometry vanish.

#ifndef SUBBYTE_INLINE_H
#define SUBBYTE_INLINE_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__GNUC__)
#error "these kernels need GCC or clang: they use always_inline, unrolling pragmas and register barriers"
#endif

#define SUBBYTE_INLINE static inline __attribute__((always_inline))

// Before a loop over registers: its bounds are constants after inlining.
#define SUBBYTE_UNROLL _Pragma("GCC unroll 16")

SUBBYTE_INLINE int32_t subbyte_min_s32(int32_t a, int32_t b) { return a < b ? a : b; }

// Bytes that n codes of `bits` bits fill; whole ones.
SUBBYTE_INLINE ptrdiff_t subbyte_whole_bytes(int32_t n, int32_t bits) { return (ptrdiff_t)n * bits / 8; }

#endif  // SUBBYTE_INLINE_H
