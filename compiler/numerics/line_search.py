"""Lines through staircases: for each row integers (m, c) such that (acc * m + c) >> s takes the steps of its targets.

A line has taken the step to code k at `reach` if reach * m + c >= T(k), and not before if before * m + c < T(k), T(k)
the first value that is rounded to k. For a given m these are bounds on c: c >= L(m), the largest of T(k) - reach * m,
and c <= U(m), the smallest of T(k) - 1 - before * m. U - L is concave and piecewise linear in m: whether any m has a c
is settled at the integers beside the m at which U - L is largest, and that is found by bisection on its slope.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.step_targets import Targets

HALVINGS = 64
EXACT = 63
SAFE_BITS = 61
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Rounding:
    """How a FixedPoint rounds: down, or to codes with code % 2 == ties_to near ties.

    within: a tie is missed by up to 1 / 2**within accumulators; EXACT: it is not missed.
    """

    ties_to: int | None = None
    within: int = EXACT

    def tie(self, m: Codes) -> Codes:
        """FixedPoint's `tie` for multipliers m above 0."""
        return np.asarray((m >> self.within) + 1)

    def fits(self, m: Codes, shift: int) -> bool:
        """Whether there is such a FixedPoint."""
        return self.ties_to is None if shift < 1 else self.ties_to is None or int(self.tie(m).max()) <= 1 << (shift - 1)

    def first(self, codes: Codes, shift: int, m: Codes) -> Codes:
        """T(k): the first p with which it gets to code k; m: broadcast against the codes."""
        if self.ties_to is None:
            return np.asarray(codes << shift)
        return np.asarray((codes << shift) - (1 << (shift - 1)) + 1 - (codes & 1 == self.ties_to) * self.tie(m))

    def moved(self, codes: Codes) -> Floats:
        """By how many accumulators T(k) comes before the middle between codes, for each code: float64."""
        sooner = 0.0 if self.ties_to is None else 2.0**-self.within
        return np.asarray((codes & 1 == self.ties_to) * sooner)


@dataclass(frozen=True, eq=False)
class Bounds:
    """reach * m + c >= T(lower) and before * m + c < T(upper): int64 [rows, n] each."""

    reach: Codes
    lower: Codes
    before: Codes
    upper: Codes

    def rows(self, kept: Codes) -> Bounds:
        return Bounds(self.reach[kept], self.lower[kept], self.before[kept], self.upper[kept])


def bounds_of(targets: Targets) -> Bounds:
    """The steps, and no step more at ends of rows where the clamp to the codes of all rows does not see to that.

    What a row has no step for is bounded by what no line of interest comes near: its first code at its high end, and
    the code above its last at its low end.
    """
    real = np.concatenate([targets.real, np.zeros((len(targets.first), 1), np.bool_)], axis=1)
    low, high = targets.low[:, None], targets.high[:, None]
    below, above = targets.first[:, None], targets.last[:, None] + 1
    number, reach, before = (
        np.concatenate([values, values[:, :1]], axis=1) for values in (targets.number, targets.reach, targets.before)
    )
    bounds = Bounds(
        np.where(real, reach, high),
        np.where(real, number, below),
        np.where(real, before, low),
        np.where(real, number, above),
    )
    bounds.reach[:, -1:] = np.where(below == targets.bottom(), high, low)
    bounds.before[:, -1:] = np.where(above > targets.top(), low, high)
    return bounds


def best_slopes(targets: Targets, bounds: Bounds, rounding: Rounding) -> Floats:
    """The slope m / 2**s at which U - L is largest, float64 [rows]; of several any, 0 for rows without steps."""
    span = targets.reach.max(axis=1) - targets.reach.min(axis=1)
    steepest = 2.0 * (targets.count + 1) / np.maximum(span, 1)
    single = targets.count == 1  # any slope takes one step; this one takes no second
    steepest = np.where(single, 1.0 / (targets.high - targets.low + 1.0), steepest)
    flat, steep = np.zeros(len(span)), np.where(targets.count == 0, 0.0, steepest)
    # Measured from the row's first step, so that accumulators far from 0 lose no precision.
    origin = targets.reach[:, :1]
    reach = bounds.reach - origin + rounding.moved(bounds.lower)
    before = bounds.before - origin + rounding.moved(bounds.upper)
    code = targets.number[:, :1]
    lower, upper = (bounds.lower - code).astype(np.float64), (bounds.upper - code).astype(np.float64)
    rows = np.arange(len(span))
    for _ in range(HALVINGS):
        slope = (flat + steep) / 2
        highest = (lower - slope[:, None] * reach).argmax(axis=1)
        lowest = (upper - slope[:, None] * before).argmin(axis=1)
        rising = reach[rows, highest] > before[rows, lowest]
        flat, steep = np.where(rising, slope, flat), np.where(rising, steep, slope)
    return np.asarray((flat + steep) / 2)


def most_shift(slopes: Floats, bits: int, targets: Targets) -> int:
    """The largest shift at which every multiplier is within `bits` signed bits and no product leaves 61; may be < 0."""
    steepest = float(slopes.max(initial=0.0))
    sums = max(-int(targets.low.min()), int(targets.high.max()), 1).bit_length()
    codes = (max(-targets.bottom(), targets.top() + 1) + 1).bit_length()
    of_multiplier = min(bits - 1, SAFE_BITS - 1 - sums)
    of_slope = of_multiplier - 1 - int(np.floor(np.log2(steepest))) if steepest > 0 else 0
    return min(of_slope, SAFE_BITS - 1 - codes)


def exact_lines(slopes: Floats, bounds: Bounds, shift: int, rounding: Rounding) -> tuple[Codes, Codes, Codes]:
    """(m, c, slack) of each row: c in the middle of what m allows; slack is U - L, below 0 where there is no line."""
    near = np.floor(np.ldexp(slopes, shift)).astype(np.int64)
    found = np.zeros((3, len(slopes)), np.int64)
    found[2] = -_FAR
    for m in (np.maximum(near + offset, 1) for offset in range(-1, 3)):
        lower, upper = _allowed(bounds, shift, rounding, m)
        least, most = lower.max(axis=1), upper.min(axis=1)
        better = most - least > found[2]
        found = np.where(better, [m, least + (most - least) // 2, most - least], found)
    return found[0], found[1], found[2]


def _allowed(bounds: Bounds, shift: int, rounding: Rounding, m: Codes) -> tuple[Codes, Codes]:
    """What each bound says of c: at least, at most."""
    m = m[:, None]
    lower = rounding.first(bounds.lower, shift, m) - m * bounds.reach
    return lower, rounding.first(bounds.upper, shift, m) - 1 - m * bounds.before


def nearest_lines(
    slopes: Floats, spans: Codes, bounds: Bounds, shift: int, rounding: Rounding, most: int
) -> tuple[Codes, Codes, Codes]:
    """(m, c, missed) of each row: of the lines about the best slope one that misses the fewest bounds, or most + 1.

    spans: between the first and the last step. Multipliers are tried up to where the line is off by an accumulator or
    two at an end. For an m, c is one of the most + 1 tightest lower bounds, since at most `most` may be missed.
    """
    centre = np.rint(np.ldexp(slopes, shift)).astype(np.int64)
    reach = np.maximum(1.5 * np.ldexp(slopes, shift) / np.maximum(spans, 1), 1.0)
    found = np.stack([np.maximum(centre, 1), np.zeros_like(centre), np.full_like(centre, most + 1)])
    tightest = min(most + 1, bounds.lower.shape[1])
    tried = np.maximum(centre + np.rint(np.linspace(-1, 1, 33)[:, None] * reach).astype(np.int64), 1)
    rows = np.arange(len(slopes))
    for index, m in enumerate(tried):
        if index and (m == tried[index - 1]).all():
            continue
        lower, upper = _allowed(bounds, shift, rounding, m)
        lower = -np.partition(-lower, tightest - 1, axis=1)[:, :tightest]
        upper = np.partition(upper, tightest - 1, axis=1)[:, :tightest]
        too_low = (lower[:, None, :] > lower[:, :, None]).sum(axis=2)
        missed = too_low + (upper[:, None, :] < lower[:, :, None]).sum(axis=2)
        at = missed.argmin(axis=1)
        better = missed[rows, at] < found[2]
        found = np.where(better, [m, lower[rows, at], missed[rows, at]], found)
    return found[0], found[1], found[2]
