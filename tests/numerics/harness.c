// Loops over every function of subbyte_numerics.h, so that tests can call it on whole arrays.

#include "subbyte_numerics.h"

#define EACH for (int64_t i = 0; i < count; i++)

void rint_s32(int64_t count, const float* x, int32_t* y);
void rint_s32(int64_t count, const float* x, int32_t* y) { EACH y[i] = subbyte_rint_s32(x[i]); }

void dequantize(int64_t count, const int32_t* q, const float* scale, float* y);
void dequantize(int64_t count, const int32_t* q, const float* scale, float* y) {
    EACH y[i] = subbyte_dequantize(q[i], scale[i]);
}

void quantize(int64_t count, const float* x, const float* scale, const int32_t* zp, const int32_t* qmin,
              const int32_t* qmax, int32_t* y);
void quantize(int64_t count, const float* x, const float* scale, const int32_t* zp, const int32_t* qmin,
              const int32_t* qmax, int32_t* y) {
    EACH y[i] = subbyte_quantize_f32(x[i], scale[i], zp[i], qmin[i], qmax[i]);
}

void quantize_mode(int64_t count, const float* x, const float* scale, const int32_t* zp, const int32_t* qmin,
                   const int32_t* qmax, const int32_t* mode, const int32_t* first, int32_t* y);
void quantize_mode(int64_t count, const float* x, const float* scale, const int32_t* zp, const int32_t* qmin,
                   const int32_t* qmax, const int32_t* mode, const int32_t* first, int32_t* y) {
    EACH y[i] = subbyte_quantize_mode_f32(x[i], scale[i], zp[i], qmin[i], qmax[i], mode[i], first[i]);
}

void f16_to_f32(int64_t count, const uint16_t* x, float* y);
void f16_to_f32(int64_t count, const uint16_t* x, float* y) { EACH y[i] = subbyte_f16_to_f32(x[i]); }

void f32_to_f16(int64_t count, const float* x, uint16_t* y);
void f32_to_f16(int64_t count, const float* x, uint16_t* y) { EACH y[i] = subbyte_f32_to_f16(x[i]); }

void requantize_s32(int64_t count, const int32_t* acc, const float* m, const int32_t* zp, const int32_t* qmin,
                    const int32_t* qmax, int32_t* y);
void requantize_s32(int64_t count, const int32_t* acc, const float* m, const int32_t* zp, const int32_t* qmin,
                    const int32_t* qmax, int32_t* y) {
    EACH y[i] = subbyte_requantize_s32(acc[i], m[i], zp[i], qmin[i], qmax[i]);
}

void requantize_s64(int64_t count, const int64_t* acc, const float* m, const int32_t* zp, const int32_t* qmin,
                    const int32_t* qmax, int32_t* y);
void requantize_s64(int64_t count, const int64_t* acc, const float* m, const int32_t* zp, const int32_t* qmin,
                    const int32_t* qmax, int32_t* y) {
    EACH y[i] = subbyte_requantize_s64(acc[i], m[i], zp[i], qmin[i], qmax[i]);
}

void requantize_shift_s32(int64_t count, const int32_t* acc, const float* m, const float* shift, const int32_t* zp,
                          const int32_t* qmin, const int32_t* qmax, int32_t* y);
void requantize_shift_s32(int64_t count, const int32_t* acc, const float* m, const float* shift, const int32_t* zp,
                          const int32_t* qmin, const int32_t* qmax, int32_t* y) {
    EACH y[i] = subbyte_requantize_shift_s32(acc[i], m[i], shift[i], zp[i], qmin[i], qmax[i]);
}

void requantize_shift_s64(int64_t count, const int64_t* acc, const float* m, const float* shift, const int32_t* zp,
                          const int32_t* qmin, const int32_t* qmax, int32_t* y);
void requantize_shift_s64(int64_t count, const int64_t* acc, const float* m, const float* shift, const int32_t* zp,
                          const int32_t* qmin, const int32_t* qmax, int32_t* y) {
    EACH y[i] = subbyte_requantize_shift_s64(acc[i], m[i], shift[i], zp[i], qmin[i], qmax[i]);
}

// What a kernel does for one element of an add of two tensors.
void add_codes(int64_t count, const int32_t* a, const float* sa, const int32_t* b, const float* sb, const float* sy,
               const int32_t* zp, const int32_t* qmin, const int32_t* qmax, int32_t* y);
void add_codes(int64_t count, const int32_t* a, const float* sa, const int32_t* b, const float* sb, const float* sy,
               const int32_t* zp, const int32_t* qmin, const int32_t* qmax, int32_t* y) {
    EACH y[i] = subbyte_quantize_f32(subbyte_add_f32(subbyte_dequantize(a[i], sa[i]), subbyte_dequantize(b[i], sb[i])),
                                     sy[i], zp[i], qmin[i], qmax[i]);
}

void average(int64_t count, const int32_t* total, const float* scale, const int32_t* n, float* y);
void average(int64_t count, const int32_t* total, const float* scale, const int32_t* n, float* y) {
    EACH y[i] = subbyte_average(total[i], scale[i], n[i]);
}

#define FUNCTION1(NAME)                                        \
    void NAME##_f32(int64_t count, const float* x, float* y);  \
    void NAME##_f32(int64_t count, const float* x, float* y) { \
        SUBBYTE_COMPARES_FLOATS                                \
        EACH y[i] = subbyte_##NAME##_f32(x[i]);                \
    }
#define FUNCTION2(NAME)                                                        \
    void NAME##_f32(int64_t count, const float* x, const float* a, float* y);  \
    void NAME##_f32(int64_t count, const float* x, const float* a, float* y) { \
        SUBBYTE_COMPARES_FLOATS                                                \
        EACH y[i] = subbyte_##NAME##_f32(x[i], a[i]);                          \
    }
#define FUNCTION3(NAME)                                                                        \
    void NAME##_f32(int64_t count, const float* x, const float* a, const float* b, float* y);  \
    void NAME##_f32(int64_t count, const float* x, const float* a, const float* b, float* y) { \
        SUBBYTE_COMPARES_FLOATS                                                                \
        EACH y[i] = subbyte_##NAME##_f32(x[i], a[i], b[i]);                                    \
    }

FUNCTION1(exp)
FUNCTION1(expm1)
FUNCTION1(log)
FUNCTION1(log1p)
FUNCTION1(erf)
FUNCTION1(tanh)
FUNCTION1(sigmoid)
FUNCTION1(sqrt)
FUNCTION1(rsqrt)
FUNCTION1(reciprocal)
FUNCTION2(pow)
FUNCTION2(min)
FUNCTION2(max)
FUNCTION1(relu)
FUNCTION2(leaky_relu)
FUNCTION2(thresholded_relu)
FUNCTION1(sign)
FUNCTION3(clip)
FUNCTION3(hard_sigmoid)
FUNCTION1(hard_swish)
FUNCTION1(gelu)
FUNCTION1(gelu_tanh)
FUNCTION1(softplus)
FUNCTION1(softsign)
FUNCTION2(elu)
FUNCTION3(selu)
FUNCTION2(celu)
FUNCTION1(mish)
FUNCTION1(neg)
FUNCTION1(abs)
FUNCTION1(floor)
FUNCTION1(ceil)
FUNCTION1(rint)

void sum_rows(int64_t rows, int64_t count, const float* x, float* y);
void sum_rows(int64_t rows, int64_t count, const float* x, float* y) {
    for (int64_t row = 0; row < rows; row++) y[row] = subbyte_sum_f32(x + row * count, count, 1);
}

void matmul(int64_t m, int64_t k, int64_t n, const float* a, const float* b, float* y);
void matmul(int64_t m, int64_t k, int64_t n, const float* a, const float* b, float* y) {
    for (int64_t i = 0; i < m * n; i++) y[i] = subbyte_dot_f32(a + i / n * k, 1, b + i % n, n, k);
}

void lerp(int64_t count, const float* low, const float* high, const float* weight, float* y);
void lerp(int64_t count, const float* low, const float* high, const float* weight, float* y) {
    EACH y[i] = subbyte_lerp_f32(low[i], high[i], weight[i]);
}

void div_rne(int64_t count, const uint64_t* numerator, const uint64_t* denominator, uint64_t* y);
void div_rne(int64_t count, const uint64_t* numerator, const uint64_t* denominator, uint64_t* y) {
    EACH y[i] = subbyte_div_rne_u64(numerator[i], denominator[i]);
}

// Each row as a kernel does it: the largest code, the sum of the entries, then the code of each.
void softmax_rows(int64_t rows, int64_t count, const int32_t* q, const uint32_t* table, int64_t m, int64_t k,
                  int64_t zp, int64_t qmin, int64_t qmax, int32_t* y);
void softmax_rows(int64_t rows, int64_t count, const int32_t* q, const uint32_t* table, int64_t m, int64_t k,
                  int64_t zp, int64_t qmin, int64_t qmax, int32_t* y) {
    for (int64_t row = 0; row < rows; row++, q += count, y += count) {
        int32_t largest = q[0];
        uint64_t total = 0;
        EACH largest = q[i] > largest ? q[i] : largest;
        EACH total += table[largest - q[i]];
        EACH y[i] = subbyte_softmax_code(table[largest - q[i]], total, (uint64_t)m, (int)k, (int32_t)zp, (int32_t)qmin,
                                         (int32_t)qmax);
    }
}

void half_even(int64_t count, const int32_t* acc, const int32_t* m, const int32_t* s, const int32_t* zp,
               const int32_t* qmin, const int32_t* qmax, int32_t* y);
void half_even(int64_t count, const int32_t* acc, const int32_t* m, const int32_t* s, const int32_t* zp,
               const int32_t* qmin, const int32_t* qmax, int32_t* y) {
    EACH y[i] = subbyte_requantize_half_even_s32(acc[i], m[i], s[i], zp[i], qmin[i], qmax[i]);
}

void corrected(int64_t count, int64_t m, int64_t c, int64_t s, const int32_t* steps, int64_t qmin, int64_t qmax,
               const int32_t* acc, int32_t* y);
void corrected(int64_t count, int64_t m, int64_t c, int64_t s, const int32_t* steps, int64_t qmin, int64_t qmax,
               const int32_t* acc, int32_t* y) {
    EACH y[i] = subbyte_requantize_corrected_s32(acc[i], (int32_t)m, c, (int)s, steps, (int32_t)qmin, (int32_t)qmax);
}

void count_steps(int64_t count, const int32_t* steps, int64_t n, const int32_t* acc, int32_t* y);
void count_steps(int64_t count, const int32_t* steps, int64_t n, const int32_t* acc, int32_t* y) {
    EACH y[i] = subbyte_count_steps_s32(acc[i], steps, (int32_t)n);
}

void emulated(int64_t count, const int64_t* acc, const int32_t* mantissa, const int32_t* s, const int32_t* zp,
              const int32_t* qmin, const int32_t* qmax, int32_t* y);
void emulated(int64_t count, const int64_t* acc, const int32_t* mantissa, const int32_t* s, const int32_t* zp,
              const int32_t* qmin, const int32_t* qmax, int32_t* y) {
    EACH y[i] = subbyte_requantize_emulated_s64(acc[i], mantissa[i], s[i], zp[i], qmin[i], qmax[i]);
}

void shift_rne(int64_t count, const int64_t* x, const int32_t* shift, int64_t* y);
void shift_rne(int64_t count, const int64_t* x, const int32_t* shift, int64_t* y) {
    EACH y[i] = subbyte_shift_rne_s64(x[i], shift[i]);
}

void isqrt_u64(int64_t count, const uint64_t* x, uint64_t* y);
void isqrt_u64(int64_t count, const uint64_t* x, uint64_t* y) { EACH y[i] = subbyte_isqrt_u64(x[i]); }

void inverse_root(int64_t count, const uint64_t* whole, const uint64_t* part, uint64_t* y);
void inverse_root(int64_t count, const uint64_t* whole, const uint64_t* part, uint64_t* y) {
    EACH {
        struct subbyte_root root = subbyte_inverse_root(whole[i], (uint32_t)part[i]);
        y[i] = root.inverse << 6 | (uint64_t)root.exponent;
    }
}

// Rows of codes less their zero point.
void normalize_rows(int64_t rows, int64_t count, int64_t centred, const int32_t* a, const int32_t* gain,
                    const int64_t* offset, int64_t whole, int64_t part, int64_t f, int64_t h, int64_t zp, int64_t qmin,
                    int64_t qmax, int32_t* y);
void normalize_rows(int64_t rows, int64_t count, int64_t centred, const int32_t* a, const int32_t* gain,
                    const int64_t* offset, int64_t whole, int64_t part, int64_t f, int64_t h, int64_t zp, int64_t qmin,
                    int64_t qmax, int32_t* y) {
    for (int64_t row = 0; row < rows; row++, a += count, y += count) {
        struct subbyte_root root = {0, 0};
        int64_t sum = 0, squares = 0, spread;
        EACH sum += a[i];
        EACH squares += (int64_t)a[i] * a[i];
        sum = centred ? sum : 0;
        spread = count * squares - sum * sum;
        if (spread) root = subbyte_inverse_root((uint64_t)(spread + whole), (uint32_t)part);
        EACH y[i] = subbyte_normalized_code(count * a[i] - sum, root, gain[i], offset[i], (int)f, (int)h, (int32_t)zp,
                                            (int32_t)qmin, (int32_t)qmax);
    }
}

void wide_softmax_rows(int64_t rows, int64_t count, const int32_t* q, const uint32_t* tables, int64_t m, int64_t k,
                       int64_t zp, int64_t qmin, int64_t qmax, int32_t* y);
void wide_softmax_rows(int64_t rows, int64_t count, const int32_t* q, const uint32_t* tables, int64_t m, int64_t k,
                       int64_t zp, int64_t qmin, int64_t qmax, int32_t* y) {
    for (int64_t row = 0; row < rows; row++, q += count, y += count) {
        int32_t largest = q[0];
        uint64_t total = 0;
        EACH largest = q[i] > largest ? q[i] : largest;
        EACH total += subbyte_exponential_q31(tables, largest - q[i]);
        EACH y[i] = subbyte_softmax_code(subbyte_exponential_q31(tables, largest - q[i]), total, (uint64_t)m, (int)k,
                                         (int32_t)zp, (int32_t)qmin, (int32_t)qmax);
    }
}

void pieces(int64_t count, const int32_t* u, const int32_t* segments, const int32_t* coefficients, int64_t zp,
            int64_t qmin, int64_t qmax, int32_t* y);
void pieces(int64_t count, const int32_t* u, const int32_t* segments, const int32_t* coefficients, int64_t zp,
            int64_t qmin, int64_t qmax, int32_t* y) {
    EACH y[i] = subbyte_piecewise_code(u[i], segments, coefficients, (int32_t)zp, (int32_t)qmin, (int32_t)qmax);
}
