"""Float operations between DequantizeLinear and QuantizeLinear become integer ones, and mean the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT8, INT16, INT32, UINT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.ops_indexing import Expand, GatherElements, GatherND
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.passes.fold_qdq import fold_qdq
from tests.passes.builders import (
    bias,
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

GENERATOR = np.random.default_rng(7)


def folded(graph: Graph, steps: float = 1) -> Graph:
    """The folded graph, verified and within `steps` of the float one."""
    result = fold_qdq(graph)
    verify(result)
    for _ in range(3):
        distance = largest_step(graph, result, random_inputs(graph, GENERATOR))
        assert distance <= steps, f"{distance} steps apart"
    return result


def int8(*shape: int) -> Any:
    return GENERATOR.integers(-127, 128, shape)


# Sums of products -----------------------------------------------------------------------------------------------------


def test_a_convolution_its_bias_and_its_relu_are_one_operation() -> None:
    x, w = real_input("x", (1, 3, 6, 6), 0.1, 4), weights(int8(4, 3, 3, 3), [0.01, 0.02, 0.03, 0.04], axis=0)
    b = bias([100, -200, 300, 0], np.float32(0.1) * np.float32([0.01, 0.02, 0.03, 0.04]), axis=0)
    y = quantize(unary(conv(x, w, b, pad=1), "Relu"), 0.5, -20)
    graph = folded(graph_of(y))
    assert operations(graph) == ["QConv"]
    node = only(graph, qops.QConv)
    assert (node.requantization.qmin, node.requantization.qmax) == (-20, 127)
    assert node.requantization.shift is None
    assert node.bias.constant.tolist() == [100, -200, 300, 0]
    assert node.sources == ("conv", "relu", "quantize Unary 'relu'")
    assert node.tensor == "quantize Unary 'relu'"


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_gemm_takes_alpha_beta_and_transposes(transpose: bool, alpha: float) -> None:
    a, b = (
        real_input("a", (5, 3) if transpose else (3, 5), 0.1),
        weights(int8(5, 4).T if transpose else int8(5, 4), 0.02),
    )
    gemm = ops.Gemm(a, b, floats([0.5, 1, -3, 0]), alpha, 2.0, transpose, transpose)
    graph = folded(graph_of(quantize(gemm.out, 0.3, 5)))
    assert operations(graph) == (["Transpose", "QGemm"] if transpose else ["QGemm"])


def test_matmul_add_relu_is_one_operation() -> None:
    a, b = real_input("a", (1, 16), 0.1, -128), weights(int8(16, 4), 0.01)
    total = ops.Add(ops.MatMul(a, b).out, bias([5, -7, 11, 0], np.float32(0.1) * np.float32(0.01))).out
    graph = folded(graph_of(quantize(unary(total, "Relu"), 0.2, -128)))
    assert operations(graph) == ["QGemm"]
    assert only(graph, qops.QGemm).bias.constant.tolist() == [5, -7, 11, 0]


@pytest.mark.parametrize(
    ("shape", "perm"), [((4, 6), (1, 0)), ((1, 6, 4), (0, 2, 1))], ids=["matrix", "with a batch axis"]
)
def test_movement_between_dequantize_and_matmul_changes_nothing(shape: tuple[int, ...], perm: tuple[int, ...]) -> None:
    a = ops.Transpose(real_input("a", shape, 0.1, 3), perm).out
    a = ops.Reshape(a, (6, 4)).out
    b = ops.Transpose(weights(int8(5, 4), [0.01, 0.02, 0.03, 0.04, 0.05], axis=0), (1, 0)).out
    graph = folded(graph_of(quantize(ops.MatMul(a, b).out, 0.2)))
    assert operations(graph) == ["Transpose", "Reshape", "QGemm"]


@pytest.mark.parametrize("by", ["split", "slice"])
def test_parts_of_a_sum_that_are_quantized_apart_are_sums_of_their_own(by: str) -> None:
    """Queries, keys and values of one projection: their multiply-accumulates stay what they were."""
    x, w = real_input("x", (3, 5), 0.1), weights(int8(5, 6), [0.01, 0.02, 0.03, 0.04, 0.05, 0.06], axis=1)
    projected = ops.Add(ops.MatMul(x, w).out, floats(GENERATOR.normal(size=6))).out
    split = ops.Split(projected, 1, (2, 2, 2))
    parts = [Value(split, index) for index in range(3)]
    if by == "slice":
        parts = [ops.Slice(projected, (0, at), (3, at + 2), (1, 1)).out for at in (0, 2, 4)]
    parts = [unary(parts[0], "Relu"), ops.Transpose(parts[1], (1, 0)).out, parts[2]]
    graph = folded(graph_of(*(quantize(part, scale) for part, scale in zip(parts, (0.1, 0.2, 0.3), strict=True))))
    assert sorted(operations(graph)) == ["QGemm", "QGemm", "QGemm", "Transpose"]
    assert sum(multiply_accumulates(node) for node in graph.operations()) == 3 * 5 * 6


def test_parts_of_a_sum_that_are_quantized_alike_are_one_sum() -> None:
    x, w = real_input("x", (3, 5), 0.1), weights(int8(5, 6), 0.02)
    split = ops.Split(ops.MatMul(x, w).out, 1, (2, 4))
    graph = folded(graph_of(*(quantize(Value(split, index), 0.2) for index in range(2))))
    assert operations(graph).count("QGemm") == 1


def test_channels_of_a_grouped_convolution_are_not_taken_apart() -> None:
    x, w = real_input("x", (1, 4, 5, 5), 0.1), weights(int8(4, 2, 3, 3), 0.02)
    split = ops.Split(conv(x, w, group=2), 1, (2, 2))
    graph = folded(graph_of(*(quantize(Value(split, index), scale) for index, scale in enumerate((0.2, 0.3)))))
    assert operations(graph).count("QConv") == 2
    assert all(node.group == 2 for node in graph.operations() if isinstance(node, qops.QConv))


def test_a_softmax_of_signs_has_a_table_of_their_distances() -> None:
    shares = ops.Softmax(real_input("x", (2, 4), 0.5, 0, BIPOLAR), 1).out
    graph = fold_qdq(graph_of(quantize(shares, 1 / 256, 0, UINT8)))
    assert only(graph, qops.QSoftmax).table.shape == (3,)
    (found,) = evaluate(graph, {"x": np.array([[1, 1, -1, -1], [1, -1, -1, -1]], np.int8)}).values()
    assert found.tolist() == [[94, 94, 34, 34], [122, 45, 45, 45]]  # 256 * exp(+-0.5) / the sum


def test_two_activations_are_multiplied_as_codes() -> None:
    a, b = real_input("a", (2, 3, 4), 0.1, 3), real_input("b", (2, 4, 5), 0.02, -7)
    graph = folded(graph_of(quantize(ops.MatMul(a, b).out, 0.05, 1)))
    assert operations(graph) == ["QGemm"]


def test_a_float_result_is_an_exact_sum_and_one_scale() -> None:
    x, w = real_input("x", (1, 3, 4, 4), 0.1, 4), weights(int8(2, 3, 1, 1), [0.01, 0.03], axis=0)
    b = bias([100, -200], np.float32(0.1) * np.float32([0.01, 0.03]), axis=0)
    graph = folded(graph_of(conv(x, w, b)), steps=1e-5)
    assert operations(graph) == ["QConv", "DequantizeLinear"]
    node = only(graph, qops.QConv)
    assert (node.requantization, node.dtype) == (None, INT32)
    assert node.quant.scale.tolist() == (np.float32(0.1) * np.float32([0.01, 0.03])).tolist()


def test_codes_and_floats_of_one_sum_are_both_made() -> None:
    x, w = real_input("x", (1, 3, 4, 4), 0.1, 4), weights(int8(2, 3, 1, 1), 0.01)
    y = conv(x, w)
    graph = folded(graph_of(quantize(y, 0.1), quantize(y, 0.3, 9), y))
    assert sorted(operations(graph)) == ["DequantizeLinear", "QConv", "QConv", "QConv"]


def test_batch_normalization_behind_integers_goes_into_the_multiplier() -> None:
    """Of either sign, and 0: the channel is its shift."""
    x, w = real_input("x", (1, 3, 4, 4), 0.1, 4), weights(int8(4, 3, 3, 3), [0.01, 0.02, 0.03, 0.04], axis=0)
    parameters = [floats(v) for v in ([1.5, -0.5, 0.0, 2.0], [0.1, 0.2, 2.5, 0.0], [3, 1, 4, 1], [0.5, 2.0, 1.0, 9.0])]
    y = ops.BatchNormalization(conv(x, w, floats([1, 2, 3, 4])), *parameters, 1e-3).out
    graph = folded(graph_of(quantize(y, 0.5, 3)))
    assert operations(graph) == ["QConv"]
    multiplier = only(graph, qops.QConv).requantization.multiplier
    assert (np.sign(multiplier) == [1, -1, 1, 1]).all()
    output = evaluate(graph, random_inputs(graph, GENERATOR))["y"]
    assert (output[:, 2] == np.rint(2.5 / 0.5) + 3).all()


@pytest.mark.parametrize("operation", [ops.Mul, ops.Div])
def test_factors_after_a_sum_go_into_its_multiplier(operation: Any) -> None:
    x, w = real_input("x", (2, 8), 0.1, 4), weights(int8(8, 3), 0.02)
    y = operation(ops.MatMul(x, w).out, floats([2.0, -0.5, 0.125])).out
    graph = folded(graph_of(quantize(ops.Sub(floats(1.0), y).out, 0.1)))
    assert operations(graph) == ["QGemm"]


def test_weights_of_a_transposed_convolution_have_their_channels_on_axis_1() -> None:
    """Per-channel weights along axis 0 of ConvTranspose are those of the input channels: no integer form."""
    x = real_input("x", (1, 3, 4, 4), 0.1, 4)

    def upsampled(axis: int, count: int) -> Value:
        w = weights(int8(3, 2, 2, 2), np.linspace(0.01, 0.05, count), axis=axis)
        return ops.ConvTranspose(x, w, None, (2, 2), (0, 0, 0, 0), (1, 1), 1, (0, 0)).out

    graph = folded(graph_of(quantize(upsampled(1, 2), 0.3)))
    assert operations(graph) == ["QConvTranspose"]
    graph = folded(graph_of(quantize(upsampled(0, 3), 0.3)))
    assert "ConvTranspose" in operations(graph)


def test_groups_of_a_transposed_convolution_keep_one_scale() -> None:
    x, w = real_input("x", (1, 4, 3, 3), 0.1, 4), weights(int8(4, 2, 2, 2), 0.02)
    y = ops.ConvTranspose(x, w, floats([1, 2, 3, 4]), (2, 2), (0, 1, 0, 0), (1, 1), 2, (1, 0)).out
    assert operations(folded(graph_of(quantize(y, 0.3)))) == ["QConvTranspose"]


@pytest.mark.parametrize("dtype", [INT16, UINT8])
def test_wide_and_unsigned_activations_are_integer(dtype: DType) -> None:
    zero_point = 0 if dtype == INT16 else 100
    x, w = real_input("x", (1, 3, 5, 5), 0.001, zero_point, dtype), weights(int8(4, 3, 3, 3), 0.02)
    y = quantize(unary(conv(x, w, floats([0, 1, 2, 3])), "Clip", 0.0, 6.0), 0.002, zero_point, dtype)
    pooled = ops.AveragePool(dequantize(y), (2, 2), (1, 1), (0, 0, 0, 0), (1, 1), False, False).out
    graph = folded(graph_of(quantize(pooled, 0.002, zero_point, dtype)))
    assert operations(graph) == ["QConv", "QAveragePool"]


def test_weights_quantized_in_the_graph_are_codes() -> None:
    w = dequantize(quantize(floats(GENERATOR.normal(0, 1, (4, 3, 1, 1))), [0.01, 0.02, 0.03, 0.04], axis=0))
    graph = folded(graph_of(quantize(conv(real_input("x", (1, 3, 2, 2), 0.1), w), 0.2)))
    assert operations(graph) == ["QConv"]
    assert only(graph, qops.QConv).w.type.dtype == INT8


def test_a_bias_behind_a_reshape_is_that_of_the_sum() -> None:
    """What a dense layer on a sequence becomes: Reshape, MatMul, Reshape, Add."""
    x = ops.Reshape(real_input("x", (1, 6, 8), 0.1, 3), (6, 8)).out
    y = ops.Reshape(ops.MatMul(x, weights(int8(8, 4), [0.01, 0.02, 0.03, 0.04], axis=1)).out, (1, 6, 4)).out
    b = bias([50, -60, 70, 0], np.float32(0.1) * np.float32([0.01, 0.02, 0.03, 0.04]), axis=0)
    graph = folded(graph_of(quantize(unary(ops.Add(y, b).out, "Relu"), 0.1, -128)))
    assert operations(graph) == ["Reshape", "QGemm", "Reshape"]
    assert only(graph, qops.QGemm).bias.constant.tolist() == [50, -60, 70, 0]
    assert [node.tensor for node in graph.operations()] == ["", "", "quantize Unary 'relu'"]


def test_a_bias_behind_a_transpose_is_that_of_the_sum() -> None:
    x, w = real_input("x", (1, 3, 4, 4), 0.1, 4), weights(int8(2, 3, 1, 1), [0.01, 0.03], axis=0)
    y = ops.Add(ops.Transpose(conv(x, w), (0, 2, 3, 1)).out, floats([1.0, -2.0])).out
    assert operations(folded(graph_of(quantize(y, 0.1)))) == ["QConv", "Transpose"]
    assert operations(folded(graph_of(y), steps=1e-5)) == ["QConv", "Transpose", "DequantizeLinear", "Add"]


def test_a_reshape_that_joins_the_channels_ends_the_sum() -> None:
    x, w = real_input("x", (1, 3, 2, 2), 0.1, 4), weights(int8(2, 3, 1, 1), [0.01, 0.03], axis=0)
    y = ops.Add(ops.Reshape(conv(x, w), (1, 8)).out, floats(np.arange(8))).out
    assert "Add" in operations(folded(graph_of(quantize(y, 0.1))))


def test_a_pruned_channel_with_a_vanishing_scale_is_its_bias() -> None:
    """s_x * s_w is 0 in float32, and no multiplier may be."""
    codes = int8(2, 3, 1, 1)
    x, w = real_input("x", (1, 3, 4, 4), 1e-4), weights(codes, np.float32([1e-42, 0.02]), axis=0)
    graph = folded(graph_of(quantize(conv(x, w, floats([2.0, 0.0])), 0.25)))
    assert (evaluate(graph, random_inputs(graph, GENERATOR))["y"][:, 0] == 8).all()
    graph = folded(graph_of(conv(x, w, floats([2.0, 0.0]))), steps=1e-6)
    assert (evaluate(graph, random_inputs(graph, GENERATOR))["y"][:, 0] == 2).all()


# Biases ---------------------------------------------------------------------------------------------------------------


def test_one_bias_shared_by_layers_of_other_scales_keeps_its_value_in_each() -> None:
    """Its codes are units of one layer only; an absolute tolerance would take scales this small for equal."""
    b = bias([1000, -2000], np.float32([2e-6, 2e-6]), axis=0)
    first, second = real_input("a", (1, 3, 4, 4), 2e-4, 4), real_input("b", (1, 3, 4, 4), 6e-4, 4)
    w = weights(int8(2, 3, 1, 1), 0.01)
    graph = folded(graph_of(quantize(conv(first, w, b), 1e-4), quantize(conv(second, w, b), 1e-4)))
    on_grid, off_grid = (node for node in graph.operations() if isinstance(node, qops.QConv))
    assert on_grid.requantization is not None
    assert off_grid.requantization is not None
    assert on_grid.bias is not None
    assert on_grid.requantization.shift is None
    assert off_grid.bias is None
    assert off_grid.requantization.shift is not None
    expected = np.float32(np.float64(np.float32(2e-6)) * np.array([1000, -2000]) / np.float64(np.float32(1e-4)))
    assert off_grid.requantization.shift.tolist() == expected.tolist()


def test_a_bias_scale_one_percent_off_in_one_channel_is_not_taken_for_the_product() -> None:
    scales = np.float32(0.1) * np.float32([0.01, 0.02]) * np.float32([1, 1.01])
    x, w = real_input("x", (1, 3, 4, 4), 0.1), weights(int8(2, 3, 1, 1), [0.01, 0.02], axis=0)
    graph = folded(graph_of(quantize(conv(x, w, bias([500, 501], scales, axis=0)), 0.5)))
    shift = only(graph, qops.QConv).requantization.shift
    assert shift.tolist() == np.float32(np.float64(scales) * np.array([500, 501]) / 0.5).tolist()


def test_a_bias_scale_a_rounding_off_is_the_product() -> None:
    scale = np.nextafter(np.float32(0.1) * np.float32(0.013), np.float32(1))
    x, w = real_input("x", (1, 3, 4, 4), 0.1), weights(int8(2, 3, 1, 1), 0.013)
    graph = folded(graph_of(quantize(conv(x, w, bias([50000, -7], scale)), 0.5)))
    assert only(graph, qops.QConv).bias.constant.tolist() == [50000, -7]


def test_a_float_bias_on_the_grid_is_an_integer() -> None:
    x, w = real_input("x", (1, 3, 4, 4), 0.5), weights(int8(2, 3, 1, 1), 0.25)
    graph = folded(graph_of(quantize(conv(x, w, floats([3 * 0.125, -0.125])), 0.5)))
    assert only(graph, qops.QConv).bias.constant.tolist() == [3, -1]


def test_a_bias_beyond_int32_of_a_tiny_scale_keeps_its_value() -> None:
    """A channel whose weights are almost 0 has a scale so small that its bias does not fit int32."""
    x, w = real_input("x", (1, 3, 4, 4), 0.1), weights(int8(2, 3, 1, 1), [1e-12, 0.02], axis=0)
    graph = folded(graph_of(quantize(conv(x, w, floats([7.5, -1.0])), 0.25)))
    output = evaluate(graph, random_inputs(graph, GENERATOR))["y"]
    assert (output[:, 0] == 30).all()


def test_the_accumulator_is_proved_from_the_weights() -> None:
    x, w = real_input("x", (1, 70000), 1e-6, 0, INT16), weights(np.full((70000, 1), 127), 1e-3)
    wide = only(folded(graph_of(quantize(ops.MatMul(x, w).out, 1.0))), qops.QGemm)
    assert accumulator_of(wide).name == "int64"
    light = weights(np.eye(70000, 1, dtype=np.int64), 1e-3)
    narrow = only(folded(graph_of(quantize(ops.MatMul(x, light).out, 1.0))), qops.QGemm)
    assert accumulator_of(narrow).name == "int32"


def test_a_float_result_of_a_wide_sum_is_int64() -> None:
    x, w = real_input("x", (1, 70000), 1e-6, 0, INT16), weights(np.full((70000, 1), 127), 1e-3)
    assert only(folded(graph_of(ops.MatMul(x, w).out), steps=1e-1), qops.QGemm).dtype.name == "int64"


# Activations ----------------------------------------------------------------------------------------------------------


def test_relu_stays_where_codes_below_the_zero_point_are_in_use() -> None:
    """Symmetric quantization, and zero points that a Concat aligned, do not clip at zero by themselves."""
    x, w = real_input("x", (1, 3, 4, 4), 0.1), weights(int8(2, 3, 1, 1), 0.02)
    graph = folded(graph_of(quantize(unary(conv(x, w), "Relu"), 0.05, 31)))
    assert only(graph, qops.QConv).requantization.qmin == 31
    graph = folded(graph_of(quantize(unary(real_input("x", (9,), 0.1, 12), "Relu"), 0.1, 12)), steps=0)
    assert operations(graph) == ["Clamp"]


def test_relu_goes_where_no_code_is_below_the_zero_point() -> None:
    graph = folded(graph_of(quantize(unary(real_input("x", (9,), 0.1, -128), "Relu"), 0.1, -128)), steps=0)
    assert operations(graph) == []


def test_relu6_of_a_scale_whose_largest_code_is_just_below_6_is_nothing() -> None:
    scale = np.float32(0.02352941)
    x = dequantize(codes_input("x", (300,), scale, -128))
    graph = folded(graph_of(quantize(unary(x, "Clip", 0.0, 6.0), scale, -128)), steps=0)
    assert operations(graph) == []


def test_a_clip_between_codes_is_a_table() -> None:
    graph = folded(graph_of(quantize(unary(real_input("x", (300,), 0.1), "Clip", -1.23, 3.21), 0.1)), steps=0)
    assert operations(graph) in (["Clamp"], ["Lookup"])


def test_a_clamp_of_floats_stays_before_their_quantization() -> None:
    """NaN becomes qmin, not the code of the lower bound."""
    x = Input("x", TensorType(FLOAT32, (50,))).out
    graph = folded(graph_of(quantize(unary(x, "Relu"), 0.1, 7)), steps=0)
    assert operations(graph) == ["Unary", "QuantizeLinear"]


@pytest.mark.parametrize("other_first", [True, False])
def test_codes_of_floats_are_neither_clamped_nor_ordered(other_first: bool) -> None:
    """Not even where the very codes are at hand, because somebody else asked for them."""
    x = Input("x", TensorType(FLOAT32, (1, 1, 8, 8))).out
    narrow = ops.QuantizeLinear(x, INT8, QuantParams(np.float32(0.1), np.int64(7), 7, 127)).out
    pooled = ops.MaxPool(x, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False).out
    asked = [quantize(unary(x, "Relu"), 0.1, 7), quantize(pooled, 0.1, 7), quantize(x, 0.1, 7)]
    graph = folded(graph_of(*([narrow, *asked] if other_first else [*asked, narrow])), steps=0)
    assert {"Unary", "MaxPool"} <= set(operations(graph))
    assert only(graph, ops.MaxPool).type.dtype == FLOAT32


@pytest.mark.parametrize(
    ("function", "parameters"),
    [("Sigmoid", ()), ("Tanh", ()), ("HardSwish", ()), ("LeakyRelu", (0.1,)), ("Gelu", ()), ("Exp", ()), ("Neg", ())],
)
def test_a_function_of_narrow_codes_is_a_table(function: str, parameters: tuple[float, ...]) -> None:
    graph = folded(graph_of(quantize(unary(real_input("x", (300,), 0.05, 3), function, *parameters), 0.01, -128)))
    assert operations(graph) == ["Lookup"]


def test_a_graph_of_one_narrow_tensor_is_one_table() -> None:
    """x * sigmoid(1.702 x) + |x| / 2, for every code."""
    x = real_input("x", (300,), 0.05, 3)
    gate = unary(ops.Mul(x, floats(1.702)).out, "Sigmoid")
    half = ops.Div(unary(x, "Abs"), floats([2.0])).out
    graph = folded(graph_of(quantize(ops.Add(ops.Mul(x, gate).out, half).out, 0.04, -9)))
    assert operations(graph) == ["Lookup"]


def test_a_table_for_each_channel() -> None:
    x = real_input("x", (1, 3, 4, 4), 0.05, 3)
    y = ops.PRelu(x, floats(np.reshape([0.1, -0.2, 0.3], (3, 1, 1)))).out
    graph = folded(graph_of(quantize(y, 0.04, -9)), steps=0)
    assert operations(graph) == ["Lookup"]
    assert only(graph, qops.Lookup).table.shape == (3, 256)


def test_batch_normalization_of_codes_is_a_table_for_each_channel() -> None:
    x = real_input("x", (2, 3, 4, 4), 0.05, 3)
    parameters = [floats(v) for v in ([1.5, -0.5, 0.0], [0.1, 0.2, 2.5], [3, 1, 4], [0.5, 2.0, 1.0])]
    graph = folded(graph_of(quantize(ops.BatchNormalization(x, *parameters, 1e-3).out, 0.04, -9)))
    assert operations(graph) == ["Lookup"]


def test_softmax_of_codes_is_integer() -> None:
    y = quantize(ops.Softmax(real_input("x", (2, 12), 0.2, 3), 1).out, 1 / 256, -128)
    assert operations(folded(graph_of(y))) == ["QSoftmax"]


# Narrow arithmetic ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "expected"),
    [(ops.Add, "QAdd"), (ops.Sub, "QSub"), (ops.Mul, "QMul"), (ops.Div, "QDiv")],
)
def test_arithmetic_of_codes(operation: Any, expected: str) -> None:
    a, b = real_input("a", (2, 3, 4), 0.1, 3), real_input("b", (3, 1), 0.07, -128)
    graph = folded(graph_of(quantize(unary(operation(a, b).out, "Relu"), 0.3, -5)), steps=0)
    assert operations(graph) == [expected]
    (node,) = graph.operations()
    assert isinstance(node, qops.QBinary)
    assert node.quant.qmin == -5


def test_arithmetic_with_a_constant_tensor_keeps_it_in_float() -> None:
    x, c = real_input("x", (2, 3, 4), 0.1, 3), floats(GENERATOR.normal(0, 1, (2, 3, 4)))
    assert operations(folded(graph_of(quantize(ops.Add(c, x).out, 0.3, -5)), steps=0)) == ["QAdd"]


def test_arithmetic_of_wide_codes_with_a_number_is_integer() -> None:
    x = real_input("x", (50,), 0.001, 0, INT16)
    assert operations(folded(graph_of(quantize(ops.Mul(x, floats(0.3)).out, 0.001, 0, INT16)), steps=0)) == ["QMul"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (lambda x: ops.ReduceMean(x, (2, 3), False).out, "QReduceMean"),
        (lambda x: ops.ReduceSum(x, (1,), True).out, "QReduceSum"),
        (lambda x: ops.AveragePool(x, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), False, True).out, "QAveragePool"),
        (
            lambda x: ops.ResizeLinear(x, (1, 4, 12, 12), (1.0, 1.0, 2.0, 2.0), "half_pixel").out,
            "QResizeLinear",
        ),
    ],
)
def test_windows_and_reductions_of_codes(node: Callable[[Value], Value], expected: str) -> None:
    graph = folded(graph_of(quantize(node(real_input("x", (1, 4, 6, 6), 0.1, 3)), 0.13, -7)))
    assert operations(graph) == [expected]


# Data movement --------------------------------------------------------------------------------------------------------

MOVES: dict[str, Callable[[Value], Value]] = {
    "Reshape": lambda x: ops.Reshape(x, (2, 72)).out,
    "Transpose": lambda x: ops.Transpose(x, (0, 2, 3, 1)).out,
    "Slice": lambda x: ops.Slice(x, (0, 3, 0, 5), (1, 0, 6, -1), (1, -1, 2, -2)).out,
    "Pad": lambda x: ops.Pad(x, (0, 0, 1, 2, 0, 0, 0, 1), "constant", 0.0).out,
    "Pad edge": lambda x: ops.Pad(x, (0, 0, 1, 2, 0, 0, 0, 1), "edge", 0.0).out,
    "Gather": lambda x: ops.Gather(x, Constant.of(np.int64([2, -1])).out, 1).out,
    "GatherElements": lambda x: GatherElements(x, Constant.of(np.zeros((1, 4, 7, 6), np.int64)).out, 2).out,
    "GatherND": lambda x: GatherND(x, Constant.of(np.int64([[0, 3], [0, -1]])).out, 0).out,
    "Expand": lambda x: Expand(x, (3, 4, 6, 6)).out,
    "DepthToSpace": lambda x: ops.DepthToSpace(x, 2, "CRD").out,
    "SpaceToDepth": lambda x: ops.SpaceToDepth(x, 2).out,
    "ResizeNearest": lambda x: ops.ResizeNearest(x, (1, 4, 9, 12), (1, 1, 1.5, 2), "asymmetric", "floor").out,
    "MaxPool": lambda x: ops.MaxPool(x, (2, 2), (1, 1), (1, 0, 0, 1), (1, 1), False).out,
    "ReduceMax": lambda x: ops.ReduceMax(x, (1,), True).out,
    "Split": lambda x: Value(ops.Split(x, 1, (1, 3)), 1),
    "Concat": lambda x: ops.Concat((x, x), 1).out,
}


@pytest.mark.parametrize("move", MOVES)
def test_codes_move_like_their_floats(move: str) -> None:
    """The same scale before and after: no arithmetic at all."""
    x = real_input("x", (1, 4, 6, 6), 0.1, 3)
    graph = folded(graph_of(quantize(MOVES[move](x), 0.1, 3)), steps=0)
    assert operations(graph) == [move.split()[0]]


@pytest.mark.parametrize("move", MOVES)
def test_codes_of_another_scale_are_requantized(move: str) -> None:
    x = real_input("x", (1, 4, 6, 6), 0.1, 3)
    graph = folded(graph_of(quantize(MOVES[move](x), 0.07, -11, UINT8 if "Pad" in move else INT8)), steps=0)
    assert sorted(operations(graph)) == sorted([move.split()[0], "Lookup"])


@pytest.mark.parametrize("move", MOVES)
def test_what_is_asked_of_the_moved_is_asked_of_the_mover(move: str) -> None:
    x, w = real_input("x", (1, 3, 6, 6), 0.1, 3), weights(int8(4, 3, 1, 1), 0.02)
    y = MOVES[move](unary(conv(x, w, floats([1, -1, 0, 0.3])), "Clip", -1.0, 6.0))
    graph = folded(graph_of(quantize(y, 0.07, -11)))
    assert operations(graph) == ["QConv", move.split()[0]]


def test_a_padding_without_a_code_is_found_after_the_quantization() -> None:
    x = ops.Pad(real_input("x", (1, 8), 0.1, 3), (0, 2, 0, 1), "constant", 0.123).out
    graph = folded(graph_of(quantize(x, 0.05, 3)), steps=0)
    assert operations(graph) == ["Lookup", "Pad"]
    assert only(graph, ops.Pad).value == 5


def test_reshape_across_signedness_keeps_negative_numbers() -> None:
    """int8 codes that a model quantizes to uint8 after a Reshape: a table of the reals, never the codes as they are."""
    x = ops.Reshape(real_input("x", (4, 8), 0.1, 0), (32,)).out
    graph = folded(graph_of(quantize(x, 0.1, 128, UINT8)), steps=0)
    assert operations(graph) == ["Reshape", "Lookup"]
    low = evaluate(graph, {"x": np.full((4, 8), -128, np.int8)})["y"]
    assert (low == 0).all()
    assert (evaluate(graph, {"x": np.full((4, 8), -1, np.int8)})["y"] == 127).all()


def test_concat_requantizes_only_what_has_another_scale() -> None:
    a, b = real_input("a", (1, 2, 3), 0.1, 3), real_input("b", (1, 5, 3), 0.2, -3)
    graph = folded(graph_of(quantize(ops.Concat((a, b), 1).out, 0.2, -3)), steps=0)
    assert operations(graph) == ["Lookup", "Concat"]


def test_concat_takes_constants_and_sums() -> None:
    x, w = real_input("x", (1, 3, 2, 2), 0.1, 3), weights(int8(2, 3, 1, 1), 0.02)
    c = floats(GENERATOR.normal(0, 2, (1, 1, 2, 2)))
    graph = folded(graph_of(quantize(ops.Concat((conv(x, w), c, x), 1).out, 0.1, 3)))
    assert operations(graph) == ["QConv", "Concat"]


def test_one_dequantize_serves_all_its_readers() -> None:
    x = real_input("x", (1, 3, 4, 4), 0.1, 3)
    w = weights(int8(3, 3, 1, 1), 0.02)
    outputs = [quantize(conv(x, w), 0.2), quantize(ops.Add(x, x).out, 0.2), quantize(unary(x, "Tanh"), 0.01)]
    graph = folded(graph_of(*outputs))
    assert sorted(operations(graph)) == ["Lookup", "Lookup", "QConv"]


def test_floats_are_quantized_before_they_are_moved() -> None:
    x = ops.Transpose(Input("x", TensorType(FLOAT32, (1, 4, 4, 3))).out, (0, 3, 1, 2)).out
    graph = folded(graph_of(quantize(x, 0.1, 3)), steps=0)
    assert operations(graph) == ["QuantizeLinear", "Transpose"]
    assert only(graph, ops.QuantizeLinear).sources == ("quantize Transpose",)


def test_wide_codes_are_requantized_by_a_product_with_1() -> None:
    graph = folded(graph_of(quantize(real_input("x", (50,), 0.001, 0, INT16), 0.003, 5, INT16)), steps=0)
    assert operations(graph) == ["QMul"]


def test_a_scale_for_each_entry_moves_with_its_axis() -> None:
    codes = Input("x", TensorType(INT8, (1, 3, 4, 4), quant([0.1, 0.2, 0.3], 3, axis=1))).out
    x = ops.Transpose(dequantize(codes), (0, 2, 3, 1)).out
    graph = folded(graph_of(quantize(x, 0.3, -1)), steps=0)
    assert operations(graph) == ["Transpose", "Lookup"]
    assert only(graph, qops.Lookup).axis == 3


def test_a_result_quantized_per_axis_is_a_table_for_each_entry() -> None:
    x = real_input("x", (1, 3, 4, 4), 0.1, 3)
    graph = folded(graph_of(quantize(unary(x, "Tanh"), [0.1, 0.01, 0.02], 0, axis=1)))
    assert operations(graph) == ["Lookup"]


# What is left ---------------------------------------------------------------------------------------------------------


def test_one_float_operation_leaves_the_others_integer() -> None:
    codes = Input("c", TensorType(INT8, (1, 3, 4, 4), quant([0.1, 0.2, 0.3], 3, axis=1))).out
    x, w = real_input("x", (1, 3, 4, 4), 0.1, 3), weights(int8(3, 3, 1, 1), 0.02)
    first = dequantize(quantize(conv(x, w), 0.2))
    second = conv(ops.Add(first, dequantize(codes)).out, w)
    graph = folded(graph_of(quantize(conv(dequantize(quantize(second, 0.3)), w), 0.4)), steps=12)  # three sums deep
    found = operations(graph)
    assert found.count("QConv") == 2
    assert found.count("Conv") == found.count("Add") == 1


@pytest.mark.timing
def test_20000_operations_fold_in_seconds() -> None:
    import time

    x = real_input("x", (1, 8), 0.1, 3)
    for index in range(5000):
        x = ops.Reshape(unary(x, "Relu"), (8, 1) if index % 2 else (1, 8)).out
        x = dequantize(quantize(ops.Transpose(x, (1, 0)).out, 0.1 + 0.01 * (index % 7), 3))
    graph = graph_of(x)
    start = time.perf_counter()
    result = fold_qdq(graph)
    assert time.perf_counter() - start < 20
    assert len(result.operations()) > 5000
