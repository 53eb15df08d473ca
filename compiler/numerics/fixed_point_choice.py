"""Staircases as fixed point with few exceptions, accepted where code shows that both take the same steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.line_search import (
    Bounds,
    Rounding,
    best_slopes,
    bounds_of,
    exact_lines,
    most_shift,
    nearest_lines,
)
from subbyte.compiler.numerics.staircase import Staircase, climb_by_search
from subbyte.compiler.numerics.step_forms import FixedPoint, apply_steps
from subbyte.compiler.numerics.step_targets import Targets, targets_of

PLAIN = (Rounding(), Rounding(0), Rounding(1))
WITHIN = tuple(Rounding(ties_to, within) for within in (0, 1, 2, 4) for ties_to in (0, 1))
"""For multipliers of which no fraction of powers of two is exact, but many sums of which are ties: 1 / 50."""
SLICE = 4
"""Exceptions that cost about as much as a DSP slice."""
MOST_BEYOND = 256
"""Codes by which a line may be looked at beyond those of its row."""
MOST_WORK = 1 << 23
"""Codes of all rows together up to which lines are looked for."""
_FAR = 1 << 62


@dataclass(frozen=True)
class FixedPointLimits:
    """exceptions: the most of a row; a dozen comparators cost less than the ROM of a search in a table of 255 steps.

    shared_exceptions: the most where all channels share one row, which makes them comparisons with constants.
    multiplier_bits: signed widths, those of DSP slices, from narrow to wide.
    """

    exceptions: int = 12
    shared_exceptions: int = 24
    multiplier_bits: tuple[int, ...] = (18, 25, 27)

    def most_exceptions(self, rows: int) -> int:
        return self.shared_exceptions if rows == 1 else self.exceptions


@dataclass(frozen=True, eq=False)
class _Lines:
    """multiplier, offset: int64 [rows], for accumulators that are turned round where a row falls."""

    multiplier: Codes
    offset: Codes
    shift: int
    rounding: Rounding


def fixed_point(
    staircase: Staircase, limits: FixedPointLimits | None = None, attained: Codes | None = None
) -> FixedPoint | None:
    """`staircase` as a line for each row, rounded, with few exceptions; None where more are needed than allowed.

    Whether there are lines without exceptions is settled exactly; with exceptions, the fewest that are found.

    attained: as in `targets_of`; the form is then proved for no integer, and its caller compares those that matter.
    Raises: NumericsError: the form differs from the staircase, which the proof would show.
    Source: design.md N5.
    """
    allowed = limits or FixedPointLimits()
    targets = targets_of(staircase, attained)
    if targets is None or targets.number.size > MOST_WORK:
        return None
    for lines in _candidates(targets, allowed):
        form = _with_exceptions(targets, lines, staircase, allowed.most_exceptions(staircase.rows))
        if form is not None:
            return form if attained is not None else proved_fixed_point(form, staircase)
    return None


def _candidates(targets: Targets, limits: FixedPointLimits) -> Iterator[_Lines]:
    """The cheapest lines first; WITHIN takes one more adder, and is tried where PLAIN finds nothing."""
    for roundings in (PLAIN, WITHIN):
        yield from _ranked([_Search(targets, rounding) for rounding in roundings], limits)


def _ranked(searches: Sequence[_Search], limits: FixedPointLimits) -> Iterator[_Lines]:
    """By exceptions and DSP slices; exact lines with the narrowest multipliers that have them."""
    targets = searches[0].targets
    factor = 1 + _bits(*(_live(targets, np.zeros(0, np.int64), -_FAR, _FAR) or (-_FAR, _FAR)))
    prices = [(SLICE * slices(bits, factor), bits) for bits in limits.multiplier_bits]
    found: list[tuple[int, _Lines]] = []
    for price, bits in prices:
        exact = next((lines for lines in (search.narrowest(bits) for search in searches) if lines is not None), None)
        if exact is not None:
            found.append((price, exact))
            break
    enough = found[0][0] if found else _FAR
    for price, bits in prices:
        most = min(limits.most_exceptions(len(targets.first)), enough - price - 1)
        for search in searches if most > 0 else ():
            nearest = search.nearest(bits, most)
            if nearest is not None:
                found.append((nearest[0] + price, nearest[1]))
    yield from (lines for _, lines in sorted(found, key=itemgetter(0)))


def slices(a_bits: int, b_bits: int) -> int:
    """DSP slices of 25 x 18 bits that a product takes."""
    return min(-(-a // 25) * -(-b // 18) for a, b in ((a_bits, b_bits), (b_bits, a_bits)))


class _Search:
    """The lines of one rounding."""

    def __init__(self, targets: Targets, rounding: Rounding) -> None:
        self.targets, self.rounding = targets, rounding
        self.bounds: Bounds = bounds_of(targets)
        self.slopes: Floats = best_slopes(targets, self.bounds, rounding)
        self.stepping = targets.count > 0
        self.spans: Codes = targets.reach.max(axis=1) - targets.reach.min(axis=1)

    @property
    def least_shift(self) -> int:
        return 0 if self.rounding.ties_to is None else 1

    def most_shift(self, bits: int) -> int:
        return most_shift(self.slopes, bits, self.targets)

    def exact(self, shift: int) -> _Lines | None:
        """Lines without exceptions; None where a row has none."""
        m, c, slack = exact_lines(self.slopes, self.bounds, shift, self.rounding)
        if (slack[self.stepping] < 0).any() or not self.rounding.fits(m, shift):
            return None
        return self._lines(m, c, shift)

    def narrowest(self, bits: int) -> _Lines | None:
        """Lines without exceptions by multipliers of at most `bits` bits, as narrow as they can be."""
        least, most = self.least_shift, self.most_shift(bits)
        if most < least or self.exact(most) is None:
            return None
        while least < most:  # lines of one shift are lines of every larger one, both numbers doubled
            middle = (least + most) // 2
            least, most = (middle + 1, most) if self.exact(middle) is None else (least, middle)
        return self.exact(most)

    def nearest(self, bits: int, most: int) -> tuple[int, _Lines] | None:
        """The exceptions of the row with the most, and the lines; None where that is more than `most`."""
        shift = self.most_shift(bits)
        if shift < self.least_shift:
            return None
        m, c, slack = exact_lines(self.slopes, self.bounds, shift, self.rounding)
        poor = np.flatnonzero((slack < 0) & self.stepping)
        bounds = self.bounds.rows(poor)
        near = nearest_lines(self.slopes[poor], self.spans[poor], bounds, shift, self.rounding, most)
        m[poor], c[poor] = near[0], near[1]
        missed = int(near[2].max(initial=0))
        if missed > most or not self.rounding.fits(m, shift):
            return None
        return missed, self._lines(m, c, shift)

    def _lines(self, m: Codes, c: Codes, shift: int) -> _Lines:
        level = self.rounding.first(self.targets.first, shift, np.zeros((), np.int64))
        return _Lines(np.where(self.stepping, m, 0), np.where(self.stepping, c, level), shift, self.rounding)


def _with_exceptions(targets: Targets, lines: _Lines, staircase: Staircase, most: int) -> FixedPoint | None:
    """The form of `lines` with every accumulator at which they differ; None where a row has more than `most` of those.

    The line's own step to code k is the smallest acc with acc * m + c >= T(k), by an exact division.
    """
    rows = len(targets.first)
    steepest = int(lines.multiplier.max()) / (1 << lines.shift)
    beyond = np.arange(int(most * steepest) + 2)  # as many codes as a line may be off by at the ends
    if beyond.size > MOST_BEYOND:
        return None
    low, high = (np.repeat(end[:, None], beyond.size, axis=1) for end in (targets.low, targets.high))
    below, above = targets.first[:, None] - beyond, targets.last[:, None] + 1 + beyond
    number = np.concatenate([targets.number, below, above], axis=1)
    reach = np.concatenate([targets.reach, low, high + 1], axis=1)
    before = np.concatenate([targets.before, low - 1, high], axis=1)
    wanted = np.concatenate([targets.real, below > targets.bottom(), above <= targets.top()], axis=1)
    wanted &= (targets.count > 0)[:, None]
    m = lines.multiplier[:, None]
    own = -((lines.offset[:, None] - lines.rounding.first(number, lines.shift, m)) // np.maximum(m, 1))
    own = np.clip(own, targets.low[:, None], targets.high[:, None] + 1)
    late, early = np.where(wanted, np.maximum(own - reach, 0), 0), np.where(wanted, np.maximum(before + 1 - own, 0), 0)
    if int((late + early).sum(axis=1).max()) > most:
        return None
    exceptions: list[dict[int, int]] = [{} for _ in range(rows)]
    for row, column in np.argwhere(late + early).tolist():
        ours, theirs = int(own[row, column]), (int(reach[row, column]), int(before[row, column]) + 1)
        missing = [(acc, 1) for acc in range(theirs[0], ours)] + [(acc, -1) for acc in range(ours, theirs[1])]
        for acc, one in missing:
            turned = acc * int(targets.sign[row])
            exceptions[row][turned] = exceptions[row].get(turned, 0) + one
    count = max(len(found) for found in exceptions)
    at, add = np.zeros((rows, count), np.int64), np.zeros((rows, count), np.int64)
    for row, found in enumerate(exceptions):
        at[row, : len(found)], add[row, : len(found)] = list(found), list(found.values())
    ends = int(staircase.low.min()), int(staircase.high.max())
    return FixedPoint(
        lines.multiplier * targets.sign,
        lines.offset,
        lines.shift,
        targets.bottom(),
        targets.top(),
        at,
        add,
        *ends,
        lines.rounding.ties_to,
        None if lines.rounding.ties_to is None else lines.rounding.tie(lines.multiplier),
        _live(targets, at[add != 0], *ends),
    )


def _live(targets: Targets, exceptions: Codes, low: int, high: int) -> tuple[int, int] | None:
    """From before the first step or exception of all rows to the last; None where low..high takes no more bits."""
    first, last = targets.before.min(axis=1) * targets.sign, targets.reach.max(axis=1) * targets.sign
    stepping = targets.count > 0
    ends = np.concatenate([first[stepping], last[stepping], exceptions - 1, exceptions + 1])
    if not ends.size:
        return None
    live = max(int(ends.min()), low), min(int(ends.max()), high)
    return live if _bits(*live) < _bits(low, high) else None


def _bits(low: int, high: int) -> int:
    """Of a two's complement of both, less its sign."""
    return max((-low - 1).bit_length() if low < 0 else 0, max(high, 0).bit_length())


def proved_fixed_point(form: FixedPoint, staircase: Staircase) -> FixedPoint:
    """`form`, compared with `staircase` at both sides of every step of either, and of every exception.

    Without its exceptions the form is monotone; its step to code k is where acc * m + c reaches T(k), found by an exact
    division, unless acc saturates before. So between these accumulators both are constant, and equal from low to high.

    Raises: NumericsError: they differ.
    """
    m, c = form.multiplier[:, None], form.offset[:, None]
    codes = np.arange(form.low + 1, form.high + 1)
    value = (codes << form.shift) - form.half
    if form.tie is not None:
        value = value - (codes & 1 == form.ties_to) * form.tie[:, None]
    size = np.maximum(np.abs(m), 1)
    own = np.where(m > 0, -((c - value) // size), (c - value) // size + 1)
    low, high = staircase.low[:, None], staircase.high[:, None]
    ends = np.broadcast_to([form.ends[0], form.ends[1] + 1], (len(low), 2))
    steps = np.concatenate([own, staircase.steps, form.at, form.at + 1, ends], axis=1)
    points = np.clip(np.concatenate([low, high, steps, steps - 1], axis=1), low, high).T
    differ = apply_steps(form, points) != climb_by_search(points, staircase)
    if differ.any():
        point, row = np.argwhere(differ)[0].tolist()
        raise NumericsError(
            f"the fixed-point form of channel {row} differs from its thresholds for accumulator {points[point, row]}"
        )
    return form
