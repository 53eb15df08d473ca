"""Float networks built by script, with weights as uneven as those of trained ones: what reparameterization is tried on.

NETWORKS names them; each entry is a function without arguments that gives a Network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]


@dataclass(frozen=True)
class Network:
    """A float graph as an importer makes it, and two batches of its input: to calibrate, and to judge."""

    graph: Graph
    calibration: dict[str, Array]
    judging: dict[str, Array]


@dataclass
class Builder:
    """Makes nodes and computes them at once, so that normalizations can be given the statistics of what they see.

    spread: the deviation of the logarithm of a normalization's scales. With 0.9 they are 35 times as large in one
    channel as in another (the 2.5th and the 97.5th percentile), and folded weights differ by 2 to 3 orders of
    magnitude, as in trained MobileNets.
    """

    name: str
    samples: Array
    seed: int
    spread: float = 0.9
    arrays: dict[Value, Array] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        source = Input("input", TensorType(FLOAT32, self.samples.shape))
        self.input = source.out
        self.arrays[source.out] = self.samples

    def add(self, node: Node) -> Value:
        """`node` with a name, computed."""
        self.count += 1
        name = f"{type(node).__name__.lower()}{self.count}"
        named = node.replace(sources=(name,), tensor=name)
        operands = [value.constant if value.constant is not None else self.arrays[value] for value in named.operands]
        (self.arrays[named.out],) = evaluate_node(named, operands)
        return named.out

    def constant(self, values: Any) -> Value:
        return Constant.of(np.asarray(values, np.float32), FLOAT32).out

    def conv(
        self, x: Value, outputs: int, kernel: int = 1, stride: int = 1, group: int = 1, bias: Array | None = None
    ) -> Value:
        """A convolution whose weights match how uneven its operand is, as training leaves them: half of it."""
        channels = x.type.shape[1] // group
        reach = (3 / (channels * kernel**2)) ** 0.5
        weights = self.random.uniform(-reach, reach, (outputs, channels, kernel, kernel))
        if group > 1:  # filters of one channel are mostly smooth
            weights = 0.3 * weights + np.abs(self.random.normal(0, 1 / 3, (outputs, 1, 1, 1)))
        else:
            deviation = self.arrays[x].std(axis=(0, 2, 3)) + 1e-3
            weights /= np.sqrt(deviation / deviation.mean()).reshape(1, -1, 1, 1)
        return self.add(
            ops.Conv(
                x, self.constant(weights), None if bias is None else self.constant(bias),
                (stride,) * 2, (kernel // 2,) * 4, (1, 1), group,
            )
        )  # fmt: skip

    def normalized(
        self, x: Value, size: float = 1.0, shift: Array | None = None, profile: Array | None = None
    ) -> Value:
        """BatchNormalization with the mean and variance of x, uneven scales of mean square size^2, and like shifts.

        shift: the shifts in units of the scales, where they are not to be random; those keep most channels alive, as
        the variance of one that is nearly always cut off is nearly 0 and its normalization a large factor.
        profile: the logarithm of the scales but for small differences, where channels are to be alike in many layers.
        """
        found, channels = self.arrays[x].astype(np.float64), x.type.shape[1]
        axes = tuple(axis for axis in range(found.ndim) if axis != 1)
        own = self.random.normal(0, self.spread if profile is None else 0.2, channels)
        scale = np.exp(own if profile is None else profile + own)
        scale *= size / np.sqrt(np.mean(scale**2))
        random = np.maximum(self.random.normal(0.5, 0.5, channels), -0.3)
        shifts = scale * (random if shift is None else shift)
        parameters = (scale, shifts, found.mean(axes), found.var(axes))
        return self.add(ops.BatchNormalization(x, *map(self.constant, parameters), 1e-5))

    def activated(self, x: Value, limit: float | None = None) -> Value:
        """Relu, or a Clip to 0..limit."""
        return self.add(ops.Unary(x, "Relu") if limit is None else ops.Unary(x, "Clip", (0.0, limit)))

    def classified(self, x: Value, classes: int) -> Value:
        """The mean over all places, and a matrix product of it."""
        pooled = self.add(ops.ReduceMean(x, (2, 3), False))
        width = pooled.type.shape[1]
        deviation = self.arrays[pooled].std(axis=0) + 1e-3
        spread = (3 / width) ** 0.5 / np.sqrt(deviation / deviation.mean())
        weights = self.random.uniform(-1, 1, (classes, width)) * spread
        return self.add(
            ops.Gemm(pooled, self.constant(weights), self.constant(np.zeros(classes)), 1.0, 1.0, False, True)
        )

    def network(self, y: Value, judging: Array) -> Network:
        (source,) = (node for node in (self.input.node,) if isinstance(node, Input))
        graph = Graph(self.name, (source,), (Output("output", y),))
        return Network(graph, {"input": self.samples}, {"input": judging})


def pictures(random: np.random.Generator, count: int, size: int) -> Array:
    """[count, 3, size, size] smooth random pictures: each has colours, a contrast and details of its own."""
    made = np.zeros((count, 3, size, size))
    for cells in (1, 2, 4, 8, 16):
        coarse = random.normal(size=(count, 3, cells, cells)) * np.exp(random.normal(0, 0.7, (count, 1, 1, 1)))
        made += np.repeat(np.repeat(coarse, size // cells, axis=2), size // cells, axis=3)
    return (made / made.std()).astype(np.float32)


def mobilenet_v2(limit: float | None) -> Network:
    """Inverted residuals with linear bottlenecks for pictures of 32x32, with Relu or ReLU6.

    Source: Sandler et al., MobileNetV2, 2018, table 2: its first four stages, half as wide, with two blocks each.
    """
    random = np.random.default_rng(1)
    samples, judging = pictures(random, 8, 32), pictures(random, 8, 32)
    b = Builder("mobilenet_v2", samples, seed=2)
    x = b.activated(b.normalized(b.conv(b.input, 16, 3)), limit)
    for expansion, outputs, blocks, first_stride in (
        (1, 8, 1, 1), (6, 12, 2, 1), (6, 16, 2, 2), (6, 32, 2, 2),
    ):  # fmt: skip
        profile = b.random.normal(0, b.spread, outputs)  # the channels of a residual stream are alike in all its blocks
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            y, width = x, x.type.shape[1] * expansion
            if expansion > 1:
                y = b.activated(b.normalized(b.conv(y, width)), limit)
            y = b.activated(b.normalized(b.conv(y, width, 3, stride, group=width)), limit)
            y = b.normalized(b.conv(y, outputs), 0.5 if block else 1.0, profile=profile)
            x = b.add(ops.Add(x, y)) if block else y
    x = b.activated(b.normalized(b.conv(x, 160)), limit)
    return b.network(b.classified(x, 100), judging)


def high_biases() -> Network:
    """Pointwise convolutions whose normalizations shift most channels above zero, by up to several deviations."""
    random = np.random.default_rng(7)
    samples, judging = pictures(random, 8, 16), pictures(random, 8, 16)
    b = Builder("high_biases", samples, seed=8, spread=0.5)
    x = b.activated(b.normalized(b.conv(b.input, 24, 3)))
    for _ in range(3):
        y = b.conv(x, 24)
        shift = b.random.exponential(3.0, 24)
        x = b.activated(b.normalized(y, shift=shift))
    return b.network(b.classified(x, 20), judging)


def repvgg() -> Network:
    """Blocks of a 3x3 convolution, a 1x1 convolution and x, each normalized, added, and Relu.

    Source: Ding et al., RepVGG, 2021, figure 2.
    """
    random = np.random.default_rng(9)
    samples, judging = pictures(random, 8, 16), pictures(random, 8, 16)
    b = Builder("repvgg", samples, seed=10, spread=0.5)
    x = b.activated(b.normalized(b.conv(b.input, 24, 3)))
    for _ in range(4):
        branches = [b.normalized(b.conv(x, 24, 3)), b.normalized(b.conv(x, 24)), b.normalized(x)]
        x = b.activated(b.add(ops.Add(b.add(ops.Add(branches[0], branches[1])), branches[2])))
    return b.network(b.classified(x, 20), judging)


def linear_pairs() -> Network:
    """A 3x3 and a 1x1 convolution with nothing in between, as wide as each other, and Relu: layers trained wider."""
    random = np.random.default_rng(11)
    samples, judging = pictures(random, 8, 16), pictures(random, 8, 16)
    b = Builder("linear_pairs", samples, seed=12, spread=0.5)
    x = b.input
    for _ in range(3):
        x = b.activated(b.normalized(b.conv(b.conv(x, 48, 3), 24)))
    return b.network(b.classified(x, 20), judging)


def dense_blocks() -> Network:
    """Branches joined by Concat and normalized behind it, and normalizations in front of convolutions without pads."""
    random = np.random.default_rng(13)
    samples, judging = pictures(random, 8, 16), pictures(random, 8, 16)
    b = Builder("dense_blocks", samples, seed=14, spread=0.5)
    x = b.activated(b.normalized(b.conv(b.input, 24, 3)))
    for _ in range(3):
        joined = b.add(ops.Concat((b.conv(x, 16, 3), b.conv(x, 8)), 1))
        x = b.activated(b.normalized(joined))
        x = b.activated(b.conv(b.normalized(x), 24))
    return b.network(b.classified(x, 20), judging)


def inception() -> Network:
    """Branches of 1x1, 3x3 and pooled convolutions whose sizes differ by up to 30, joined by Concat.

    Source: Szegedy et al., Going Deeper with Convolutions, 2015, figure 2.
    """
    random = np.random.default_rng(15)
    samples, judging = pictures(random, 8, 16), pictures(random, 8, 16)
    b = Builder("inception", samples, seed=16, spread=0.3)
    x = b.activated(b.normalized(b.conv(b.input, 24, 3)))
    for _ in range(2):
        pooled = b.add(ops.MaxPool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False))
        branches = [
            b.activated(b.normalized(b.conv(x, 8), 1.0)),
            b.activated(b.normalized(b.conv(b.activated(b.normalized(b.conv(x, 8))), 12, 3), 0.2)),
            b.activated(b.normalized(b.conv(pooled, 4), 6.0)),
        ]
        x = b.add(ops.Concat(tuple(branches), 1))
    return b.network(b.classified(x, 20), judging)


NETWORKS: dict[str, Callable[[], Network]] = {
    "mobilenet_v2": partial(mobilenet_v2, None),
    "mobilenet_v2_relu6": partial(mobilenet_v2, 6.0),
    "high_biases": high_biases,
    "repvgg": repvgg,
    "linear_pairs": linear_pairs,
    "dense_blocks": dense_blocks,
    "inception": inception,
}
