"""Three small float networks as ONNX models, with random but seeded weights, for onnxruntime's quantizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

Array = NDArray[Any]
OPSET = 17  # first with LayerNormalization; the quantizers raise it where a type needs more


@dataclass(frozen=True)
class Network:
    """A float model with one input "x" and one output "y", and how many multiply-accumulates it has."""

    model: ModelProto
    shape: tuple[int, ...]
    macs: int
    activation_macs: int = 0
    """Of products of two activations: no weights in them."""

    def samples(self, count: int, seed: int) -> list[dict[str, Array]]:
        random = np.random.default_rng(seed)
        return [{"x": random.normal(size=self.shape).astype(np.float32)} for _ in range(count)]


@dataclass
class _Builder:
    """Nodes and initializers, as they are added."""

    seed: int
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def node(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], f"{output}_{op_type}", **attributes))
        return output

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weights(self, name: str, *shape: int, fan_in: int) -> str:
        """Normal weights whose channels differ in size, as those of trained networks do."""
        values = self._random.normal(0, fan_in**-0.5, shape)
        return self.constant(name, values * self._random.uniform(0.25, 2, (shape[0],) + (1,) * (len(shape) - 1)))

    def bias(self, name: str, size: int) -> str:
        return self.constant(name, self._random.normal(0, 0.2, size))

    def uniform(self, name: str, size: int, low: float, high: float) -> str:
        return self.constant(name, self._random.uniform(low, high, size))

    def conv(self, x: str, y: str, channels: int, inputs: int, kernel: int, **attributes: Any) -> str:
        per_group = inputs // int(attributes.get("group", 1))
        w = self.weights(f"{y}.w", channels, per_group, kernel, kernel, fan_in=per_group * kernel**2)
        return self.node("Conv", [x, w, self.bias(f"{y}.b", channels)], y, pads=[kernel // 2] * 4, **attributes)

    def matmul(self, x: str, y: str, inputs: int, outputs: int) -> str:
        """MatMul and Add: how transformers and PyTorch's linear layers of three axes are exported."""
        product = self.node("MatMul", [x, self.weights(f"{y}.w", inputs, outputs, fan_in=inputs)], f"{y}.product")
        return self.node("Add", [product, self.bias(f"{y}.b", outputs)], y)

    def model(self, shape: Sequence[int], result: Sequence[int]) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        checker.check_model(model, full_check=True)
        return model


def convolutional() -> Network:
    """Conv, BatchNormalization, Relu, depthwise, Relu6, a residual Add, Concat, max and average pools, Gemm."""
    b = _Builder(1)
    b.conv("x", "stem", 8, 3, 3, strides=[2, 2])
    normal = [b.uniform("bn.scale", 8, 0.5, 1.5), b.bias("bn.bias", 8), b.bias("bn.mean", 8)]
    b.node("BatchNormalization", ["stem", *normal, b.uniform("bn.variance", 8, 0.5, 2)], "normal")
    b.node("Relu", ["normal"], "first")
    b.conv("first", "depthwise", 8, 8, 3, group=8)
    b.node("Clip", ["depthwise", b.constant("zero", 0), b.constant("six", 6)], "clipped")
    b.conv("clipped", "pointwise", 8, 8, 1)
    b.node("Add", ["pointwise", "first"], "residual")
    b.node("Relu", ["residual"], "second")
    b.conv("second", "wide", 6, 8, 3)
    b.node("LeakyRelu", ["wide"], "leaky", alpha=0.1)
    b.node("Concat", ["leaky", "second"], "joined", axis=1)
    b.node("MaxPool", ["joined"], "largest", kernel_shape=[2, 2], strides=[2, 2])
    b.node("AveragePool", ["largest"], "averaged", kernel_shape=[2, 2], strides=[2, 2])
    b.node("Flatten", ["averaged"], "flat")
    w = b.weights("dense.w", 10, 56, fan_in=56)
    b.node("Gemm", ["flat", w, b.bias("dense.b", 10)], "y", transB=1)
    macs = 64 * (8 * 27 + 8 * 9 + 8 * 8 + 6 * 72) + 560
    return Network(b.model((1, 3, 16, 16), (1, 10)), (1, 3, 16, 16), macs)


def perceptron() -> Network:
    """Gemm with and without transposed weights, Relu, Sigmoid times a second branch, Tanh."""
    b = _Builder(2)
    b.node("Gemm", ["x", b.weights("first.w", 24, 32, fan_in=24), b.bias("first.b", 32)], "first")
    b.node("Relu", ["first"], "positive")
    b.node("Gemm", ["positive", b.weights("second.w", 16, 32, fan_in=32), b.bias("second.b", 16)], "second", transB=1)
    b.node("Sigmoid", ["second"], "gate")
    b.matmul("positive", "value", 32, 16)
    b.node("Mul", ["gate", "value"], "gated")
    b.node("Tanh", ["gated"], "bent")
    b.node("MatMul", ["bent", b.weights("last.w", 16, 5, fan_in=16)], "y")
    return Network(b.model((4, 24), (4, 5)), (4, 24), 4 * (24 * 32 + 2 * 32 * 16 + 16 * 5))


def attention() -> Network:
    """An encoder block: LayerNormalization, four heads, Softmax, GELU by Erf, two residual Adds."""
    tokens, width, heads, inner = 6, 16, 4, 32
    each = width // heads
    b = _Builder(3)
    normal = [b.uniform("ln1.scale", width, 0.5, 1.5), b.bias("ln1.bias", width)]
    b.node("LayerNormalization", ["x", *normal], "normal1")
    split = b.constant("split", [1, tokens, heads, each], np.int64)
    for name, perm in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
        b.matmul("normal1", name, width, width)
        b.node("Reshape", [name, split], f"{name}.split")
        b.node("Transpose", [f"{name}.split"], f"{name}.heads", perm=perm)
    b.node("MatMul", ["q.heads", "k.heads"], "scores")
    b.node("Div", ["scores", b.constant("root", each**0.5)], "scaled")
    b.node("Softmax", ["scaled"], "shares", axis=-1)
    b.node("MatMul", ["shares", "v.heads"], "mixed")
    b.node("Transpose", ["mixed"], "tokens", perm=(0, 2, 1, 3))
    b.node("Reshape", ["tokens", b.constant("join", [1, tokens, width], np.int64)], "joined")
    b.matmul("joined", "projected", width, width)
    b.node("Add", ["projected", "x"], "residual1")
    normal = [b.uniform("ln2.scale", width, 0.5, 1.5), b.bias("ln2.bias", width)]
    b.node("LayerNormalization", ["residual1", *normal], "normal2")
    b.matmul("normal2", "up", width, inner)
    b.node("Div", ["up", b.constant("sqrt2", 2**0.5)], "erf.in")
    b.node("Erf", ["erf.in"], "erf")
    b.node("Add", ["erf", b.constant("one", 1)], "erf.plus")
    b.node("Mul", ["up", "erf.plus"], "gelu.twice")
    b.node("Mul", ["gelu.twice", b.constant("half", 0.5)], "gelu")
    b.matmul("gelu", "down", inner, width)
    b.node("Add", ["down", "residual1"], "y")
    activation_macs = 2 * heads * tokens * tokens * each
    macs = tokens * (4 * width**2 + 2 * width * inner) + activation_macs
    return Network(b.model((1, tokens, width), (1, tokens, width)), (1, tokens, width), macs, activation_macs)


NETWORKS = {"convolutional": convolutional, "perceptron": perceptron, "attention": attention}
