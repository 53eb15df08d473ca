"""Integer forms of a monotone requantization, and of whatever table follows it (N5): for hardware that has no floats.

Each form is made from a Staircase, which was proved equal to N4, and is accepted only where it takes the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.staircase import Staircase, climb, climb_by_search


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

    live: where given, acc saturates to live[0]..live[1] before all else, since no code changes beyond: factors get
    narrower, often by enough to fit one DSP slice.

    ties_to None: r = 0. ties_to 0 or 1: (p + r) >> shift is p / 2**shift rounded to the nearest code, and near a tie to
    the one with code % 2 == ties_to: r = 2**(shift - 1) - 1, and `tie` more where (p >> shift) % 2 != ties_to. With tie
    1 those are the ties themselves; with more p may miss a tie by so much, where no multiplier is exact.

    multiplier, offset, tie: int64 [rows]; shift: of all rows; at, add: int64 [rows, exceptions], add 0 where a row has
    less; tie: 1..2**(shift - 1), 1 where ties_to is given without it, None without either.
    acc_low, acc_high: the accumulators for which it was proved, of all rows; p + r is within 62 bits.
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
    tie: Codes | None = None
    live: tuple[int, int] | None = None

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
        if self.add.shape != self.at.shape or self.shift < 0 or self.low > self.high:
            raise NumericsError("a fixed-point form has no code range, a negative shift or uneven exceptions")
        self._check_ties(rows)
        if max(-self.product_range()[0], self.product_range()[1]) >= 1 << 62:
            raise NumericsError("the products of a fixed-point form leave 62 bits; a smaller shift is needed")

    def _check_ties(self, rows: tuple[int, ...]) -> None:
        if self.tie is None and self.ties_to is None:
            return
        tie = np.array(np.ones(rows) if self.tie is None else self.tie, np.int64)
        tie.setflags(write=False)
        object.__setattr__(self, "tie", tie)
        if self.ties_to not in (0, 1) or tie.shape != rows or (tie < 1).any() or (2 * tie > 1 << self.shift).any():
            raise NumericsError(
                f"a fixed-point form rounds ties to codes of parity {self.ties_to} and within {tie.tolist()} of them; "
                f"0 or 1, and 1..2**(shift - 1) for each row are needed, with shift {self.shift}"
            )

    @property
    def rows(self) -> int:
        return int(np.shape(self.multiplier)[0])

    @property
    def ends(self) -> tuple[int, int]:
        """The smallest and largest factor of a product."""
        return (self.acc_low, self.acc_high) if self.live is None else self.live

    @property
    def exceptions(self) -> int:
        return int(np.shape(self.at)[1])

    @property
    def half(self) -> int:
        """What rounding adds in any case."""
        return 0 if self.ties_to is None else (1 << (self.shift - 1)) - 1

    def product_range(self) -> tuple[int, int]:
        """Bounds of p and of p + r over all factors and rows, in integers of any size."""
        ends = [
            end * m + c
            for m, c in zip(self.multiplier.tolist(), self.offset.tolist(), strict=True)
            for end in self.ends
        ]
        return min(ends), max(ends) + self.half + (0 if self.tie is None else int(self.tie.max()))


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
            return climb_by_search(accumulator, staircase, axis)
        case FixedPoint():
            return _fixed_point(form, np.asarray(accumulator, np.int64), axis)
    raise NumericsError(f"a {type(form).__name__} is no form of steps")


def _fixed_point(form: FixedPoint, accumulator: Codes, axis: int) -> Codes:
    if accumulator.size and not form.acc_low <= accumulator.min() <= accumulator.max() <= form.acc_high:
        raise NumericsError(
            f"sums {accumulator.min()}..{accumulator.max()} meet a fixed-point form "
            f"that was proved for {form.acc_low}..{form.acc_high}"
        )
    acc = np.clip(np.moveaxis(accumulator, axis, -1), *form.ends)
    p = acc * form.multiplier + form.offset
    if form.tie is not None:
        p = p + form.half + (((p >> form.shift) & 1) != form.ties_to) * form.tie
    codes = np.clip(p >> form.shift, form.low, form.high)
    for e in range(form.exceptions):
        codes = codes + (acc == form.at[:, e]) * form.add[:, e]
    return np.asarray(np.moveaxis(codes, -1, axis), np.int64)
