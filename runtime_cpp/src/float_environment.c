#include "subbyte/float_environment.h"

#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE__))

#include <xmmintrin.h>

/* MXCSR after reset: exceptions masked, round to nearest even, neither flush-to-zero nor denormals-are-zero. */
enum { MXCSR_DEFAULT = 0x1f80, MXCSR_STATUS_FLAGS = 0x3f };

subbyte_float_environment subbyte_float_environment_enter(void) {
    unsigned saved = _mm_getcsr();
    if ((saved & ~(unsigned)MXCSR_STATUS_FLAGS) != MXCSR_DEFAULT) _mm_setcsr(MXCSR_DEFAULT);
    return saved;
}

void subbyte_float_environment_leave(subbyte_float_environment saved) { _mm_setcsr((unsigned)saved); }

#elif defined(__aarch64__)

/* FPCR: everything zero is round to nearest, subnormals kept, no traps, NaNs propagate. */
subbyte_float_environment subbyte_float_environment_enter(void) {
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    if (saved != 0) __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return saved;
}

void subbyte_float_environment_leave(subbyte_float_environment saved) {
    if (saved != 0) __asm__ volatile("msr fpcr, %0" : : "r"(saved));
}

#elif defined(__arm__) && defined(__ARM_FP)

/* FPSCR: all control bits zero, as on AArch64; the condition and status flags in it are of no account to a caller. */
subbyte_float_environment subbyte_float_environment_enter(void) {
    uint32_t saved;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(saved));
    __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)0));
    return saved;
}

void subbyte_float_environment_leave(subbyte_float_environment saved) {
    __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)saved));
}

#elif defined(__riscv) && defined(__riscv_flen)

/* The rounding mode 0 is to nearest even; RISC-V has no flush-to-zero and no traps. */
subbyte_float_environment subbyte_float_environment_enter(void) {
    unsigned long saved;
    __asm__ volatile("fsrm %0, zero" : "=r"(saved));
    return saved;
}

void subbyte_float_environment_leave(subbyte_float_environment saved) {
    __asm__ volatile("fsrm zero, %0" : : "r"((unsigned long)saved));
}

#else

#include <fenv.h>

/* Rounding alone is within C's reach; subbyte_float_environment_is_exact tells whether subnormals are kept. */
subbyte_float_environment subbyte_float_environment_enter(void) {
    int saved = fegetround();
    if (saved != FE_TONEAREST) fesetround(FE_TONEAREST);
    return (subbyte_float_environment)saved;
}

void subbyte_float_environment_leave(subbyte_float_environment saved) { fesetround((int)saved); }

#endif

int32_t subbyte_float_environment_is_exact(void) {
    volatile float one = 1.0f, half_step = 5.9604645e-8f, three_half_steps = 1.7881393e-7f; /* 2^-24, 3 * 2^-24 */
    volatile float smallest_normal = 1.1754944e-38f, subnormal, doubled, up, down;
    subnormal = smallest_normal * 0.5f;
    doubled = subnormal + subnormal;
    down = one + half_step;      /* a tie that goes down to 1, the even one */
    up = one + three_half_steps; /* a tie that goes up to 1 + 2^-22 */
    return subnormal > 0.0f && doubled == smallest_normal && down == 1.0f && up == 1.0f + 2.3841858e-7f;
}
