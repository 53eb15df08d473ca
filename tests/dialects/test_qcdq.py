"""Quantize-Clip-Dequantize: the clip narrows the codes, for activations and for weights in either form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, NodeProto, helper

from subbyte.compiler.explain import explain
from subbyte.compiler.ir.graph import Graph
from tests.dialects import formulas

Array = npt.NDArray[Any]
Make = Callable[..., ModelProto]
Meaning = Callable[[ModelProto], Graph]
Values = Callable[..., Array]


def qcdq(x: str, y: str, constants: dict[str, Array], bits: int, *, signed: bool, narrow: bool) -> list[NodeProto]:
    """The three nodes, as Brevitas writes them; the bounds join `constants`."""
    dtype = np.int8 if signed else np.uint8
    low, high = formulas.bounds(bits, signed, narrow)
    constants.update({f"{y}_low": np.asarray(low, dtype), f"{y}_high": np.asarray(high, dtype)})
    grid = [f"{y}_scale", f"{y}_zero"]
    return [
        helper.make_node("QuantizeLinear", [x, *grid], [f"{y}_q"], f"{y}_quantize"),
        helper.make_node("Clip", [f"{y}_q", f"{y}_low", f"{y}_high"], [f"{y}_c"], f"{y}_clip"),
        helper.make_node("DequantizeLinear", [f"{y}_c", *grid], [y], f"{y}_dequantize"),
    ]


@pytest.mark.parametrize("zero", [0, 1, 3])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 7, 8])
def test_a_clip_of_codes_narrows_their_range(
    bits: int, signed: bool, narrow: bool, zero: int, make_model: Make, meaning: Meaning, values: Values
) -> None:
    dtype = np.int8 if signed else np.uint8
    constants: dict[str, Array] = {"y_scale": np.asarray(0.25, np.float32), "y_zero": np.asarray(zero, dtype)}
    model = make_model(qcdq("x", "y", constants, bits, signed=signed, narrow=narrow), {"x": (400,)}, constants)
    x = (np.arange(-200, 200) / 8).astype(np.float32)
    low, high = formulas.bounds(bits, signed, narrow)
    codes = np.clip(np.rint(x / np.float32(0.25)) + zero, low, high)
    np.testing.assert_array_equal(values(model, {"x": x}), (codes - zero).astype(np.float32) * np.float32(0.25))
    (made,) = (node for node in meaning(model).operations() if type(node).__name__ == "QuantizeLinear")
    assert made.type.code_range() == (low, high)


@pytest.mark.parametrize("form", ["float, quantized", "integers", "integers per channel"])
def test_weights_in_either_form_are_narrow_codes(form: str, make_model: Make, meaning: Meaning, values: Values) -> None:
    random = np.random.default_rng(0)
    codes = random.integers(-1, 2, (6, 3, 3, 3))
    scale = random.uniform(0.1, 0.3, 6 if "channel" in form else ()).astype(np.float32)
    real = (codes * np.reshape(scale, (-1, 1, 1, 1))).astype(np.float32)
    constants: dict[str, Array] = {
        "a_scale": np.asarray(0.5, np.float32),
        "a_zero": np.asarray(0, np.uint8),
        "w_scale": scale,
        "w_zero": np.zeros(scale.shape, np.int8),
        "y_scale": np.asarray(2.0, np.float32),
        "y_zero": np.asarray(0, np.int8),
        "weights": real if "float" in form else codes.astype(np.int8),
    }
    weights = qcdq("weights", "w", constants, 2, signed=True, narrow=True)
    if "float" not in form:
        weights = weights[1:]
        weights[0].input[0] = "weights"
        weights[1].attribute.append(helper.make_attribute("axis", 0))
    nodes = [
        *qcdq("x", "a", constants, 2, signed=False, narrow=False),
        *weights,
        helper.make_node("Conv", ["a", "w"], ["v"], "conv"),
        *qcdq("v", "y", constants, 3, signed=True, narrow=False),
    ]
    model = make_model(nodes, {"x": (1, 3, 6, 6)}, constants)
    graph = meaning(model)
    assert [type(node).__name__ for node in graph.operations()] == ["QuantizeLinear", "QConv", "DequantizeLinear"]
    assert explain(graph).integer_macs == explain(graph).macs
    (product,) = (node for node in graph.operations() if type(node).__name__ == "QConv")
    assert product.operands[0].type.code_range() == (0, 3)
    assert product.type.code_range() == (-4, 3)
    x = random.uniform(-1, 3, (1, 3, 6, 6)).astype(np.float32)
    a = np.clip(np.rint(x / np.float32(0.5)), 0, 3)
    windows = np.lib.stride_tricks.sliding_window_view(a, (3, 3), axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", windows, codes.astype(np.float64))
    factor = np.float32(0.5) * scale / np.float32(2.0)
    expected = np.clip(np.rint(sums.astype(np.float32) * np.reshape(factor, (-1, 1, 1))), -4, 3) * np.float32(2)
    np.testing.assert_array_equal(values(model, {"x": x}, compiled=True), expected)
