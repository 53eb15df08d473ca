"""Quantizations that contradict themselves: one paragraph that names the node, what was found and what is needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, helper

from subbyte.compiler.errors import ModelError, SubbyteError, UnsupportedError
from subbyte.compiler.importer import import_model

Array = npt.NDArray[Any]
Make = Callable[..., ModelProto]

GENERAL = "qonnx.custom_op.general"
SHAPE = (2, 3, 4, 4)
SOUND: dict[str, Any] = {"scale": 0.5, "zero": 0, "bits": 4}
WHOLE = {"signed": 1, "narrow": 0}

QUANT: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # name: (changed constants, changed attributes, what the error says)
    "bit width 0": ({"bits": 0}, {}, "has the bit width 0; a whole number from 1 to 16"),
    "bit width 40": ({"bits": 40}, {}, "has the bit width 40; a whole number from 1 to 16"),
    "a broken bit width": ({"bits": 2.5}, {}, "has the bit width 2.5"),
    "a bit width that is NaN": ({"bits": np.nan}, {}, "has the bit width nan"),
    "a bit width for each channel": ({"bits": [2, 4, 8]}, {}, r"has the bit width as float32\[3\]; one number"),
    "scale 0": ({"scale": 0}, {}, "has 0.0 as a scale; scales are finite and above zero"),
    "a negative scale": ({"scale": -0.5}, {}, "has -0.5 as a scale"),
    "a scale that is NaN": ({"scale": np.nan}, {}, "has nan as a scale"),
    "an infinite scale": ({"scale": np.inf}, {}, "has inf as a scale"),
    "one bad scale of several": ({"scale": [[[0.5]], [[0.0]], [[1.0]]]}, {}, "has 0.0 as a scale"),
    "no scale": ({"scale": []}, {}, r"has a scale of type float32\[0\]"),
    "a zero point out of range": ({"zero": 8}, {}, "has the zero point 8 for int4 codes; a whole number from -8 to 7"),
    "a broken zero point": ({"zero": 0.5}, {}, "has the zero point 0.5 for int4 codes"),
    "a zero point that is NaN": ({"zero": np.nan}, {}, "has the zero point nan"),
    "a zero point of one bit": ({"bits": 1, "zero": 1}, {}, "adds a zero point to bipolar codes"),
    "a scale that does not broadcast": ({"scale": [0.5, 1, 2, 4, 8]}, {}, r"of shape \[5\] for a tensor of shape"),
    "a scale of too many axes": ({"scale": np.arange(1.0, 4.0).reshape(1, 1, 3, 1, 1)}, {}, r"\[1, 1, 3, 1, 1\]"),
    "scales along two axes": ({"scale": np.arange(1.0, 7.0).reshape(2, 3, 1, 1)}, {}, r"along the axes \[0, 1\]"),
    "a rounding mode of no kind": ({}, {"rounding_mode": "NEAREST"}, "the rounding mode 'NEAREST'; QONNX has ROUND"),
    "no word on narrow": ({}, {"narrow": None}, "has no attribute 'narrow'"),
    "narrow is a word": ({}, {"narrow": "yes"}, "has an attribute 'narrow' that is not an integer"),
}  # fmt: skip


def refused(model: ModelProto) -> str:
    """The text of the error, which is one printable paragraph that names the node."""
    with pytest.raises(SubbyteError) as error:
        import_model(model)
    assert isinstance(error.value, (ModelError, UnsupportedError))
    text = str(error.value)
    assert "\n" not in text
    assert text.isprintable()
    assert "'the node'" in text
    return text


def operator(
    make_model: Make, op: str, constants: dict[str, Any], attributes: dict[str, Any], **keywords: Any
) -> ModelProto:
    written = {name: value for name, value in attributes.items() if value is not None}
    node = helper.make_node(op, ["x", *constants], ["y"], "the node", domain=GENERAL, **written)
    arrays = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    return make_model([node], {"x": SHAPE}, arrays, **keywords)


@pytest.mark.parametrize("name", QUANT)
def test_a_malformed_quant_is_refused(name: str, make_model: Make) -> None:
    constants, attributes, expected = QUANT[name]
    text = refused(operator(make_model, "Quant", {**SOUND, **constants}, {**WHOLE, **attributes}))
    assert re.search(expected, text)


@pytest.mark.parametrize(
    ("op", "constants", "expected"),
    [
        ("BipolarQuant", {"scale": -1}, "has -1.0 as a scale"),
        ("BipolarQuant", {"scale": [1, 2]}, "for a tensor of shape"),
        ("BipolarQuant", {}, "lacks its operand 1"),
        ("Trunc", {"scale": 1, "zero": 0, "in": 4, "out": 8}, "truncates 4 bits to 8"),
        ("Trunc", {"scale": 1, "zero": 0, "in": 40, "out": 8}, "has the input bit width 40"),
        ("Trunc", {"scale": [[[1]], [[2]], [[3]]], "zero": 0, "in": 8, "out": 4}, "has scales along an axis"),
        ("Trunc", {"scale": 1, "zero": 0, "in": 8, "out_scale": 0.25, "out": 4}, "its output scale is below its scale"),
        ("Trunc", {"scale": 1, "zero": 3, "in": 8, "out_scale": 4, "out": 4}, "shifts the zero point 3 by 2 bits"),
    ],
)
def test_other_malformed_operators_are_refused(
    op: str, constants: dict[str, Any], expected: str, make_model: Make
) -> None:
    assert expected in refused(operator(make_model, op, constants, {}))


def test_scales_of_the_run_are_refused(make_model: Make) -> None:
    node = helper.make_node("Quant", ["x", "s", "zero", "bits"], ["y"], "the node", domain=GENERAL, **WHOLE)
    constants = {"zero": np.float32(0), "bits": np.float32(4)}
    assert "known at run time only" in refused(make_model([node], {"x": SHAPE, "s": ()}, constants))


@pytest.mark.parametrize(
    ("scale", "zero", "axis", "expected"),
    [
        (np.float32(0), np.int8(0), 1, "has 0.0 as a scale"),
        (np.float32(-1), np.int8(0), 1, "has -1.0 as a scale"),
        (np.float32(np.nan), np.int8(0), 1, "has nan as a scale"),
        (np.float32([1, 2]), np.int8([0, 0]), 1, r"[] or [3] is needed"),
        (np.float32([1, 2, 3]), np.int8([0, 0]), 1, r"[] or [3] is needed"),
        (np.float32([1, 2, 3]), np.int8([0, 0, 0]), 7, "has axis 7"),
    ],
)
@pytest.mark.parametrize("op", ["QuantizeLinear", "DequantizeLinear"])
def test_malformed_qdq_is_refused(
    op: str, scale: Array, zero: Array, axis: int, expected: str, make_model: Make
) -> None:
    constants = {"scale": scale, "zero": zero}
    node = helper.make_node(op, ["x", "scale", "zero"], ["y"], "the node", axis=axis)
    if op == "DequantizeLinear":
        constants = {"codes": np.zeros(SHAPE, np.int8), **constants}
        node.input[0] = "codes"
    assert expected in refused(make_model([node], {"x": SHAPE}, constants))
