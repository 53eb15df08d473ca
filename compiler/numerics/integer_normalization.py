"""Layer and RMS normalization of codes in integers alone (N8, --integer-only), with a proved distance to the real one.

For a row of n codes, A = code - zero_point, and per element a gain g = scale_c / s_y and an offset b = bias_c / s_y
(s_x and s_y the scales of input and output), the real normalization in steps of the output is

    y = D / sqrt(W) * g + b,    D = n * A - S,    W = V + epsilon * n**2 / s_x**2,    V = n * sum(A**2) - S**2,

with S = sum(A); RMSNormalization has S = 0. D and V are whole numbers, and what s_x was is in the last term of W alone.
The integer form, each line exact but for the rounding that it shows:

    E = rne(epsilon * n**2 / s_x**2 * 2**32)                          once, by the compiler
    m = floor((V + E / 2**32) * 4**e), e such that m is in [2**62, 2**64)
    R = rne(2**63 / isqrt(m))                                         1 / sqrt(W) = R * 2**(e - 63)
    N = rne(D * R / 2**(63 - e - f))                                  D / sqrt(W) in units of 2**-f
    y = clamp(rne((N * rne(g * 2**h) + rne(b * 2**(f + h))) / 2**(f + h)) + zero_point, qmin, qmax)

A row with V = 0 has D = 0, so N = 0 and y is the bias.

The distance before the last rounding, in steps of the output, with |D / sqrt(W)| < sqrt(n):

  * W: E is off by at most 2**-33, and W >= V >= 1; the floor of m is off by less than 2**-62 of it. 1 / sqrt(W) is off
    by less than 2**-34 + 2**-63 of itself.
  * isqrt(m) >= 2**31 is low by less than 1: less than 2**-31 of itself. R >= 2**31 is off by at most 1/2: 2**-32.
    Together with W these are less than 2**-30:                       sqrt(n) * |g| * 2**-30
  * N is off by at most 1/2 of 2**-f:                                 |g| * 2**-(f + 1)
  * the gain by at most 1/2 of 2**-h, times |N|:                      (sqrt(n) + 1) * 2**-(h + 1)
  * the offset by at most 1/2 of 2**-(f + h):                         2**-(f + h + 1)

`tolerance` is the sum of these for the largest |g|. Two numbers that are less than 1 apart round to codes that are at
most 1 apart, and to the same code unless a tie lies between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.affine import Quantization
from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.rounding import shift_half_even

EPSILON_BITS = 32
ROOT_BITS = 63
MAX_TOLERANCE = 0.5  # what is farther from the real number than this is not called within one step


@dataclass(frozen=True, eq=False)
class IntegerNormalization:
    """What the integer form needs: the letters of the module's text.

    centred: the mean is subtracted. epsilon_whole, epsilon_part: E = whole + part / 2**32. f, h: bits of fraction.
    gain, offset: int64 [n], in units of 2**-h and 2**-(f + h); |gain| <= 2**30.
    tolerance: in steps of the output, before the last rounding.
    """

    n: int
    centred: bool
    input_zero_point: int
    epsilon_whole: int
    epsilon_part: int
    f: int
    h: int
    gain: Codes
    offset: Codes
    zero_point: int
    qmin: int
    qmax: int
    tolerance: float


def integer_normalization(
    x: Quantization, y: Quantization, scale: Floats | None, bias: Floats | None, epsilon: float, n: int, centred: bool
) -> IntegerNormalization:
    """The constants of the integer form, and its distance to the real normalization.

    Args:
        x, y: grids of input and output, one scale each; qmin and qmax bound the codes of x.
        scale, bias: float32 [n], or None for ones and zeros. epsilon: taken as float32, above zero.
    Raises: NumericsError: the sums may exceed 64 bits, or the result may be more than one step off; it says which.
    Source: design.md N8; the docstring of this module.
    """
    x_scale, y_scale = (float(grid.static()[0]) for grid in (x, y))
    x_zero, y_zero = (int(grid.static()[1]) for grid in (x, y))
    epsilon = float(np.float32(epsilon))
    widest = max(abs(x.qmin - x_zero), abs(x.qmax - x_zero), x.qmax - x.qmin)
    if n * widest >= 1 << 31:
        raise NumericsError(
            f"a normalization of {n} codes of up to {widest} steps does not fit 64 bits; "
            f"rows of fewer than {(1 << 31) // max(widest, 1)} do"
        )
    if not epsilon > 0:
        raise NumericsError(f"the epsilon of a normalization is {epsilon}; integers need one above zero")
    added = Fraction(epsilon) * n**2 / Fraction(x_scale) ** 2
    if added >= 1 << 62:
        raise NumericsError(f"the epsilon {epsilon} of a normalization is too large for an input in steps of {x_scale}")
    epsilon_whole, epsilon_part = divmod(round(added * (1 << EPSILON_BITS)), 1 << EPSILON_BITS)
    gains = _in_steps(np.ones(n, np.float32) if scale is None else scale, y_scale, "scale")
    offsets = _in_steps(np.zeros(n, np.float32) if bias is None else bias, y_scale, "bias")
    root = math.isqrt(n) + 1
    largest = max(abs(gain) for gain in gains)
    f = 30 - root.bit_length()
    h = min(30 - math.ceil(largest).bit_length(), 30, 60 - f - math.ceil(max(map(abs, offsets))).bit_length())
    shift = f + h
    tolerance = (
        float(root * largest) * 2.0**-30
        + float(largest) * 2.0 ** -(f + 1)
        + (root + 1) * 2.0 ** -(h + 1)
        + 2.0 ** -(shift + 1)
    )
    if shift < 1 or tolerance > MAX_TOLERANCE:
        raise NumericsError(
            f"a normalization with scales up to {float(largest):.3g} steps of its output is {tolerance:.3g} steps off "
            f"in integers; at most {MAX_TOLERANCE} are allowed"
        )
    return IntegerNormalization(
        n, centred, x_zero, epsilon_whole, epsilon_part, f, h,
        np.array([round(gain * Fraction(2) ** h) for gain in gains], np.int64),
        np.array([round(offset * Fraction(2) ** shift) for offset in offsets], np.int64),
        y_zero, y.qmin, y.qmax, tolerance,
    )  # fmt: skip


def _in_steps(values: Floats, scale: float, name: str) -> list[Fraction]:
    """values / scale, exactly."""
    if not np.isfinite(values).all():
        raise NumericsError(f"the {name} of a normalization is not finite, so it has no integer form")
    step = Fraction(scale)
    return [Fraction(value) / step for value in np.asarray(values, np.float64).reshape(-1).tolist()]


def inverse_root(whole: int, part: int) -> tuple[int, int]:
    """(R, e): 1 / sqrt(whole + part / 2**32) is R * 2**(e - 63), R in [2**31, 2**32].

    R is off by less than 2**-30 of itself.

    Args: whole: 1 .. 2**63; part: below 2**32.  Its C twin is subbyte_inverse_root.
    """
    m = (whole << EPSILON_BITS) + part
    e = (ROOT_BITS + 1 - whole.bit_length()) // 2
    m = m << (2 * e - EPSILON_BITS) if 2 * e >= EPSILON_BITS else m >> (EPSILON_BITS - 2 * e)
    root = math.isqrt(m)
    quotient, rest = divmod(1 << ROOT_BITS, root)
    return quotient + (2 * rest > root or (2 * rest == root and quotient % 2 == 1)), e


def normalize_codes(q: Any, constants: IntegerNormalization) -> Codes:
    """The codes of the normalization of each row of q.

    Args: q: integer codes [..., n] in the range that the constants were made for.
    Returns: int64, the shape of q.
    Source: the docstring of this module. Its C twin is subbyte_normalized_code, of subbyte_inverse_root.
    """
    c = constants
    a = np.asarray(q, np.int64).reshape(-1, c.n) - c.input_zero_point
    sums = a.sum(axis=1) if c.centred else np.zeros(len(a), np.int64)
    deviations = c.n * a - sums[:, None]
    spreads = c.n * (a * a).sum(axis=1) - sums * sums
    normalized = np.zeros_like(a)
    for row in np.flatnonzero(spreads).tolist():
        root, e = inverse_root(int(spreads[row]) + c.epsilon_whole, c.epsilon_part)
        normalized[row] = shift_half_even(deviations[row] * root, ROOT_BITS - e - c.f)
    steps = shift_half_even(normalized * c.gain + c.offset, c.f + c.h)
    return np.asarray(np.clip(steps + c.zero_point, c.qmin, c.qmax), np.int64).reshape(np.shape(q))
