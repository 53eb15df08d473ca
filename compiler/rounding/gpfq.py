"""GPFQ: greedy path following, which also makes up for inputs that quantized layers before have changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.clipping import Weighting, clipped_scales
from subbyte.compiler.rounding.objective import checked
from subbyte.compiler.rounding.scales import Scales
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights


def gpfq(
    matrix: Reals,
    grid: Grid,
    second_moments: Reals | None = None,
    *,
    cross_moments: Reals | None = None,
    scales: Scales | None = None,
    weighting: Weighting = "diagonal",
) -> RoundedWeights:
    """q_t = nearest(<X~_t, u + w_t X_t> / <X~_t, X~_t>), u += w_t X_t - q_t X~_t, for t = 1 .. K.

    X_t is input t of the float network over all samples, X~_t that of the quantized one, u the error of the outputs
    so far. Only products of columns enter, so the samples are not needed: with H = X~^T X~ and C = X^T X~,
    <X~_t, u> = sum_{j<t} (w_j C_jt - q_j H_jt). Inputs that are always zero are rounded to nearest.
    Cost: 2 O K^2 multiplications.

    Args:
        second_moments: H [G, K, K], of the inputs that the rounded weights will meet.
        cross_moments: C [G, K, K], the mean of x x~^T, row j of the float input j; None: x~ is x.
    Source: Lybrand and Saab 2021 (GPFQ), eq. 2 and 3; Zhang, Zhou and Saab 2023, algorithm 1 for X and X~.
    """
    w, h = checked(matrix, second_moments)
    if scales is None:
        scales = clipped_scales(w, grid, h, weighting=weighting)
    if h is None:
        return scales.rounded(scales.nearest(w))
    c = h if cross_moments is None else np.asarray(cross_moments, np.float64)
    if c.shape != h.shape or not np.isfinite(c).all():
        raise NumericsError(f"cross moments of shape {c.shape} must be finite and of shape {h.shape}")
    scale, zero_point = scales.spread(w.shape)
    codes, values = np.empty(w.shape, np.int64), np.zeros_like(w)
    for t in range(w.shape[2]):
        wanted = w[:, :, : t + 1] @ c[:, : t + 1, t, np.newaxis] - values[:, :, :t] @ h[:, :t, t, np.newaxis]
        norm = h[:, t, t, np.newaxis]
        target = np.where(norm > 0, wanted[:, :, 0] / np.where(norm > 0, norm, 1.0), w[:, :, t])
        codes[:, :, t] = scales.encode(target, scale[:, :, t], zero_point[:, :, t])
        values[:, :, t] = scale[:, :, t] * scales.steps(codes[:, :, t], zero_point[:, :, t])
    return scales.rounded(codes)


def moments_of_rows(rows: Any, quantized_rows: Any | None = None) -> tuple[Reals, Reals]:
    """(H, C) of sample rows [G, rows, K]: the means of x~ x~^T and x x~^T; x~ is x where it is not given."""
    x = np.asarray(rows, np.float64)
    other = x if quantized_rows is None else np.asarray(quantized_rows, np.float64)
    if x.ndim != 3 or x.shape != other.shape or x.shape[1] == 0:
        raise NumericsError(f"sample rows {x.shape} and {other.shape} must both be [groups, rows, K], rows at least 1")
    turned = np.swapaxes(other, 1, 2)
    return turned @ other / x.shape[1], np.swapaxes(x, 1, 2) @ other / x.shape[1]


def compensated_weights(matrix: Reals, second_moments: Reals, cross_moments: Reals, damping: float = 0.01) -> Reals:
    """argmin over V of mean |W x - V x~|^2 = W C H^-1: the float weights that answer to x~ as W does to x.

    Rounded with H they make any method account for the error of the layers before, as `gpfq` does by itself, since
    |W x - Q x~|^2 = |W x - V x~|^2 + tr((V - Q) H (V - Q)^T). Damped as V = W + W (C - H) (H + damping * mean diag)^-1.
    """
    w, h = checked(matrix, second_moments)
    assert h is not None  # given
    c = np.asarray(cross_moments, np.float64)
    if c.shape != h.shape or not np.isfinite(c).all():
        raise NumericsError(f"cross moments of shape {c.shape} must be finite and of shape {h.shape}")
    k = h.shape[1]
    mean = np.trace(h, axis1=1, axis2=2) / k
    load = damping * np.where(mean > 0, mean, 1.0)[:, np.newaxis, np.newaxis] * np.eye(k)
    change = np.linalg.solve(h + load, np.swapaxes(w @ (c - h), 1, 2))
    return np.asarray(w + np.swapaxes(change, 1, 2))
