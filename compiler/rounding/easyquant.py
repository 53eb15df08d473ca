"""EasyQuant: the scale of the weights and that of the activations are searched in turn, by the outputs they give."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.gpfq import moments_of_rows
from subbyte.compiler.rounding.nearest import range_scales
from subbyte.compiler.rounding.objective import checked, output_errors
from subbyte.compiler.rounding.scales import as_float32
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights

Measure = Literal["cosine", "l2"]

_WORTH = 1e-12  # what less is won by is noise: the codes, so the cosine, can be the same for several factors


def easyquant(
    matrix: Reals,
    grid: Grid,
    second_moments: Reals | None = None,
    *,
    cross_moments: Reals | None = None,
    measure: Measure = "cosine",
    low: float = 0.3,
    high: float = 1.2,
    candidates: int = 60,
) -> RoundedWeights:
    """Nearest codes with scale = factor * range scale: the factor of low..high for which the outputs agree best.

    "cosine": the largest cos(wx, qx~) of each channel over the samples, which grows with w C q / sqrt(q H q); "l2": the
    least mean (wx - qx~)^2. The scales of a channel's blocks share a factor. The range scales themselves are among the
    candidates, and stay where nothing is better. Cost: candidates * O K^2 multiplications.

    cross_moments: the mean of x x~^T where the rounded weights meet other inputs x~ than the float ones (`gpfq`).
    Source: Wu et al. 2020 (EasyQuant), 3.2 and 3.3.
    """
    w, h = checked(matrix, second_moments)
    if measure not in ("cosine", "l2"):
        raise NumericsError(f"measure '{measure}' is not known; there are cosine and l2")
    if not 0 < low <= high or candidates < 1:
        raise NumericsError(f"{candidates} factors from {low} to {high} were asked for; 0 < low <= high, at least one")
    scales = range_scales(w, grid)
    factors = [1.0, *np.linspace(low, high, candidates).tolist()]
    if grid.power_of_two:
        factors = [1.0, 0.5, 0.25, 0.125, 2.0]
    moments = np.broadcast_to(np.eye(w.shape[2]), (w.shape[0], w.shape[2], w.shape[2])) if h is None else h
    wanted = w @ (moments if cross_moments is None else np.asarray(cross_moments, np.float64))  # E[(wx) x~^T]
    best, least = scales, np.full((1, 1) if grid.per == "tensor" else w.shape[:2], np.finfo(np.float64).max)
    for factor in factors:
        tried = scales.scaled(factor)
        values = tried.values(tried.nearest(w))
        both, power = (wanted * values).sum(axis=2), output_errors(values, moments)
        if grid.per == "tensor":
            both, power = both.sum(keepdims=True), power.sum(keepdims=True)
        loss = power - 2 * both if measure == "l2" else -both / np.sqrt(np.where(power > 0, power, np.inf))
        better = loss < least - _WORTH * np.abs(least)
        best = best.replace(scale=np.where(better[:, :, np.newaxis], tried.scale, best.scale))
        least = np.where(better, loss, least)
    return best.rounded(best.nearest(w))


def activation_scale(
    matrix: Reals,
    rounded: RoundedWeights,
    rows: Any,
    qmin: int,
    qmax: int,
    *,
    measure: Measure = "cosine",
    low: float = 0.3,
    high: float = 1.2,
    candidates: int = 60,
) -> float:
    """The scale of a layer's inputs, codes qmin..qmax and zero point 0, for which its outputs agree best.

    Args: rows: [G, rows, K], the float inputs; matrix: the float weights, rounded: what they are now.
    Returns: a float32 number above zero; the range scale is among the candidates.
    """
    x, w = np.asarray(rows, np.float64), np.asarray(matrix, np.float64)
    largest = max(x.max() / qmax, x.min() / qmin if qmin < 0 else 0.0)
    if not np.isfinite(x).all() or qmax <= 0 or largest <= 0:
        raise NumericsError(f"inputs with a scale for codes {qmin}..{qmax} are finite and somewhere not 0")
    turned = np.swapaxes(rounded.values().astype(np.float64), 1, 2)
    wanted = x @ np.swapaxes(w, 1, 2)
    best, best_loss = 0.0, np.inf
    for factor in [1.0, *np.linspace(low, high, candidates).tolist()]:
        scale = float(as_float32(np.array(factor * largest)))
        found = (scale * np.clip(np.rint(x / scale), qmin, qmax)) @ turned
        power = float((found**2).sum())
        both = float((wanted * found).sum())
        loss = power - 2 * both if measure == "l2" else -both / np.sqrt(power if power > 0 else np.inf)
        if loss < best_loss:
            best, best_loss = scale, loss
    return best


def easyquant_pair(
    matrix: Reals, grid: Grid, rows: Any, qmin: int, qmax: int, *, measure: Measure = "cosine", rounds: int = 3
) -> tuple[RoundedWeights, float]:
    """(weights, scale of the inputs), searched in turn until neither changes, `rounds` times at most."""
    x = np.asarray(rows, np.float64)
    rounded, scale = easyquant(matrix, grid, moments_of_rows(x)[0], measure=measure), 0.0
    for _ in range(rounds):
        found = activation_scale(matrix, rounded, x, qmin, qmax, measure=measure)
        if found == scale:
            break
        scale = found
        own, cross = moments_of_rows(x, scale * np.clip(np.rint(x / scale), qmin, qmax))
        rounded = easyquant(matrix, grid, own, cross_moments=cross, measure=measure)
    return rounded, scale
