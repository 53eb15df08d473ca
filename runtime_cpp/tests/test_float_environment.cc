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

#if defined(__SSE__)
void test_flush_to_zero_is_lifted_and_restored(unsigned control) {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | control);
    CHECK(!subbyte_float_environment_is_exact());
    unsigned changed = _mm_getcsr();
    subbyte_float_environment saved = subbyte_float_environment_enter();
    CHECK(subbyte_float_environment_is_exact());
    subbyte_float_environment_leave(saved);
    CHECK(_mm_getcsr() == changed);
    _mm_setcsr(before);
}

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
#if defined(__SSE__)
    constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
    for (unsigned control : {flush_to_zero, denormals_are_zero, flush_to_zero | denormals_are_zero}) {
        test_flush_to_zero_is_lifted_and_restored(control);
    }
    test_traps_are_masked();
#endif
    std::puts("float environment: ok");
}
