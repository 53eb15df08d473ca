"""Requantization by thresholds (N5): which of a few codes an accumulator gets, by the steps that it has reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Array, Codes


@dataclass(frozen=True, eq=False)
class Staircase:
    """codes[number of steps <= acc], a row for all channels or one for each; equal to N4 for low <= acc <= high.

    Whatever follows N4 for each code alone (a table) is in `codes`, so these need neither rise nor fall.

    steps: int64 [rows, n], ascending; codes: int64 [rows, n + 1]; low, high: int64 [rows], the accumulators over which
        it was proved (`thresholds.staircase` makes and proves it). Rows with fewer steps end in steps of high + 1.
    Source: design.md N5; FINN's MultiThreshold.
    """

    steps: Codes
    codes: Codes
    low: Codes
    high: Codes

    def __post_init__(self) -> None:
        for name in ("steps", "codes", "low", "high"):
            array = np.array(getattr(self, name), np.int64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        rows, count = self.steps.shape if self.steps.ndim == 2 else (-1, -1)
        if self.codes.shape != (rows, count + 1) or self.low.shape != (rows,) or self.high.shape != (rows,):
            raise NumericsError(
                f"a staircase has steps {self.steps.shape}, codes {self.codes.shape} and ranges {self.low.shape}, "
                f"{self.high.shape}; [rows, n], [rows, n + 1] and [rows] are needed"
            )
        if (self.steps[:, 1:] < self.steps[:, :-1]).any() or (self.low > self.high).any():
            raise NumericsError("the steps of a staircase descend, or the accumulators that it was proved for are none")

    @property
    def rows(self) -> int:
        return int(self.steps.shape[0])

    @property
    def count(self) -> int:
        """Steps in each row."""
        return int(self.steps.shape[1])


def climb(accumulator: Any, staircase: Staircase, axis: int = -1) -> Codes:
    """What `staircase` says of sums whose channels run along `axis`, within the range that it was proved for."""
    acc: Array = np.moveaxis(np.asarray(accumulator, np.int64), axis, -1)
    reached = (acc[..., None] >= staircase.steps).sum(axis=-1)
    rows = np.arange(acc.shape[-1]) if staircase.rows > 1 else 0
    return np.asarray(np.moveaxis(staircase.codes[rows, reached], -1, axis), np.int64)


def climb_by_search(accumulator: Any, staircase: Staircase, axis: int = -1) -> Codes:
    """`climb` row by row by binary search: for many steps."""
    acc: Array = np.moveaxis(np.asarray(accumulator, np.int64), axis, -1)
    codes = np.empty(acc.shape, np.int64)
    for row in range(staircase.rows):
        mine = (..., row) if staircase.rows > 1 else ...
        codes[mine] = staircase.codes[row, np.searchsorted(staircase.steps[row], acc[mine], side="right")]
    return np.moveaxis(codes, -1, axis)
