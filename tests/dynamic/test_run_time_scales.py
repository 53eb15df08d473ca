"""N9: DynamicQuantizeLinear as ONNX writes it, exact sums of its codes, and ONNX Runtime's fused forms of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

import subbyte
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.explain import explain
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.numerics.dynamic import dynamic_range
from tests.dynamic.conftest import as_bits, build_model, generator, meaning_of, onnxruntime_values, values_of

Array = NDArray[Any]

INF, NAN = np.inf, np.nan
SPECIALS = {
    "all zeros": ([0, 0], [0, 0], 1, 0),
    "minus zero": ([-0.0], [0], 1, 0),
    "subnormal range above": ([0, 1e-45], [0, 255], 0, 255),
    "subnormal range below": ([0, -1e-45], [0, 0], 0, 255),
    "subnormal range around": ([1e-45, -1e-45], [255, 0], 0, 255),
    "infinite": ([INF, 1], [0, 0], INF, 0),
    "minus infinite": ([-INF, 1], [0, 255], INF, 255),
    "both infinite": ([INF, -INF], [0, 0], INF, 255),
    "range beyond float32": ([3e38, -3e38], [0, 0], INF, 0),
    "a NaN": ([NAN, 1], [0, 255], 0.003921569, 0),
    "a NaN last": ([1, NAN], [255, 0], 0.003921569, 0),
    "only NaN": ([NAN, NAN], [0, 0], 1, 0),
    "positive": ([1, 2, 3], [85, 170, 255], 0.011764706, 0),
    "negative": ([-1, -2], [128, 0], 0.007843138, 255),
}


def quantizer(x: Array) -> Any:
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"])
    return build_model([node], {"x": x}, {}, ["codes", "scale", "zero"])


@pytest.mark.parametrize("name", SPECIALS)
def test_special_inputs_quantize_as_onnxruntime_does(name: str) -> None:
    values, codes, scale, zero = SPECIALS[name]
    x = np.array(values, np.float32)
    found = values_of(quantizer(x), {"x": x})
    assert (found["codes"].tolist(), found["scale"], found["zero"]) == (codes, np.float32(scale), zero)
    theirs = onnxruntime_values(quantizer(x), {"x": x})
    assert {key: as_bits(array).tolist() for key, array in found.items()} == {
        key: as_bits(array).tolist() for key, array in theirs.items()
    }


def test_random_inputs_quantize_as_onnxruntime_does() -> None:
    random = generator(1)
    x = np.zeros((3, 700), np.float32)
    model = quantizer(x)
    module = subbyte.compile(model, target="portable")
    for _ in range(40):
        spread, shift = 10.0 ** random.uniform(-30, 30), random.normal()
        x = ((random.normal(size=x.shape) + shift) * spread).astype(np.float32)
        theirs, found = onnxruntime_values(model, {"x": x}), module.run({"x": x})
        assert dynamic_range(x) == (theirs["scale"], theirs["zero"]) == (found["scale"], found["zero"])
        assert np.array_equal(found["codes"], theirs["codes"])


def dynamic_conv(x: Array, w: Array, w_zero: Array) -> Any:
    """DynamicQuantizeLinear, ConvInteger with padding, Cast, Mul and Add, as onnxruntime's quantizer writes them."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"]),
        helper.make_node("ConvInteger", ["codes", "w", "zero", "w_zero"], ["sums"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Cast", ["sums"], ["real"], to=1),
        helper.make_node("Mul", ["scale", "w_scale"], ["both"]),
        helper.make_node("Mul", ["real", "both"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["y"]),
    ]
    bias = generator(3).normal(size=(1, w.shape[0], 1, 1)).astype(np.float32)
    constants = {"w": w, "w_zero": w_zero, "w_scale": np.float32(0.013), "bias": bias}
    return build_model(nodes, {"x": x}, constants, ["y", "sums"])


def test_a_convolution_pads_with_the_run_time_zero_point() -> None:
    random = generator(4)
    x = random.normal(0.4, 1, (2, 3, 6, 7)).astype(np.float32)
    w = random.integers(0, 256, (5, 3, 3, 3), dtype=np.uint8)
    model = dynamic_conv(x, w, np.uint8(117))
    found, theirs = values_of(model, {"x": x}), onnxruntime_values(model, {"x": x})
    assert np.array_equal(found["sums"], theirs["sums"])
    assert np.array_equal(as_bits(found["y"]), as_bits(theirs["y"]))


def test_sums_of_dynamic_codes_are_integer_sums() -> None:
    x = generator(5).normal(size=(1, 3, 6, 7)).astype(np.float32)
    graph = meaning_of(dynamic_conv(x, np.ones((5, 3, 3, 3), np.int8), np.int8(0)))
    assert sum(isinstance(node, QConv) for node in graph.operations()) == 1
    account = explain(graph).as_dict()
    assert account["integer_macs"] == account["macs"] == 5 * 42 * 27
    reasons = [island["reason"] for island in account["float_islands"]]
    assert any("the scale of its operand is computed at run time" in reason for reason in reasons)
    printed = print_graph(graph)
    assert print_graph(parse_graph(printed)) == printed


@pytest.mark.parametrize("shape", [(4, 9), (2, 3, 9), (9,)])
def test_products_take_zero_points_known_at_run_time_alone(shape: tuple[int, ...]) -> None:
    random = generator(6)
    a, b = random.integers(0, 256, shape, dtype=np.uint8), random.integers(0, 256, (9, 5), dtype=np.uint8)
    zeros = {"a_zero": np.array([201], np.uint8), "b_zero": np.array(13, np.uint8)}
    node = helper.make_node("MatMulInteger", ["a", "b", "a_zero", "b_zero"], ["y"])
    model = build_model([node], {"a": a, "b": b, **zeros}, {}, ["y"])
    found = values_of(model, {"a": a, "b": b, **zeros})["y"]
    assert np.array_equal(found, (a.astype(np.int64) - 201) @ (b.astype(np.int64) - 13))
    assert sum(isinstance(node, QGemm) for node in meaning_of(model).operations()) == 1


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_fused_products_are_their_parts(per_column: bool, bias: bool) -> None:
    random = generator(7)
    x = random.normal(size=(4, 33)).astype(np.float32)
    b = random.integers(0, 256, (33, 6), dtype=np.uint8)
    scale = random.uniform(0.01, 0.02, 6 if per_column else 1).astype(np.float32)
    zero = random.integers(100, 140, 6 if per_column else 1, dtype=np.uint8)
    constants: dict[str, Any] = {"b": b, "scale": scale, "zero": zero}
    if bias:
        constants["bias"] = random.normal(size=6).astype(np.float32)
    added = ["bias"] if bias else []
    fused = helper.make_node(
        "DynamicQuantizeMatMul", ["x", "b", "scale", "zero", *added], ["y"], domain="com.microsoft"
    )
    model = build_model([fused], {"x": x}, constants, ["y"])
    found = values_of(model, {"x": x})["y"]
    assert np.array_equal(as_bits(found), as_bits(onnxruntime_values(model, {"x": x})["y"]))
    parts = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "x_scale", "x_zero"]),
        helper.make_node(
            "MatMulIntegerToFloat",
            ["codes", "b", "x_scale", "scale", "x_zero", "zero", *added],
            ["y"],
            domain="com.microsoft",
        ),
    ]
    model = build_model(parts, {"x": x}, constants, ["y"])
    assert np.array_equal(as_bits(found), as_bits(values_of(model, {"x": x})["y"]))


@pytest.mark.parametrize("shaped", [False, True])
@pytest.mark.parametrize("zero_point", ["zero", "none", "constant"])
def test_codes_are_dequantized_with_a_run_time_scale(zero_point: str, shaped: bool) -> None:
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"])]
    if shaped:
        nodes.append(helper.make_node("Reshape", ["scale", "one"], ["s"]))
        nodes.append(helper.make_node("Reshape", ["zero", "one"], ["z"]))
    named = {"zero": "z" if shaped else "zero", "none": "", "constant": "seven"}[zero_point]
    nodes.append(helper.make_node("DequantizeLinear", ["codes", "s" if shaped else "scale", named], ["y"]))
    x = generator(8).normal(0.3, 1, (2, 3, 5)).astype(np.float32)
    seven = np.full((1,) if shaped else (), 7, np.uint8)
    model = build_model(nodes, {"x": x}, {"one": np.int64([1]), "seven": seven}, ["y"])
    found = values_of(model, {"x": x})["y"]
    assert np.array_equal(as_bits(found), as_bits(onnxruntime_values(model, {"x": x})["y"]))


def test_a_zero_point_of_another_type_is_refused() -> None:
    a, zero = np.zeros((2, 4), np.uint8), np.zeros((), np.int8)
    node = helper.make_node("MatMulInteger", ["a", "b", "zero"], ["y"], "product")
    model = build_model([node], {"a": a, "zero": zero}, {"b": np.ones((4, 3), np.int8)}, ["y"])
    with pytest.raises(ModelError, match="MatMulInteger 'product' has a zero point of a of type int8"):
        meaning_of(model)


def test_run_time_zero_points_for_each_row_are_refused() -> None:
    a, zero = np.zeros((2, 4), np.uint8), np.zeros((2,), np.uint8)
    node = helper.make_node("MatMulInteger", ["a", "b", "zero"], ["y"], "product")
    model = build_model([node], {"a": a, "zero": zero}, {"b": np.ones((4, 3), np.int8)}, ["y"])
    with pytest.raises(UnsupportedError, match=r"MatMulInteger 'product' .* known at run time only"):
        meaning_of(model)


def test_a_scale_that_does_not_fit_the_columns_is_refused() -> None:
    x = np.zeros((2, 4), np.float32)
    node = helper.make_node("DynamicQuantizeMatMul", ["x", "b", "s"], ["y"], "product", domain="com.microsoft")
    constants = {"b": np.ones((4, 3), np.int8), "s": np.ones(2, np.float32)}
    with pytest.raises(ModelError, match=r"'product' has the scale float32\[2\] of B"):
        meaning_of(build_model([node], {"x": x}, constants, ["y"]))
