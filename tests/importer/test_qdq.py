"""QuantizeLinear and DequantizeLinear: every type of codes, scales per tensor and per axis, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.qops import Clamp, Lookup

Check = Callable[..., None]
X = np.random.default_rng(11).uniform(-3, 3, (2, 3, 4)).astype(np.float32)
SCALE = np.array(0.05, np.float32)
SCALES = np.array([0.05, 0.01, 0.2], np.float32)
CODES = {
    "int8": (np.int8, 10),
    "uint8": (np.uint8, 10),
    "int16": (np.int16, 21),
    "uint16": (np.uint16, 21),
    "int4": (ml_dtypes.int4, 21),
    "uint4": (ml_dtypes.uint4, 21),
    "int2": (ml_dtypes.int2, 25),
    "uint2": (ml_dtypes.uint2, 25),
}


def round_trip(make_model: Any, scale: np.ndarray, zero: np.ndarray | None, opset: int, **attributes: Any) -> Any:
    """x -> QuantizeLinear 'q' -> DequantizeLinear 'dq' -> y."""
    names = ["scale"] if zero is None else ["scale", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *names], ["codes"], "q", **attributes),
        helper.make_node("DequantizeLinear", ["codes", *names], ["y"], "dq", **attributes),
    ]
    weights = {"scale": scale} if zero is None else {"scale": scale, "zero": zero}
    return make_model(nodes, {"x": X}, ["y"], weights, opset)


def numpy_round_trip(scale: np.ndarray, zero: np.ndarray, low: int, high: int) -> np.ndarray:
    """N1 of N2, for a scale that broadcasts."""
    zero = zero.astype(np.int64)
    codes = np.clip(np.rint(X / scale) + zero, low, high)
    return (codes - zero).astype(np.float32) * scale


def span(name: str) -> tuple[int, int]:
    bits = int(name.removeprefix("u").removeprefix("int"))
    return (0, 2**bits - 1) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@pytest.mark.parametrize("name", CODES)
def test_every_type_of_codes(make_model: Any, meaning: Any, name: str) -> None:
    dtype, opset = CODES[name]
    low, high = span(name)
    zero = np.array(1).astype(dtype)
    (y,) = meaning(round_trip(make_model, SCALE, zero, opset), {"x": X})
    np.testing.assert_array_equal(y, numpy_round_trip(SCALE, zero, low, high))


@pytest.mark.parametrize("axis", [1, -2])
@pytest.mark.parametrize("name", CODES)
def test_a_scale_per_axis(make_model: Any, meaning: Any, name: str, axis: int) -> None:
    dtype, opset = CODES[name]
    low, high = span(name)
    zeros = np.array([0, 1, 1]).astype(dtype)
    model = round_trip(make_model, SCALES, zeros, max(opset, 13), axis=axis)
    (y,) = meaning(model, {"x": X})
    np.testing.assert_array_equal(y, numpy_round_trip(SCALES.reshape(1, 3, 1), zeros.reshape(1, 3, 1), low, high))


def test_without_a_zero_point_codes_are_uint8_from_0(make_model: Any, imported: Any) -> None:
    graph: Graph = imported(round_trip(make_model, SCALE, None, 13))
    quantize, _ = graph.operations()
    assert str(quantize.type) == "uint8[2, 3, 4]"
    assert quantize.type.quant is not None
    assert quantize.type.quant.scalar() == (float(SCALE), 0)


def test_the_type_of_codes_may_be_an_attribute(make_operator: Any, imported: Any) -> None:
    graph = imported(make_operator("QuantizeLinear", [X, SCALE], 21, constants=(1,), output_dtype=TensorProto.INT16)[0])
    assert graph.outputs[0].value.type.dtype.name == "int16"


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_one_scale_may_have_any_rank(make_model: Any, imported: Any, shape: tuple[int, ...]) -> None:
    graph: Graph = imported(round_trip(make_model, SCALE.reshape(shape), np.zeros(shape, np.int8), 13))
    quantize, _ = graph.operations()
    assert quantize.type.quant is not None
    assert quantize.type.quant.is_per_tensor


def test_a_pair_on_one_grid_needs_nothing_between(make_model: Any, imported: Any) -> None:
    graph: Graph = imported(round_trip(make_model, SCALE, np.array(3, np.int8), 13))
    quantize, dequantize = graph.operations()
    assert isinstance(quantize, ops.QuantizeLinear)
    assert isinstance(dequantize, ops.DequantizeLinear)
    assert (quantize.sources, quantize.tensor) == (("q",), "codes")
    assert (dequantize.sources, dequantize.tensor) == (("dq",), "y")


@pytest.mark.parametrize("name", ["int8", "uint4", "int16"])
def test_a_pair_on_two_grids_reads_the_codes_anew(make_model: Any, meaning: Any, imported: Any, name: str) -> None:
    dtype, opset = CODES[name]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s1", "z1"], ["codes"], "q"),
        helper.make_node("DequantizeLinear", ["codes", "s2", "z2"], ["y"], "dq"),
    ]
    weights = {"s1": SCALE, "z1": np.array(1).astype(dtype), "s2": SCALE * 3, "z2": np.array(2).astype(dtype)}
    model = make_model(nodes, {"x": X}, ["y"], weights, opset)
    low, high = span(name)
    codes = np.clip(np.rint(X / SCALE) + 1, low, high)
    np.testing.assert_array_equal(meaning(model, {"x": X})[0], (codes - 2).astype(np.float32) * (SCALE * np.float32(3)))
    assert [type(node) for node in imported(model).operations()] == [ops.QuantizeLinear, Lookup, ops.DequantizeLinear]


def test_float16_scales_make_float16(equals_reference: Check) -> None:
    codes = np.arange(-128, 128, dtype=np.int8)
    operands = [codes, np.array(0.0437, np.float16), np.array(5, np.int8)]
    equals_reference("DequantizeLinear", operands, 19, constants=(0, 1, 2), tolerance=0)


def test_int32_is_dequantized_as_a_bias(make_operator: Any, imported: Any, meaning: Any) -> None:
    bias = np.array([-(2**31), 7, 2**31 - 1], np.int32)
    model, feeds = make_operator("DequantizeLinear", [bias, SCALES], 13, constants=(0, 1), axis=0)
    (y,) = meaning(model, feeds)
    np.testing.assert_array_equal(y, bias.astype(np.float32) * SCALES)
    (dequantize,) = imported(model).operations()
    assert isinstance(dequantize.operands[0].node, Constant)


def test_computed_int32_is_dequantized_too(equals_reference: Check) -> None:
    sums = np.array([[-(2**31), 7, 2**31 - 1]], np.int32)
    equals_reference("DequantizeLinear", [sums, SCALES], 19, constants=(1,), axis=1, tolerance=0)
    equals_reference("DequantizeLinear", [sums, SCALE], 19, constants=(1,), tolerance=0)


def test_int32_is_quantized_by_way_of_float32(equals_reference: Check) -> None:
    operands = [np.array([-300, 5, 1000], np.int32), np.array(2.0, np.float32), np.array(3, np.int8)]
    equals_reference("QuantizeLinear", operands, 19, constants=(1, 2))


def test_clip_between_narrows_the_codes(make_model: Any, meaning: Any, imported: Any) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"], "q"),
        helper.make_node("Clip", ["codes", "low", "high"], ["clipped"], "clip"),
        helper.make_node("DequantizeLinear", ["clipped", "scale", "zero"], ["y"], "dq"),
    ]
    weights = {"scale": SCALE, "zero": np.array(0, np.int8)}
    weights |= {"low": np.array(-8, np.int8), "high": np.array(7, np.int8)}
    model = make_model(nodes, {"x": X}, ["y"], weights, 13)
    np.testing.assert_array_equal(meaning(model, {"x": X})[0], np.clip(np.rint(X / SCALE), -8, 7) * SCALE)
    clamp = imported(model).operations()[1]
    assert isinstance(clamp, Clamp)
    assert clamp.type.code_range() == (-8, 7)


def test_weights_stay_integers(make_model: Any, imported: Any) -> None:
    weights = {"w": np.arange(6, dtype=np.int8).reshape(2, 3), "scale": SCALES, "zero": np.zeros(3, np.int8)}
    nodes = [
        helper.make_node("Transpose", ["w"], ["wt"], "transpose"),
        helper.make_node("DequantizeLinear", ["wt", "scale", "zero"], ["reals"], "dq", axis=0),
        helper.make_node("MatMul", ["x", "reals"], ["y"], "matmul"),
    ]
    graph: Graph = imported(make_model(nodes, {"x": X[0].T.copy()}, ["y"], weights, 13))
    dequantize, _ = graph.operations()
    (codes,) = dequantize.operands
    assert str(codes.type) == "int8[3, 2]"
    assert codes.type.quant is not None
    assert codes.type.quant.axis == 0
    assert codes.constant is not None


# Inputs that are codes ------------------------------------------------------------------------------------------------


def test_an_integer_input_takes_the_scale_it_is_read_with(make_model: Any, imported: Any) -> None:
    """Also where data movement stands between, and the nodes stand in any order."""
    nodes = [
        helper.make_node("DequantizeLinear", ["moved", "scale", "zero"], ["y"], "dq"),
        helper.make_node("Transpose", ["x"], ["moved"], "transpose", perm=[0, 2, 1]),
        helper.make_node("Identity", ["scale0"], ["scale"], "same"),
    ]
    weights = {"scale0": SCALE, "zero": np.array(-3, np.int8)}
    graph: Graph = imported(make_model(nodes, {"x": X.astype(np.int8)}, ["y"], weights, 13))
    assert [type(node) for node in graph.operations()] == [ops.Transpose, ops.DequantizeLinear]
    assert graph.inputs[0].type.quant is not None
    assert graph.inputs[0].type.quant.scalar() == (float(SCALE), -3)


def test_an_input_read_with_two_scales_keeps_the_first(make_model: Any, imported: Any, meaning: Any) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s1"], ["a"], "dq1"),
        helper.make_node("DequantizeLinear", ["x", "s2"], ["b"], "dq2"),
        helper.make_node("Add", ["a", "b"], ["y"], "add"),
    ]
    x = np.arange(-128, 128, dtype=np.int8)
    model = make_model(nodes, {"x": x}, ["y"], {"s1": SCALE, "s2": SCALE * 2}, 13)
    graph: Graph = imported(model)
    assert graph.inputs[0].type.quant is not None
    assert graph.inputs[0].type.quant.scalar() == (float(SCALE), 0)
    assert [type(node) for node in graph.operations()].count(Lookup) == 1
    expected = x.astype(np.float32) * SCALE + x.astype(np.float32) * (SCALE * np.float32(2))
    np.testing.assert_array_equal(meaning(model, {"x": x})[0], expected)


def test_an_integer_input_that_nobody_dequantizes_has_no_scale(make_operator: Any, imported: Any) -> None:
    graph = imported(make_operator("Transpose", [X.astype(np.int8)], 13)[0])
    assert isinstance(graph.nodes()[0], Input)
    assert graph.nodes()[0].type.quant is None


def test_codes_that_leave_keep_their_scale(make_operator: Any, imported: Any) -> None:
    graph = imported(make_operator("QuantizeLinear", [X, SCALE, np.array(7, np.int8)], 13, constants=(1, 2))[0])
    quant = graph.outputs[0].value.type.quant
    assert quant is not None
    assert quant.scalar() == (float(SCALE), 7)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf])
@pytest.mark.parametrize("op", ["QuantizeLinear", "DequantizeLinear"])
def test_a_scale_that_is_not_positive_is_refused(make_operator: Any, imported: Any, op: str, scale: float) -> None:
    operands = [X if op == "QuantizeLinear" else X.astype(np.int8), np.array(scale, np.float32)]
    if op == "QuantizeLinear":
        operands.append(np.array(0, np.int8))
    with pytest.raises(ModelError, match=f"{op} 'node' has .* as a scale; scales are finite and above zero"):
        imported(make_operator(op, operands, 13, constants=(1, 2))[0])


@pytest.mark.parametrize(
    ("operands", "attributes", "text"),
    [
        ([X, SCALES[:2], np.zeros(2, np.int8)], {}, r"\[\] or \[3\] is needed"),
        ([X, SCALES, np.zeros(2, np.int8)], {}, r"\[\] or \[3\] is needed"),
        ([X, SCALES, np.zeros(3, np.int8)], {"axis": 3}, "axis 3"),
        ([X, SCALES.reshape(3, 1), np.zeros((3, 1), np.int8)], {}, r"\[\] or \[3\] is needed"),
        ([X.astype(np.int64), SCALE, np.array(0, np.int8)], {}, "int64"),
        ([X, SCALE.astype(np.float64), np.array(0, np.int8)], {}, "float64"),
        ([X, SCALE, np.array(0, np.int8)], {"output_dtype": TensorProto.UINT8}, "output_dtype"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(
    make_operator: Any, imported: Any, operands: list[np.ndarray], attributes: dict[str, Any], text: str
) -> None:
    with pytest.raises(ModelError, match=f"QuantizeLinear 'node'.*{text}"):
        imported(make_operator("QuantizeLinear", operands, 21, constants=(1, 2), **attributes)[0])


def test_a_zero_point_of_another_type_is_refused(make_operator: Any, imported: Any) -> None:
    operands = [X.astype(np.int8), SCALE, np.array(3, np.uint8)]
    with pytest.raises(ModelError, match="'node' has a zero point of type uint8 for codes of type int8"):
        imported(make_operator("DequantizeLinear", operands, 13, constants=(1, 2))[0])


def test_a_zero_point_of_int32_is_refused(make_operator: Any, imported: Any) -> None:
    operands = [X.astype(np.int32), SCALE, np.array(3, np.int32)]
    with pytest.raises(ModelError, match="has the zero point 3 for codes of type int32"):
        imported(make_operator("DequantizeLinear", operands, 13, constants=(0, 1, 2))[0])


def test_blocks_that_do_not_divide_are_refused(make_operator: Any, imported: Any) -> None:
    operands = [X.astype(np.int8), np.ones((2, 3, 7), np.float32)]
    with pytest.raises(ModelError, match=r"DequantizeLinear 'node' has a scale of shape \[2, 3, 7\]"):
        imported(make_operator("DequantizeLinear", operands, 21, constants=(1,), axis=2, block_size=2)[0])


def test_a_scale_computed_at_run_time_is_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"QuantizeLinear 'node' takes its scale from .*at run time"):
        imported(make_operator("QuantizeLinear", [X, SCALE, np.array(0, np.int8)], 13, constants=(2,))[0])


def test_float8_is_refused(make_operator: Any, imported: Any) -> None:
    attributes = {"output_dtype": TensorProto.FLOAT8E4M3FN}
    with pytest.raises(UnsupportedError, match="QuantizeLinear 'node': output_dtype has element type float8e4m3fn"):
        imported(make_operator("QuantizeLinear", [X, SCALE], 21, constants=(1,), **attributes)[0])
