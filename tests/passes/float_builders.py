"""Short ways to write float networks for tests of reparameterizations, and to compare what they compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from tests.passes.builders import floats, graph_of

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
    largest = {name: float(np.abs(y).max()) or 1.0 for name, y in expected.items()}
    return max(float(np.abs(found[name] - y).max()) / largest[name] for name, y in expected.items())


def tolerance(graph: Graph) -> float:
    """1e-5, or more where the last bits of the weights alone move the results further: large sums that cancel."""
    inputs = normal_inputs(graph)
    return max(1e-5, *(8 * relative_difference(graph, _with_other_last_bits(graph, seed), inputs) for seed in range(2)))


def _with_other_last_bits(graph: Graph, seed: int) -> Graph:
    random = np.random.default_rng(seed)
    return _with_weights(graph, lambda w: w * (1 + 6e-8 * random.uniform(-1, 1, w.shape)))


def rounded(graph: Graph, bits: int = 4) -> Graph:
    """The weights of each layer rounded to the nearest of 2^bits - 1 codes of one symmetric grid."""

    def nearest(w: Array) -> Array:
        scale = np.abs(w).max() / (2 ** (bits - 1) - 1)
        return np.asarray(np.rint(w / scale) * scale)

    return _with_weights(graph, nearest)


def _with_weights(graph: Graph, change: Callable[[Array], Array]) -> Graph:
    found: dict[Node, Layer] = {layer.node: layer for layer in layers(graph)}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Any = rewriter.rebuilt(node)
        if node in found:
            current = Layer("", current).with_parameters(change(found[node].weights))
        rewriter.replace(node, current)
    return rewriter.finish()


def rounding_error(graph: Graph, bits: int = 4, seed: int = 0) -> float:
    """sum (y' - y)^2 / sum y^2, y' of rounded weights, over all outputs together."""
    inputs = normal_inputs(graph, seed)
    expected, found = evaluate(graph, inputs), evaluate(rounded(graph, bits), inputs)
    energy = sum(float(np.square(y, dtype=np.float64).sum()) for y in expected.values())
    return sum(float(np.square(found[n] - y, dtype=np.float64).sum()) for n, y in expected.items()) / energy


def random_network(seed: int) -> Graph:
    """16 operations on 6 channels at random: layers, activations, additions, pools, Concat, normalizations, factors."""
    b = Floats(seed)
    choice = b.random
    values = [b.input(2, 6, 8, 8)]
    for _ in range(16):
        x = values[choice.integers(max(0, len(values) - 4), len(values))]
        other = values[choice.integers(len(values))]
        match int(choice.integers(14)):
            case 0 | 1 | 2:
                kernel, group = int(choice.choice([1, 3])), int(choice.choice([1, 2, 6]))
                y = b.conv(x, 6, kernel, group=group, bias=bool(choice.integers(2)))
            case 3:
                y = b.conv(b.named(ops.Pad(x, (0, 0, 1, 1, 0, 0, 1, 1), "constant", 0.0)), 6, 3, pad=0)
            case 4:
                y = b.relu(x)
            case 5:
                y = b.add(x, other)
            case 6:
                y = b.named(ops.MaxPool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False))
            case 7:
                y = b.conv(b.concat(x, other), 6)
            case 8:
                y = b.clip(x, *[(0.0, 3.0), (-1.0, 2.0)][choice.integers(2)])
            case 9 | 10:
                y = b.batch_norm(x, [(-2.0, 2.0), (0.5, 2.0)][choice.integers(2)])
            case 11:
                kind = [ops.Mul, ops.Add, ops.Sub, ops.Div][choice.integers(4)]
                y = b.named(kind(x, floats(choice.uniform(0.5, 2, (6, 1, 1)))))
            case 12:
                borders = bool(choice.integers(2))
                y = b.named(ops.AveragePool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False, borders))
            case _:
                y = b.add(b.conv(x, 6, 3), b.conv(x, 6))
        values.append(y)
    return graph_of(**{f"y{k}": value for k, value in enumerate(values[-2:])})
