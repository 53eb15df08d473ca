"""REx: weights as a sum of rounded matrices, each the rounding of what the ones before it left over."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.objective import checked, output_errors
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights, Rounding


def expand(
    matrix: Reals,
    grid: Grid,
    terms: int,
    second_moments: Reals | None = None,
    *,
    rounding: Rounding = nearest,
    share: float = 1.0,
) -> tuple[RoundedWeights, ...]:
    """W ~ Q_1 + ... + Q_n: Q_i = rounding(W - Q_1 - ... - Q_{i-1}), parallel layers whose outputs are added.

    With range scales each term leaves at most half a step of it, so the largest error falls by 2 * qmax with each one.

    Args:
        terms: at least 1.
        share: of the output channels, those with the largest error, that the terms from the second on hold; the codes
            of the others are 0 there (`held_channels`), so the layer can be cut down to those it holds.
    Raises: NumericsError: bipolar codes, which cannot be 0, with share below 1.
    Source: Yvinec et al. 2023 (REx), eq. 3 to 5 and 3.2 for the sparse expansion.
    """
    w, h = checked(matrix, second_moments)
    if terms < 1 or not 0 < share <= 1:
        raise NumericsError(f"{terms} terms on a share of {share} of the channels: at least 1, a share in (0, 1]")
    if share < 1 and grid.bits == 1:
        raise NumericsError("bipolar weights cannot be 0, so a term of some channels alone needs at least 2 bits")
    left, found = w, []
    for term in range(terms):
        part = left
        if term > 0 and share < 1:
            part = np.where(_worst(left, h, share)[:, :, np.newaxis], left, 0.0)
        rounded = rounding(part, grid, h)
        found.append(rounded)
        left = left - rounded.values()
    return tuple(found)


def held_channels(rounded: RoundedWeights) -> tuple[int, ...]:
    """The output channels, counted over all groups, in which a term of `expand` has a code other than 0's."""
    return tuple(int(i) for i in np.flatnonzero((rounded.values() != 0).any(axis=2).reshape(-1)))


def _worst(left: Reals, second_moments: Reals | None, share: float) -> NDArray[np.bool_]:
    """[G, O]: the channels with the largest errors, the same number in each group, as a layer in groups needs it."""
    errors = output_errors(left, second_moments)
    count = math.ceil(share * errors.shape[1])
    places = np.argsort(-errors, axis=1, kind="stable")[:, :count]
    held = np.zeros(errors.shape, bool)
    np.put_along_axis(held, places, True, axis=1)
    return held
