"""Tables for two operands whose sums are rounded to given codes, on the coarsest grid: a system of differences.

For a pair of codes that becomes k, T(k) <= left[a] + right[b] < T(k + 1), T(k) the first integer that is rounded to k:
with s[b] = -right[b] these are upper bounds on differences left[a] - s[b] and s[b] - left[a]. Lowering whatever breaks
a bound until nothing does (Bellman and Ford's shortest paths) ends in a solution where there is one.
"""

from __future__ import annotations

import numpy as np

from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.line_search import Rounding

ROUNDS = 80
"""After which a system is given up; those with a solution near the real numbers settle in a few dozen."""
_FREE = 1 << 50


def settled_tables(left: Codes, right: Codes, y: Codes, shift: int, rounding: Rounding) -> tuple[Codes, Codes] | None:
    """Tables near `left` and `right` for which rounding(left[a] + right[b]) is y[a][b]; None where none were found.

    left: int64 [codes of a]; right: int64 [codes of b]; the lowest and highest of y are clamped to.
    """
    one = np.ones((), np.int64)
    lowest, highest = y == y.min(), y == y.max()
    least = rounding.first(y, shift, one)
    most = rounding.first(y + 1, shift, one) - 1
    inside = ~(lowest | highest)
    if inside.any():  # left and right lack the zero point and whatever rounding adds
        missing = (least + most) / 2 - (left[:, None] + right[None, :])
        left = left + int(np.rint(missing[inside].mean()))
    least, most = np.where(lowest, -_FREE, least), np.where(highest, _FREE, most)
    opposite = -right
    for _ in range(ROUNDS):
        lowered = np.minimum(left, (opposite[None, :] + most).min(axis=1))
        lowered_opposite = np.minimum(opposite, (lowered[:, None] - least).min(axis=0))
        if np.array_equal(lowered, left) and np.array_equal(lowered_opposite, opposite):
            return left, -opposite
        left, opposite = lowered, lowered_opposite
    return None
