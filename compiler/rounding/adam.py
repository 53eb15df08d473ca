"""Adam, for the methods that learn by gradients."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.rounding.types import Reals

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-12


class Adam:
    """Steps along the mean gradient over its root mean square.  Source: Kingma and Ba 2015, algorithm 1."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._mean, self._square, self._count = np.zeros(shape), np.zeros(shape), 0

    def step(self, gradient: Reals, rate: float) -> Reals:
        """What to add to the parameters."""
        self._count += 1
        self._mean += (1 - _FIRST) * (gradient - self._mean)
        self._square += (1 - _SECOND) * (gradient**2 - self._square)
        mean = self._mean / (1 - _FIRST**self._count)
        square = self._square / (1 - _SECOND**self._count)
        return np.asarray(-rate * mean / (np.sqrt(square) + _TINY))
