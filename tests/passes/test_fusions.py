"""Passes that move work into neighbours, and those that do away with it."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.pass_manager import Pass
from subbyte.passes.expose_codes import expose_codes
from subbyte.passes.fold_batch_norm import fold_batch_norm
from subbyte.passes.fold_constants import fold_constants
from subbyte.passes.fold_qdq import fold_qdq
from subbyte.passes.fuse_activation import fuse_activation
from subbyte.passes.fuse_padding import fuse_padding
from subbyte.passes.fuse_scales import fuse_scales
from subbyte.passes.remove_dead_nodes import remove_dead_nodes
from tests.passes.builders import (
    codes_input,
    conv,
    dequantize,
    floats,
    graph_of,
    largest_step,
    only,
    operations,
    quant,
    quantize,
    random_inputs,
    real_input,
    unary,
    weights,
)

GENERATOR = np.random.default_rng(3)


def after(one: Pass, graph: Graph, steps: float = 0) -> Graph:
    result = one(graph)
    for _ in range(3):
        assert largest_step(graph, result, random_inputs(graph, GENERATOR)) <= steps
    return result


def table(seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    return np.random.default_rng(seed).integers(-128, 128, 256).astype(np.int8)


def lookup(x: Value, values: np.ndarray[tuple[int], np.dtype[np.int8]], name: str = "") -> Value:
    return qops.Lookup(x, values, INT8, quant(0.1), sources=(name,) if name else ()).out


def quantized_graph(*values: Value) -> Graph:
    return graph_of(*values, stage=Stage.QUANTIZED)


X = codes_input("x", (1, 4, 6, 6), 0.1, 3)
W = weights(GENERATOR.integers(-127, 128, (4, 4, 3, 3)), 0.02)


def convolution(x: Value, pad: int = 0) -> Value:
    """QConv of codes."""
    (output,) = fold_qdq(graph_of(quantize(conv(dequantize(x), W, pad=pad), 0.2, 5))).outputs
    return output.value


# fuse_activation ------------------------------------------------------------------------------------------------------


def test_a_clamp_becomes_the_range_of_its_producer() -> None:
    graph = after(fuse_activation, quantized_graph(qops.Clamp(convolution(X), -5, 90, sources=("clip",)).out))
    assert operations(graph) == ["QConv"]
    node = only(graph, qops.QConv)
    assert (node.requantization.qmin, node.requantization.qmax, node.quant.qmin) == (-5, 90, -5)
    assert node.sources[-1] == "clip"


def test_clamped_codes_are_not_called_by_the_tensor_of_the_codes_before() -> None:
    codes = qops.QAdd(X, X, INT8, quant(0.3), tensor="before").out
    graph = after(fuse_activation, quantized_graph(qops.Clamp(codes, -5, 90).out))
    assert (only(graph, qops.QAdd).quant.qmin, only(graph, qops.QAdd).tensor) == (-5, "")


def test_a_clamp_moves_up_across_movement_and_order() -> None:
    y = ops.Pad(convolution(X), (0, 0, 1, 0, 0, 0, 0, 1), "constant", 100).out
    y = ops.MaxPool(ops.Transpose(y, (0, 1, 3, 2)).out, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False).out
    graph = after(fuse_activation, quantized_graph(qops.Clamp(y, -5, 90).out))
    assert operations(graph) == ["QConv", "Pad", "Transpose", "MaxPool"]
    assert only(graph, ops.Pad).value == 90


def test_a_clamp_stays_where_its_producer_has_other_readers() -> None:
    y = convolution(X)
    graph = after(fuse_activation, quantized_graph(qops.Clamp(y, -5, 90).out, y))
    assert operations(graph) == ["QConv", "Clamp"]


def test_tables_in_a_row_are_one() -> None:
    y = qops.Clamp(lookup(qops.Clamp(lookup(X, table(1), "one"), -100, 50).out, table(2), "two"), -90, 60).out
    graph = after(fuse_activation, quantized_graph(lookup(y, table(3), "three")))
    assert operations(graph) == ["Lookup"]
    assert only(graph, qops.Lookup).sources == ("one", "two", "three")


def test_tables_per_channel_merge_with_tables_of_the_tensor() -> None:
    by_channel = np.random.default_rng(5).integers(-128, 128, (4, 256)).astype(np.int8)
    y = qops.Lookup(lookup(X, table(1)), by_channel, INT8, quant(0.1), 1).out
    graph = after(fuse_activation, quantized_graph(qops.Lookup(y, by_channel, INT8, quant(0.1), 1).out))
    assert operations(graph) == ["Lookup"]
    assert only(graph, qops.Lookup).axis == 1


def test_a_table_that_only_clamps_is_a_clamp() -> None:
    y = convolution(X)
    clamps = np.clip(np.arange(-128, 128), -7, 80).astype(np.int8)
    graph = after(fuse_activation, quantized_graph(qops.Lookup(y, clamps, INT8, y.type.quant).out))
    assert operations(graph) == ["QConv"]


# fuse_scales ----------------------------------------------------------------------------------------------------------


def test_powers_of_two_before_a_quantization_are_part_of_its_scale() -> None:
    x = Input("x", TensorType(FLOAT32, (50, 8))).out
    y = dequantize(quantize(ops.Div(ops.Mul(floats(4.0), x).out, floats([0.5])).out, 0.1, 3))
    product = ops.MatMul(y, weights(np.arange(24).reshape(8, 3), 0.01)).out
    graph = after(fuse_scales, fold_qdq(graph_of(quantize(product, 0.2))))
    assert operations(graph) == ["QuantizeLinear", "QGemm"]
    assert float(only(graph, ops.QuantizeLinear).quant.scale) == float(np.float32(0.1)) / 8


def test_a_factor_stays_before_codes_whose_scale_is_read() -> None:
    x = Input("x", TensorType(FLOAT32, (400,))).out
    codes = quantize(ops.Mul(x, floats(4.0)).out, 0.1, 3)
    for graph in (graph_of(codes), graph_of(dequantize(codes)), graph_of(ops.Reshape(codes, (20, 20)).out)):
        folded = fold_qdq(graph)
        assert fuse_scales(folded) is folded


def test_other_factors_stay() -> None:
    x = Input("x", TensorType(FLOAT32, (400,))).out
    graph = fold_qdq(
        graph_of(quantize(ops.Mul(x, floats(1 / 255)).out, 0.1), quantize(ops.Mul(x, floats(-2.0)).out, 1))
    )
    assert fuse_scales(graph) is graph


# fuse_padding ---------------------------------------------------------------------------------------------------------


def test_a_convolution_takes_the_padding_before_it() -> None:
    pads = (0, 0, 1, 0, 0, 0, 2, 3)
    graph = after(fuse_padding, quantized_graph(convolution(ops.Pad(X, pads, "constant", 3).out, pad=1)))
    assert operations(graph) == ["QConv"]
    assert only(graph, qops.QConv).pads == (2, 1, 3, 4)


def test_the_padding_passes_a_transpose() -> None:
    x = codes_input("x", (1, 6, 6, 4), 0.1, 3)
    padded = ops.Pad(x, (0, 1, 0, 0, 0, 2, 3, 0), "constant", 3).out
    graph = after(fuse_padding, quantized_graph(convolution(ops.Transpose(padded, (0, 3, 1, 2)).out)))
    assert operations(graph) == ["Transpose", "QConv"]
    assert only(graph, qops.QConv).pads == (1, 0, 2, 3)


@pytest.mark.parametrize(
    ("pads", "mode", "value"),
    [
        ((0, 0, 1, 0, 0, 0, 0, 0), "constant", 4),
        ((0, 0, 1, 0, 0, 0, 0, 0), "edge", 3),
        ((0, 0, -1, 0, 0, 0, 0, 0), "constant", 3),
    ],
)
def test_other_paddings_stay(pads: tuple[int, ...], mode: str, value: int) -> None:
    graph = quantized_graph(convolution(ops.Pad(X, pads, mode, value).out))
    assert fuse_padding(graph) is graph


# fold_constants, fold_batch_norm, remove_dead_nodes, expose_codes -----------------------------------------------------


def test_what_depends_on_no_input_is_a_constant() -> None:
    c = ops.Add(floats([1, 2]), ops.Reshape(floats([[3], [4]]), (2,)).out).out
    pieces = ops.Split(ops.Concat((c, c), 0).out, 0, (1, 3))
    graph = fold_constants(graph_of(Value(pieces, 1), ops.Mul(Input("x", TensorType(FLOAT32, (2,))).out, c).out))
    assert operations(graph) == ["Mul"]
    shown = graph.outputs[0].value.constant
    assert shown is not None
    assert shown.tolist() == [6, 4, 6]


def test_quantized_weights_stay_codes() -> None:
    graph = graph_of(ops.MatMul(Input("x", TensorType(FLOAT32, (1, 4))).out, weights(np.ones((4, 2)), 0.1)).out)
    assert fold_constants(graph) is graph


def test_a_scalar_is_not_made_a_large_constant() -> None:
    grown = ops.ResizeNearest(floats(np.ones((1, 1))), (300, 300), (300.0, 300.0), "asymmetric", "floor").out
    assert operations(fold_constants(graph_of(grown))) == ["ResizeNearest"]


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose", "Gemm", "MatMul"])
def test_batch_normalization_goes_into_float_weights(kind: str) -> None:
    x, w = Input("x", TensorType(FLOAT32, (2, 3, 4, 4))).out, floats(GENERATOR.normal(0, 1, (5, 3, 2, 2)))
    matrix, columns = Input("x", TensorType(FLOAT32, (2, 3))).out, floats(GENERATOR.normal(0, 1, (3, 5)))
    b = floats([1, 2, 3, 4, 5])
    product = {
        "Conv": lambda: conv(x, w, b),
        "ConvTranspose": lambda: (
            ops.ConvTranspose(
                x, floats(GENERATOR.normal(0, 1, (3, 5, 2, 2))), None, (1, 1), (0, 0, 0, 0), (1, 1), 1, (0, 0)
            ).out
        ),
        "Gemm": lambda: ops.Gemm(matrix, columns, b, 0.5, 1.0, False, False).out,
        "MatMul": lambda: ops.MatMul(matrix, columns).out,
    }[kind]()
    parameters = [floats(v) for v in ([1, -2, 0.5, 0, 3], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [1, 2, 0.5, 1, 9])]
    graph = graph_of(ops.BatchNormalization(product, *parameters, 1e-5, sources=("bn",)).out)
    result = fold_batch_norm(graph)
    assert operations(result) == ["Gemm" if kind == "MatMul" else kind]
    assert "bn" in result.operations()[0].sources
    inputs = {"x": GENERATOR.normal(0, 1, graph.inputs[0].type.shape).astype(np.float32)}
    assert largest_step(graph, result, inputs) < 1e-4


def test_batch_normalization_stays_where_the_product_has_other_readers() -> None:
    y = conv(Input("x", TensorType(FLOAT32, (2, 3, 4, 4))).out, floats(np.ones((2, 3, 1, 1))))
    graph = graph_of(ops.BatchNormalization(y, *[floats([1, 2])] * 4, 1e-5).out, y)
    assert fold_batch_norm(graph) is graph


def test_nodes_that_do_nothing_disappear() -> None:
    x = Input("x", TensorType(FLOAT32, (2, 3))).out
    y = ops.Reshape(ops.Reshape(x, (6,)).out, (2, 3)).out
    y = ops.Transpose(ops.Transpose(y, (1, 0)).out, (1, 0)).out
    y = ops.Pad(ops.Slice(ops.Concat((y,), 1).out, (0, 0), (2, 3), (1, 1)).out, (0, 0, 0, 0), "constant", 0.0).out
    y = ops.ReduceMean(ops.Cast(y, FLOAT32).out, (), True).out
    graph = graph_of(y)
    for _ in range(2):
        graph = after(remove_dead_nodes, graph)
    assert operations(graph) == []


def test_a_slice_backward_is_not_nothing() -> None:
    x = Input("x", TensorType(FLOAT32, (3,))).out
    graph = graph_of(ops.Slice(x, (2,), (-1,), (-1,)).out)
    assert remove_dead_nodes(graph) is graph


def test_a_table_of_identity_is_nothing_unless_it_gives_a_scale() -> None:
    same = np.arange(-128, 128).astype(np.int8)
    kept = quantized_graph(qops.Lookup(X, same, INT8, quant(0.7)).out)
    assert remove_dead_nodes(kept) is kept
    assert operations(remove_dead_nodes(quantized_graph(qops.Lookup(X, same, INT8, X.type.quant).out))) == []


def test_codes_become_inputs_and_outputs() -> None:
    x = Input("x", TensorType(FLOAT32, (1, 4, 6, 6))).out
    y = dequantize(quantize(conv(dequantize(quantize(x, 0.1, 3)), W), 0.2))
    graph = expose_codes(fold_qdq(graph_of(y)))
    assert operations(graph) == ["QConv"]
    assert [node.type.dtype for node in graph.inputs] == [INT8]
    assert graph.outputs[0].value.type.dtype == INT8
    assert graph.inputs[0].name == "x"


def test_a_float_input_that_others_read_stays_float() -> None:
    x = Input("x", TensorType(FLOAT32, (4,))).out
    graph = fold_qdq(graph_of(quantize(x, 0.1, 3), unary(x, "Tanh")))
    assert [node.type.dtype for node in expose_codes(graph).inputs] == [FLOAT32]


def test_unused_inputs_stay() -> None:
    graph = Graph("g", (Input("x", TensorType(FLOAT32, (4,))),), graph_of(floats([1.0])).outputs)
    assert [node.name for node in remove_dead_nodes(fold_constants(graph)).inputs] == ["x"]
    assert isinstance(graph.outputs[0].value.node, Constant)


def test_a_clamp_of_two_sums_needs_both_alone() -> None:
    total = qops.QAdd(convolution(X), real_codes(), INT8, quant(0.3)).out
    graph = after(fuse_activation, quantized_graph(qops.Clamp(total, 0, 50).out))
    assert operations(graph) == ["QConv", "QAdd"]


def real_codes() -> Value:
    node = real_input("z", (1, 4, 4, 4), 0.1).node
    assert isinstance(node, ops.DequantizeLinear)
    return node.x
