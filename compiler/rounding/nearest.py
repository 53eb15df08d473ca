"""Rounding to nearest: what every other method is compared with."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.objective import checked
from subbyte.compiler.rounding.scales import Scales, rows_of, scales_of
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights


def nearest(
    matrix: Reals, grid: Grid, second_moments: Reals | None = None, *, percentile: float = 100.0
) -> RoundedWeights:
    """code = clamp(rne(w / scale) + zero_point): scales from the range of the weights, moments not looked at.

    Args: percentile: above 50; 100 takes the largest magnitude of the weights, 99.9 one that a thousandth exceeds.
    """
    w, _ = checked(matrix, second_moments)
    scales = range_scales(w, grid, percentile)
    return scales.rounded(scales.nearest(w))


def range_scales(matrix: Reals, grid: Grid, percentile: float = 100.0) -> Scales:
    """Scales whose codes just reach over the weights of each row, or over the given percentile of them.

    Symmetric: the larger of max(w) / qmax and max(-w) / -qmin. With zero points: (max(w, 0) - min(w, 0)) over the
    codes, and the zero point puts min on qmin. Bipolar: the mean of |w|, the least squared error.
    Source: Nagel et al. 2021, "A White Paper on Neural Network Quantization", 2.1 and 3.1; Rastegari et al. 2016
    (XNOR-Net), eq. 6, for one bit.
    """
    if not 50.0 < percentile <= 100.0:
        raise NumericsError(f"percentile {percentile} was asked for; it is above 50 and at most 100")
    rows = rows_of(matrix, grid)
    if grid.bits == 1:
        real = rows_of(np.ones_like(matrix), grid)
        return scales_of(np.abs(rows).sum(axis=1) / real.sum(axis=1), _zeros(rows), grid, matrix.shape)
    if percentile == 100.0:
        high, low = np.maximum(rows.max(axis=1), 0.0), np.minimum(rows.min(axis=1), 0.0)
    elif grid.symmetric:
        high = np.percentile(np.abs(rows), percentile, axis=1)
        low = np.maximum(-high, rows.min(axis=1))
        high = np.minimum(high, rows.max(axis=1))
        high, low = np.maximum(high, 0.0), np.minimum(low, 0.0)
    else:
        high = np.maximum(np.percentile(rows, percentile, axis=1), 0.0)
        low = np.minimum(np.percentile(rows, 100.0 - percentile, axis=1), 0.0)
    if grid.symmetric:
        return scales_of(np.maximum(high / grid.qmax, low / grid.qmin), _zeros(rows), grid, matrix.shape)
    span = (high - low) / (grid.qmax - grid.qmin)
    scales = scales_of(span, _zeros(rows), grid, matrix.shape)
    begin = grid.qmin - np.rint(low.reshape(scales.scale.shape) / scales.scale)
    return Scales(grid, scales.scale, np.clip(begin, grid.qmin, grid.qmax).astype(np.int64), scales.length)


def _zeros(rows: Reals) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.zeros(rows.shape[0], np.int64)
