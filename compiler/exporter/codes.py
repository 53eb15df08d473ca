"""QuantizeLinear and DequantizeLinear as ONNX has them: codes in standard integers, narrower ranges by a Clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.dtype import INT32, DType
from subbyte.compiler.exporter import qonnx
from subbyte.compiler.exporter.writer import Writer, unsupported, write_constant, writes
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Constant, Node
from subbyte.compiler.ir.types import QuantParams

_WIDTHS = {"qdq": (2, 4, 8, 16, 32), "qcdq": (8, 16, 32)}
_CLIPPED_BITS = 8  # ONNX's Clip takes no integers of fewer bits


def container(style: str, dtype: DType, quant: QuantParams, *, computed: bool) -> DType:
    """The standard integer that holds codes: the narrowest with their range and zero points.

    Codes that are computed and do not use all of it need a Clip, and with it 8 bits or more.
    """
    zero_points = quant.static()[1]
    low, high = min(quant.qmin, int(zero_points.min())), max(quant.qmax, int(zero_points.max()))
    kind = "uint" if dtype.kind == "uint" else "int"
    fits = [one for one in (DType(kind, bits) for bits in _WIDTHS[style]) if one.min <= low and high <= one.max]
    if computed and (fits[0].min, fits[0].max) != (quant.qmin, quant.qmax):
        return next(one for one in fits if one.bits >= _CLIPPED_BITS)
    return fits[0]


def static_params(node: Node, quant: QuantParams | None) -> QuantParams:
    """The meaning of codes.  Raises UnsupportedError: it is one that ONNX cannot say."""
    if quant is None or not quant.is_static:
        raise unsupported(node, "has a scale that is computed at run time, which is not written. Use a static one.")
    if quant.levels is not None:
        raise unsupported(node, "has the codes of a codebook, which ONNX does not have. Use a scale and a zero point.")
    return quant


@writes(Constant)
def write_code_constant(writer: Writer, node: Constant) -> None:
    """Plain numbers as they are; codes in their container, or in QONNX as the reals they stand for, quantized again."""
    if node.type.quant is None:
        write_constant(writer, node)
        return
    quant = static_params(node, node.type.quant)
    if writer.style == "qonnx":
        qonnx.write_weights(writer, node, quant)
        return
    held = container(writer.style, node.type.dtype, quant, computed=False)
    writer.store(writer.result(node), node.value.astype(held.numpy), held)


@writes(ops.QuantizeLinear)
def write_quantize(writer: Writer, node: ops.QuantizeLinear) -> None:
    quant = static_params(node, node.quant)
    if writer.style == "qonnx":
        qonnx.write_quant(writer, node, quant)
        return
    if node.dtype.kind == "bipolar":
        raise unsupported(
            node, "rounds to -1 and +1, which QuantizeLinear does not do. Export with style 'qonnx', which has it."
        )
    if node.rounding != "HALF_EVEN" or (node.zero_point_first and quant.static()[1].any()):
        order = "after it adds the zero point" if node.zero_point_first else "before it adds the zero point"
        raise unsupported(
            node,
            f"rounds {node.rounding} {order}; QuantizeLinear rounds HALF_EVEN before. Export with style 'qonnx'.",
        )
    name, held = writer.result(node), container(writer.style, node.dtype, quant, computed=True)
    clips = (held.min, held.max) != (quant.qmin, quant.qmax)
    made = writer.inner(node, "unclipped", held) if clips else writer.known(name, held)
    operands = [writer.operand(node.x, f"{name}.x"), *_grid(writer, node, quant, held, node.x.type.dtype)]
    writer.emit(node, "QuantizeLinear", operands, outputs=[made], axis=quant.axis, block_size=quant.block)
    if clips:
        _write_clip(writer, node, made, quant.qmin, quant.qmax, writer.known(name, held))


@writes(ops.DequantizeLinear)
def write_dequantize(writer: Writer, node: ops.DequantizeLinear) -> None:
    """In QCDQ a Clip before says in how many bits constant codes are, as Brevitas writes it."""
    quant = static_params(node, node.x.type.quant)
    codes = writer.operand(node.x, f"{writer.result(node)}.codes")
    held = writer.held(codes)
    if held.is_float:
        writer.rename(node, codes)
        return
    is_narrow = (quant.qmin, quant.qmax) != (held.min, held.max) and held.bits == _CLIPPED_BITS
    if writer.style == "qcdq" and node.x.constant is not None and is_narrow:
        clipped = writer.inner(node, "clipped", held)
        _write_clip(writer, node, codes, quant.qmin, quant.qmax, clipped)
        codes = clipped
    grid = _grid(writer, node, quant, held, node.dtype)
    writer.emit(node, "DequantizeLinear", [codes, *grid], axis=quant.axis, block_size=quant.block)


@writes(qops.Clamp)
def write_clamp(writer: Writer, node: qops.Clamp) -> None:
    """A Clip of the codes; of the reals that stand for them in QONNX, by the reals of its bounds."""
    name = writer.result(node)
    x = writer.operand(node.x, f"{name}.0")
    low, high = node.type.code_range()
    if writer.held(x).is_float:
        quant = static_params(node, node.x.type.quant)
        _write_clip(writer, node, x, qonnx.real(node, quant, low), qonnx.real(node, quant, high), name)
    else:
        _write_clip(writer, node, x, low, high, name)


@writes(qops.Lookup)
def write_lookup(writer: Writer, node: qops.Lookup) -> None:
    """The same codes with another meaning, which in ONNX only the DequantizeLinear behind them says."""
    dtype = node.x.type.dtype
    same = node.axis is None and node.dtype == dtype
    if not same or not np.array_equal(node.table, np.arange(dtype.min, dtype.max + 1)) or writer.style == "qonnx":
        raise unsupported(node, "is a table of codes, which has no form in ONNX.")
    writer.emit_on(node, "Identity", node.x)


def _write_clip(writer: Writer, node: Node, x: str, low: Any, high: Any, output: str) -> None:
    held = writer.held(x)
    limits = [writer.constant(f"{output}.{role}", limit, held) for role, limit in (("min", low), ("max", high))]
    writer.emit(node, "Clip", [x, *limits], outputs=[writer.known(output, held)])


def _grid(writer: Writer, node: Node, quant: QuantParams, held: DType, real: DType) -> list[str]:
    """Scale and zero point as operands; the zero point of int32 is left out, since it can be 0 only."""
    name, (scale, zero_point) = writer.result(node), quant.static()
    scales = scale.astype(real.numpy)
    if not np.array_equal(scales.astype(np.float32), scale):
        raise unsupported(node, f"has scales that {real} does not hold; its scale is of the type of its real numbers.")
    written = [writer.constant(f"{name}.scale", scales, real)]
    if held != INT32:
        written.append(writer.constant(f"{name}.zero_point", zero_point, held))
    return written
