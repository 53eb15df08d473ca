"""Every fault that a quantization can have, in every operator of every dialect, is refused by the name of its node."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.pipeline import quantized
from tests.dialects.sound_operators import NAME, OPERATORS, Sound

Case = tuple[ModelProto, str]

# By the ends of the operands' names: the fault, what stands there instead, and what the error says.
NOT_A_SCALE = r"has {} as a scale.*; .*finite"
SCALES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "zero": (lambda good: np.zeros_like(good), NOT_A_SCALE.format(r"0\.0")),
    "negative": (lambda good: np.full_like(good, -0.5), NOT_A_SCALE.format(r"-0\.5")),
    "NaN": (lambda good: np.full_like(good, np.nan), NOT_A_SCALE.format("nan")),
    "infinite": (lambda good: np.full_like(good, np.inf), NOT_A_SCALE.format("inf")),
    "of seven": (lambda good: np.ones(7, np.float32), r"\[7\]|7 entries"),
    "of none": (lambda good: np.ones(0, np.float32), r"\[0\]|0 entries|with 1 entries"),
    "of too many axes": (lambda good: np.ones((1, 7, 2), np.float32), r"\[1, 7, 2\]|14 entries"),
}
ZEROS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "of seven": (lambda good: np.zeros(7, good.dtype), r"\[7\]|7 entries"),
    "of none": (lambda good: np.zeros(0, good.dtype), r"\[0\]|0 entries|with 1 entries"),
    "of too many axes": (lambda good: np.zeros((1, 7, 2), good.dtype), r"\[1, 7, 2\]|14 entries"),
    "not whole": (lambda good: np.full(good.shape, 0.5, np.float32), r"float32|has the zero point 0\.5"),
    "out of range": (lambda good: np.full(good.shape, 300, np.int32), "int32|has the zero point 300"),
}
BITS: dict[str, tuple[Callable[[Any], Any], str]] = {
    name: (lambda good, number=number: np.float32(number), f"bit width {re.escape(shown)}; a whole number from 1 to 16")
    for name, number, shown in (
        ("0", 0, "0"), ("negative", -1, "-1"), ("40", 40, "40"), ("broken", 2.5, "2.5"), ("NaN", np.nan, "nan"),
        ("infinite", np.inf, "inf"),
    )
}  # fmt: skip
BITS["for each channel"] = (lambda good: np.float32([4, 4, 8]), r"float32\[3\]; one number")
FAULTS = {"scale": SCALES, "zero": ZEROS, "bits": BITS}
MAY_BE = {
    # Scales of blocks of weights are zero or negative as quantizers of weights write them (ir.types.QuantParams).
    ("DequantizeLinear, blocks", "scale", "zero"),
    ("DequantizeLinear, blocks", "scale", "negative"),
    ("MatMulNBits", "scale", "zero"),
    ("MatMulNBits", "scale", "negative"),
}
OPTIONAL = {"zero", "bias"}  # operands that ONNX and onnxruntime leave out, but for ONNX's own QLinear operators
ALL_NEEDED = ("QLinearConv", "QLinearMatMul", "Quant", "IntQuant", "Trunc")


def of_operands() -> Iterator[Any]:
    """Every fault of every scale, zero point and bit width."""
    for label, sound in OPERATORS.items():
        for name, good in sound.operands.items():
            for fault, (wrong, expected) in FAULTS.get(name.split("_")[-1], {}).items():
                if (label, name, fault) not in MAY_BE:
                    changed = sound.with_operand(name, wrong(np.asarray(good)))
                    yield pytest.param(changed.model(), expected, id=f"{label}-{name} {fault}")


def of_left_out_operands() -> Iterator[Any]:
    for label, sound in OPERATORS.items():
        for index, name in enumerate(sound.operands):
            leaves_out = name.split("_")[-1] in OPTIONAL and label not in ALL_NEEDED
            if leaves_out or (label, name) in (("QGemm", "y_scale"), ("MatMulNBits", "zero")):
                continue  # without a scale of its result, QGemm makes floats
            lacks = rf"lacks its operand {index}|lacks its .* \(operand {index}\)"
            expected = rf"{lacks}|has {index} operands|not as opset"
            yield pytest.param(sound.model(name), expected, id=f"{label}-{name}")


def contradictions() -> Iterator[Any]:
    """Codes of other types and shapes than the rest of the node, and attributes that fit nothing."""
    for label, sound in OPERATORS.items():
        for name in {"w", "b"} & set(sound.operands):
            shape = np.asarray(sound.operands[name]).shape
            for fault, wrong in {
                "of another shape": np.zeros((5, 7), np.uint8),
                "of floats": np.zeros(shape, np.float32),
                "of 32 bits": np.zeros(shape, np.int32),
            }.items():
                if (label, fault) != ("DequantizeLinear, blocks", "of 32 bits"):  # which are biases
                    yield pytest.param(sound.with_operand(name, wrong).model(), ".", id=f"{label}-{name} {fault}")
    bias = OPERATORS["QGemm"].with_operand
    yield pytest.param(bias("bias", np.ones(4, np.float32)).model(), "a bias of type float32.*; int32", id="float bias")
    yield pytest.param(bias("bias", np.ones(7, np.int32)).model(), r"\[7\]|\(7,\)", id="long bias")
    for label, attributes, expected in ATTRIBUTES:
        model = OPERATORS[label].with_attributes(**attributes).model()
        yield pytest.param(model, expected, id=f"{label}-{attributes}")


WORD = r"the rounding mode 'NEAREST'; QONNX has ROUND"
ATTRIBUTES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("Quant", {"signed": 2}, "has signed 2; 0 or 1"),
    ("Quant", {"narrow": -1}, "has narrow -1; 0 or 1"),
    ("Quant", {"narrow": None}, "has no attribute 'narrow'"),
    ("Quant", {"signed": "yes"}, "an attribute 'signed' that is not an integer"),
    ("Quant", {"rounding_mode": "NEAREST"}, WORD),
    ("IntQuant", {"rounding_mode": 3}, "an attribute 'rounding_mode' that is not a string"),
    ("Trunc", {"rounding_mode": "NEAREST"}, WORD),
    ("MatMulNBits", {"bits": 0}, "has weights of 0 bits; 2, 4 and 8"),
    ("MatMulNBits", {"bits": 40}, "has weights of 40 bits; 2, 4 and 8"),
    ("MatMulNBits", {"block_size": 0}, "block_size 0;"),
    ("MatMulNBits", {"block_size": -16}, "block_size -16;"),
    ("MatMulNBits", {"block_size": 24}, "block_size 24;.* a power of two"),
    ("MatMulNBits", {"block_size": 32}, "for 3 columns of 1 blocks each"),
    ("MatMulNBits", {"K": 0}, "K 0,"),
    ("MatMulNBits", {"K": 48}, "ask for 72 bytes"),
    ("MatMulNBits", {"K": 1 << 40}, r"\d"),
    ("MatMulNBits", {"N": 4}, "ask for 64 bytes"),
    ("DequantizeLinear, blocks", {"block_size": -4}, "block_size -4; 1 or more"),
    ("DequantizeLinear, blocks", {"block_size": 3}, r"in blocks of 3 along axis 0; \[3, 3\] is needed"),
    ("DequantizeLinear, blocks", {"block_size": 100}, r"in blocks of 100 along axis 0; \[1, 3\] is needed"),
    ("DequantizeLinear, blocks", {"axis": 7}, "has axis 7"),
    ("DequantizeLinear, blocks", {"block_size": 0}, r"scale of shape \[2, 3\]"),
    ("QuantizeLinear, blocks", {"block_size": 1}, r"in blocks of 1 along axis 2; \[2, 3, 4, 4\] is needed"),
    ("QuantizeLinear, blocks", {"axis": 1}, r"along axis 1; \[2, 2, 4, 4\] is needed"),
    ("QuantizeLinear", {"output_dtype": int(TensorProto.INT8)}, "output_dtype int8 and a zero point of type uint8"),
    ("QuantizeLinear", {"output_dtype": 999}, "999"),
    ("QLinearConv", {"group": 2}, "group 2"),
    ("QLinearConv", {"kernel_shape": [2, 2]}, r"kernel_shape \[2, 2\], but its weights"),
    ("QGemm", {"transB": 1}, "inner dimensions differ"),
)


@pytest.mark.parametrize(("model", "expected"), [*of_operands(), *of_left_out_operands(), *contradictions()])
def test_a_fault_is_refused_by_the_name_of_its_node(model: ModelProto, expected: str) -> None:
    with pytest.raises((ModelError, UnsupportedError)) as error:
        quantized(model)
    text = str(error.value)
    assert text.isprintable()
    assert f"{model.graph.node[0].op_type} '{NAME}'" in text
    assert re.search(expected, text), text


@pytest.mark.parametrize("label", OPERATORS)
def test_the_sound_operators_are_sound(label: str) -> None:
    quantized(OPERATORS[label].model())


@pytest.mark.parametrize(("label", "name", "fault"), sorted(MAY_BE))
def test_scales_that_weights_have_are_read(label: str, name: str, fault: str) -> None:
    sound: Sound = OPERATORS[label]
    quantized(sound.with_operand(name, SCALES[fault][0](np.asarray(sound.operands[name]))).model())
