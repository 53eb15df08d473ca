"""QDQ of every width: int2 to int16, missing zero points, scales of shape [1], weights in three forms, shared nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, TensorProto, helper

from subbyte.compiler.explain import explain
from subbyte.compiler.ir.graph import Graph

Array = npt.NDArray[Any]
Make = Callable[..., ModelProto]
Meaning = Callable[[ModelProto], Graph]
Values = Callable[..., Array]

TYPES = {
    "int2": (TensorProto.INT2, -2, 1, 25),
    "uint2": (TensorProto.UINT2, 0, 3, 25),
    "int4": (TensorProto.INT4, -8, 7, 21),
    "uint4": (TensorProto.UINT4, 0, 15, 21),
    "int8": (TensorProto.INT8, -128, 127, 13),
    "uint8": (TensorProto.UINT8, 0, 255, 13),
    "int16": (TensorProto.INT16, -32768, 32767, 21),
    "uint16": (TensorProto.UINT16, 0, 65535, 21),
}
"""ONNX's number of the type, its range, and the first opset that quantizes to it with an axis."""


def codes_tensor(name: str, dtype: str, codes: Array) -> TensorProto:
    return helper.make_tensor(name, TYPES[dtype][0], codes.shape, codes.reshape(-1).tolist())


@pytest.mark.parametrize("zero", [None, 0, 1])
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
@pytest.mark.parametrize("dtype", TYPES)
def test_quantize_and_dequantize(
    dtype: str, shape: tuple[int, ...], zero: int | None, make_model: Make, meaning: Meaning, values: Values
) -> None:
    if zero is None and dtype != "uint8":
        opset, attributes = max(TYPES[dtype][3], 21), {"output_dtype": TYPES[dtype][0]}
    else:
        opset, attributes = TYPES[dtype][3], {}
    low, high = TYPES[dtype][1:3]
    scale = np.random.default_rng(0).uniform(0.1, 0.4, shape).astype(np.float32)
    constants: dict[str, Any] = {"s": scale}
    operands = ["s"]
    if zero is not None:
        constants["z"] = codes_tensor("z", dtype, np.full(shape, zero))
        operands.append("z")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *operands], ["q"], "quantize", **attributes),
        helper.make_node("DequantizeLinear", ["q", *operands], ["y"], "dequantize"),
    ]
    model = make_model(nodes, {"x": (2, 3, 50)}, constants, opset=opset)
    x = np.random.default_rng(1).normal(0, 3, (2, 3, 50)).astype(np.float32)
    by_channel = scale.reshape(-1, 1) if shape else scale
    codes = np.clip(np.rint(x / by_channel) + (zero or 0), low, high)
    expected = (codes - (zero or 0)).astype(np.float32) * by_channel
    np.testing.assert_array_equal(values(model, {"x": x}, compiled=shape != (1,)), expected)
    (made,) = (node for node in meaning(model).operations() if type(node).__name__ == "QuantizeLinear")
    assert str(made.type.dtype) == dtype


@pytest.mark.parametrize("form", ["codes", "floats, quantized"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    ("activation", "weight"),
    [("uint8", "int4"), ("uint4", "int4"), ("int4", "int2"), ("uint2", "uint2"), ("int16", "int8"), ("int16", "int16")],
)
def test_a_layer_of_any_widths_is_integer(
    activation: str, weight: str, per_channel: bool, form: str, make_model: Make, meaning: Meaning, values: Values
) -> None:
    random = np.random.default_rng(2)
    low, high = TYPES[weight][1:3]
    codes = random.integers(low, high + 1, (5, 3, 3, 3))
    scale = random.uniform(0.05, 0.1, 5 if per_channel else ()).astype(np.float32)
    weights: dict[str, Any] = {"w_codes": codes_tensor("w_codes", weight, codes)}
    read = [helper.make_node("DequantizeLinear", ["w_codes", "w_s", "w_z"], ["w"], "read", axis=0)]
    if form != "codes":
        weights = {"w_real": (codes * np.reshape(scale, (-1, 1, 1, 1))).astype(np.float32)}
        made = helper.make_node("QuantizeLinear", ["w_real", "w_s", "w_z"], ["w_codes"], "weights", axis=0)
        read.insert(0, made)
    constants = {
        "a_s": np.asarray(0.25, np.float32),
        "a_z": codes_tensor("a_z", activation, np.asarray(1)),
        "w_s": scale,
        "w_z": codes_tensor("w_z", weight, np.zeros(scale.shape, np.int64)),
        "y_s": np.asarray(8.0, np.float32),
        "y_z": codes_tensor("y_z", "int8", np.asarray(-3)),
        **weights,
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "a_s", "a_z"], ["a_q"], "quantize"),
        helper.make_node("DequantizeLinear", ["a_q", "a_s", "a_z"], ["a"], "input"),
        *read,
        helper.make_node("Conv", ["a", "w"], ["v"], "conv"),
        helper.make_node("QuantizeLinear", ["v", "y_s", "y_z"], ["y_q"], "requantize"),
        helper.make_node("DequantizeLinear", ["y_q", "y_s", "y_z"], ["y"], "output"),
    ]
    opset = max(TYPES[name][3] for name in (activation, weight, "int8"))
    model = make_model(nodes, {"x": (1, 3, 6, 6)}, constants, opset=opset)
    graph = meaning(model)
    (product,) = (node for node in graph.operations() if type(node).__name__ == "QConv")
    assert [str(operand.type.dtype) for operand in product.operands] == [activation, weight]
    assert explain(graph).integer_macs == explain(graph).macs > 0
    x = random.normal(0, 2, (1, 3, 6, 6)).astype(np.float32)
    a = np.clip(np.rint(x / np.float32(0.25)) + 1, *TYPES[activation][1:3]) - 1
    windows = np.lib.stride_tricks.sliding_window_view(a.astype(np.float64), (3, 3), axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", windows, codes.astype(np.float64)).astype(np.float32)
    factor = np.float32(0.25) * scale / np.float32(8.0)
    expected = np.clip(np.rint(sums * np.reshape(factor, (-1, 1, 1))) - 3, -128, 127) + 3
    np.testing.assert_array_equal(values(model, {"x": x}, compiled=True), expected.astype(np.float32) * np.float32(8))


def test_a_dequantization_read_by_several_feeds_them_all(make_model: Make, meaning: Meaning, values: Values) -> None:
    constants = {
        "s": np.asarray(0.5, np.float32),
        "z": np.asarray(2, np.uint8),
        "w": np.asarray(np.random.default_rng(3).integers(-8, 8, (3, 3, 1, 1)), np.int8),
        "t": np.asarray(0.125, np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["a"], "shared"),
        helper.make_node("DequantizeLinear", ["w", "t"], ["c"], "weights"),
        helper.make_node("Conv", ["a", "c"], ["u"], "first"),
        helper.make_node("Conv", ["a", "c"], ["v"], "second", pads=[0, 0, 0, 0]),
        helper.make_node("QuantizeLinear", ["u", "s", "z"], ["uq"], "qu"),
        helper.make_node("QuantizeLinear", ["v", "s", "z"], ["vq"], "qv"),
        helper.make_node("DequantizeLinear", ["uq", "s", "z"], ["ud"], "du"),
        helper.make_node("DequantizeLinear", ["vq", "s", "z"], ["vd"], "dv"),
        helper.make_node("Add", ["ud", "vd"], ["sum"], "add"),
        helper.make_node("Add", ["sum", "a"], ["residual"], "residual"),
    ]
    model = make_model(nodes, {"x": (1, 3, 4, 4)}, constants)
    graph = meaning(model)
    assert explain(graph).integer_macs == explain(graph).macs > 0
    x = np.random.default_rng(4).normal(0, 8, (1, 3, 4, 4)).astype(np.float32)
    a = (np.clip(np.rint(x * 2) + 2, 0, 255) - 2) / 2
    u = np.einsum("nchw,oc->nohw", a, constants["w"][:, :, 0, 0] / 8)
    expected = (np.clip(np.rint(u * 2) + 2, 0, 255) - 2) + a
    np.testing.assert_array_equal(values(model, {"x": x}, compiled=True), expected.astype(np.float32))
