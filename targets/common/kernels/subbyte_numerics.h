// The C twin of compiler/numerics (design.md section 4): the only C that rounds, saturates or requantizes for subbyte.
//
// Every result equals the NumPy definition bit for bit, whatever flags the user compiles with: a product that a later sum
// could swallow into an FMA passes a barrier, values are clamped in float before they become integers, and what would
// change the arithmetic beyond repair (fast-math, excess precision) is refused. The float environment is the default one:
// round to nearest even, no flush to zero. C99, GCC and clang with -Wall -Wextra -pedantic; MSVC by volatile.

#ifndef SUBBYTE_NUMERICS_H
#define SUBBYTE_NUMERICS_H

#include <stdint.h>
#include <string.h>

#include "subbyte_integer_functions.h"

#if defined(__FAST_MATH__) || defined(_M_FP_FAST)
#error "subbyte_numerics.h: -ffast-math (-Ofast, /fp:fast) changes results; compile without it"
#endif
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "subbyte_numerics.h: -ffinite-math-only drops the handling of NaN and infinity; compile without it"
#endif
#if defined(__RECIPROCAL_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "subbyte_numerics.h: -funsafe-math-optimizations changes results; compile without it and without its parts"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "subbyte_numerics.h: float expressions keep excess precision here (x87?); compile with -msse2 -mfpmath=sse"
#endif

// SUBBYTE_NUMERICS_PLAIN_C: do without instructions of the CPU for rounding and square roots; the results are the same.
#if defined(SUBBYTE_NUMERICS_PLAIN_C)
#elif defined(__SSE2__) || defined(_M_X64)
#define SUBBYTE_NUMERICS_SSE2 1
#include <emmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__)
#define SUBBYTE_NUMERICS_A64 1
#include <arm_neon.h>
#endif

// clang does not announce the parts of -funsafe-math-optimizations, but can be told to ignore them here.
#if defined(__clang__) && (defined(__x86_64__) || defined(__aarch64__))
#pragma float_control(precise, on, push)
#endif

// SUBBYTE_COMPARES_FLOATS: behind the brace of every function that compares floats in a loop. 32-bit NEON takes subnormals
// for zeros; clang, which leaves arithmetic to VFP for that, would have NEON compare (LLVM 22: loops without arithmetic).
#if defined(__clang__) && defined(__arm__)
#define SUBBYTE_COMPARES_FLOATS _Pragma("clang fp exceptions(maytrap)")
#else
#define SUBBYTE_COMPARES_FLOATS
#endif

// SUBBYTE_BARRIER_F32(v): the compiler must hold the float variable v as one rounded float32 here, and knows nothing of
// where it came from. Costs no instruction. Vector kernels use the form for their register type after each product.
#if defined(__GNUC__)
#if defined(__SSE__)
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+x"(v))
#define SUBBYTE_BARRIER_F64(v) __asm__("" : "+x"(v))
#define SUBBYTE_BARRIER_M128(v) __asm__("" : "+x"(v))
#define SUBBYTE_BARRIER_M256(v) __asm__("" : "+x"(v))
#define SUBBYTE_BARRIER_M512(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+w"(v))
#define SUBBYTE_BARRIER_F64(v) __asm__("" : "+w"(v))
#define SUBBYTE_BARRIER_NEON(v) __asm__("" : "+w"(v))
#elif defined(__arm__) && defined(__ARM_FP) && (__ARM_FP & 4)
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+t"(v))
#define SUBBYTE_BARRIER_NEON(v) __asm__("" : "+w"(v))
#elif defined(__riscv) && defined(__riscv_flen)
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+f"(v))
#else
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+m"(v))
#endif
#if !defined(SUBBYTE_BARRIER_F64)
#define SUBBYTE_BARRIER_F64(v) __asm__("" : "+m"(v))
#endif
#else
#define SUBBYTE_BARRIER_F32(v)             \
    do {                                   \
        volatile float subbyte_once = (v); \
        (v) = subbyte_once;                \
    } while (0)
#define SUBBYTE_BARRIER_F64(v)              \
    do {                                    \
        volatile double subbyte_once = (v); \
        (v) = subbyte_once;                 \
    } while (0)
#endif

// ---- float32 arithmetic, each operation rounded once -----------------------------------------------------------------

// x itself, rounded to float32 for good: no later operation is merged with the one that made it.
static inline float subbyte_round_f32(float x) {
    SUBBYTE_BARRIER_F32(x);
    return x;
}

static inline float subbyte_mul_f32(float a, float b) { return subbyte_round_f32(a * b); }
static inline float subbyte_add_f32(float a, float b) { return subbyte_round_f32(a + b); }
static inline float subbyte_sub_f32(float a, float b) { return subbyte_round_f32(a - b); }
static inline float subbyte_div_f32(float a, float b) { return subbyte_round_f32(a / b); }

static inline uint32_t subbyte_bits_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float subbyte_from_bits_f32(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// low where x is NaN or below it, high where x is above it; the order of the operands is that of minps and maxps.
static inline float subbyte_clamp_f32(float x, float low, float high) {
    x = x > low ? x : low;
    return x < high ? x : high;
}

static inline int32_t subbyte_clamp_s32(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

// The nearest integer, ties to even. Requires |x| <= 2^30.
static inline int32_t subbyte_rint_s32(float x) {
#if defined(SUBBYTE_NUMERICS_SSE2)
    return _mm_cvtss_si32(_mm_set_ss(x));
#elif defined(SUBBYTE_NUMERICS_A64)
    return vcvtns_s32_f32(x);
#else
    int32_t whole;
    float rest;
    SUBBYTE_BARRIER_F32(x);
    whole = (int32_t)x;
    rest = x - (float)whole;  // exact: both have the exponent of x or less
    if (rest > 0.5f || (rest == 0.5f && (whole & 1))) return whole + 1;
    if (rest < -0.5f || (rest == -0.5f && (whole & 1))) return whole - 1;
    return whole;
#endif
}

// ---- N1 and N2: codes and real numbers -------------------------------------------------------------------------------

// f32(f32(code - zero_point) * scale).
static inline float subbyte_dequantize(int32_t code_minus_zp, float scale) {
    return subbyte_mul_f32((float)code_minus_zp, scale);
}

// clamp(rne(steps) + zp, qmin, qmax), NaN to qmin. Requires |qmin - zp|, |qmax - zp| <= 2^24: codes of up to 16 bits.
static inline int32_t subbyte_round_to_code(float steps, int32_t zp, int32_t qmin, int32_t qmax) {
    return subbyte_rint_s32(subbyte_clamp_f32(steps, (float)(qmin - zp), (float)(qmax - zp))) + zp;
}

// clamp(rne(f32(x / scale)) + zp, qmin, qmax), NaN to qmin.
static inline int32_t subbyte_quantize_f32(float x, float scale, int32_t zp, int32_t qmin, int32_t qmax) {
    return subbyte_round_to_code(subbyte_div_f32(x, scale), zp, qmin, qmax);
}

// The rounding modes of compiler/numerics/rounding.py.
enum subbyte_rounding {
    SUBBYTE_HALF_EVEN = 0,
    SUBBYTE_CEIL = 1,
    SUBBYTE_FLOOR = 2,
    SUBBYTE_UP = 3,
    SUBBYTE_DOWN = 4,
    SUBBYTE_HALF_UP = 5,
    SUBBYTE_HALF_DOWN = 6,
    SUBBYTE_BIPOLAR = 7
};

// x rounded to an integer in the given mode, not SUBBYTE_BIPOLAR. Requires |x| <= 2^30.
static inline int32_t subbyte_round_s32(float x, int mode) {
    int32_t whole, away;
    float rest, part;
    if (mode == SUBBYTE_HALF_EVEN) return subbyte_rint_s32(x);
    SUBBYTE_BARRIER_F32(x);
    whole = (int32_t)x;  // toward zero
    rest = x - (float)whole;
    part = rest < 0.0f ? -rest : rest;
    away = x < 0.0f ? whole - 1 : whole + 1;
    switch (mode) {
        case SUBBYTE_CEIL:
            return rest > 0.0f ? whole + 1 : whole;
        case SUBBYTE_FLOOR:
            return rest < 0.0f ? whole - 1 : whole;
        case SUBBYTE_UP:
            return part > 0.0f ? away : whole;
        case SUBBYTE_HALF_UP:
            return part >= 0.5f ? away : whole;
        case SUBBYTE_HALF_DOWN:
            return part > 0.5f ? away : whole;
        default:
            return whole;
    }
}

// subbyte_quantize_f32 with a rounding mode, and with the zero point added before the rounding if so asked (QONNX).
// SUBBYTE_BIPOLAR takes the sign of x, not of x / scale: +1 from zero on, -1 below.
static inline int32_t subbyte_quantize_mode_f32(float x, float scale, int32_t zp, int32_t qmin, int32_t qmax, int mode,
                                                int zero_point_first) {
    float steps = mode == SUBBYTE_BIPOLAR ? x : subbyte_div_f32(x, scale);
    if (mode == SUBBYTE_BIPOLAR) {
        if (x != x) return qmin;
        if (zero_point_first) steps = subbyte_add_f32(steps, (float)zp);
        return subbyte_clamp_s32((steps < 0.0f ? -1 : 1) + (zero_point_first ? 0 : zp), qmin, qmax);
    }
    if (zero_point_first) {
        steps = subbyte_add_f32(steps, (float)zp);
        return subbyte_round_s32(subbyte_clamp_f32(steps, (float)qmin, (float)qmax), mode);
    }
    return subbyte_round_s32(subbyte_clamp_f32(steps, (float)(qmin - zp), (float)(qmax - zp)), mode) + zp;
}

// The float with the given IEEE binary16 bits, exactly; a NaN stays a NaN.
static inline float subbyte_f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
    if (exponent == 31u) return subbyte_from_bits_f32(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0u) {  // zero and subnormals: fraction * 2^-24 is exact
        float magnitude = (float)(int32_t)fraction * 0x1p-24f;
        return subbyte_from_bits_f32(sign | subbyte_bits_f32(magnitude));
    }
    return subbyte_from_bits_f32(sign | (exponent + 112u) << 23 | fraction << 13);
}

// The IEEE binary16 bits nearest to x, ties to even; overflow is infinity, NaN is a quiet NaN.
static inline uint16_t subbyte_f32_to_f16(float x) {
    uint32_t bits = subbyte_bits_f32(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu, drop, kept, rest,
             half;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00u);  // 2^16 and above
    if (magnitude < 0x33000000u) return (uint16_t)sign;               // below 2^-25
    if (magnitude < 0x38800000u) {                                    // subnormal halves: count 2^-24
        drop = 126u - (magnitude >> 23);
        magnitude = (magnitude & 0x7fffffu) | 0x800000u;
    } else {
        drop = 13u;
        magnitude -= 0x38000000u;
    }
    kept = magnitude >> drop;
    rest = magnitude & ((1u << drop) - 1u);
    half = 1u << (drop - 1u);
    kept += rest > half || (rest == half && (kept & 1u));
    return (uint16_t)(sign | kept);
}

// x toward zero, saturated to low .. high; NaN is 0.
static inline int64_t subbyte_truncate_f32(float x, int64_t low, int64_t high) {
    if (x != x) return 0;
    if (x <= (float)low) return low;
    if (x >= (float)high) return high;
    return (int64_t)x;
}

// ---- N4: exact sums to codes -----------------------------------------------------------------------------------------

// clamp(rne(f32(f32(acc) * multiplier)) + zp, qmin, qmax). Requires |qmin - zp|, |qmax - zp| <= 2^24.
static inline int32_t subbyte_requantize_s32(int32_t acc, float multiplier, int32_t zp, int32_t qmin, int32_t qmax) {
    return subbyte_round_to_code(subbyte_mul_f32((float)acc, multiplier), zp, qmin, qmax);
}

static inline int32_t subbyte_requantize_s64(int64_t acc, float multiplier, int32_t zp, int32_t qmin, int32_t qmax) {
    return subbyte_round_to_code(subbyte_mul_f32((float)acc, multiplier), zp, qmin, qmax);
}

// clamp(rne(f32(f32(f32(acc) * multiplier) + shift)) + zp, qmin, qmax): shift is a bias off the grid, in units of the output.
static inline int32_t subbyte_requantize_shift_s32(int32_t acc, float multiplier, float shift, int32_t zp, int32_t qmin,
                                                   int32_t qmax) {
    return subbyte_round_to_code(subbyte_add_f32(subbyte_mul_f32((float)acc, multiplier), shift), zp, qmin, qmax);
}

static inline int32_t subbyte_requantize_shift_s64(int64_t acc, float multiplier, float shift, int32_t zp, int32_t qmin,
                                                   int32_t qmax) {
    return subbyte_round_to_code(subbyte_add_f32(subbyte_mul_f32((float)acc, multiplier), shift), zp, qmin, qmax);
}

// ---- N5: integer forms of N4, where the compiler proved them equal (numerics/fixed_point.py, thresholds.py) -------------

// clamp(rne(acc * m / 2^s) + zp, qmin, qmax), half to even. Requires |acc * m| < 2^62 and s <= 62.
static inline int32_t subbyte_requantize_half_even_s32(int32_t acc, int32_t m, int s, int32_t zp, int32_t qmin,
                                                       int32_t qmax) {
    int64_t product = (int64_t)acc * m, whole = product >> s, rest = product - whole * ((int64_t)1 << s);
    int64_t half = ((int64_t)1 << s) >> 1;
    whole += s > 0 && (rest > half || (rest == half && (whole & 1)));
    whole = whole < -0x3fffffff ? -0x3fffffff : whole > 0x3fffffff ? 0x3fffffff : whole;
    return subbyte_clamp_s32((int32_t)whole + zp, qmin, qmax);
}

// v = clamp((acc * m + c) >> s, qmin, qmax), then one step up or down where the thresholds say so.
// steps: the accumulators at which the result becomes qmin + 1 .. qmax. Requires |acc * m| + |c| < 2^62.
static inline int32_t subbyte_requantize_corrected_s32(int32_t acc, int32_t m, int64_t c, int s, const int32_t* steps,
                                                       int32_t qmin, int32_t qmax) {
    int64_t guess = ((int64_t)acc * m + c) >> s;
    int32_t v = guess < qmin ? qmin : guess > qmax ? qmax : (int32_t)guess;
    if (v < qmax && acc >= steps[v - qmin]) return v + 1;
    if (v > qmin && acc < steps[v - qmin - 1]) return v - 1;
    return v;
}

// How many of the ascending steps acc has reached: N4 is qmin plus this, or qmax minus this for a negative multiplier.
static inline int32_t subbyte_count_steps_s32(int32_t acc, const int32_t* steps, int32_t count) {
    int32_t reached = 0, i;
    for (i = 0; i < count; i++) reached += acc >= steps[i];
    return reached;
}

// reached[i] = how many of its steps sums[i] has reached, for i < n: step k is steps[k], the same for all sums, where rows is
// 1, else steps[k * rows + i]. Eight sums at a time, so that compilers keep their counts in vectors.
#define SUBBYTE_COUNT_STEPS                                                                         \
    int32_t i, j, k;                                                                                \
    for (i = 0; i + 8 <= n; i += 8) {                                                               \
        int32_t counts[8] = {0, 0, 0, 0, 0, 0, 0, 0};                                               \
        if (rows == 1)                                                                              \
            for (k = 0; k < count; k++)                                                             \
                for (j = 0; j < 8; j++) counts[j] += sums[i + j] >= steps[k];                       \
        else                                                                                        \
            for (k = 0; k < count; k++)                                                             \
                for (j = 0; j < 8; j++) counts[j] += sums[i + j] >= steps[k * rows + i + j];        \
        for (j = 0; j < 8; j++) reached[i + j] = counts[j];                                         \
    }                                                                                               \
    for (; i < n; i++) {                                                                            \
        reached[i] = 0;                                                                             \
        for (k = 0; k < count; k++) reached[i] += sums[i] >= steps[k * rows + (rows == 1 ? 0 : i)]; \
    }

static inline void subbyte_count_steps_of_s16(int32_t* reached, const int32_t* sums, int32_t n, const int16_t* steps,
                                              int32_t rows, int32_t count) {
    SUBBYTE_COUNT_STEPS
}

static inline void subbyte_count_steps_of_s32(int32_t* reached, const int32_t* sums, int32_t n, const int32_t* steps,
                                              int32_t rows, int32_t count) {
    SUBBYTE_COUNT_STEPS
}
#undef SUBBYTE_COUNT_STEPS

// N4 for the multiplier mantissa / 2^s, its two float32 roundings done in integers: of f32(acc), and of the product, which
// turns what lies within half an ulp h of a tie into that tie. Requires 2^23 <= |mantissa| < 2^24.
static inline int32_t subbyte_requantize_emulated_s64(int64_t acc, int32_t mantissa, int s, int32_t zp, int32_t qmin,
                                                      int32_t qmax) {
    uint64_t a = acc < 0 ? 0u - (uint64_t)acc : (uint64_t)acc, p, h = 0, top;
    int32_t rounded;
    int drop = 0;
    while (a >> drop >= 0x1000000u) drop++;
    if (drop) a = (a + ((uint64_t)1 << (drop - 1)) - 1u + (a >> drop & 1u)) >> drop;
    p = a * (uint64_t)(mantissa < 0 ? -mantissa : mantissa);
    s -= drop;
    if (p == 0 || s > 62) {
        rounded = 0;
    } else if (s < 1) {
        rounded = 0x3fffffff;
    } else {
        for (top = p; top >= 0x1000000u; top >>= 1) h = h ? h << 1 : 1u;
        p = (p + ((uint64_t)1 << (s - 1)) + (p >> s & 1u ? h : ~h)) >> s;
        rounded = p < 0x3fffffffu ? (int32_t)p : 0x3fffffff;
    }
    return subbyte_clamp_s32(((acc < 0) != (mantissa < 0) ? -rounded : rounded) + zp, qmin, qmax);
}

// ---- N6: averages ----------------------------------------------------------------------------------------------------

// f32(f32(f32(total) * scale) / count): the real mean of `count` codes whose centred sum is total.
static inline float subbyte_average(int32_t total, float scale, int32_t count) {
    return subbyte_div_f32(subbyte_mul_f32((float)total, scale), (float)count);
}

// f32(f32((1 - weight) * low) + f32(weight * high)); the weights come from the compiler (numerics/resize.py).
static inline float subbyte_lerp_f32(float low, float high, float weight) {
    float rest = subbyte_sub_f32(1.0f, weight);
    return subbyte_add_f32(subbyte_mul_f32(rest, low), subbyte_mul_f32(weight, high));
}

// ---- N7: softmax in integers -------------------------------------------------------------------

// The integer nearest to numerator / denominator, ties to even. Requires denominator > 0.
static inline uint64_t subbyte_div_rne_u64(uint64_t numerator, uint64_t denominator) {
    uint64_t whole = numerator / denominator, rest = numerator - whole * denominator, other = denominator - rest;
    return whole + (rest > other || (rest == other && (whole & 1u)));
}

// clamp(rne(entry * m / (total << k)) + zp, qmin, qmax): the code of one probability, m / 2^k = 1 / output scale.
// entry <= 2^31 from the table of the compiler (numerics/softmax.py), total the sum of the row's entries, m <= 2^32,
// 1 <= k <= 61.
static inline int32_t subbyte_softmax_code(uint32_t entry, uint64_t total, uint64_t m, int k, int32_t zp, int32_t qmin,
                                           int32_t qmax) {
    uint64_t product = (uint64_t)entry * m, upper = product >> (k - 1), halves = upper / total, whole = halves >> 1;
    int sticky = halves * total != upper || (product & (((uint64_t)1 << (k - 1)) - 1u)) != 0;
    whole += (halves & 1u) && (sticky || (whole & 1u));
    return subbyte_clamp_s32((int32_t)(whole < 0x3fffffffu ? whole : 0x3fffffffu) + zp, qmin, qmax);
}

// ---- N8: float islands; the definitions are compiler/numerics/float32.py and unary.py, step by step ----------------

static inline float subbyte_abs_f32(float x) { return subbyte_from_bits_f32(subbyte_bits_f32(x) & 0x7fffffffu); }
static inline float subbyte_neg_f32(float x) { return subbyte_from_bits_f32(subbyte_bits_f32(x) ^ 0x80000000u); }

// The magnitude of x with the sign of y.
static inline float subbyte_copysign_f32(float x, float y) {
    return subbyte_from_bits_f32((subbyte_bits_f32(x) & 0x7fffffffu) | (subbyte_bits_f32(y) & 0x80000000u));
}

static inline float subbyte_nan_f32(void) { return subbyte_from_bits_f32(0x7fc00000u); }
static inline float subbyte_infinity_f32(void) { return subbyte_from_bits_f32(0x7f800000u); }

// 2^n. Requires -126 <= n <= 127.
static inline float subbyte_exp2i_f32(int32_t n) { return subbyte_from_bits_f32((uint32_t)(n + 127) << 23); }

// NaN where either is; the first of two equal operands.
static inline float subbyte_min_f32(float a, float b) { return a != a || a <= b ? a : b; }
static inline float subbyte_max_f32(float a, float b) { return a != a || a >= b ? a : b; }

// x rounded to a whole number as `mode` says; the sign of x stays, NaN and infinities too.
static inline float subbyte_round_to_whole_f32(float x, int mode) {
    if (!(subbyte_abs_f32(x) < 8388608.0f)) return x;
    return subbyte_copysign_f32((float)subbyte_round_s32(x, mode), x);
}

static inline float subbyte_floor_f32(float x) { return subbyte_round_to_whole_f32(x, SUBBYTE_FLOOR); }
static inline float subbyte_ceil_f32(float x) { return subbyte_round_to_whole_f32(x, SUBBYTE_CEIL); }
static inline float subbyte_rint_f32(float x) { return subbyte_round_to_whole_f32(x, SUBBYTE_HALF_EVEN); }

// The correctly rounded square root; NaN below zero.
static inline float subbyte_sqrt_f32(float x) {
#if defined(SUBBYTE_NUMERICS_SSE2)
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
#elif defined(SUBBYTE_NUMERICS_A64)
    float y;
    __asm__("fsqrt %s0, %s1" : "=w"(y) : "w"(x));
    return y;
#else
    uint32_t bits = subbyte_bits_f32(x), root = 0, bit = 1u << 24;
    uint64_t rest;
    int32_t exponent;
    if (x != x || x == 0.0f || bits == 0x7f800000u) return x;
    if (bits >> 31) return subbyte_nan_f32();
    exponent = (int32_t)(bits >> 23);
    bits &= 0x7fffffu;
    if (exponent == 0) {
        for (exponent = 1; !(bits >> 23); exponent--) bits <<= 1;
    } else {
        bits |= 0x800000u;
    }
    exponent -= 150;  // x = bits * 2^exponent
    rest = (uint64_t)bits << (exponent & 1 ? 25 : 26);
    exponent = (exponent - (exponent & 1 ? 25 : 26)) / 2;  // x = rest * 2^(2 * exponent), 2^48 <= rest < 2^50
    for (; bit; bit >>= 1) {
        uint64_t trial = (uint64_t)(root | bit) * (root | bit);
        if (trial <= rest) root |= bit;
    }
    // root has 25 bits and one of them rounds; it is never exactly a tie.
    return subbyte_mul_f32((float)(int32_t)((root + 1u) >> 1), subbyte_exp2i_f32(exponent + 1));
#endif
}

static inline float subbyte_rsqrt_f32(float x) { return subbyte_div_f32(1.0f, subbyte_sqrt_f32(x)); }
static inline float subbyte_reciprocal_f32(float x) { return subbyte_div_f32(1.0f, x); }

// e^r - 1 for |r| <= 0.3473.
static inline float subbyte_expm1_core_f32(float r) {
    float p = 0x1.6a4154p-10f;
    p = subbyte_add_f32(subbyte_mul_f32(p, r), 0x1.1239c6p-7f);
    p = subbyte_add_f32(subbyte_mul_f32(p, r), 0x1.5558bcp-5f);
    p = subbyte_add_f32(subbyte_mul_f32(p, r), 0x1.555492p-3f);
    p = subbyte_add_f32(subbyte_mul_f32(p, r), 0x1.fffffcp-2f);
    return subbyte_add_f32(subbyte_mul_f32(subbyte_mul_f32(r, r), p), r);
}

// e^x within 1 ulp.
static inline float subbyte_exp_f32(float x) {
    float clamped = subbyte_clamp_f32(x, -104.0f, 89.0f), r;
    int32_t n = subbyte_rint_s32(subbyte_mul_f32(clamped, 0x1.715476p+0f)), half = n >> 1;
    if (x != x) return x;
    r = subbyte_sub_f32(clamped, subbyte_mul_f32((float)n, 0x1.62e4p-1f));  // both exact
    r = subbyte_sub_f32(r, subbyte_mul_f32((float)n, 0x1.7f7d1cp-20f));
    r = subbyte_add_f32(subbyte_expm1_core_f32(r), 1.0f);
    return subbyte_mul_f32(subbyte_mul_f32(r, subbyte_exp2i_f32(half)), subbyte_exp2i_f32(n - half));
}

// e^x - 1 within 3.4 ulp.
static inline float subbyte_expm1_f32(float x) {
    if (subbyte_abs_f32(x) < 0.34375f) return subbyte_expm1_core_f32(x);
    return subbyte_sub_f32(subbyte_exp_f32(x), 1.0f);
}

// ln(x) within 0.9 ulp; -infinity at zero, NaN below.
static inline float subbyte_log_f32(float x) {
    uint32_t bits;
    float e = 0.0f, f, s, z, r, square;
    if (x != x || x == subbyte_infinity_f32()) return x;
    if (x == 0.0f) return -subbyte_infinity_f32();
    if (x < 0.0f) return subbyte_nan_f32();
    if (x < 0x1p-126f) {
        x = subbyte_mul_f32(x, 0x1p+25f);
        e = -25.0f;
    }
    bits = subbyte_bits_f32(x) - 0x3f3504f3u;  // of sqrt(1/2): the fraction lies in [sqrt(1/2), sqrt(2))
    e = subbyte_add_f32(e, (float)((int32_t)bits >> 23));
    f = subbyte_sub_f32(subbyte_from_bits_f32((bits & 0x7fffffu) + 0x3f3504f3u), 1.0f);
    s = subbyte_div_f32(f, subbyte_add_f32(f, 2.0f));
    z = subbyte_mul_f32(s, s);
    r = subbyte_add_f32(subbyte_mul_f32(z, 0x1.32d56ap-2f), 0x1.99541cp-2f);
    r = subbyte_add_f32(subbyte_mul_f32(z, r), 0x1.555588p-1f);
    r = subbyte_mul_f32(z, r);
    square = subbyte_mul_f32(subbyte_mul_f32(f, 0.5f), f);
    r = subbyte_mul_f32(s, subbyte_add_f32(square, r));
    r = subbyte_add_f32(r, subbyte_mul_f32(e, 0x1.7f7d1cp-20f));
    r = subbyte_sub_f32(subbyte_sub_f32(square, r), f);
    return subbyte_sub_f32(subbyte_mul_f32(e, 0x1.62e4p-1f), r);
}

// ln(1 + x) for x >= 0 within 2.5 ulp.
static inline float subbyte_log1p_f32(float x) {
    float sum = subbyte_add_f32(x, 1.0f);
    if (sum == 1.0f || !(x < 16777216.0f)) return sum == 1.0f ? x : subbyte_log_f32(sum);
    return subbyte_div_f32(subbyte_mul_f32(subbyte_log_f32(sum), x), subbyte_sub_f32(sum, 1.0f));
}

// erf(x) within 1.2 ulp.
static inline float subbyte_erf_f32(float x) {
    float t = subbyte_abs_f32(x), z, p;
    if (t < 0.921875f) {
        z = subbyte_mul_f32(x, x);
        p = 0x1.4f4088p-14f;
        p = subbyte_add_f32(subbyte_mul_f32(p, z), -0x1.a60296p-11f);
        p = subbyte_add_f32(subbyte_mul_f32(p, z), 0x1.5449a6p-8f);
        p = subbyte_add_f32(subbyte_mul_f32(p, z), -0x1.b80116p-6f);
        p = subbyte_add_f32(subbyte_mul_f32(p, z), 0x1.ce2d64p-4f);
        p = subbyte_add_f32(subbyte_mul_f32(p, z), -0x1.812740p-2f);
        p = subbyte_add_f32(subbyte_mul_f32(p, z), 0x1.06eba8p-3f);
        return subbyte_add_f32(subbyte_mul_f32(p, x), x);
    }
    if (x != x) return x;
    t = subbyte_clamp_f32(t, 0.0f, 4.0f);
    p = 0x1.7a1280p-17f;
    p = subbyte_add_f32(subbyte_mul_f32(p, t), -0x1.52dc3ap-12f);
    p = subbyte_add_f32(subbyte_mul_f32(p, t), 0x1.dd9d12p-9f);
    p = subbyte_add_f32(subbyte_mul_f32(p, t), -0x1.855dfcp-6f);
    p = subbyte_add_f32(subbyte_mul_f32(p, t), 0x1.b32914p-4f);
    p = subbyte_add_f32(subbyte_mul_f32(p, t), 0x1.453248p-1f);
    p = subbyte_add_f32(subbyte_mul_f32(p, t), 0x1.20ef24p+0f);
    p = subbyte_sub_f32(1.0f, subbyte_exp_f32(subbyte_neg_f32(subbyte_mul_f32(p, t))));
    return subbyte_copysign_f32(p, x);
}

// tanh(x) within 1.5 ulp.
static inline float subbyte_tanh_f32(float x) {
    float t = subbyte_abs_f32(x), z, p;
    if (t < 0.55f) {
        z = subbyte_mul_f32(x, x);
        p = -0x1.9957c8p-8f;
        p = subbyte_add_f32(subbyte_mul_f32(p, z), 0x1.58ec9cp-6f);
        p = subbyte_add_f32(subbyte_mul_f32(p, z), -0x1.b91f22p-5f);
        p = subbyte_add_f32(subbyte_mul_f32(p, z), 0x1.110cf0p-3f);
        p = subbyte_add_f32(subbyte_mul_f32(p, z), -0x1.55554ap-2f);
        return subbyte_add_f32(subbyte_mul_f32(subbyte_mul_f32(p, z), x), x);
    }
    p = subbyte_add_f32(subbyte_exp_f32(subbyte_add_f32(t, t)), 1.0f);
    return subbyte_copysign_f32(subbyte_sub_f32(1.0f, subbyte_div_f32(2.0f, p)), x);
}

// 1 / (1 + e^-x) within 2.5 ulp.
static inline float subbyte_sigmoid_f32(float x) {
    float e = subbyte_exp_f32(subbyte_neg_f32(subbyte_abs_f32(x))), sum = subbyte_add_f32(e, 1.0f);
    return subbyte_div_f32(x < 0.0f ? e : 1.0f, sum);
}

static inline double subbyte_round_f64(double x) {
    SUBBYTE_BARRIER_F64(x);
    return x;
}

// log2(a) to about 2^-45. Requires a positive and finite.
static inline double subbyte_log2_f64(float a) {
    double fraction = (double)a, f, s, z, series = 1.0 / 19.0;
    int32_t exponent, k;
    uint64_t bits;
    memcpy(&bits, &fraction, sizeof bits);
    exponent = (int32_t)(bits >> 52) - 1022;
    bits = (bits & 0xfffffffffffffu) | (uint64_t)1022 << 52;
    memcpy(&fraction, &bits, sizeof fraction);  // in [1/2, 1)
    if (fraction < 0.7071067811865476) {
        fraction = fraction + fraction;
        exponent -= 1;
    }
    f = fraction - 1.0;
    s = f / (f + 2.0);
    z = subbyte_round_f64(s * s);
    for (k = 17; k > 0; k -= 2) series = subbyte_round_f64(series * z) + 1.0 / (double)k;
    return (double)exponent + subbyte_round_f64(subbyte_round_f64(s * series) * 2.8853900817779268);
}

// 2^p to about 2^-45, rounded to float32. Requires -160 <= p <= 130.
static inline float subbyte_exp2_f64(double p) {
    static const double reciprocals[12] = {
        1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0,
        1.0 / 720.0,       1.0 / 120.0,      1.0 / 24.0,      1.0 / 6.0,      0.5,           1.0,
    };
    int32_t n = (int32_t)p, k;
    double r = p - (double)n, series = reciprocals[0], scale;
    uint64_t bits;
    if (r > 0.5 || (r == 0.5 && (n & 1))) n += 1;
    if (r < -0.5 || (r == -0.5 && (n & 1))) n -= 1;
    r = subbyte_round_f64((p - (double)n) * 0.6931471805599453);
    for (k = 1; k < 12; k++) series = subbyte_round_f64(series * r) + reciprocals[k];
    bits = (uint64_t)(n + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return (float)((subbyte_round_f64(series * r) + 1.0) * scale);
}

// x^y within 0.51 ulp, with the special values of IEEE 754 pow.
static inline float subbyte_pow_f32(float x, float y) {
    float a = subbyte_abs_f32(x), b = subbyte_abs_f32(y), magnitude;
    double logarithm, product;
    int whole, odd;
    if (y == 0.0f || x == 1.0f) return 1.0f;
    if (x != x || y != y) return subbyte_nan_f32();
    if (y == 2.0f) return subbyte_mul_f32(x, x);
    whole = b >= 16777216.0f || (float)(int32_t)b == b;
    odd = b < 16777216.0f && whole && ((int32_t)b & 1);
    if (x < 0.0f && !whole && a < subbyte_infinity_f32()) return subbyte_nan_f32();
    if (a > 0.0f && a < subbyte_infinity_f32()) {
        logarithm = subbyte_log2_f64(a);
        product = logarithm == 0.0 ? 0.0 : subbyte_round_f64((double)y * logarithm);
    } else {
        product = (a > 0.0f) == (y > 0.0f) ? 200.0 : -200.0;
    }
    product = product > -160.0 ? product : -160.0;
    magnitude = subbyte_exp2_f64(product < 130.0 ? product : 130.0);
    return odd ? subbyte_copysign_f32(magnitude, x) : magnitude;
}

// ONNX's elementwise functions.

static inline float subbyte_relu_f32(float x) { return x < 0.0f ? 0.0f : x; }
static inline float subbyte_leaky_relu_f32(float x, float alpha) { return x < 0.0f ? subbyte_mul_f32(alpha, x) : x; }
static inline float subbyte_thresholded_relu_f32(float x, float alpha) { return x > alpha ? x : 0.0f; }
static inline float subbyte_sign_f32(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }

static inline float subbyte_clip_f32(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

static inline float subbyte_hard_sigmoid_f32(float x, float alpha, float beta) {
    return subbyte_clip_f32(subbyte_add_f32(subbyte_mul_f32(alpha, x), beta), 0.0f, 1.0f);
}

static inline float subbyte_hard_swish_f32(float x) {
    return subbyte_mul_f32(x, subbyte_hard_sigmoid_f32(x, 0x1.555556p-3f, 0.5f));
}

static inline float subbyte_gelu_f32(float x) {
    float inner = subbyte_add_f32(subbyte_erf_f32(subbyte_mul_f32(x, 0x1.6a09e6p-1f)), 1.0f);
    return subbyte_mul_f32(subbyte_mul_f32(x, 0.5f), inner);
}

static inline float subbyte_gelu_tanh_f32(float x) {
    float cube = subbyte_mul_f32(subbyte_mul_f32(subbyte_mul_f32(0.044715f, x), x), x);
    float inner = subbyte_mul_f32(subbyte_add_f32(cube, x), 0x1.988454p-1f);
    return subbyte_mul_f32(subbyte_mul_f32(x, 0.5f), subbyte_add_f32(subbyte_tanh_f32(inner), 1.0f));
}

static inline float subbyte_softplus_f32(float x) {
    float e = subbyte_exp_f32(subbyte_neg_f32(subbyte_abs_f32(x)));
    return subbyte_add_f32(subbyte_relu_f32(x), subbyte_log1p_f32(e));
}

static inline float subbyte_softsign_f32(float x) {
    return subbyte_div_f32(x, subbyte_add_f32(subbyte_abs_f32(x), 1.0f));
}

static inline float subbyte_elu_f32(float x, float alpha) {
    return x > 0.0f ? x : subbyte_mul_f32(alpha, subbyte_expm1_f32(x));
}

static inline float subbyte_selu_f32(float x, float alpha, float gamma) {
    return subbyte_mul_f32(gamma, subbyte_elu_f32(x, alpha));
}

static inline float subbyte_celu_f32(float x, float alpha) {
    return x > 0.0f ? x : subbyte_mul_f32(alpha, subbyte_expm1_f32(subbyte_div_f32(x, alpha)));
}

static inline float subbyte_mish_f32(float x) { return subbyte_mul_f32(x, subbyte_tanh_f32(subbyte_softplus_f32(x))); }

// Sums in the tree of 8 lanes: lane l begins at +0.0f and adds the elements l, l + 8, l + 16, ... in this order.

// ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7)).
static inline float subbyte_tree_sum_f32(const float lanes[8]) {
    float even = subbyte_add_f32(subbyte_add_f32(lanes[0], lanes[4]), subbyte_add_f32(lanes[2], lanes[6]));
    float odd = subbyte_add_f32(subbyte_add_f32(lanes[1], lanes[5]), subbyte_add_f32(lanes[3], lanes[7]));
    return subbyte_add_f32(even, odd);
}

// The sum of x[0], x[stride], ... x[(count - 1) * stride].
static inline float subbyte_sum_f32(const float* x, int64_t count, int64_t stride) {
    float lanes[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    int64_t k;
    for (k = 0; k < count; k++) lanes[k & 7] = subbyte_add_f32(lanes[k & 7], x[k * stride]);
    return subbyte_tree_sum_f32(lanes);
}

// The sum of the products a[k * a_stride] * b[k * b_stride].
static inline float subbyte_dot_f32(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t count) {
    float lanes[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    int64_t k;
    for (k = 0; k < count; k++) {
        lanes[k & 7] = subbyte_add_f32(lanes[k & 7], subbyte_mul_f32(a[k * a_stride], b[k * b_stride]));
    }
    return subbyte_tree_sum_f32(lanes);
}

#if defined(__clang__) && (defined(__x86_64__) || defined(__aarch64__))
#pragma float_control(pop)
#endif

#endif  // SUBBYTE_NUMERICS_H
