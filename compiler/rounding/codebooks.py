"""Codebooks: weights on a few levels that are not evenly spaced, chosen freely, or sums or powers of something."""

from __future__ import annotations

import itertools

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.clipping import fitted_scales
from subbyte.compiler.rounding.coordinate_descent import coordinate_descent
from subbyte.compiler.rounding.gptq import gptq
from subbyte.compiler.rounding.level_scales import level_errors
from subbyte.compiler.rounding.objective import checked, importance
from subbyte.compiler.rounding.optimal_centres import optimal_centres, optimal_places
from subbyte.compiler.rounding.scales import Scales, rows_of, scales_of
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights

PLACES = 127  # levels in -127..127 are a table of int8, which integer kernels read (docs/codebooks.md)
_EXPONENTS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5)
_HALVINGS = 6
_LONGEST_SUMS = 7


def kmeans(
    matrix: Reals,
    grid: Grid,
    second_moments: Reals | None = None,
    *,
    places: int | None = PLACES,
    alternations: int = 4,
    compensate: bool = True,
) -> RoundedWeights:
    """As many levels as the grid has codes, one table for the tensor, those of least error sum diag(H) (w - q)^2.

    Levels and scales are found in turn, each exactly for the other (`optimal_centres`, `best_scales`).

    places: levels are whole numbers in -places..places; None: any numbers, which integer kernels cannot multiply.
    compensate: codes by `gptq` and `coordinate_descent` instead of the nearest level, where there are moments.
    Source: Han et al. 2016 (Deep Compression), 3, for k-means; with diag(H): Kim et al. 2024 (SqueezeLLM), 4.1.
    """
    w, h = checked(matrix, second_moments)
    rows, weights = rows_of(w, grid), rows_of(importance(w, h), grid)
    count, reach = grid.codes.size, places or 1
    scale = np.abs(rows).max(axis=1) / reach
    levels = np.linspace(-reach, reach, count)
    for _ in range(max(1, alternations)):
        usable = np.where(scale > 0, scale, 1.0)[:, np.newaxis]
        x, mass = (rows / usable).reshape(-1), (weights * usable**2).reshape(-1)
        mass = mass if mass.any() else np.ones_like(mass)
        levels = optimal_centres(x, mass, count) if places is None else optimal_places(x, mass, count, reach)
        scale = fitted_scales(rows, weights, levels, grid)
    if places is None:
        largest = np.abs(levels).max() or 1.0
        levels, scale = levels / largest, scale * largest
    return _rounded(w, h, grid, scale, levels, compensate)


def power_sums(
    matrix: Reals, grid: Grid, second_moments: Reals | None = None, *, compensate: bool = True
) -> RoundedWeights:
    """Levels that are sums of powers of two (APoT), so that a multiplication is a few shifts and additions.

    Levels are whole numbers; up to 5 bits they lie in -127..127.
    Source: Li et al. 2020 (APoT), eq. 5; the tables are `power_sum_levels`.
    """
    if not 2 <= grid.bits <= _LONGEST_SUMS:
        raise NumericsError(f"sums of powers of two of {grid.bits} bits were asked for; they have 2 to {_LONGEST_SUMS}")
    return on_levels(matrix, grid, second_moments, power_sum_levels(grid.bits), compensate=compensate)


def power_levels(
    matrix: Reals, grid: Grid, second_moments: Reals | None = None, *, compensate: bool = True
) -> RoundedWeights:
    """Levels sign(k) |k|^a / qmax^a, k the codes of a narrow grid, with the exponent a of least error.

    Exponents 0.4 to 2.5 are tried by sum diag(H) (w - q)^2, and the best is refined by halving the steps between them.
    At a = 1 the levels are the even ones; a > 1 puts more of them near 0.
    Source: Yvinec et al. 2023 (PowerQuant) and 2023 (NUPES): automorphisms x -> sign(x) |x|^a, here for weights alone.
    """
    w, h = checked(matrix, second_moments)
    if grid.bits == 1:
        raise NumericsError("one bit has the levels -1 and +1, which no exponent changes; ask for at least 2 bits")
    rows, weights = rows_of(w, grid), rows_of(importance(w, h), grid)
    codes = np.arange(-grid.qmax, grid.qmax + 1)

    def levels_at(exponent: float) -> Reals:
        return np.asarray(np.sign(codes) * (np.abs(codes) / grid.qmax) ** exponent)

    def error_at(exponent: float) -> float:
        levels = levels_at(exponent)
        scale = fitted_scales(rows, weights, levels, grid)
        return float(level_errors(rows, weights, levels, np.where(scale > 0, scale, 1.0)).sum())

    errors = {exponent: error_at(exponent) for exponent in _EXPONENTS}
    step = 0.1
    for _ in range(_HALVINGS):
        best = min(errors, key=lambda exponent: (errors[exponent], exponent))
        step /= 2
        errors |= {near: error_at(near) for near in (best - step, best + step) if near not in errors}
    return on_levels(w, grid, h, levels_at(min(errors, key=lambda a: (errors[a], a))), compensate=compensate)


def on_levels(
    matrix: Reals, grid: Grid, second_moments: Reals | None, levels: Reals, *, compensate: bool = True
) -> RoundedWeights:
    """Weights on a given table, ascending, with the scales of least error."""
    w, h = checked(matrix, second_moments)
    rows, weights = rows_of(w, grid), rows_of(importance(w, h), grid)
    return _rounded(w, h, grid, fitted_scales(rows, weights, levels, grid), levels, compensate)


def power_sum_levels(bits: int) -> Reals:
    """Whole numbers +-sum_i p_i: a sign, and two bits for each p_i in {0, 2^-i, 2^-(i+n), 2^-(i+2n)}, i < n.

    The magnitude has bits - 1 bits; where that is odd the last p_i has one, {0, 2^-i}. All times a power of two.
    Source: Li et al. 2020 (APoT), eq. 5 with k = 2.
    """
    terms = bits // 2
    lengths = [2] * terms if (bits - 1) % 2 == 0 else [2] * (terms - 1) + [1]
    parts = [[0.0] + [2.0 ** -(i + j * terms) for j in range((1 << length) - 1)] for i, length in enumerate(lengths)]
    smallest = min(part for many in parts for part in many if part > 0)
    magnitudes = {sum(chosen) / smallest for chosen in itertools.product(*parts)}
    return np.array(sorted({sign * magnitude for magnitude in magnitudes for sign in (-1.0, 1.0)}))


def _rounded(w: Reals, h: Reals | None, grid: Grid, scale: Reals, levels: Reals, compensate: bool) -> RoundedWeights:
    zeros: Codes = np.zeros(scale.shape, np.int64)
    scales: Scales = scales_of(scale, zeros, grid, w.shape).replace(levels=levels)
    if h is None or not compensate:
        return scales.rounded(scales.nearest(w))
    return coordinate_descent(w, grid, h, start=gptq(w, grid, h, scales=scales))
