"""Clipping by least squared error: scales that give up the largest weights to keep the many small ones."""

from __future__ import annotations

from typing import Literal

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.level_scales import best_scales, level_errors
from subbyte.compiler.rounding.nearest import range_scales
from subbyte.compiler.rounding.objective import checked, importance, output_errors
from subbyte.compiler.rounding.scales import Scales, rows_of, scales_of
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights

Weighting = Literal["none", "diagonal", "full"]

_FACTORS = (0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)
_ALL_ZERO_POINTS = 8  # codes: of so many each is tried as the zero point, of more those near the range's
_NEAR = 2


def mse(
    matrix: Reals, grid: Grid, second_moments: Reals | None = None, *, weighting: Weighting = "diagonal"
) -> RoundedWeights:
    """Rounding to nearest with the scales of least squared error.

    weighting: the errors of the weights count alike ("none"), with E[x_k^2] each ("diagonal": the output's error if the
        inputs were uncorrelated), or as the output's error itself ("full": a search around the scale of "diagonal").
    Source: Banner et al. 2019 (ACIQ) for clipping by squared error; the exact search is `level_scales.best_scales`.
    """
    w, h = checked(matrix, second_moments)
    scales = clipped_scales(w, grid, h, weighting=weighting)
    return scales.rounded(scales.nearest(w))


def clipped_scales(
    matrix: Reals, grid: Grid, second_moments: Reals | None = None, *, weighting: Weighting = "diagonal"
) -> Scales:
    """The scales and zero points of `mse`."""
    if weighting not in ("none", "diagonal", "full"):
        raise NumericsError(f"weighting '{weighting}' is not known; there are none, diagonal and full")
    counted = importance(matrix, second_moments if weighting != "none" else None)
    rows, weights = rows_of(matrix, grid), rows_of(counted, grid)
    weights = np.where((weights * np.abs(rows)).sum(axis=1, keepdims=True) > 0, weights, _real(matrix, grid))
    scale, zero_point = _fit(rows, weights, grid)
    ranged = range_scales(matrix, grid)
    found = scales_of(scale, zero_point, grid, matrix.shape)
    best = _better(ranged, found, rows, weights)
    if weighting == "full" and second_moments is not None:
        return _searched_by_outputs(matrix, best, second_moments)
    return best


def _real(matrix: Reals, grid: Grid) -> Reals:
    """Ones where a row has a weight, zeros where a block is filled up."""
    return rows_of(np.ones_like(matrix), grid)


def _fit(rows: Reals, weights: Reals, grid: Grid) -> tuple[Reals, Codes]:
    if grid.symmetric:
        return fitted_scales(rows, weights, grid.codes.astype(np.float64), grid), np.zeros(rows.shape[0], np.int64)
    zero_points = grid.codes[np.newaxis] + np.zeros((rows.shape[0], 1), np.int64)
    if grid.codes.size > _ALL_ZERO_POINTS:
        high, low = np.maximum(rows.max(axis=1), 0.0), np.minimum(rows.min(axis=1), 0.0)
        span = np.where(high > low, high - low, 1.0) / (grid.qmax - grid.qmin)
        near = np.rint(grid.qmin - low / span).astype(np.int64)[:, np.newaxis] + np.arange(-_NEAR, _NEAR + 1)
        zero_points = np.clip(near, grid.qmin, grid.qmax)
    best_scale, best_zero = np.zeros(rows.shape[0]), zero_points[:, zero_points.shape[1] // 2].copy()
    best_error = np.full(rows.shape[0], np.inf)
    for column in zero_points.T:
        for zero_point in np.unique(column):
            chosen = np.flatnonzero(column == zero_point)
            levels = (grid.codes - zero_point).astype(np.float64)
            part, part_weights = rows[chosen], weights[chosen]
            scale = fitted_scales(part, part_weights, levels, grid)
            error = level_errors(part, part_weights, levels, np.where(scale > 0, scale, 1.0))
            better = error < best_error[chosen]
            best_error[chosen[better]] = error[better]
            best_scale[chosen[better]], best_zero[chosen[better]] = scale[better], zero_point
    return best_scale, best_zero


def fitted_scales(rows: Reals, weights: Reals, levels: Reals, grid: Grid) -> Reals:
    """`best_scales` of rows, or the best power of two for each; 0 for rows of zeros."""
    scale = best_scales(rows, weights, levels)
    if not grid.power_of_two:
        return scale
    exponent = np.rint(np.log2(np.where(scale > 0, scale, 1.0)))
    tried = [2.0 ** (exponent + step) for step in (-2, -1, 0, 1)]
    errors = np.stack([level_errors(rows, weights, levels, power) for power in tried])
    best = np.take_along_axis(np.stack(tried), errors.argmin(axis=0)[np.newaxis], axis=0)[0]
    return np.where(scale > 0, best, 0.0)


def _better(first: Scales, second: Scales, rows: Reals, weights: Reals) -> Scales:
    """The scales of the row that has the smaller weighted error, `first` of two equals."""
    errors = []
    for scales in (first, second):
        scale, zero_point = scales.scale.reshape(-1, 1), scales.zero_point.reshape(-1, 1)
        values = scale * scales.steps(scales.encode(rows, scale, zero_point), zero_point)
        errors.append((weights * (rows - values) ** 2).sum(axis=1))
    keep = (errors[0] <= errors[1]).reshape(first.scale.shape)
    return first.replace(
        scale=np.where(keep, first.scale, second.scale),
        zero_point=np.where(keep, first.zero_point, second.zero_point),
    )


def _searched_by_outputs(matrix: Reals, scales: Scales, second_moments: Reals) -> Scales:
    """Each scale times the factor for which the outputs of nearest codes are best: all scales of a channel at once."""
    grid = scales.grid
    factors = [0.25, 0.5, 1.0, 2.0] if grid.power_of_two else _FACTORS
    best, best_error = scales, _channel_errors(matrix, scales, second_moments)
    for factor in factors:
        tried = scales.scaled(factor)
        error = _channel_errors(matrix, tried, second_moments)
        better = (error < best_error)[:, :, np.newaxis]
        best = best.replace(scale=np.where(better, tried.scale, best.scale))
        best_error = np.minimum(error, best_error)
    return best


def _channel_errors(matrix: Reals, scales: Scales, second_moments: Reals) -> Reals:
    errors = output_errors(matrix - scales.values(scales.nearest(matrix)), second_moments)
    return errors.sum(keepdims=True) if scales.grid.per == "tensor" else errors
