"""Elementary functions in float32 (N8): each line is one float32 operation, rounded once, so that C repeats it exactly.

No libm and no FMA: the polynomials are minimax fits whose coefficients were rounded to float32 one after the other. The
errors stated were measured over all arguments of magnitude 2**-16 to 128 and a sample of the others, in units of the
result's last place (of 2**-149 for subnormal results).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.numerics.arrays import Floats

ONE, TWO, HALF = np.float32(1), np.float32(2), np.float32(0.5)
INFINITY, NAN = np.float32(np.inf), np.float32(np.nan)


def constant(hexadecimal: str) -> np.float32:
    """The float32 written in C's hexadecimal notation."""
    return np.float32(float.fromhex(hexadecimal))


LN2_HIGH, LN2_LOW = constant("0x1.62e4p-1"), constant("0x1.7f7d1cp-20")  # n * LN2_HIGH is exact for |n| < 512
LOG2_E = constant("0x1.715476p+0")
EXPM1 = tuple(map(constant, ("0x1.6a4154p-10", "0x1.1239c6p-7", "0x1.5558bcp-5", "0x1.555492p-3", "0x1.fffffcp-2")))
LOG = tuple(map(constant, ("0x1.32d56ap-2", "0x1.99541cp-2", "0x1.555588p-1")))
TANH = tuple(map(constant, ("-0x1.9957c8p-8", "0x1.58ec9cp-6", "-0x1.b91f22p-5", "0x1.110cf0p-3", "-0x1.55554ap-2")))
ERF_INNER = tuple(
    map(
        constant,
        (
            "0x1.4f4088p-14",
            "-0x1.a60296p-11",
            "0x1.5449a6p-8",
            "-0x1.b80116p-6",
            "0x1.ce2d64p-4",
            "-0x1.812740p-2",
            "0x1.06eba8p-3",
        ),
    )
)
ERF_OUTER = tuple(
    map(
        constant,
        (
            "0x1.7a1280p-17",
            "-0x1.52dc3ap-12",
            "0x1.dd9d12p-9",
            "-0x1.855dfcp-6",
            "0x1.b32914p-4",
            "0x1.453248p-1",
            "0x1.20ef24p+0",
        ),
    )
)


def floats(x: Any) -> Floats:
    """x as a float32 array."""
    return np.asarray(x, np.float32)


def _polynomial(coefficients: tuple[np.float32, ...], x: Floats) -> Any:
    """Horner's rule from the highest power down, two roundings a step."""
    value: Any = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _power_of_two(n: Any) -> Any:
    """2**n for -126 <= n <= 127."""
    return ((np.asarray(n, np.int32) + np.int32(127)) << np.int32(23)).view(np.float32)


def clamp(x: Any, low: Any, high: Any) -> Floats:
    """low where x is NaN or below it, high where x is above it."""
    x = floats(x)
    x = np.where(x > low, x, np.float32(low))
    return floats(np.where(x < high, x, np.float32(high)))


def minimum(a: Any, b: Any) -> Floats:
    """The smaller one; NaN where either is; the first of two equal ones."""
    a, b = floats(a), floats(b)
    return floats(np.where(np.isnan(a) | (a <= b), a, b))


def maximum(a: Any, b: Any) -> Floats:
    """The larger one; NaN where either is; the first of two equal ones."""
    a, b = floats(a), floats(b)
    return floats(np.where(np.isnan(a) | (a >= b), a, b))


@np.errstate(all="ignore")
def sqrt(x: Any) -> Floats:
    """The correctly rounded square root; NaN below zero, -0.0 at -0.0."""
    return floats(np.sqrt(floats(x)))


@np.errstate(all="ignore")
def reciprocal(x: Any) -> Floats:
    """f32(1 / x)."""
    return floats(ONE / floats(x))


@np.errstate(all="ignore")
def rsqrt(x: Any) -> Floats:
    """f32(1 / f32(sqrt(x))), within 1.5 ulp."""
    return floats(ONE / np.sqrt(floats(x)))


def _expm1_core(r: Floats) -> Floats:
    """e**r - 1 for |r| <= 0.3473: r + r**2 * P(r)."""
    return floats(r * r * _polynomial(EXPM1, r) + r)


@np.errstate(all="ignore")
def exp(x: Any) -> Floats:
    """e**x within 1 ulp: x = n * ln 2 + r, with ln 2 in two parts; subnormal results are rounded once."""
    x = floats(x)
    clamped = clamp(x, -104.0, 89.0)
    n = np.rint(clamped * LOG2_E)
    r = clamped - n * LN2_HIGH
    r = r - n * LN2_LOW
    exponent = n.astype(np.int32)
    half = exponent >> 1
    value = (_expm1_core(r) + ONE) * _power_of_two(half) * _power_of_two(exponent - half)
    return floats(np.where(np.isnan(x), x, value))


@np.errstate(all="ignore")
def expm1(x: Any) -> Floats:
    """e**x - 1 within 3.4 ulp."""
    x = floats(x)
    return floats(np.where(np.abs(x) < np.float32(0.34375), _expm1_core(x), exp(x) - ONE))


@np.errstate(all="ignore")
def log(x: Any) -> Floats:
    """ln(x) within 0.9 ulp; -infinity at zero, NaN below.

    x = 2**e * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), s = f / (2 + f), ln(1 + f) = 2 * atanh(s).
    """
    x = floats(x)
    subnormal = x < constant("0x1p-126")
    bits = np.asarray(np.where(subnormal, x * constant("0x1p+25"), x)).view(np.int32) - np.int32(0x3F3504F3)
    e = np.where(subnormal, np.float32(-25), np.float32(0)) + (bits >> np.int32(23)).astype(np.float32)
    f = ((bits & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3)).view(np.float32) - ONE
    s = f / (f + TWO)
    z = s * s
    series = z * _polynomial(LOG, z)
    square = f * HALF * f
    small = s * (square + series) + e * LN2_LOW
    value = e * LN2_HIGH - (square - small - f)
    value = np.where(x == 0, -INFINITY, np.where(x < 0, NAN, value))
    return floats(np.where(np.isnan(x) | (x == INFINITY), x, value))


@np.errstate(all="ignore")
def log1p(x: Any) -> Floats:
    """ln(1 + x) for x >= 0 within 2.5 ulp."""
    x = floats(x)
    total = x + ONE
    logarithm = log(total)
    corrected = logarithm * x / (total - ONE)
    return floats(np.where(total == ONE, x, np.where(x < np.float32(2**24), corrected, logarithm)))


@np.errstate(all="ignore")
def erf(x: Any) -> Floats:
    """erf(x) within 1.2 ulp: x + x * P(x**2) below 0.921875, 1 - exp(-|x| * Q(|x|)) above."""
    x = floats(x)
    inner = _polynomial(ERF_INNER, x * x) * x + x
    t = clamp(np.abs(x), 0.0, 4.0)
    outer = np.copysign(ONE - exp(-(_polynomial(ERF_OUTER, t) * t)), x)
    return floats(np.where(np.isnan(x), x, np.where(np.abs(x) < np.float32(0.921875), inner, outer)))


@np.errstate(all="ignore")
def tanh(x: Any) -> Floats:
    """tanh(x) within 1.5 ulp: x + x**3 * P(x**2) below 0.55, 1 - 2 / (1 + exp(2 * |x|)) above."""
    x = floats(x)
    t = np.abs(x)
    z = x * x
    inner = _polynomial(TANH, z) * z * x + x
    outer = np.copysign(ONE - TWO / (exp(t + t) + ONE), x)
    return floats(np.where(t < np.float32(0.55), inner, outer))


@np.errstate(all="ignore")
def sigmoid(x: Any) -> Floats:
    """1 / (1 + exp(-x)) within 2.5 ulp, from e = exp(-|x|): 1 / (1 + e), or e / (1 + e) for a negative x."""
    x = floats(x)
    e = exp(-np.abs(x))
    return floats(np.where(x < 0, e, ONE) / (e + ONE))


def _log2_f64(a: Any) -> Any:
    """log2 of a positive finite float32, in float64 steps, to about 2**-45."""
    fraction, exponent = np.frexp(a.astype(np.float64))  # in [1/2, 1)
    low = fraction < 0.7071067811865476
    f = np.where(low, fraction + fraction, fraction) - 1.0
    s = f / (f + 2.0)
    z = s * s
    series: Any = 1.0 / 19.0
    for k in range(17, 0, -2):
        series = series * z + 1.0 / k
    return np.where(low, exponent - 1, exponent).astype(np.float64) + s * series * 2.8853900817779268  # 2 / ln 2


def _exp2_f64(p: Any) -> Any:
    """2**p for -160 <= p <= 130, in float64 steps, to about 2**-45."""
    n = np.rint(p)
    r = (p - n) * 0.6931471805599453
    series: Any = 1.0 / 479001600.0
    for reciprocal_factorial in (39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0):
        series = series * r + 1.0 / reciprocal_factorial
    return np.ldexp(series * r + 1.0, n.astype(np.int32))


@np.errstate(all="ignore")
def power(x: Any, y: Any) -> Floats:
    """x ** y: 2 ** (y * log2 |x|) in float64 steps, rounded once to float32 (within 0.51 ulp); f32(x * x) for y = 2.

    Special values are those of IEEE 754 pow: 1 at y = 0 and at x = 1, NaN for a negative x and a y that is not whole.
    """
    x, y = np.broadcast_arrays(floats(x), floats(y))
    a = np.abs(x)
    ordinary = (a > 0) & (a < INFINITY)
    logarithm = np.where(ordinary, _log2_f64(np.where(ordinary, a, ONE)), np.where(a == 0, -np.inf, np.inf))
    product = np.where(logarithm == 0, 0.0, y.astype(np.float64) * logarithm)
    product = np.where(product > -160.0, product, -160.0)
    magnitude = _exp2_f64(np.where(product < 130.0, product, 130.0)).astype(np.float32)
    whole = (a == INFINITY) | (np.abs(y) >= np.float32(2**24)) | (np.trunc(y) == y)
    odd = (np.abs(y) < np.float32(2**24)) & (np.abs(np.fmod(y, TWO)) == ONE)
    value = np.where(odd, np.copysign(magnitude, x), magnitude)
    value = np.where((x < 0) & ~whole, NAN, value)
    value = np.where(y == TWO, x * x, value)
    value = np.where(np.isnan(x) | np.isnan(y), NAN, value)
    return floats(np.where((y == 0) | (x == ONE), ONE, value))
