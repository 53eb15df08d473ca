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
from subbyte.compiler.numerics.pair_tables import settled_tables
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_choice import StepPreferences
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm

MOST_SHIFT = 24
KEPT_SHIFT = 2
"""Up to which real numbers rounded to a grid are narrow enough, and often multiples that need no table at all."""
ROUNDINGS = (Rounding(), Rounding(0), Rounding(1))


@dataclass(frozen=True, eq=False)
class Joined:
    """Integer tables of both operands, and what their sums or products become."""

    left: Codes
    right: Codes
    steps: StepForm

    @property
    def shift(self) -> int:
        return self.steps.shift if isinstance(self.steps, FixedPoint) else 0


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
    for rounding in ROUNDINGS if shift else ROUNDINGS[:1]:
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


def joined_sums(left: Floats, right: Floats, unit: float, y: Codes, classes: Classes) -> Joined | None:
    """Sums of two real numbers in `unit`s of the result, by tables on the coarsest grid found; None where none is.

    A grid of 1 / 2**shift is tried with the numbers rounded to it, finer and finer; then coarser ones with tables that
    are moved until they fit. left, right: [codes of each operand].
    """
    rounded = next((found for found in _rounded_sums(left, right, unit, classes)), None)
    if rounded is None or rounded.shift <= KEPT_SHIFT:
        return rounded
    coarser, least = rounded, 0
    while least < coarser.shift:
        middle = (least + coarser.shift) // 2
        found = _settled_sums(left, right, unit, y, classes, middle)
        least, coarser = (middle + 1, coarser) if found is None else (least, found)
    return coarser


def _on_grid(left: Floats, right: Floats, unit: float, shift: int) -> tuple[Codes, Codes] | None:
    """Both in units of unit / 2**shift, rounded; None where that takes more than 40 bits."""
    both = [np.rint(np.ldexp(values.astype(np.float64) / unit, shift)) for values in (left, right)]
    if max(float(np.abs(values).max()) for values in both) >= 1 << 40:
        return None
    return both[0].astype(np.int64), both[1].astype(np.int64)


def _rounded_sums(left: Floats, right: Floats, unit: float, classes: Classes) -> Iterator[Joined]:
    for shift in range(MOST_SHIFT + 1):
        tables = _on_grid(left, right, unit, shift)
        found = None if tables is None else joined_by_shift(*tables, classes, shift)
        if found is not None:
            yield found


def _settled_sums(left: Floats, right: Floats, unit: float, y: Codes, classes: Classes, shift: int) -> Joined | None:
    tables = _on_grid(left, right, unit, shift)
    for rounding in ROUNDINGS if shift else ROUNDINGS[:1]:
        settled = None if tables is None else settled_tables(*tables, y, shift, rounding)
        found = None if settled is None else joined_by_shift(*settled, classes, shift)
        if found is not None:
            return found
    return None


def exact(left: Floats, right: Floats) -> tuple[Codes, Codes] | None:
    """Both as integers, times one power of two; None where that takes more than 60 bits."""
    both = np.concatenate([left, right]).astype(np.float64)
    exponents = np.frexp(both)[1][both != 0] - 24  # float32 has 24 bits
    if not exponents.size or (np.abs(both).max() >= np.ldexp(1.0, int(exponents.min()) + 60)):
        return None
    whole = np.ldexp(both, -int(exponents.min())).astype(np.int64)
    whole //= max(int(np.gcd.reduce(whole)), 1)
    return whole[: left.size], whole[left.size :]
