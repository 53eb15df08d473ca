"""The scale of a table of levels that brings a row of weights nearest to it, found exactly or by a search."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.types import Reals

EXACT_STEPS = 1 << 23  # breakpoints; above it the scale is searched
_CHUNK = 1 << 21
_FRACTIONS = np.linspace(0.3, 1.05, 36)
_EVEN_FROM = 4  # levels: of so many a division beats the binary search
_REFINEMENTS = 4


def nearest_level(x: Reals, levels: Reals) -> Codes:
    """The index of the level nearest to each x; the higher one of two as near. Levels ascend."""
    step = levels[1] - levels[0] if levels.size > 1 else 1.0
    if levels.size > _EVEN_FROM and np.array_equal(levels, levels[0] + step * np.arange(levels.size)):
        with np.errstate(over="ignore"):
            return np.asarray(np.clip(np.floor((x - levels[0]) / step + 0.5), 0, levels.size - 1), np.int64)
    return np.asarray(np.searchsorted((levels[1:] + levels[:-1]) / 2, x, side="right"))


def level_errors(rows: Reals, weights: Reals, levels: Reals, scale: Reals) -> Reals:
    """[R]: sum over a row of weight * (w - scale * nearest level of w / scale)^2."""
    values = scale[:, np.newaxis] * levels[nearest_level(rows / scale[:, np.newaxis], levels)]
    return np.asarray((weights * (rows - values) ** 2).sum(axis=1))


def best_scales(rows: Reals, weights: Reals, levels: Reals) -> Reals:
    """argmin over s of sum_i weight_i * (w_i - s * nearest level of w_i / s)^2, for each row; 0 for rows of zeros.

    As s falls from infinity, the level of w_i changes at s = w_i / m for each midpoint m of two levels on w_i's side of
    0. Between two such places the levels l are constant, and the best scale for them is s = A / B with an error of
    sum weight * w^2 - A^2 / B, where A = sum weight * w * l and B = sum weight * l^2. At that s the nearest levels are
    at least as good as l, so the least error over all s is the least over the intervals: the breakpoints are sorted, A
    and B summed along them. Exact, n log n steps for n = weights times midpoints. Where a row set has more than
    EXACT_STEPS of them, 36 fractions of the scale that just reaches over the row are tried instead, and the best one is
    refined by s = A / B a few times.

    Args: rows, weights: [R, n], weights not negative; levels: ascending.
    Returns: [R].
    """
    midpoints = (levels[1:] + levels[:-1]) / 2
    above, below = np.flatnonzero(midpoints > 0), np.flatnonzero(midpoints < 0)[::-1]
    steps = max(above.size, below.size)
    if rows.size * steps > EXACT_STEPS:
        return _searched_scales(rows, weights, levels)
    at_once = max(1, _CHUNK // max(1, rows.shape[1] * steps))
    parts = [
        _swept_scales(rows[i : i + at_once], weights[i : i + at_once], levels, above, below)
        for i in range(0, rows.shape[0], at_once)
    ]
    return np.concatenate(parts)


def _swept_scales(rows: Reals, weights: Reals, levels: Reals, above: Codes, below: Codes) -> Reals:
    midpoints = (levels[1:] + levels[:-1]) / 2
    positive = rows >= 0
    first = np.where(positive, np.searchsorted(midpoints, 0.0, side="right"), np.searchsorted(midpoints, 0.0))
    at_infinity = levels[first]
    a = (weights * rows * at_infinity).sum(axis=1)
    b = (weights * at_infinity**2).sum(axis=1)
    steps = max(above.size, below.size)
    if steps == 0:
        return _quotient(a, b)
    nowhere = np.inf  # a midpoint that no weight reaches, where one side of 0 has fewer
    tables = []
    for side, old, new in ((above, 0, 1), (below, 1, 0)):
        short = (0, steps - side.size)
        tables.append(
            (
                np.pad(midpoints[side], short, constant_values=nowhere),
                np.pad(levels[side + new] - levels[side + old], short),
                np.pad(levels[side + new] ** 2 - levels[side + old] ** 2, short),
            )
        )
    chosen = positive[:, :, np.newaxis]
    midpoint, jump, square = (np.where(chosen, up, down) for up, down in zip(*tables, strict=True))
    place = rows[:, :, np.newaxis] / midpoint
    first_power = (weights * rows)[:, :, np.newaxis] * jump
    second_power = weights[:, :, np.newaxis] * square
    flat = (rows.shape[0], -1)
    order = np.argsort(-place.reshape(flat), axis=1, kind="stable")
    along_a = np.take_along_axis(first_power.reshape(flat), order, axis=1).cumsum(axis=1) + a[:, np.newaxis]
    along_b = np.take_along_axis(second_power.reshape(flat), order, axis=1).cumsum(axis=1) + b[:, np.newaxis]
    along_a = np.concatenate([a[:, np.newaxis], along_a], axis=1)
    along_b = np.concatenate([b[:, np.newaxis], along_b], axis=1)
    gain = np.where(along_a > 0, along_a, 0.0) * _quotient(along_a, along_b)
    best = gain.argmax(axis=1)[:, np.newaxis]
    found_a = np.take_along_axis(along_a, best, axis=1)[:, 0]
    found_b = np.take_along_axis(along_b, best, axis=1)[:, 0]
    return _polished(rows, weights, levels, _quotient(found_a, found_b))


def _searched_scales(rows: Reals, weights: Reals, levels: Reals) -> Reals:
    reach = np.zeros(rows.shape[0])
    if levels[-1] > 0:
        reach = np.maximum(reach, rows.max(axis=1) / levels[-1])
    if levels[0] < 0:
        reach = np.maximum(reach, rows.min(axis=1) / levels[0])
    best, best_error = reach, np.full(rows.shape[0], np.inf)
    safe = np.where(reach > 0, reach, 1.0)
    for fraction in _FRACTIONS:
        error = level_errors(rows, weights, levels, fraction * safe)
        better = error < best_error
        best, best_error = np.where(better, fraction * reach, best), np.where(better, error, best_error)
    for _ in range(_REFINEMENTS):
        best = _polished(rows, weights, levels, best)
    return best


def _polished(rows: Reals, weights: Reals, levels: Reals, scale: Reals) -> Reals:
    """s = A / B for the levels nearest at `scale`, where that is not worse."""
    safe = np.where(scale > 0, scale, 1.0)
    chosen = levels[nearest_level(rows / safe[:, np.newaxis], levels)]
    again = _quotient((weights * rows * chosen).sum(axis=1), (weights * chosen**2).sum(axis=1))
    before = level_errors(rows, weights, levels, safe)
    after = level_errors(rows, weights, levels, np.where(again > 0, again, safe))
    return np.where((scale > 0) & (again > 0) & (after < before), again, scale)


def _quotient(a: Reals, b: Reals) -> Reals:
    """a / b where both are above 0, else 0."""
    good = (a > 0) & (b > 0)
    return np.asarray(np.where(good, a / np.where(good, b, 1.0), 0.0))
