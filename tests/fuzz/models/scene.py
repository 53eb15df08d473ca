"""What every layer is given, and what some of them share: weights and biases."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tests.fuzz.models.choices import Choices
from tests.fuzz.models.dialect import Dialect, Floats, Weights
from tests.fuzz.models.writer import Tensor, Writer

MOST_ELEMENTS = 1200  # of one tensor: small models find as much, and sooner


@dataclass(frozen=True)
class Scene:
    """What a layer may use: the model, the choices, the dialect of this layer, and the tensors there are."""

    w: Writer
    c: Choices
    dialect: Dialect
    tensors: Sequence[Tensor]

    def another(self, x: Tensor) -> Tensor:
        """A tensor of the shape of x, x itself among them."""
        return self.c.pick([x, *(t for t in self.tensors if t.shape == x.shape)])


Layer = Callable[[Scene, Tensor], "Tensor | None"]


def random_weights(c: Choices, shape: tuple[int, ...], fan_in: int) -> Floats:
    """Normal weights; now and then some output is silent, or two are the same."""
    values = c.random().normal(0, 1 / math.sqrt(fan_in), shape)
    if c.happens(15):
        values[c.number(0, shape[0] - 1)] = 0
    if c.happens(15):
        values[c.number(0, shape[0] - 1)] = values[0]
    return values.astype(np.float32)


def bias_of(s: Scene, x: Tensor, weights: Weights, size: int) -> list[str]:
    """No bias, a float one, or int32 codes: on the grid of the products, or on another."""
    c = s.c
    kind = c.pick(("none", "float", "codes", "codes of another grid"))
    values = c.random().normal(0, x.reach / 2, size).astype(np.float32)
    if kind == "none":
        return []
    if kind == "float" or x.codes is None or weights.scale is None:
        return [s.w.constant(values, "bias")]
    scale = np.asarray(x.codes.scale * weights.scale, np.float32)
    if kind == "codes of another grid":
        scale = np.asarray(scale * np.float32(c.pick((2.0, 1.1, 0.3))), np.float32)
    codes = np.clip(np.rint(values / scale), -(1 << 30), 1 << 30).astype(np.int64)
    operands = [s.w.codes(codes, TensorProto.INT32, "bias"), s.w.constant(scale, "scale")]
    if c.happens(50):
        operands.append(s.w.codes(np.zeros(scale.shape, np.int64), TensorProto.INT32, "zero"))
    return [*s.w.node("DequantizeLinear", operands, **({"axis": 0} if scale.ndim else {}))]
