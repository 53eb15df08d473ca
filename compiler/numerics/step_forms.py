"""Integer forms of a monotone requantization, and of whatever table follows it (N5): for hardware that has no floats.

Each form is made from a Staircase, which was proved equal to N4, and is accepted only where it takes the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.staircase import Staircase, climb


@dataclass(frozen=True, eq=False)
class StepForm:
    """A function of sums, a row for all channels or one for each; `apply` says what it is."""

    @property
    def rows(self) -> int:
        """Channels that have one each, or 1."""
        return 1


@dataclass(frozen=True, eq=False)
class Unchanged(StepForm):
    """y = acc: no requantization."""


@dataclass(frozen=True, eq=False)
class CompareSteps(StepForm):
    """y = codes[number of steps <= acc], every step compared at once: for few steps."""

    staircase: Staircase

    @property
    def rows(self) -> int:
        return self.staircase.rows


@dataclass(frozen=True, eq=False)
class SearchSteps(StepForm):
    """The same by binary search: one comparison for each bit of the number of steps, in a pipeline."""

    staircase: Staircase

    @property
    def rows(self) -> int:
        return self.staircase.rows


@dataclass(frozen=True, eq=False)
class FixedPoint(StepForm):
    """y = clamp((p + r) >> shift, low, high) + sum over e of (acc == at[e]) * add[e], p = acc * multiplier + offset.

    ties_to None: r = 0. ties_to 0 or 1: (p + r) >> shift is p / 2**shift rounded to the nearest code, and where two are
    nearest to the one with code % 2 == ties_to: r = 2**(shift - 1) - 1, and 1 more where (p >> shift) % 2 != ties_to.

    multiplier, offset: int64 [rows]; shift: of all rows; at, add: int64 [rows, exceptions], add 0 where a row has less.
    acc_low, acc_high: the accumulators for which it was proved, of all rows; p + r is within 62 bits there.
    """

    multiplier: Codes
    offset: Codes
    shift: int
    low: int
    high: int
    at: Codes
    add: Codes
    acc_low: int
    acc_high: int
    ties_to: int | None = None

    def __post_init__(self) -> None:
        for name in ("multiplier", "offset", "at", "add"):
            array = np.array(getattr(self, name), np.int64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        rows = self.multiplier.shape
        if len(rows) != 1 or self.offset.shape != rows or self.at.ndim != 2 or self.at.shape[:1] != rows:
            raise NumericsError(
                f"a fixed-point form has multipliers {rows}, offsets {self.offset.shape} and exceptions "
                f"{self.at.shape}; [rows], [rows] and [rows, exceptions] are needed"
            )
        if self.add.shape != self.at.shape or self.shift < (0 if self.ties_to is None else 1) or self.low > self.high:
            raise NumericsError("a fixed-point form has no code range, a shift that is too small or uneven exceptions")
        if max(-self.product_range()[0], self.product_range()[1]) >= 1 << 62:
            raise NumericsError("the products of a fixed-point form leave 62 bits; a smaller shift is needed")

    @property
    def rows(self) -> int:
        return int(np.shape(self.multiplier)[0])

    @property
    def exceptions(self) -> int:
        return int(np.shape(self.at)[1])

    @property
    def half(self) -> int:
        """What rounding adds in any case."""
        return 0 if self.ties_to is None else (1 << (self.shift - 1)) - 1

    def product_range(self) -> tuple[int, int]:
        """Bounds of p and of p + r over acc_low..acc_high and all rows, in integers of any size."""
        ends = [
            end * m + c
            for m, c in zip(self.multiplier.tolist(), self.offset.tolist(), strict=True)
            for end in (self.acc_low, self.acc_high)
        ]
        return min(ends), max(ends) + self.half + 1


def apply_steps(form: StepForm, accumulator: Any, axis: int = -1) -> Codes:
    """What `form` makes of sums whose channels run along `axis`, within the range that it was proved for.

    Raises: NumericsError: sums of a fixed-point form are outside the range for which its products are bounded.
    """
    match form:
        case Unchanged():
            return np.asarray(accumulator, np.int64)
        case CompareSteps(staircase=staircase):
            return climb(accumulator, staircase, axis)
        case SearchSteps(staircase=staircase):
            return _searched(staircase, np.asarray(accumulator, np.int64), axis)
        case FixedPoint():
            return _fixed_point(form, np.asarray(accumulator, np.int64), axis)
    raise NumericsError(f"a {type(form).__name__} is no form of steps")


def _searched(staircase: Staircase, accumulator: Codes, axis: int) -> Codes:
    """`climb` by binary search, row by row."""
    acc = np.moveaxis(accumulator, axis, -1)
    codes = np.empty(acc.shape, np.int64)
    for row in range(staircase.rows):
        mine = (..., row) if staircase.rows > 1 else ...
        codes[mine] = staircase.codes[row, np.searchsorted(staircase.steps[row], acc[mine], side="right")]
    return np.moveaxis(codes, -1, axis)


def _fixed_point(form: FixedPoint, accumulator: Codes, axis: int) -> Codes:
    if accumulator.size and not form.acc_low <= accumulator.min() <= accumulator.max() <= form.acc_high:
        raise NumericsError(
            f"sums {accumulator.min()}..{accumulator.max()} meet a fixed-point form "
            f"that was proved for {form.acc_low}..{form.acc_high}"
        )
    acc = np.moveaxis(accumulator, axis, -1)
    p = acc * form.multiplier + form.offset
    if form.ties_to is not None:
        p = p + form.half + (((p >> form.shift) & 1) != form.ties_to)
    codes = np.clip(p >> form.shift, form.low, form.high)
    for e in range(form.exceptions):
        codes = codes + (acc == form.at[:, e]) * form.add[:, e]
    return np.asarray(np.moveaxis(codes, -1, axis), np.int64)
