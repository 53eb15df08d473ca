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

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// clang does not announce the parts of -funsafe-math-optimizations, but can be told to ignore them here.
#if defined(__clang__) && (defined(__x86_64__) || defined(__aarch64__))
#pragma float_control(precise, on, push)
#endif

// SUBBYTE_BARRIER_F32(v): the compiler must hold the float variable v as one rounded float32 here, and knows nothing of
// where it came from. Costs no instruction. Vector kernels use the form for their register type after each product.
#if defined(__GNUC__)
#if defined(__SSE__)
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+x"(v))
#define SUBBYTE_BARRIER_M128(v) __asm__("" : "+x"(v))
#define SUBBYTE_BARRIER_M256(v) __asm__("" : "+x"(v))
#define SUBBYTE_BARRIER_M512(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+w"(v))
#define SUBBYTE_BARRIER_NEON(v) __asm__("" : "+w"(v))
#elif defined(__arm__) && defined(__ARM_FP) && (__ARM_FP & 4)
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+t"(v))
#define SUBBYTE_BARRIER_NEON(v) __asm__("" : "+w"(v))
#elif defined(__riscv) && defined(__riscv_flen)
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+f"(v))
#else
#define SUBBYTE_BARRIER_F32(v) __asm__("" : "+m"(v))
#endif
#else
#define SUBBYTE_BARRIER_F32(v)             \
    do {                                   \
        volatile float subbyte_once = (v); \
        (v) = subbyte_once;                \
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
#if defined(__SSE2__) || defined(_M_X64)
    return _mm_cvtss_si32(_mm_set_ss(x));
#elif defined(__aarch64__) && defined(__ARM_NEON)
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
    SUBBYTE_HALF_DOWN = 6
};

// x rounded to an integer in the given mode. Requires |x| <= 2^30.
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
static inline int32_t subbyte_quantize_mode_f32(float x, float scale, int32_t zp, int32_t qmin, int32_t qmax, int mode,
                                                int zero_point_first) {
    float steps = subbyte_div_f32(x, scale);
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

// ---- N6: averages ----------------------------------------------------------------------------------------------------

// f32(f32(f32(total) * scale) / count): the real mean of `count` codes whose centred sum is total.
static inline float subbyte_average(int32_t total, float scale, int32_t count) {
    return subbyte_div_f32(subbyte_mul_f32((float)total, scale), (float)count);
}

#if defined(__clang__) && (defined(__x86_64__) || defined(__aarch64__))
#pragma float_control(pop)
#endif

#endif  // SUBBYTE_NUMERICS_H
