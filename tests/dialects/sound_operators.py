"""One sound node of each operator that quantizes, by dialect: what the malformed ones are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Operand = Array | TensorProto | None

MICROSOFT = "com.microsoft"
QONNX = "qonnx.custom_op.general"
NAME = "the node"


@dataclass(frozen=True)
class Sound:
    """A node. operands: constants by name, None for the graph input x; attributes; the version of ONNX.

    Operands called *scale, *zero and *bits are those of quantizations.
    """

    op: str
    operands: Mapping[str, Operand]
    domain: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    x: tuple[int, tuple[int, ...]] = (TensorProto.FLOAT, (2, 3, 4, 4))
    opset: int = 21

    def with_operand(self, name: str, value: Operand) -> Sound:
        return replace(self, operands={**self.operands, name: value})

    def with_attributes(self, **attributes: Any) -> Sound:
        """None leaves one out."""
        kept = {name: value for name, value in {**self.attributes, **attributes}.items() if value is not None}
        return replace(self, attributes=kept)

    def model(self, missing: str = "") -> ModelProto:
        """The node alone, the operand `missing` left out."""
        names = ["" if name == missing else "x" if value is None else name for name, value in self.operands.items()]
        while names and not names[-1]:
            names.pop()
        node = helper.make_node(self.op, names, ["y"], NAME, domain=self.domain, **self.attributes)
        tensors = []
        for name, value in self.operands.items():
            if value is None or name == missing:
                continue
            tensor = TensorProto()
            tensor.CopyFrom(value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value)))
            tensor.name = name
            tensors.append(tensor)
        given = [helper.make_tensor_value_info("x", *self.x)]
        graph = helper.make_graph([node], "graph", given, [onnx.ValueInfoProto(name="y")], tensors)
        imports = [helper.make_opsetid("", self.opset)]
        if self.domain:
            imports.append(helper.make_opsetid(self.domain, 1))
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _number(value: float) -> Array:
    return np.array(value, np.float32)


def _codes(*shape: int) -> Array:
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(np.uint8)


def _triple(name: str, codes: Operand) -> dict[str, Operand]:
    return {name: codes, **_pair(name)}


def _pair(name: str) -> dict[str, Operand]:
    return {f"{name}_scale": _number(0.5), f"{name}_zero": np.array(3, np.uint8)}


def _qlinear(op: str, domain: str, pieces: Mapping[str, Operand], shape: tuple[int, ...], **attributes: Any) -> Sound:
    """Codes with their scales, and the grid of the result; x is the graph input."""
    operands: dict[str, Operand] = {}
    for name, codes in pieces.items():
        operands |= _triple(name, codes)
    return Sound(op, {**operands, **_pair("y")}, domain, attributes, (TensorProto.UINT8, shape))


_IMAGE, _ROWS = (2, 3, 4, 4), (2, 8)
_BIAS = np.arange(4, dtype=np.int32)
_QUANT: dict[str, Operand] = {"x": None, "scale": _number(0.5), "zero": _number(0), "bits": _number(4)}
_NBITS = {
    "x": None,
    "w": np.zeros((3, 2, 8), np.uint8),
    "scale": np.ones(6, np.float32),
    "zero": np.zeros(3, np.uint8),
}

OPERATORS: dict[str, Sound] = {
    "QuantizeLinear": Sound("QuantizeLinear", {"x": None, "scale": _number(0.5), "zero": np.array(3, np.uint8)}),
    "DequantizeLinear": Sound(
        "DequantizeLinear",
        {"x": None, "scale": _number(0.5), "zero": np.array(3, np.uint8)},
        x=(TensorProto.UINT8, _IMAGE),
    ),
    "QuantizeLinear, blocks": Sound(
        "QuantizeLinear",
        {"x": None, "scale": np.ones((2, 3, 2, 4), np.float32), "zero": np.zeros((2, 3, 2, 4), np.uint8)},
        attributes={"axis": 2, "block_size": 2},
    ),
    "DequantizeLinear, blocks": Sound(
        "DequantizeLinear",
        {"w": _codes(8, 3), "scale": np.ones((2, 3), np.float32), "zero": np.zeros((2, 3), np.uint8)},
        attributes={"axis": 0, "block_size": 4},
    ),
    "QLinearConv": _qlinear("QLinearConv", "", {"x": None, "w": _codes(4, 3, 3, 3)}, _IMAGE),
    "QLinearMatMul": _qlinear("QLinearMatMul", "", {"x": None, "w": _codes(8, 4)}, _ROWS),
    "ConvInteger": Sound(
        "ConvInteger",
        {"x": None, "w": _codes(4, 3, 3, 3), "x_zero": np.array(3, np.uint8), "w_zero": np.array(3, np.uint8)},
        x=(TensorProto.UINT8, _IMAGE),
    ),
    "MatMulInteger": Sound(
        "MatMulInteger",
        {"x": None, "w": _codes(8, 4), "x_zero": np.array(3, np.uint8), "w_zero": np.array(3, np.uint8)},
        x=(TensorProto.UINT8, _ROWS),
    ),
    "QLinearAdd": _qlinear("QLinearAdd", MICROSOFT, {"x": None, "b": _codes(2, 8)}, _ROWS),
    "QLinearMul": _qlinear("QLinearMul", MICROSOFT, {"x": None, "b": _codes(2, 8)}, _ROWS),
    "QLinearAveragePool": _qlinear("QLinearAveragePool", MICROSOFT, {"x": None}, _IMAGE, kernel_shape=[2, 2]),
    "QLinearGlobalAveragePool": _qlinear("QLinearGlobalAveragePool", MICROSOFT, {"x": None}, _IMAGE),
    "QLinearSigmoid": _qlinear("QLinearSigmoid", MICROSOFT, {"x": None}, _IMAGE),
    "QLinearLeakyRelu": _qlinear("QLinearLeakyRelu", MICROSOFT, {"x": None}, _IMAGE, alpha=0.1),
    "QLinearSoftmax": _qlinear("QLinearSoftmax", MICROSOFT, {"x": None}, _ROWS, axis=-1, opset=13),
    "QLinearReduceMean": _qlinear("QLinearReduceMean", MICROSOFT, {"x": None}, _IMAGE, axes=[2], keepdims=1),
    "QLinearConcat": Sound(
        "QLinearConcat",
        {**_pair("y"), **_triple("x", None), **_triple("b", _codes(2, 8))},
        MICROSOFT,
        {"axis": 1},
        (TensorProto.UINT8, _ROWS),
    ),
    "QGemm": Sound(
        "QGemm",
        {**_triple("x", None), **_triple("w", _codes(8, 4)), "bias": _BIAS, **_pair("y")},
        MICROSOFT,
        x=(TensorProto.UINT8, _ROWS),
    ),
    "DynamicQuantizeMatMul": Sound(
        "DynamicQuantizeMatMul",
        {"x": None, "w": _codes(8, 4), "w_scale": _number(0.5), "w_zero": np.array(3, np.uint8)},
        MICROSOFT,
        x=(TensorProto.FLOAT, _ROWS),
    ),
    "MatMulIntegerToFloat": Sound(
        "MatMulIntegerToFloat",
        {"x": None, "w": _codes(8, 4), "x_scale": _number(0.5), "w_scale": _number(0.5),
         "x_zero": np.array(3, np.uint8), "w_zero": np.array(3, np.uint8)},
        MICROSOFT,
        x=(TensorProto.UINT8, _ROWS),
    ),
    "MatMulNBits": Sound(
        "MatMulNBits", _NBITS, MICROSOFT, {"K": 32, "N": 3, "bits": 4, "block_size": 16}, (TensorProto.FLOAT, (2, 32))
    ),
    "Quant": Sound("Quant", _QUANT, QONNX, {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}),
    "IntQuant": Sound("IntQuant", _QUANT, QONNX, {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}),
    "BipolarQuant": Sound("BipolarQuant", {"x": None, "scale": _number(0.5)}, QONNX),
    "Trunc": Sound(
        "Trunc",
        {"x": None, "scale": _number(0.5), "zero": _number(0), "in_bits": _number(8), "out_bits": _number(4)},
        QONNX,
        {"rounding_mode": "FLOOR"},
    ),
}  # fmt: skip
