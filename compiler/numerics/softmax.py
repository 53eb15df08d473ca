"""Softmax of a narrow tensor in integers (N7): a table of exponentials, an integer sum, one integer division."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes

ONE_Q31 = 1 << 31


def softmax_table(scale: float, bits: int = 8) -> NDArray[np.uint32]:
    """exp(-scale * d) in unsigned Q31, rounded half to even, for d = 0 .. 2**bits - 1 codes below the largest one.

    Args: scale: of the input, taken as float32; the product scale * d is exact.
    Returns: uint32 [2**bits]; entry 0 is 2**31.
    Source: design.md N7.
    """
    return _table(float(np.float32(scale)), bits).copy()


@lru_cache(maxsize=64)
def _table(scale: float, bits: int) -> NDArray[np.uint32]:
    import mpmath  # here and not above: few models need it, and every import of the compiler would pay for it

    with mpmath.workprec(96):
        entries = [int(mpmath.nint(mpmath.ldexp(mpmath.exp(-mpmath.mpf(scale) * d), 31))) for d in range(1 << bits)]
    return np.array(entries, np.uint32)


def softmax_reciprocal(scale: float) -> tuple[int, int]:
    """1 / scale as (m, k): m / 2**k, m = rne(2**k / scale) in [2**31, 2**32]; exact for a power of two, else to 2**-32.

    Raises: NumericsError: scale (float32) is not in [2**-30, 2**30].
    """
    scale = float(np.float32(scale))
    if not 2.0**-30 <= scale <= 2.0**30:
        raise NumericsError(f"a softmax has output scale {scale}; probabilities need one between 2**-30 and 2**30")
    numerator, denominator = scale.as_integer_ratio()
    k = 31 + math.frexp(scale)[1] - (1 if math.frexp(scale)[0] == 0.5 else 0)
    quotient, rest = divmod(denominator << k, numerator)
    up = 2 * rest > numerator or (2 * rest == numerator and quotient % 2 == 1)
    return quotient + up, k


def quantized_softmax(q: Any, axis: int, table: Any, scale: float, zero_point: int, qmin: int, qmax: int) -> Codes:
    """clamp(rne(e / (sum(e) * scale)) + zero_point, qmin, qmax) along `axis`, with e = table[max(q) - q].

    In integers: with 1 / scale = m / 2**k (`softmax_reciprocal`), rne(e * m / (sum(e) << k)), one division rounded half
    to even of a numerator below 2**64. Its C twin is subbyte_softmax_code.

    Args:
        q: integer codes, any shape; table: `softmax_table` of their scale.
        scale, zero_point, qmin, qmax: of the result.
    Returns: int64, the shape of q.
    Source: design.md N7.
    """
    q = np.asarray(q).astype(np.int64)
    e = np.asarray(table, np.uint64)[q.max(axis=axis, keepdims=True) - q]
    return softmax_codes(e, axis, scale, zero_point, qmin, qmax)


def softmax_codes(e: NDArray[np.uint64], axis: int, scale: float, zero_point: int, qmin: int, qmax: int) -> Codes:
    """clamp(rne(e / (sum(e) * scale)) + zero_point, qmin, qmax) along `axis`; e in unsigned Q31, one of a row 2**31."""
    m, k = softmax_reciprocal(scale)
    total = e.sum(axis=axis, keepdims=True, dtype=np.uint64)
    numerator = e * np.uint64(m)
    halves, rest = np.divmod(numerator >> np.uint64(k - 1), total)
    sticky = (rest != 0) | ((numerator & np.uint64((1 << (k - 1)) - 1)) != 0)
    whole = (halves >> np.uint64(1)).astype(np.int64)
    up = (halves & np.uint64(1) != 0) & (sticky | (whole % 2 != 0))
    return np.asarray(np.clip(whole + up + zero_point, qmin, qmax), np.int64)
