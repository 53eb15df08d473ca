"""Integer forms of N4 (N5), for targets without an FPU: each is accepted only where it is proved equal to N4.

A negative multiplier is met by negating the accumulator: f32, the product and half-even rounding are odd functions, so
N4(acc, M) = N4(-acc, -M). `negate` says so; thresholds are then those of the negated accumulator, and always rise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.thresholds import thresholds

MAX_MULTIPLIER = 1 << 31
MAX_PRODUCT = 1 << 62


@dataclass(frozen=True)
class HalfEven:
    """clamp(rne(acc * m / 2**s) + zero_point, qmin, qmax), half to even; m has the sign of N4's multiplier.

    Two words of data and about 20 instructions on a 32-bit CPU.
    """

    m: int
    s: int


@dataclass(frozen=True, eq=False)
class GuessAndCorrect:
    """v = clamp((acc * m + c) >> s, qmin, qmax); y = v + (acc >= t[v + 1]) - (acc < t[v]), of -acc where negate.

    steps: t[qmin + 1] .. t[qmax], N4's own; t[qmin] counts as -infinity and t[qmax + 1] as +infinity.
    """

    m: int
    c: int
    s: int
    negate: bool
    steps: Codes


def _magnitude(r: Requantization, channel: int, low: int, high: int) -> tuple[Requantization, bool, int, int]:
    """One channel with a positive multiplier: (it, whether the accumulator is negated, its range)."""
    one = r.channel(channel)
    if one.multiplier > 0:
        return one, False, low, high
    return Requantization(-one.multiplier, one.shift, one.zero_point, one.qmin, one.qmax), True, -high, -low


def search_half_even(r: Requantization, channel: int, low: int, high: int) -> HalfEven | None:
    """The smallest s, and m < 2**31, for which the half-even form equals N4 on low..high; None where there is none.

    Each step t of N4 to a value k (before the zero point) bounds x = m / 2**s: with c = 2k - 1, the form has stepped at
    t if 2 * x * t >= c (k even: a tie goes up) or > c (k odd), and has not at t - 1. The bounds leave an interval, and
    the first m / 2**s inside it is taken. That m / 2**s keeps all bounds is the proof.

    Returns None also where N4 has a shift.
    Source: design.md N5; two monotone step functions with the same steps are equal.
    """
    if r.shift is not None:
        return None
    one, negate, first, last = _magnitude(r, channel, low, high)
    # Bounds on x as (fraction, whether x may be equal to it).
    least, greatest = (Fraction(0), False), (Fraction(MAX_MULTIPLIER), False)
    for i, t in enumerate(thresholds(one, 0, first, last).tolist()):
        k = one.qmin + 1 + i - one.zero_point
        c, even = 2 * k - 1, k % 2 == 0
        for a, stepped in ((t, True), (t - 1, False)):
            if not first <= a <= last:
                continue
            # stepped: 2xa >= c (or >);  not stepped: 2xa < c (or <=)
            equal = even if stepped else not even
            if a == 0:
                holds = (c <= 0 if equal else c < 0) if stepped else (c >= 0 if equal else c > 0)
                if not holds:
                    return None
                continue
            bound = Fraction(c, 2 * a)
            if stepped == (a > 0):
                least = max(least, (bound, equal), key=lambda b: (b[0], not b[1]))
            else:
                greatest = min(greatest, (bound, equal), key=lambda b: (b[0], b[1]))
    for s in range(63):
        scaled = least[0] * (1 << s)
        m = math.ceil(scaled)
        m += m == scaled and not least[1]
        if m >= MAX_MULTIPLIER or m * max(abs(first), abs(last)) >= MAX_PRODUCT:
            return None
        x = Fraction(m, 1 << s)
        if x < greatest[0] or (x == greatest[0] and greatest[1]):
            return HalfEven(-m if negate else m, s)
    return None


def apply_half_even(accumulator: Any, form: HalfEven, r: Requantization) -> Codes:
    """What the half-even form computes; the C twin is subbyte_requantize_half_even_s32."""
    product = np.asarray(accumulator, np.int64) * form.m
    whole = product >> form.s
    rest = product - (whole << form.s)
    half = (1 << form.s) >> 1
    up = (form.s > 0) & ((rest > half) | ((rest == half) & (whole & 1 == 1)))
    return np.asarray(np.clip(whole + up + r.zero_point, r.qmin, r.qmax), np.int64)


def guess_and_correct(r: Requantization, channel: int, low: int, high: int) -> GuessAndCorrect | None:
    """The guess from the multiplier's mantissa, proved within one step of N4 on low..high; None where it is not.

    With u[k] the guess's own steps, it is within one step of N4 if u[k + 1] >= t[k] and t[k + 1] >= u[k] for all k.
    The shift B of N4, if any, is in c.

    Source: design.md N5.
    """
    one, negate, first, last = _magnitude(r, channel, low, high)
    steps = thresholds(one, 0, first, last)
    mantissa, exponent = math.frexp(float(one.multiplier))
    offset = Fraction(float(one.shift)) if one.shift is not None else Fraction(0)
    for s in range(min(24 - exponent, 62), 0, -1):
        m = round(Fraction(mantissa) * Fraction(2) ** (exponent + s))
        c = round((one.zero_point + offset + Fraction(1, 2)) * (1 << s))
        if m >= MAX_MULTIPLIER or m * max(abs(first), abs(last)) + abs(c) >= MAX_PRODUCT:
            continue
        if m == 0:
            return None
        # The guess reaches k at the smallest acc with acc * m + c >= k << s.
        own = [-((c - (k << s)) // m) for k in range(one.qmin + 1, one.qmax + 1)]
        inside = [min(max(u, first), last + 1) for u in own]
        known = steps.tolist()
        if all(u >= t for u, t in zip(inside[1:], known, strict=False)) and all(
            t >= u for t, u in zip(known[1:], inside, strict=False)
        ):
            return GuessAndCorrect(m, c, s, negate, steps)
        return None
    return None


def apply_guess_and_correct(accumulator: Any, form: GuessAndCorrect, r: Requantization) -> Codes:
    """What guess and correct computes; the C twin is subbyte_requantize_corrected_s32."""
    acc = np.asarray(accumulator, np.int64)
    acc = -acc if form.negate else acc
    v = np.clip((acc * form.m + form.c) >> form.s, r.qmin, r.qmax)
    above = np.append(form.steps, np.iinfo(np.int64).max)[v - r.qmin]
    below = np.insert(form.steps, 0, np.iinfo(np.int64).min)[v - r.qmin]
    return np.asarray(v + (acc >= above) - (acc < below), np.int64)


def emulation(r: Requantization, channel: int) -> tuple[int, int]:
    """The multiplier of one channel for `emulate`: (mantissa, s), M = mantissa / 2**s; 24 bits and a sign.

    Raises: NumericsError: N4 has a shift; its third rounding is not emulated, use guess and correct or thresholds.
    """
    if r.shift is not None:
        raise NumericsError(
            "the integer emulation of a requantization with a shift was asked for; "
            "guess and correct or thresholds cover it"
        )
    mantissa, exponent = math.frexp(float(r.channel(channel).multiplier))
    return int(math.ldexp(mantissa, 24)), 24 - exponent


def emulate(accumulator: Any, mantissa: int, s: int, r: Requantization) -> Codes:
    """N4 without a shift, its two float32 roundings done in integers: it exists for every multiplier and accumulator.

    f32(acc) by half-even rounding to 24 bits. The product p with the 24-bit mantissa is exact. A product within half a
    float32 ulp h of a tie becomes that tie in float32, and then goes to the even side: the tie is moved by h.
    Requires qmin and qmax within 2**20 of the zero point. The C twin is subbyte_requantize_emulated_s64.

    Source: design.md N5.
    """
    acc = np.asarray(accumulator).astype(np.int64)
    codes = np.zeros(acc.shape, np.int64)
    far = 1 << 30
    for index in np.ndindex(acc.shape):
        codes[index] = _emulate_one(int(acc[index]), mantissa, s, far)
    return np.asarray(np.clip(codes + r.zero_point, r.qmin, r.qmax), np.int64)


def _emulate_one(acc: int, mantissa: int, s: int, far: int) -> int:
    a, drop = abs(acc), 0
    if a.bit_length() > 24:
        drop = a.bit_length() - 24
        a = (a + (1 << (drop - 1)) - 1 + (a >> drop & 1)) >> drop
    p, s = a * abs(mantissa), s - drop
    if p == 0 or s > 62:
        return 0
    if s < 1:
        rounded = far
    else:
        h = 1 << (p.bit_length() - 25) if p.bit_length() >= 25 else 0
        odd = p >> s & 1
        rounded = min((p + (1 << (s - 1)) + (h if odd else -h - 1)) >> s, far)
    return -rounded if (acc < 0) != (mantissa < 0) else rounded
