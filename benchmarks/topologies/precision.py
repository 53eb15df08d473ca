"""In how many bits a built network computes, and the scales that it does it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Precision:
    """Bits of weights and activations inside; the first and the last layer have 8. None: float."""

    weight_bits: int | None
    activation_bits: int | None


PRECISIONS = {
    "float": Precision(None, None),
    "w8a8": Precision(8, 8),
    "w4a8": Precision(4, 8),
    "w2a8": Precision(2, 8),
    "w4a4": Precision(4, 4),
    "w3a3": Precision(3, 3),
    "w2a2": Precision(2, 2),
    "w1a2": Precision(1, 2),
    "w1a1": Precision(1, 1),
}


@dataclass(frozen=True)
class Grid:
    """Codes low..high of `scale` (and zero point 0), int8 where low is negative, else uint8."""

    scale: Array
    low: int
    high: int

    @property
    def dtype(self) -> Any:
        return np.int8 if self.low < 0 else np.uint8

    def codes(self, values: Array, axis: int | None = None) -> Array:
        """The codes of real numbers; the scale may lie along `axis`."""
        shape = [1] * values.ndim
        if axis is not None:
            shape[axis] = -1
        steps = values / self.scale.reshape(shape if self.scale.ndim else ())
        return np.asarray(np.clip(np.rint(steps), self.low, self.high), self.dtype)


def activation_grid(values: Array, bits: int) -> Grid:
    """Unsigned where no value is negative, else symmetric; the scale has the least squared error on a sample.

    One bit of a signed activation is ternary: QuantizeLinear has no code without a zero.
    """
    signed = float(values.min()) < 0
    low, high = (-max(2 ** (bits - 1) - 1, 1), max(2 ** (bits - 1) - 1, 1)) if signed else (0, 2**bits - 1)
    sample = values.reshape(-1)[:: max(values.size // 5000, 1)].astype(np.float64)
    largest = max(float(np.abs(values).max()), 1e-6)
    shares = [1.0] if bits >= 8 else np.linspace(0.1, 1, 19)
    scales = [np.float32(largest * share / high) for share in shares]
    errors = [np.square(np.clip(np.rint(sample / s), low, high) * s - sample).mean() for s in scales]
    return Grid(np.asarray(scales[int(np.argmin(errors))], np.float32), low, high)


def weight_grid(weights: Array, bits: int) -> Grid:
    """Symmetric, a scale for each entry of axis 0. 1 bit: the signs -1 and 1; 2 bits: ternary."""
    rows = weights.reshape(weights.shape[0], -1).astype(np.float64)
    if bits == 1:
        scale, high = np.abs(rows).mean(axis=1), 1
    elif bits == 2:
        scale, high = 1.1 * rows.std(axis=1), 1
    else:
        high = 2 ** (bits - 1) - 1
        scale = np.abs(rows).max(axis=1) * (1 if bits == 8 else 0.85) / high
    return Grid((scale + 1e-9).astype(np.float32), -high, high)


def weight_codes(weights: Array, grid: Grid, bits: int) -> Array:
    """The codes of weights; with 1 bit each is the sign, and no code is 0."""
    if bits == 1:
        return np.where(weights >= 0, 1, -1).astype(np.int8)
    return grid.codes(weights, axis=0)
