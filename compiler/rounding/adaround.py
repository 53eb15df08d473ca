"""AdaRound: whether a weight is rounded up or down is learned, as a number that is driven to 0 or 1."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.adam import Adam
from subbyte.compiler.rounding.clipping import Weighting, clipped_scales
from subbyte.compiler.rounding.objective import checked, output_errors
from subbyte.compiler.rounding.scales import Scales
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights

_ZETA, _GAMMA = 1.1, -0.1  # the sigmoid is stretched over 0 and 1, so that it gets there
_WARM = 0.2  # the share of the steps without the pull to 0 and 1
_BETA_START, _BETA_END = 20.0, 2.0


def adaround(
    matrix: Reals,
    grid: Grid,
    second_moments: Reals | None = None,
    *,
    steps: int = 1000,
    rate: float = 0.02,
    pull: float = 1.0,
    seed: int = 0,
    spread: float = 0.0,
    scales: Scales | None = None,
    weighting: Weighting = "diagonal",
) -> RoundedWeights:
    """min over V of tr(dW H dW^T) + pull * sum(1 - |2 h(V) - 1|^beta), code = floor(w / scale) + (h(V) >= 1/2).

    h(V) = clamp(sigmoid(V) * 1.2 - 0.1, 0, 1), begun at the fraction of w / scale, so at no error; beta falls from 20
    to 2. The error is that of the outputs themselves, as a quadratic form, so no samples are drawn; it is counted in
    units of the error of rounding to nearest, for each weight. Channels for which the codes nearest to the weights are
    better keep those. Cost: steps * O K^2 multiplications.

    Args:
        spread: the standard deviation of a random change of V where it begins, by `seed`; 0: none.
    Source: Nagel et al. 2020 (AdaRound), eq. 21 to 24.
    """
    w, h = checked(matrix, second_moments)
    if steps < 1 or not rate > 0 or pull < 0 or spread < 0:
        raise NumericsError(
            f"steps {steps}, rate {rate}, pull {pull}, spread {spread}: none is negative, the first > 0"
        )
    if scales is None:
        scales = clipped_scales(w, grid, h, weighting=weighting)
    plain = scales.nearest(w)
    if h is None:
        return scales.rounded(plain)  # nearest is the minimum
    plain_errors = output_errors(w - scales.values(plain), h)
    scale, zero_point = scales.spread(w.shape)
    below, gap = _neighbours(w / scale + zero_point, grid)
    fraction = np.clip((w / scale + zero_point - below) / np.maximum(gap, 1), 1e-4, 1 - 1e-4)
    v = -np.log((_ZETA - _GAMMA) / (fraction - _GAMMA) - 1)
    v += spread * np.random.default_rng(seed).standard_normal(v.shape)
    unit = plain_errors.sum() / w.size
    if unit == 0.0:
        return scales.rounded(plain)
    adam, begin = Adam(v.shape), math.ceil(_WARM * steps)
    width = gap * scale
    for step in range(steps):
        sigmoid = 1 / (1 + np.exp(-v))
        stretched = sigmoid * (_ZETA - _GAMMA) + _GAMMA
        opened = np.clip(stretched, 0.0, 1.0)
        errors = w - scale * (below - zero_point) - width * opened
        gradient = -2 * (errors @ h) * width / unit
        if step >= begin:
            left = (steps - step) / (steps - begin)
            beta = _BETA_END + (_BETA_START - _BETA_END) * left
            centred = 2 * opened - 1
            gradient -= pull * 2 * beta * np.sign(centred) * np.abs(centred) ** (beta - 1)
        slope = np.where((stretched > 0) & (stretched < 1), (_ZETA - _GAMMA) * sigmoid * (1 - sigmoid), 0.0)
        v += adam.step(gradient * slope, rate)
    up = 1 / (1 + np.exp(-v)) >= 0.5
    learned = below + np.where(up, gap, 0)
    better = output_errors(w - scales.values(learned), h) < plain_errors
    return scales.rounded(np.where(better[:, :, np.newaxis], learned, plain))


def _neighbours(places: Reals, grid: Grid) -> tuple[Codes, Codes]:
    """The code below each place among the codes, and how far the next one is; 0 for places beyond all codes."""
    if grid.bits == 1:
        return np.full(places.shape, -1, np.int64), np.full(places.shape, 2, np.int64)
    below = np.clip(np.floor(places), grid.qmin, grid.qmax).astype(np.int64)
    above = np.clip(np.floor(places) + 1, grid.qmin, grid.qmax).astype(np.int64)
    return below, above - below
