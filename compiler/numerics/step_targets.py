"""What a line must do to take the steps of a staircase: where it must have reached a code, and where not yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.staircase import Staircase


@dataclass(frozen=True, eq=False)
class Targets:
    """Rows of codes that rise by one at a time: codes k = first + 1 ... first + count, k reached from reach[k] on.

    A row that falls is turned round: its accumulators are negated, sign is -1. Jumps by several codes are several steps
    at one accumulator. Rows with fewer codes than others repeat their first step; `real` tells.

    sign, first, count, low, high: int64 [rows], low..high the accumulators, negated where the row is.
    number, reach, before: int64 [rows, n]: a code, the first accumulator with it, the last that must not have it.
    """

    sign: Codes
    first: Codes
    count: Codes
    low: Codes
    high: Codes
    number: Codes
    reach: Codes
    before: Codes

    @property
    def real(self) -> NDArray[np.bool_]:
        return np.arange(self.number.shape[1]) < self.count[:, None]

    @property
    def last(self) -> Codes:
        return np.asarray(self.first + self.count)

    def bottom(self) -> int:
        """The smallest code of all rows."""
        return int(self.first.min())

    def top(self) -> int:
        """The largest code of all rows."""
        return int(self.last.max())


def targets_of(staircase: Staircase, attained: Codes | None = None) -> Targets | None:
    """What `staircase` asks for; None where the codes of a row both rise and fall.

    attained: int64 [n], for a staircase of one row: where given, the last integer that matters before each step, at
        most step - 1; those between need no particular code.
    """
    rows = [_row(staircase, row, attained) for row in range(staircase.rows)]
    found = [row for row in rows if row is not None]
    if len(found) < len(rows):
        return None
    most = max(1, *(reach.size for _, _, reach, _ in found)) if found else 1
    sign = np.array([sign for sign, _, _, _ in found])
    first = np.array([first for _, first, _, _ in found])
    count = np.array([reach.size for _, _, reach, _ in found])
    ends = np.sort(np.stack([staircase.low * sign, staircase.high * sign]), axis=0)
    reach, before = (np.zeros((len(found), most), np.int64) for _ in range(2))
    for row, (_, _, steps, ahead) in enumerate(found):
        if steps.size:
            reach[row], before[row] = steps[0], ahead[0]
            reach[row, : steps.size], before[row, : steps.size] = steps, ahead
    index = np.where(np.arange(most) < count[:, None], np.arange(most), 0)
    return Targets(sign, first, count, ends[0], ends[1], first[:, None] + 1 + index, reach, before)


def _row(staircase: Staircase, row: int, attained: Codes | None) -> tuple[int, int, Codes, Codes] | None:
    """(sign, first code, reach, before) of one row; None where its codes both rise and fall."""
    low, high = staircase.low[row], staircase.high[row]
    inside = (staircase.steps[row] > low) & (staircase.steps[row] <= high)
    steps = staircase.steps[row][inside]
    before = (steps - 1) if attained is None else attained[inside]
    begin = int((staircase.steps[row] <= low).sum())
    codes = staircase.codes[row, begin : begin + steps.size + 1]
    moves = np.diff(codes)
    if (moves >= 0).all():
        return 1, int(codes[0]), np.repeat(steps, moves), np.repeat(before, moves)
    if (moves <= 0).all():
        back = -moves[::-1]
        return -1, int(codes[-1]), np.repeat(-before[::-1], back), np.repeat(-steps[::-1], back)
    return None
