// The float environment: whatever another library left behind, a model computes exactly and the caller gets his back.
#include <cfenv>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "check.h"
#include "subbyte/float_environment.h"

namespace {

void test_rounding_is_set_and_restored(int mode) {
    std::fesetround(mode);
    CHECK(!subbyte_float_environment_is_exact());
    subbyte_float_environment saved = subbyte_float_environment_enter();
    CHECK(subbyte_float_environment_is_exact());
    subbyte_float_environment_leave(saved);
    CHECK(std::fegetround() == mode);
    std::fesetround(FE_TONEAREST);
}

// The control word of float arithmetic, and its bits that take subnormals for zeros, alone and together.
#if defined(__SSE__)
unsigned control_word() { return _mm_getcsr(); }
void set_control_word(unsigned word) { _mm_setcsr(word); }
constexpr unsigned flushing[] = {0x8000, 0x0040, 0x8040};  // flush-to-zero, denormals-are-zero
#elif defined(__aarch64__)
unsigned long control_word() {
    unsigned long word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
}
void set_control_word(unsigned long word) { __asm__ volatile("msr fpcr, %0" : : "r"(word)); }
constexpr unsigned long flushing[] = {1ul << 24, 3ul << 24};  // flush-to-zero, and with it default NaNs
#elif defined(__arm__) && defined(__ARM_FP)
unsigned control_word() {
    unsigned word;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(word));
    return word & ~0xf000009fu;  // less the flags that comparisons and exceptions leave
}
void set_control_word(unsigned word) { __asm__ volatile("vmsr fpscr, %0" : : "r"(word)); }
constexpr unsigned flushing[] = {1u << 24, 3u << 24};
#else
#define CONTROL_WORD_IS_UNKNOWN
#endif

#if !defined(CONTROL_WORD_IS_UNKNOWN)
template <typename Word>
void test_flush_to_zero_is_lifted_and_restored(Word control) {
    Word before = control_word();
    set_control_word(before | control);
    CHECK(!subbyte_float_environment_is_exact());
    Word changed = control_word();
    subbyte_float_environment saved = subbyte_float_environment_enter();
    CHECK(subbyte_float_environment_is_exact());
    subbyte_float_environment_leave(saved);
    CHECK(control_word() == changed);
    set_control_word(before);
}
#endif

#if defined(__SSE__)
void test_traps_are_masked() {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before & ~static_cast<unsigned>(_MM_MASK_DIV_ZERO));
    subbyte_float_environment saved = subbyte_float_environment_enter();
    volatile float zero = 0.0f, quotient = 1.0f / zero;  // would end the process with SIGFPE
    CHECK(quotient > 0.0f);
    subbyte_float_environment_leave(saved);
    _mm_setcsr(before);
}
#endif

}  // namespace

int main() {
    CHECK(subbyte_float_environment_is_exact());
    for (int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) test_rounding_is_set_and_restored(mode);
#if !defined(CONTROL_WORD_IS_UNKNOWN)
    for (auto control : flushing) test_flush_to_zero_is_lifted_and_restored(control);
#endif
#if defined(__SSE__)
    test_traps_are_masked();
#endif
    std::puts("float environment: ok");
}
