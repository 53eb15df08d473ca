"""Softmax of codes of 9 to 16 bits in integers alone (N8, --integer-only), with a proved distance to the real one.

A table of exp(-scale * d) for every d = max(q) - q would have up to 65536 entries; since exp turns sums into products,
two tables of 256 do, with d = 256 * i + j:

    e(d) = rne(high[i] * low[j] / 2**31),    high[i] = rne(2**31 * exp(-scale * 256 * i)),    low[j] likewise of j.

Each entry is off by at most 1/2, both are at most 2**31, and the product is rounded once: e is off by less than 3/2 of
2**-31, and e(0) = 2**31 exactly. The code is made of e as in numerics/softmax.py: clamp(rne(e / (sum * s_y)) + zero
point), with 1 / s_y as m / 2**k.

The distance before that rounding, in steps of the output: the sum of n entries is T >= 2**31, the one of the largest
code has no error, and p = e / T <= 1, so p is off by at most (3/2 + 3/2 * (n - 1)) * 2**-31 = 3/2 * n * 2**-31.
m / 2**k is off by at most 2**-32 of itself, and so is p / s_y <= 1 / s_y.  `softmax_tolerance` is

    (3/2 * n * 2**-31 + 2**-32) / s_y.

Two numbers that are less than 1 apart round to codes at most 1 apart, and to one code unless a tie lies between them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.softmax import ONE_Q31, softmax_codes

LOW_BITS = 8


def exponential_tables(scale: float) -> NDArray[np.uint32]:
    """[high, low]: exp(-scale * 256 * i) and exp(-scale * j) in unsigned Q31, rounded half to even, i, j = 0 .. 255.

    Args: scale: of the input, taken as float32; the products are exact.
    Returns: uint32 [2, 256].
    """
    return _tables(float(np.float32(scale))).copy()


@lru_cache(maxsize=64)
def _tables(scale: float) -> NDArray[np.uint32]:
    import mpmath  # here and not above: few models need it, and every import of the compiler would pay for it

    with mpmath.workprec(96):

        def entry(d: int) -> int:
            return int(mpmath.nint(mpmath.ldexp(mpmath.exp(-mpmath.mpf(scale) * d), 31)))

        high, low = ([entry(d << shift) for d in range(1 << LOW_BITS)] for shift in (LOW_BITS, 0))
    return np.array([high, low], np.uint32)


def exponential(tables: Any, d: Any) -> NDArray[np.uint64]:
    """exp(-scale * d) in unsigned Q31, off by less than 3/2 of 2**-31.

    Args: tables: of `exponential_tables`; d: integers 0 .. 65535, any shape.
    Returns: uint64, the shape of d.  Its C twin is subbyte_exponential_q31.
    """
    high, low = np.asarray(tables, np.uint64)
    d = np.asarray(d, np.int64)
    product = high[d >> LOW_BITS] * low[d & ((1 << LOW_BITS) - 1)]
    whole, rest = product // ONE_Q31, product % ONE_Q31
    up = (rest > ONE_Q31 // 2) | ((rest == ONE_Q31 // 2) & (whole % 2 != 0))
    return np.asarray(whole + up, np.uint64)


def wide_softmax(q: Any, axis: int, tables: Any, scale: float, zero_point: int, qmin: int, qmax: int) -> Codes:
    """clamp(rne(e / (sum(e) * scale)) + zero_point, qmin, qmax) along `axis`, e = `exponential` of max(q) - q.

    Args:
        q: integer codes of at most 16 bits, any shape; tables: `exponential_tables` of their scale.
        scale, zero_point, qmin, qmax: of the result.
    Returns: int64, the shape of q.
    """
    q = np.asarray(q).astype(np.int64)
    return softmax_codes(exponential(tables, q.max(axis=axis, keepdims=True) - q), axis, scale, zero_point, qmin, qmax)


def softmax_tolerance(n: int, scale: float) -> float:
    """How far a result may be from the real softmax before it is rounded, in steps of the output.

    Args: n: elements of a row; scale: of the output.
    """
    return (1.5 * n * 2.0**-31 + 2.0**-32) / float(np.float32(scale))
