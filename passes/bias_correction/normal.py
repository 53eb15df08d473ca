"""Mean and variance of normal variables behind a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Normal:
    """The mean and the variance of each channel."""

    mean: Doubles
    variance: Doubles


def clipped(x: Normal, low: float, high: float) -> Normal:
    """Mean and variance of min(max(X, low), high), X ~ N(mean, variance); low may be -inf, high inf.

    With a = (low - m) / s, b = (high - m) / s, P = Phi(b) - Phi(a), phi and Phi the normal density and distribution:
    E[Y]   = low Phi(a) + high (1 - Phi(b)) + m P + s (phi(a) - phi(b)),
    E[Y^2] = low^2 Phi(a) + high^2 (1 - Phi(b)) + (m^2 + s^2) P + s ((m + low) phi(a) - (m + high) phi(b)).
    For low = 0 and high = inf the first is beta (1 - Phi(-beta / gamma)) + gamma phi(-beta / gamma).
    Source: Nagel et al. 2019, appendix C.
    """
    deviation = np.maximum(np.sqrt(x.variance), 1e-12)
    mean = x.mean
    first = np.zeros_like(mean)
    second = np.zeros_like(mean)
    inside = np.ones_like(mean)
    for limit, sign in ((low, 1.0), (high, -1.0)):
        if math.isinf(limit):
            continue
        place = (limit - mean) / deviation
        beyond = _distribution(sign * place)
        density = sign * np.exp(-(place**2) / 2) / math.sqrt(2 * math.pi)
        inside = inside - beyond
        first = first + limit * beyond + deviation * density
        second = second + limit**2 * beyond + deviation * (mean + limit) * density
    first = first + mean * inside
    second = second + (mean**2 + deviation**2) * inside
    return Normal(first, np.maximum(second - first**2, 0.0))


def _distribution(x: Doubles) -> Doubles:
    """Phi(x)."""
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x.tolist()])
