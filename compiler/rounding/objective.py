"""What every method makes small: the mean squared change of a layer's outputs, as a quadratic form of the weights'."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.types import Reals, RoundedWeights


def output_errors(difference: Any, second_moments: Reals | None) -> Reals:
    """d H d^T for each row d of `difference`: the mean over the samples x of (d x)^2.

    Args: difference: [G, O, K]; second_moments: H [G, K, K], the mean of x x^T; None: the identity.
    Returns: [G, O], not negative.
    """
    d = np.asarray(difference, np.float64)
    product = d if second_moments is None else d @ second_moments
    return np.asarray(np.maximum((product * d).sum(axis=2), 0.0))


def output_error(matrix: Any, rounded: RoundedWeights, second_moments: Reals | None = None) -> float:
    """tr(dW H dW^T), dW = matrix - rounded.values(): the squared error of all outputs together, mean of the samples."""
    difference = np.asarray(matrix, np.float64) - rounded.values()
    return float(output_errors(difference, second_moments).sum())


def sqnr(matrix: Any, rounded: RoundedWeights, second_moments: Reals | None = None) -> float:
    """10 log10(tr(W H W^T) / tr(dW H dW^T)) in dB: the outputs' power over that of their error; inf without error."""
    noise = output_error(matrix, rounded, second_moments)
    signal = float(output_errors(matrix, second_moments).sum())
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -math.inf


def checked(matrix: Any, second_moments: Any | None) -> tuple[Reals, Reals | None]:
    """Both as float64, second moments made exactly symmetric.

    Raises: NumericsError: the shapes do not fit, a number is NaN or infinite, a diagonal moment is negative.
    """
    w = np.asarray(matrix, np.float64)
    if w.ndim != 3 or w.size == 0:
        raise NumericsError(f"weights of shape {w.shape} cannot be rounded; a layer's are [groups, outputs, K], none 0")
    if not np.isfinite(w).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(w))[0])
        raise NumericsError(f"the weight at [group, output, k] = {list(where)} is {w[where]}; weights must be finite")
    if second_moments is None:
        return w, None
    h = np.asarray(second_moments, np.float64)
    g, _, k = w.shape
    if h.shape != (g, k, k):
        raise NumericsError(f"second moments of shape {h.shape} do not fit weights {w.shape}; ({g}, {k}, {k}) does")
    if not np.isfinite(h).all():
        raise NumericsError("second moments hold NaN or infinity: look for it in the calibration samples")
    if (np.diagonal(h, axis1=1, axis2=2) < 0).any():
        raise NumericsError("a second moment E[x^2] is negative; they are sums of squares")
    return w, (h + np.swapaxes(h, 1, 2)) / 2


def importance(matrix: Reals, second_moments: Reals | None) -> Reals:
    """[G, O, K]: how much the output's error grows with each weight's squared error alone, diag(H).

    Ones where there are no moments, and for groups whose inputs are all zero.
    """
    if second_moments is None:
        return np.ones_like(matrix)
    diagonal = np.diagonal(second_moments, axis1=1, axis2=2)[:, np.newaxis, :]
    seen = diagonal.max(axis=2, keepdims=True) > 0
    return np.asarray(np.broadcast_to(np.where(seen, diagonal, 1.0), matrix.shape))
