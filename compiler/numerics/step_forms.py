"""Integer forms of a monotone requantization, and of whatever table follows it (N5): for hardware that has no floats.

Each form is made from a Staircase, which was proved equal to N4, and is accepted only where it takes the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.staircase import Staircase


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
    """y = clamp((acc * multiplier + offset) >> shift, low, high) + sum over e of (acc == at[e]) * add[e].

    multiplier, offset: int64 [rows]; shift: of all rows; at, add: int64 [rows, exceptions], add 0 where a row has less.
    """

    multiplier: Codes
    offset: Codes
    shift: int
    low: int
    high: int
    at: Codes
    add: Codes

    @property
    def rows(self) -> int:
        return int(np.shape(self.multiplier)[0])
