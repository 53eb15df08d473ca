"""QONNX models in ONNX's own operators, so that onnxruntime can run them: a second opinion on Quant and its kin.

Source: qonnx 1.0, custom_op/general: intquant.py, bipolar_quant.py and trunc.py, operation by operation in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from subbyte.compiler.errors import ModelError

if TYPE_CHECKING:
    import onnx

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
_WHOLE = np.float32(1.5 * 2**23)
"""x + 1.5 * 2^23 - 1.5 * 2^23 is x rounded half to even, for |x| <= 2^22: the sum has no bits below 1."""


def in_standard_operators(proto: onnx.ModelProto) -> None:
    """Replace each Quant, IntQuant, BipolarQuant and Trunc of `proto` by the ONNX operators that it stands for.

    Quant: x / scale + zeropt, clamped to the codes, rounded, less zeropt, times scale. BipolarQuant: scale where
    x >= 0, else -scale. Trunc: the code of x, divided by a power of two, clamped (version 2), rounded, less zeropt,
    times scale. Every tensor of the model keeps its name and its meaning; there are new ones between.
    Raises ModelError: a rounding mode other than ROUND, CEIL and FLOOR, run-time bit widths or scales of a Trunc, or
        another operator of QONNX.
    """
    opset = next((one.version for one in proto.opset_import if one.domain in ("", "ai.onnx")), 1)
    values = _constants(proto)
    nodes: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        if node.domain in DOMAINS:
            nodes += list(_Steps(node, values, opset).made())
        else:
            nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    kept = [one for one in proto.opset_import if one.domain not in DOMAINS]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)


def _constants(proto: onnx.ModelProto) -> dict[str, Any]:
    """The arrays that the model holds, by name."""
    from onnx import numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


class _Steps:
    """The nodes that stand for one node, written one after the other."""

    def __init__(self, node: onnx.NodeProto, values: dict[str, Any], opset: int) -> None:
        from onnx import helper

        self._node, self._values, self._opset = node, values, opset
        self._attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        self._nodes: list[onnx.NodeProto] = []

    def made(self) -> Iterator[onnx.NodeProto]:
        match self._node.op_type:
            case "Quant" | "IntQuant":
                self._quant()
            case "BipolarQuant":
                self._bipolar(self._node.input[0], self._node.input[1])
            case "Trunc":
                self._trunc()
            case other:
                raise ModelError(
                    f"{self._name} is {other}, which onnxruntime does not know; Quant is written out for it."
                )
        del self._nodes[-1].output[:]
        self._nodes[-1].output.append(self._node.output[0])
        yield from self._nodes

    @property
    def _name(self) -> str:
        return f"{self._node.op_type} '{self._node.name or self._node.output[0]}'"

    def _quant(self) -> None:
        x, scale, zero = self._node.input[0], self._real(self._node.input[1]), self._real(self._node.input[2])
        bits = int(self._known(3, "bit width"))
        if self._is_signed and bits == 1:
            self._bipolar(x, scale)
            return
        code = self._clamped(self._then("Add", self._then("Div", x, scale), zero), bits)
        code = self._rounded(code, bits, self._mode("ROUND"))
        self._then("Mul", self._then("Sub", code, zero), scale)

    def _trunc(self) -> None:
        """Version 2, which has 6 operands, clamps and has a scale for its result; version 1 keeps the scale."""
        second = len(self._node.input) > 5
        x, scale, zero = self._node.input[0], self._real(self._node.input[1]), self._real(self._node.input[2])
        in_bits, out_bits = int(self._known(3, "input bits")), int(self._known(5 if second else 4, "output bits"))
        code = self._rounded(self._then("Add", self._then("Div", x, scale), zero), in_bits, "ROUND")
        if second:
            factor = 2.0 ** np.round(np.log2(self._known(4, "output scale") / self._known(1, "scale")))
            code = self._clamped(self._then("Div", code, self._number(factor)), out_bits)
            scale, zero = self._real(self._node.input[4]), self._then("Div", zero, self._number(factor))
        else:
            code = self._then("Div", code, self._number(2.0 ** (in_bits - out_bits)))
        self._then("Mul", self._then("Sub", self._rounded(code, out_bits, self._mode("FLOOR")), zero), scale)

    def _known(self, index: int, what: str) -> np.float32:
        """An operand that is one constant number."""
        held = self._values.get(self._node.input[index])
        if held is None or held.size != 1:
            raise ModelError(
                f"{self._name} has no constant number as its {what}; onnxruntime is given such ones alone."
            )
        return np.float32(held.reshape(()))

    @property
    def _is_signed(self) -> bool:
        return bool(self._attributes.get("signed", 1))

    def _clamped(self, code: str, bits: int) -> str:
        """Within the codes of `bits`, before it is rounded."""
        narrow = bool(self._attributes.get("narrow", 0))
        low = -(1 << (bits - 1)) + narrow if self._is_signed else 0
        high = (1 << (bits - 1)) - 1 if self._is_signed else (1 << bits) - 1 - narrow
        return self._then("Max", self._then("Min", code, self._number(high)), self._number(low))

    def _mode(self, default: str) -> str:
        given: bytes = self._attributes.get("rounding_mode", default.encode())
        return given.decode().upper()

    def _rounded(self, code: str, bits: int, mode: str) -> str:
        match mode:
            case "CEIL" | "FLOOR":
                return self._then(mode.title(), code)
            case "ROUND" | "HALF_EVEN" if self._opset >= 11:
                return self._then("Round", code)
            case "ROUND" | "HALF_EVEN" if bits <= 16:
                return self._then("Sub", self._then("Add", code, self._number(_WHOLE)), self._number(_WHOLE))
        raise ModelError(
            f"{self._name} rounds {mode} to {bits} bits, for which opset {self._opset} has no operator; onnxruntime is "
            "given ROUND, CEIL and FLOOR."
        )

    def _bipolar(self, x: str, scale: str) -> None:
        scale = self._real(scale)
        negative = self._then("Less", x, self._number(0))
        self._then("Where", negative, self._then("Neg", scale), scale)

    def _real(self, name: str) -> str:
        """An operand as float32; zero points are often written as integers."""
        held = self._values.get(name)
        return name if held is None or held.dtype == np.float32 else self._number(held)

    def _number(self, value: Any) -> str:
        from onnx import helper, numpy_helper

        name = self._fresh("number")
        array = numpy_helper.from_array(np.array(value, np.float32))
        self._nodes.append(helper.make_node("Constant", [], [name], value=array))
        return name

    def _then(self, op_type: str, *inputs: str) -> str:
        from onnx import helper

        output = self._fresh(op_type)
        self._nodes.append(helper.make_node(op_type, list(inputs), [output], name=output))
        return output

    def _fresh(self, what: str) -> str:
        return f"{self._node.output[0]}/{what}_{len(self._nodes)}"
