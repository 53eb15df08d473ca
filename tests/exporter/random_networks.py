"""Random float networks: every operation that quantization meets, in any order, with values of several readers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.types import TensorType

_FUNCTIONS = ("Relu", "Relu", "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSwish", "Neg", "Abs")
_PARAMETERS = {"Clip": (-0.5, 1.0), "LeakyRelu": (0.125,)}
_CHANNELS = 4


def random_network(seed: int, operations: int = 12) -> Graph:
    """A float graph of about so many operations between convolutions, the same for the same seed."""
    return _Builder(np.random.default_rng(seed)).graph(operations)


@dataclass
class _Builder:
    random: np.random.Generator
    values: list[Value] = field(default_factory=list)
    count: int = 0

    def graph(self, operations: int) -> Graph:
        x = Input("x", TensorType(FLOAT32, (1, _CHANNELS, 6, 6)))
        self.values.append(x.out)
        for _ in range(operations):
            self.values.append(self._operation(self._recent()))
        left = self._conv(self.values[-1])
        outputs = [Output("y", left)]
        if self.random.random() < 0.3:
            outputs.append(Output("inner", self._recent()))
        return Graph("random", (x,), tuple(outputs))

    def _recent(self) -> Value:
        return self.values[-1 - int(self.random.integers(0, min(3, len(self.values))))]

    def _operation(self, x: Value) -> Value:
        kinds = ("conv", "conv", "conv", "function", "function", "binary", "affine", "concat", "pool", "move", "norm")
        kind = str(self.random.choice(kinds))
        names = self._names()
        match kind:
            case "conv":
                return self._conv(x)
            case "function":
                function = str(self.random.choice(_FUNCTIONS))
                return ops.Unary(x, function, _PARAMETERS.get(function, ()), **names).out
            case "binary":
                kind_of = (ops.Add, ops.Sub, ops.Mul)[int(self.random.integers(3))]
                return kind_of(x, self._like(x), **names).out
            case "affine":
                shape = [(), (1, _CHANNELS, 1, 1)][int(self.random.integers(2))]
                return (ops.Add, ops.Mul)[int(self.random.integers(2))](x, self._constant(shape), **names).out
            case "concat":
                joined = ops.Concat((x, self._like(x)), 1, **names).out
                return self._conv(joined) if self.random.random() < 0.5 else self._half(joined)
            case "pool":
                if self.random.random() < 0.5:
                    return ops.MaxPool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False, **names).out
                return ops.AveragePool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False, False, **names).out
            case "norm":
                parts = [self._constant((_CHANNELS,)) for _ in range(3)]
                variance = Constant.of(self.random.random(_CHANNELS) + 0.5, FLOAT32).out
                return ops.BatchNormalization(x, *parts, variance, 1e-5, **names).out
        return self._moved(x)

    def _moved(self, x: Value) -> Value:
        names = self._names()
        match int(self.random.integers(3)):
            case 0:
                return ops.Transpose(x, (0, 1, 3, 2), **names).out
            case 1:
                large = ops.ResizeNearest(x, (1, 4, 12, 12), (1.0, 1.0, 2.0, 2.0), "asymmetric", "floor", **names).out
                return ops.Slice(large, (0, 0, 3, 3), (1, 4, 9, 9), (1, 1, 1, 1), **self._names()).out
        padded = ops.Pad(x, (0, 0, 1, 1, 0, 0, 1, 1), "constant", 0.0, **names).out
        return ops.MaxPool(padded, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), False, **self._names()).out

    def _half(self, joined: Value) -> Value:
        first = int(self.random.integers(0, _CHANNELS + 1))
        return ops.Slice(joined, (0, first, 0, 0), (1, first + _CHANNELS, 6, 6), (1, 1, 1, 1), **self._names()).out

    def _like(self, x: Value) -> Value:
        """Any earlier value: all have the shape of the input."""
        return self.values[int(self.random.integers(len(self.values)))]

    def _conv(self, x: Value) -> Value:
        channels, kernel = x.type.shape[1], int(self.random.choice((1, 3)))
        group = channels if channels == _CHANNELS and self.random.random() < 0.3 else 1
        w = self._constant((_CHANNELS, channels // group, kernel, kernel), 1 / np.sqrt(channels // group * kernel**2))
        b = self._constant((_CHANNELS,)) if self.random.random() < 0.5 else None
        return ops.Conv(x, w, b, (1, 1), (kernel // 2,) * 4, (1, 1), group, **self._names()).out

    def _constant(self, shape: tuple[int, ...], scale: float = 0.7) -> Value:
        return Constant.of(self.random.standard_normal(shape) * scale, FLOAT32).out

    def _names(self) -> dict[str, Any]:
        self.count += 1
        return {"sources": (f"n{self.count}",), "tensor": f"t{self.count}"}
