"""Structures that few real models have: each as a network whose actors equal the interpreter, some in C++ too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.codegen.bundle import write_bundle
from subbyte.compiler.dtype import BIPOLAR, INT8, INT32, INT64, DType
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.hls.compile import design_of, project_of
from subbyte.compiler.hls.csim import simulate
from subbyte.compiler.hls.golden import golden_of
from subbyte.compiler.hls.options import HlsOptions
from subbyte.compiler.ir import ops, ops_indexing, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.target import find_target
from subbyte.targets.hls import registry  # noqa: F401 - registers what actors compute
from subbyte.targets.hls.actors import MatrixVector, Product
from subbyte.targets.hls.expand import expand
from subbyte.targets.hls.layers import Fold, Network
from subbyte.targets.hls.network import build_network
from subbyte.targets.hls.project.golden import Golden, frames_of

UINT4, INT4, INT16 = DType("uint", 4), DType("int", 4), DType("int", 16)
RANDOM = np.random.default_rng(7)


def quant(scale: float, dtype: DType, zero_point: int = 0) -> QuantParams:
    return QuantParams(np.float32(scale), np.int64(zero_point), dtype.min, dtype.max)


def image(
    name: str, channels: int, height: int = 5, width: int = 6, dtype: DType = UINT4, zero_point: int = 3
) -> Input:
    return Input(name, TensorType(dtype, (1, channels, height, width), quant(0.5, dtype, zero_point)))


def weights(*shape: int, dtype: DType = INT4, zero_point: int = 0) -> Value:
    codes = RANDOM.integers(dtype.min, dtype.max + 1, shape).astype(dtype.numpy)
    return Constant.of(codes, dtype, quant=quant(0.25, dtype, zero_point)).out


def narrow(channels: int, dtype: DType = INT4) -> Requantization:
    signs = np.where(np.arange(channels) % 3 == 2, -1, 1)
    multiplier = np.asarray(RANDOM.uniform(0.01, 0.2, channels) * signs, np.float32)
    return Requantization(multiplier, None, 0, dtype.min, dtype.max)


def conv(
    x: Node | Value, outputs: int, kernel: tuple[int, int] = (3, 3), group: int = 1, pads: int = 1, stride: int = 1,
    dilation: int = 1, zero_point: int = 0, w: Value | None = None, dtype: DType = INT4,
) -> qops.QConv:  # fmt: skip
    value = x.out if isinstance(x, Node) else x
    inputs = value.type.shape[1]
    w = weights(outputs, inputs // group, *kernel, zero_point=zero_point) if w is None else w
    bias = Constant.of(RANDOM.integers(-40, 40, outputs), INT32).out
    geometry = ((stride,) * 2, (pads,) * 4, (dilation,) * 2)
    return qops.QConv(
        value, w, bias, narrow(outputs, dtype), dtype, quant(0.5, dtype), *geometry, group, sources=("c",)
    )


def gemm(x: Node, outputs: int) -> qops.QGemm:
    w = weights(x.type.shape[-1], outputs)
    return qops.QGemm(x.out, w, None, None, INT32, None, sources=("g",))


def flatten(x: Node) -> ops.Reshape:
    return ops.Reshape(x.out, (1, x.type.elements))


Structure = Callable[[], tuple[list[Input], list[Node | Value]]]


def grouped() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 6)
    return [x], [gemm(flatten(conv(x, 9, group=3)), 3)]


def many_groups() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 18, 3, 3)
    return [x], [conv(x, 36, group=18)]


def depthwise() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 5)
    return [x], [conv(conv(x, 5, group=5, stride=2), 5, (1, 1), group=5, pads=0)]


def asymmetric_weights() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 3)
    return [x], [conv(x, 4, (2, 3), zero_point=2, dilation=2)]


def split_and_concat() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 6, zero_point=0)
    split = ops.Split(x.out, 1, (2, 4))
    left, right = conv(Value(split, 0), 4), conv(Value(split, 1), 2)
    joined = ops.Concat((left.out, right.out), 1, sources=("cat",))
    return [x], [conv(joined, 3, (1, 1), pads=0)]


def residual() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 4)
    y = conv(x, 4)
    z = qops.QAdd(y.out, conv(y, 4).out, INT4, quant(0.8, INT4, -1), sources=("add",))
    return [x], [z, conv(z, 2, stride=2)]


def pools() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 4, 7, 6)
    y = conv(x, 4, dtype=INT8)
    top = ops.MaxPool(y.out, (3, 2), (2, 2), (1, 0, 1, 0), (1, 1), True)
    mean = qops.QAveragePool(top.out, INT8, quant(0.3, INT8, 5), (2, 2), (1, 1), (0, 0, 0, 0), (1, 1), False, False)
    whole = qops.QReduceMean(mean.out, INT8, quant(0.2, INT8), (2, 3), True)
    return [x], [whole, ops.ReduceMax(mean.out, (2, 3), False)]


def padded_average() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 2)
    y = conv(x, 3)
    pool = qops.QAveragePool(y.out, INT4, quant(0.5, INT4), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False, True)
    return [x], [conv(pool, 2)]


def resize_pad_argmax() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 3, 3, 4, zero_point=0)
    y = ops.Pad(conv(x, 5).out, (0, 0, 1, 2, 0, 0, 0, 3), "constant", -3)
    scales = (1.0, 1.0, 2.0, 3.0)
    shape = tuple(int(n * s) for n, s in zip(y.type.shape, scales, strict=True))
    z = ops.ResizeNearest(y.out, shape, scales, "asymmetric", "floor")
    return [x], [ops_indexing.ArgExtreme(conv(z, 4, (1, 1), pads=0).out, 1, True, True, False)]


def tables() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 3, zero_point=0)
    y = conv(x, 4)
    by_channel = RANDOM.integers(-8, 8, (4, 16)).astype(np.int8)
    z = qops.Lookup(y.out, by_channel, INT4, quant(0.5, INT4), 1)
    constant = Constant.of(RANDOM.normal(size=(1, 4, 1, 1)).astype(np.float32))
    shifted = qops.QMul(z.out, constant.out, INT4, quant(0.5, INT4), sources=("scale",))
    return [x], [conv(qops.Clamp(shifted.out, -3, 5), 2), qops.QSub(y.out, z.out, INT8, quant(0.1, INT8))]


def sixteen_bits() -> tuple[list[Input], list[Node | Value]]:
    x = image("x", 3, dtype=INT16, zero_point=-7)
    return [x], [conv(x, 3, dtype=INT8)]


def one_dimension() -> tuple[list[Input], list[Node | Value]]:
    x = Input("x", TensorType(UINT4, (1, 3, 9), quant(0.5, UINT4)))
    w, bias = weights(4, 3, 5), Constant.of(RANDOM.integers(-9, 9, 4), INT64).out
    return [x], [qops.QConv(x.out, w, bias, narrow(4), INT4, quant(0.5, INT4), (2,), (3, 1), (1,), 1)]


def rows() -> tuple[list[Input], list[Node | Value]]:
    x = Input("x", TensorType(UINT4, (1, 5, 7), quant(0.5, UINT4, 2)))
    hidden = qops.QGemm(x.out, weights(7, 6), None, narrow(6), INT4, quant(0.5, INT4))
    return [x], [gemm(hidden, 3)]


def bipolar() -> tuple[list[Input], list[Node | Value]]:
    signs = QuantParams(np.float32(1), np.int64(0), -1, 1)
    x = Input("x", TensorType(BIPOLAR, (1, 70), signs))
    w = Constant.of(RANDOM.choice([-1, 1], (70, 9)).astype(np.int8), BIPOLAR, quant=signs).out
    r = Requantization(np.float32(2), np.float32(1), 0, -1, 1)
    return [x], [qops.QGemm(x.out, w, None, r, BIPOLAR, signs)]


def two_inputs() -> tuple[list[Input], list[Node | Value]]:
    a, b = image("a", 3), image("b", 3)
    return [a, b], [qops.QAdd(conv(a, 3).out, conv(b, 3).out, INT8, quant(0.1, INT8)), flatten(conv(a, 2))]


STRUCTURES: dict[str, Structure] = {
    made.__name__: made
    for made in (
        grouped, many_groups, depthwise, asymmetric_weights, split_and_concat, residual, pools, padded_average,
        resize_pad_argmax, tables, sixteen_bits, one_dimension, rows, bipolar, two_inputs,
    )
}  # fmt: skip


def graph_of(structure: Structure) -> Graph:
    inputs, results = structure()
    outputs = [Output(f"y{n}", r.out if isinstance(r, Node) else r) for n, r in enumerate(results)]
    return Graph(structure.__name__, tuple(inputs), tuple(outputs), Stage.QUANTIZED)


def samples(graph: Graph, count: int) -> list[dict[str, Any]]:
    """Codes of every input, the extremes first."""
    found = []
    for number in range(count):
        sample = {}
        for node in graph.inputs:
            low, high = node.type.code_range()
            codes = RANDOM.integers(low, high + 1, node.type.shape)
            codes = np.full_like(codes, low) if number == 0 else np.full_like(codes, high) if number == 1 else codes
            if node.type.dtype.kind == "bipolar":
                codes = np.where(codes > 0, 1, -1)
            sample[node.name] = codes.astype(node.type.dtype.numpy)
        found.append(sample)
    return found


def folded(network: Network, fold: Fold) -> dict[str, Fold]:
    return {layer.name: fold for layer in network.layers}


@pytest.mark.parametrize("fold", [Fold(), Fold(2, 3), Fold(64, 64)], ids=str)
@pytest.mark.parametrize("name", STRUCTURES)
def test_actors_equal_the_interpreter(name: str, fold: Fold) -> None:
    core = lowered(graph_of(STRUCTURES[name]), find_target("hls"), Options())
    network = build_network(core)
    design = expand(network, folded(network, fold))
    golden = golden_of(core, design, samples(core, 4))
    inputs = Golden(golden.samples, {stream.name: golden.frames[stream.name] for stream in design.inputs})
    for sample in range(golden.samples):
        for stream, frame in frames_of(design, inputs, sample).items():
            if stream.value is not None:
                np.testing.assert_array_equal(frame, golden.frame(stream, sample), err_msg=stream.name)


@pytest.mark.parametrize("name", ["split_and_concat", "resize_pad_argmax", "tables", "two_inputs"])
def test_c_simulation_equals_the_interpreter(name: str, tmp_path: Path) -> None:
    graph = graph_of(STRUCTURES[name])
    made = design_of(graph, Options(name=name), HlsOptions())
    write_bundle(project_of(made, samples(graph, 4)), tmp_path / "project", {})
    found = simulate(tmp_path / "project")
    assert found.passed, found.mismatch


@pytest.mark.parametrize(("terms", "product"), [(1, Product.MULTIPLY), (2, Product.SHIFT), (0, Product.MULTIPLY)])
def test_weights_of_few_powers_of_two_are_shifted_where_that_is_asked_for(terms: int, product: Product) -> None:
    x = image("x", 4)
    codes = RANDOM.choice([-6, -5, -3, 0, 3, 5, 6], (3, 4, 3, 3)).astype(np.int8)
    w = Constant.of(codes, INT4, quant=quant(0.25, INT4)).out
    graph = Graph("terms", (x,), (Output("y", conv(x, 3, w=w).out),), Stage.QUANTIZED)
    network = build_network(lowered(graph, find_target("hls"), Options()), terms)
    design = expand(network, {})
    found = [actor.product for actor in design.actors if isinstance(actor, MatrixVector)]
    assert found == [product]


def test_a_transposed_image_cannot_be_convolved() -> None:
    x = image("x", 4, 4, 4)
    turned = ops.Transpose(conv(x, 4).out, (0, 2, 1, 3), sources=("turn",))
    graph = Graph("turned", (x,), (Output("y", conv(turned, 2).out),), Stage.QUANTIZED)
    with pytest.raises(UnsupportedError, match=r"QConv 'c': its operand .* arrives in another order"):
        build_network(lowered(graph, find_target("hls"), Options()))
