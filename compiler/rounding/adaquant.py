"""AdaQuant: weights and scales of a layer are learned together, through the rounding."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.adam import Adam
from subbyte.compiler.rounding.clipping import Weighting, clipped_scales
from subbyte.compiler.rounding.objective import checked, output_errors
from subbyte.compiler.rounding.scales import Scales, as_float32
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights


def adaquant(
    matrix: Reals,
    grid: Grid,
    second_moments: Reals | None = None,
    *,
    steps: int = 1000,
    rate: float = 0.02,
    scale_rate: float = 1e-3,
    scales: Scales | None = None,
    weighting: Weighting = "diagonal",
) -> RoundedWeights:
    """min over U and s of tr(dW H dW^T), dW = W - s * (clamp(rne(U)) - z): U, in steps, begins at W / s + z.

    The gradient passes the rounding as if it were not there (straight through) and stops at the clamp; that of log s
    is exact for the codes as they are. What is returned is the best that was met, for each channel (for the tensor
    where it has one scale), nearest codes with the first scales among them. Rates fall to 0 along the steps. Powers of
    two stay what they are.
    Cost: steps * O K^2 multiplications.
    Source: Hubara et al. 2021 (AdaQuant), 3.1; Bengio et al. 2013 for the straight-through gradient.
    """
    w, h = checked(matrix, second_moments)
    if steps < 1 or not rate > 0 or scale_rate < 0:
        raise NumericsError(f"steps {steps}, rate {rate}, scale_rate {scale_rate}: none is negative, the first two > 0")
    if scales is None:
        scales = clipped_scales(w, grid, h, weighting=weighting)
    moments = np.broadcast_to(np.eye(w.shape[2]), (w.shape[0], w.shape[2], w.shape[2])) if h is None else h
    scale, zero_point = scales.spread(w.shape)
    places = w / scale if grid.bits == 1 else w / scale + zero_point
    logarithm = np.log(scales.scale)
    of_places, of_scale = Adam(w.shape), Adam(logarithm.shape)
    current, best, best_codes = scales, scales, scales.nearest(w)
    least = _shared_errors(w, best, best_codes, moments)
    for step in range(steps):
        codes = _codes_at(places, grid)
        errors = w - current.values(codes)
        slope = errors @ moments
        found = (slope * errors).sum(axis=2)
        found = found.sum(keepdims=True) if grid.per == "tensor" else found
        better = found < least
        chosen = better[:, :, np.newaxis]
        least = np.where(better, found, least)
        best_codes = np.where(chosen, codes, best_codes)
        best = best.replace(scale=np.where(chosen, current.scale, best.scale))
        left = 1 - step / steps
        inside = (places >= grid.qmin - 0.5) & (places <= grid.qmax + 0.5)
        scale, zero_point = current.spread(w.shape)
        of_log = _summed(-2 * slope * current.steps(codes, zero_point) * scale, scales)
        places = places + of_places.step(np.where(inside, -2 * slope * scale, 0.0), rate * left)
        if not grid.power_of_two:
            logarithm = logarithm + of_scale.step(of_log, scale_rate * left)
            current = current.replace(scale=as_float32(np.exp(logarithm)))
    return best.rounded(best_codes)


def _codes_at(places: Reals, grid: Grid) -> Codes:
    if grid.bits == 1:
        return np.where(places >= 0, 1, -1)
    return np.clip(np.rint(places), grid.qmin, grid.qmax).astype(np.int64)


def _shared_errors(w: Reals, scales: Scales, codes: Codes, h: Reals) -> Reals:
    errors = output_errors(w - scales.values(codes), h)
    return errors.sum(keepdims=True) if scales.grid.per == "tensor" else errors


def _summed(terms: Reals, scales: Scales) -> Reals:
    """The sums of [G, O, K] over the weights that share a scale."""
    if scales.grid.per == "tensor":
        return np.asarray(terms.sum(keepdims=True))
    begins = np.arange(0, terms.shape[2], scales.length)
    return np.asarray(np.add.reduceat(terms, begins, axis=2))
