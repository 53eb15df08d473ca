"""What a dialect is: how it writes the quantization of an activation, of weights and of a bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tests.fuzz.models.choices import Choices
from tests.fuzz.models.writer import Tensor, Writer

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """A float tensor of the model that stands for quantized weights.

    scale: [] or [C], None where the weights are not codes on one grid; integer: whether MACs on it must be integer.
    """

    name: str
    scale: Floats | None = None
    integer: bool = True


class Dialect(Protocol):
    """One way to write quantization."""

    def activation(self, w: Writer, c: Choices, x: Tensor) -> Tensor:
        """x quantized and dequantized; x itself in a dialect that leaves activations alone."""

    def weights(self, w: Writer, c: Choices, values: Floats, axis: int | None) -> Weights:
        """`values` quantized; per channel along `axis` where it is not None and chance will have it."""


class Scales:
    """Scales of one model: any, powers of two (so that sums fall on ties), or round decimals."""

    def __init__(self, c: Choices) -> None:
        self._kind = c.pick(("decimal", "power of two", "any"))

    def near(self, c: Choices, target: float) -> np.float32:
        """A scale of about the size of `target`."""
        if self._kind == "power of two":
            return np.float32(2.0 ** np.round(np.log2(target)))
        if self._kind == "decimal":
            digit = 10.0 ** np.floor(np.log10(target))
            return np.float32(max(round(target / digit), 1) * digit)
        return np.float32(target * c.random().uniform(0.7, 1.4))

    def several(self, c: Choices, target: float, count: int) -> Floats:
        """As many scales: one a channel."""
        return np.array([self.near(c, target * factor) for factor in c.random().uniform(0.5, 2, count)], np.float32)
