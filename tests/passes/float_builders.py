"""Short ways to write float networks for tests of reparameterizations, and to compare what they compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import TensorType
from subbyte.passes.equalization.scaled import scaled
from subbyte.passes.equalization.spaces import FIXED, Spaces
from tests.passes.builders import floats

Array = NDArray[Any]


class Floats:
    """Random float values, and layers of them."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.count = 0

    def input(self, *shape: int, name: str = "x") -> Value:
        return Input(name, TensorType(FLOAT32, shape)).out

    def weights(self, *shape: int) -> Value:
        return floats(self.random.normal(size=shape))

    def vector(self, extent: int, low: float = -1.0, high: float = 1.0) -> Value:
        return floats(self.random.uniform(low, high, extent))

    def named(self, node: Node) -> Value:
        self.count += 1
        name = f"{type(node).__name__.lower()}{self.count}"
        return node.replace(sources=(name,), tensor=name).out

    def conv(
        self, x: Value, outputs: int, kernel: int = 1, *, stride: int = 1, group: int = 1, pad: int | None = None,
        bias: bool = True,
    ) -> Value:  # fmt: skip
        w = self.weights(outputs, x.type.shape[1] // group, kernel, kernel)
        pads = (kernel // 2 if pad is None else pad,) * 4
        b = self.vector(outputs) if bias else None
        return self.named(ops.Conv(x, w, b, (stride,) * 2, pads, (1, 1), group))

    def gemm(self, x: Value, outputs: int) -> Value:
        w, b = self.weights(outputs, x.type.shape[1]), self.vector(outputs)
        return self.named(ops.Gemm(x, w, b, 1.0, 1.0, False, True))

    def batch_norm(self, x: Value, gain: tuple[float, float] = (0.5, 2.0)) -> Value:
        count = x.type.shape[1]
        scale, shift, mean = self.vector(count, *gain), self.vector(count), self.vector(count)
        return self.named(ops.BatchNormalization(x, scale, shift, mean, self.vector(count, 0.5, 2.0), 1e-5))

    def relu(self, x: Value) -> Value:
        return self.named(ops.Unary(x, "Relu"))

    def clip(self, x: Value, low: float = 0.0, high: float = 6.0) -> Value:
        return self.named(ops.Unary(x, "Clip", (low, high)))

    def add(self, a: Value, b: Value) -> Value:
        return self.named(ops.Add(a, b))

    def concat(self, *values: Value) -> Value:
        return self.named(ops.Concat(values, 1))


def disturbed(graph: Graph, seed: int = 0) -> Graph:
    """The same function with every channel that may be scaled divided by a factor between e^-3 and e^3."""
    spaces = Spaces(graph)
    roots = spaces.roots()
    scales = np.exp(np.random.default_rng(seed).uniform(-3, 3, len(roots)))
    scales[FIXED] = 1
    return scaled(graph, spaces, scales[roots])


def normal_inputs(graph: Graph, seed: int = 0) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {node.name: random.normal(size=node.type.shape).astype(np.float32) for node in graph.inputs}


def relative_difference(before: Graph, after: Graph, inputs: Mapping[str, Array] | None = None) -> float:
    """The largest difference of the outputs, relative to the largest magnitude of each."""
    arrays = normal_inputs(before) if inputs is None else inputs
    expected, found = evaluate(before, arrays), evaluate(after, arrays)
    return max(float(np.abs(found[name] - y).max() / np.abs(y).max()) for name, y in expected.items())


def rounded(graph: Graph, bits: int = 4) -> Graph:
    """The weights of each layer rounded to the nearest of 2^bits - 1 codes of one symmetric grid."""
    found: dict[Node, Layer] = {layer.node: layer for layer in layers(graph)}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Any = rewriter.rebuilt(node)
        if node in found:
            w = found[node].weights
            scale = np.abs(w).max() / (2 ** (bits - 1) - 1)
            current = Layer("", current).with_parameters(np.rint(w / scale) * scale)
        rewriter.replace(node, current)
    return rewriter.finish()


def rounding_error(graph: Graph, bits: int = 4, seed: int = 0) -> float:
    """sum (y' - y)^2 / sum y^2, y' of rounded weights, over all outputs together."""
    inputs = normal_inputs(graph, seed)
    expected, found = evaluate(graph, inputs), evaluate(rounded(graph, bits), inputs)
    energy = sum(float(np.square(y, dtype=np.float64).sum()) for y in expected.values())
    return sum(float(np.square(found[n] - y, dtype=np.float64).sum()) for n, y in expected.items()) / energy
