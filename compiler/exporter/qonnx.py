"""QONNX: Quant and BipolarQuant, which quantize and dequantize at once; what lies between them are real numbers.

Source: qonnx 1.0, custom_op/general: intquant.py, bipolar_quant.py. The codes of a graph are thus tensors of floats
here, but for the integers that come in, and a DequantizeLinear of such codes is nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.exporter.writer import Writer, unsupported
from subbyte.compiler.ir.node import Constant, Node
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import quantize, spread, to_real
from subbyte.compiler.numerics.arrays import Array, Floats
from subbyte.compiler.numerics.rounding import Rounding

DOMAIN = "qonnx.custom_op.general"
_MOST_BITS = 32


def write_quant(writer: Writer, node: QuantizeLinear, quant: QuantParams) -> None:
    """The Quant, named as the DequantizeLinear behind it; a Clip behind where no bit width has the range of codes."""
    if quant.static()[1].any() and not node.zero_point_first:
        raise unsupported(
            node,
            "adds a zero point after it rounds; QONNX's Quant adds it before, which moves ties. Quantize with zero "
            "point 0, or with zero_point_first, or export with style 'qdq'.",
        )
    for reader in writer.readers.get(node.out, ()):
        if isinstance(reader, DequantizeLinear) and writer.result(node) not in writer.shown:
            writer.names[node.out] = writer.result(reader)
            break
    if writer.result(node) in writer.shown and node.out not in writer.readers:
        raise unsupported(node, "is shown as codes, which QONNX does not have. Show its DequantizeLinear.")
    name = writer.known(writer.result(node), FLOAT32)
    if node.x.type.dtype != FLOAT32:
        raise unsupported(node, f"quantizes {node.x.type}; QONNX quantizes float32.")
    x = writer.operand(node.x, f"{name}.x")
    if Rounding[node.rounding] is Rounding.BIPOLAR:
        _write_bipolar(writer, node, x, quant, name)
        return
    bits, narrow = _width(node.type, quant)
    reach = _range(node.type, bits, narrow)
    exact = reach == (quant.qmin, quant.qmax)
    made = name if exact else writer.inner(node, "unclipped", FLOAT32)
    _write(writer, node, x, node.type, quant, made, node.rounding)
    if not exact:
        limits = [
            writer.constant(f"{name}.{role}", real(node, quant, code), FLOAT32)
            for role, code in (("min", quant.qmin), ("max", quant.qmax))
        ]
        writer.emit(node, "Clip", [made, *limits], outputs=[name])


def write_weights(writer: Writer, node: Constant, quant: QuantParams) -> None:
    """Constant codes: their real numbers, and behind them the Quant that finds the codes again.

    Biases whose codes float32 does not hold stay int32, for a DequantizeLinear.
    """
    if quant.block is not None:
        raise unsupported(node, "has a scale for each block, which QONNX does not have. Export with style 'qdq'.")
    name, reals, bipolar = writer.result(node), to_real(node.value, quant), node.type.dtype.kind == "bipolar"
    if not bipolar:
        low, high = _range(node.type, *_width(node.type, quant))
        scale, zero_point = (spread(part, node.type.shape, quant.axis) for part in quant.static())
        if not np.array_equal(quantize(reals, scale, zero_point, low, high, zero_point_first=True), node.value):
            writer.store(name, node.value, node.type.dtype)
            return
    given = writer.fresh(f"{name}.real")
    writer.store(given, reals, FLOAT32)
    writer.known(name, FLOAT32)
    if bipolar:
        _write_bipolar(writer, node, given, quant, name)
    else:
        _write(writer, node, given, node.type, quant, name, "HALF_EVEN")


def real(node: Node, quant: QuantParams, code: int) -> Floats:
    """What one code stands for, where one scale serves the tensor."""
    if not quant.is_per_tensor:
        raise unsupported(
            node, f"limits codes to {code} with scales along axis {quant.axis}, which QONNX cannot say. Use 'qdq'."
        )
    return to_real(np.int64(code), quant)


def _write_bipolar(writer: Writer, node: Node, x: str, quant: QuantParams, name: str) -> None:
    scale = writer.constant(f"{name}.scale", _broadcast(node.type, quant, quant.static()[0]), FLOAT32)
    writer.emit(node, "BipolarQuant", [x, scale], outputs=[name], domain=DOMAIN)


def _write(
    writer: Writer, node: Node, x: str, of_type: TensorType, quant: QuantParams, name: str, rounding: str
) -> None:
    bits, narrow = _width(of_type, quant)
    scale, zero_point = (_broadcast(of_type, quant, part) for part in quant.static())
    operands = {"scale": scale, "zero_point": zero_point, "bits": np.array(bits)}
    written = [writer.constant(f"{name}.{role}", array, FLOAT32) for role, array in operands.items()]
    writer.emit(
        node,
        "Quant",
        [x, *written],
        outputs=[writer.known(name, FLOAT32)],
        domain=DOMAIN,
        signed=int(of_type.dtype.is_signed),
        narrow=int(narrow),
        rounding_mode="ROUND" if rounding == "HALF_EVEN" else rounding,
    )


def _width(of_type: TensorType, quant: QuantParams) -> tuple[int, bool]:
    """(bits, narrow) of the smallest range that holds the codes and zero points. One signed bit would be bipolar."""
    zero_points = quant.static()[1]
    low, high = min(quant.qmin, int(zero_points.min())), max(quant.qmax, int(zero_points.max()))
    for bits in range(2 if of_type.dtype.is_signed else 1, _MOST_BITS + 1):
        for narrow in (True, False):
            reach = _range(of_type, bits, narrow)
            if reach[0] <= low and high <= reach[1] and not (narrow and bits == 1):
                return bits, narrow
    raise ValueError(f"codes {low}..{high} of {of_type} have more than {_MOST_BITS} bits")


def _range(of_type: TensorType, bits: int, narrow: bool) -> tuple[int, int]:
    """The codes of a Quant: a narrow range is without the lowest signed code, or the highest unsigned one."""
    if of_type.dtype.is_signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def _broadcast(of_type: TensorType, quant: QuantParams, values: Any) -> Array:
    """[] or [C] as it broadcasts against the tensor."""
    return spread(values, of_type.shape, quant.axis)
