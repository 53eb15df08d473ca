"""N6 on two narrow operands in integers: tables for both, narrow enough that their sum or product is cheap to round.

Every choice is compared with the codes of all pairs; there are at most 2**16 of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.fixed_point_choice import fixed_point
from subbyte.compiler.numerics.line_search import Rounding
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_choice import StepPreferences
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm

MOST_SHIFT = 24


@dataclass(frozen=True, eq=False)
class Joined:
    """Integer tables of both operands, and what their sums or products become."""

    left: Codes
    right: Codes
    steps: StepForm


class Classes:
    """All pairs by the code that they become: y is int64 [codes of a, codes of b]."""

    def __init__(self, y: Codes) -> None:
        self._order = np.argsort(y, axis=None, kind="stable")
        in_order = y.reshape(-1)[self._order]
        self._starts = np.flatnonzero(np.append(True, in_order[1:] != in_order[:-1]))
        self.codes: Codes = in_order[self._starts]

    def ends(self, joined: Codes) -> tuple[Codes, Codes]:
        """The smallest and largest of `joined` [codes of a, codes of b] among the pairs of each code."""
        in_order = joined.reshape(-1)[self._order]
        return np.minimum.reduceat(in_order, self._starts), np.maximum.reduceat(in_order, self._starts)


def joined_by_shift(left: Codes, right: Codes, classes: Classes, shift: int) -> Joined | None:
    """y = clamp((left + right + c) >> shift), rounding down or to even codes; None where no c makes it so.

    A pair of code k needs T(k) <= left + right + c < T(k + 1), T(k) being what is rounded to k first; the lowest and
    highest codes are clamped to, so they need one side each. left, right: int64 [codes].
    """
    low, high = classes.ends(left[:, None] + right[None, :])
    codes, one = classes.codes, np.ones((), np.int64)
    for rounding in (Rounding(), Rounding(0), Rounding(1)) if shift else (Rounding(),):
        least = (rounding.first(codes, shift, one) - low)[1:].max(initial=np.iinfo(np.int64).min)
        most = (rounding.first(codes + 1, shift, one) - 1 - high)[:-1].min(initial=np.iinfo(np.int64).max)
        if least <= most:
            c = int(min(max(0, least), most))
            ends = int(left.min() + right.min()), int(left.max() + right.max())
            none = np.zeros((1, 0), np.int64)
            tie = None if rounding.ties_to is None else np.ones(1, np.int64)
            numbers = (np.array([1]), np.array([c]), shift, int(codes[0]), int(codes[-1]), none, none, *ends)
            return Joined(left, right, FixedPoint(*numbers, rounding.ties_to, tie))
    return None


def joined_by_steps(left: Codes, right: Codes, product: bool, classes: Classes) -> Joined | None:
    """Any steps over the sums or products; None where one of them has pairs of several codes, or codes fall."""
    low, high = classes.ends(left[:, None] * right[None, :] if product else left[:, None] + right[None, :])
    if (high[:-1] >= low[1:]).any():
        return None
    found = Staircase(low[None, 1:], classes.codes[None], low[:1], high[-1:])
    if found.count <= StepPreferences().compared:
        return Joined(left, right, CompareSteps(found))
    return Joined(left, right, fixed_point(found, attained=high[:-1]) or SearchSteps(found))


def sums(left: Floats, right: Floats, unit: float, classes: Classes) -> Iterator[Joined]:
    """Sums of two real numbers in `unit`s of the result, on finer and finer grids: those that are rounded to the codes.

    left, right: [codes] of each operand.
    """
    for shift in range(MOST_SHIFT + 1):
        on_grid = [np.rint(np.ldexp(values.astype(np.float64) / unit, shift)) for values in (left, right)]
        if max(float(np.abs(values).max()) for values in on_grid) >= 1 << 40:
            return
        found = joined_by_shift(*(values.astype(np.int64) for values in on_grid), classes, shift)
        if found is not None:
            yield found


def exact(left: Floats, right: Floats) -> tuple[Codes, Codes] | None:
    """Both as integers, times one power of two; None where that takes more than 60 bits."""
    both = np.concatenate([left, right]).astype(np.float64)
    exponents = np.frexp(both)[1][both != 0] - 24  # float32 has 24 bits
    if not exponents.size or (np.abs(both).max() >= np.ldexp(1.0, int(exponents.min()) + 60)):
        return None
    whole = np.ldexp(both, -int(exponents.min())).astype(np.int64)
    whole //= max(int(np.gcd.reduce(whole)), 1)
    return whole[: left.size], whole[left.size :]
