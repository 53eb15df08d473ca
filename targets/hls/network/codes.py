"""Operations on codes one by one as layers: tables, and pairs of codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops_indexing, qops
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.pair_choice import choose_pair_form
from subbyte.compiler.ir.types import TensorType
from subbyte.targets.hls.layers import ArgMaximum, Combining, Frame, Mapping
from subbyte.targets.hls.network.builder import Builder
from subbyte.targets.hls.network.frames import Geometry
from subbyte.targets.hls.streams import Codes, Element

Unary = qops.Lookup | qops.Clamp | qops.OffsetCodes


def add_unary(builder: Builder, op: Unary) -> None:
    """Tables of codes, clamps, other signs."""
    frame = builder.frame(op.x)
    codes = np.arange(frame.element.low, frame.element.high + 1)
    if isinstance(op, qops.Lookup) and op.axis is not None:
        channel = _channel_of(op, frame, op.axis)
        table = np.asarray(op.table, np.int64)[channel][:, codes - op.x.type.dtype.min]
    else:
        table = _of_codes(op, op.x.type, codes)[None]
    _add_mapping(builder, op, frame, table)


def add_binary(builder: Builder, op: qops.QBinary) -> None:
    """Two streams combined, or one with constants: a table for each channel."""
    varying = [value for value in (op.a, op.b) if value.constant is None]
    if len(varying) == 1:
        frame = builder.frame(varying[0])
        _add_mapping(builder, op, frame, _tables(op, varying[0], frame))
        return
    a, b = builder.alike(op, op.a, op.b)
    name = builder.name({"QAdd": "add", "QSub": "subtract", "QMul": "multiply"}.get(type(op).__name__, "combine"))
    y = builder.result(f"{name}_out", op.out, Element.of(op.type), Geometry(a.height, a.width, a.channels), a.order)
    builder.add(Combining, name, (a, b), (y,), choose_pair_form(op), sources=op.sources)


def add_arg_maximum(builder: Builder, op: ops_indexing.ArgExtreme) -> None:
    shape = op.x.type.shape
    x = builder.image(op, op.x) if len(shape) in (3, 4) else builder.rows(op.x)
    if not np.array_equal(np.sort(x.order.reshape(x.pixels, -1), axis=1), x.order.reshape(x.pixels, -1)):
        raise UnsupportedError(f"{op.label}: the channels of {op.x.type} arrive out of order")
    name = builder.name("argmax")
    y = builder.result(
        f"{name}_out", op.out, Element(0, x.channels - 1), Geometry(x.height, x.width, 1), np.arange(x.pixels)
    )
    builder.add(ArgMaximum, name, (x,), (y,), op.last, sources=op.sources)


def _add_mapping(builder: Builder, op: Node, frame: Frame, table: Codes) -> None:
    name = builder.name("map")
    if table.shape[0] > 1 and (table == table[0]).all():
        table = table[:1]
    y = builder.result(
        f"{name}_out", op.out, Element.of(op.type), Geometry(frame.height, frame.width, frame.channels), frame.order
    )
    builder.add(Mapping, name, (frame,), (y,), table, sources=op.sources)


def _of_codes(op: Unary, x: TensorType, codes: Codes) -> Codes:
    """What `op` makes of each code, by the interpreter."""
    quant = x.quant
    probe = Input("x", TensorType(x.dtype, (codes.size,), quant))
    (result,) = evaluate_node(op.replace(x=probe.out), [codes.astype(x.dtype.numpy)])
    return np.asarray(result, np.int64)


def _tables(op: qops.QBinary, varying: Value, frame: Frame) -> Codes:
    """For each channel what `op` makes of each code, by the interpreter: int64 [channels, codes]."""
    codes = np.arange(frame.element.low, frame.element.high + 1)
    of_type = varying.type
    flat: list[Codes] = []
    for code in codes.tolist():
        whole: Any = np.full(of_type.shape, code, of_type.dtype.numpy)
        operands = [whole if value.constant is None else value.constant for value in op.operands]
        (result,) = evaluate_node(op, operands)
        flat.append(np.asarray(result, np.int64).reshape(-1)[frame.order].reshape(frame.pixels, frame.channels))
    of_pixels = np.stack(flat, axis=-1)  # [pixels, channels, codes]
    if (of_pixels != of_pixels[:1]).any():
        raise UnsupportedError(f"{op.label}: its constant differs from pixel to pixel; one for each channel is built")
    return np.ascontiguousarray(of_pixels[0])


def _channel_of(op: Node, frame: Frame, axis: int) -> Codes:
    """For each channel of the frame the index along `axis` of the tensor that its codes have in every pixel."""
    index = np.unravel_index(frame.order, frame.value.type.shape)[axis].reshape(frame.pixels, -1)
    if (index != index[:1]).any():
        raise UnsupportedError(f"{op.label}: its tables follow axis {axis} of {frame.value.type}, not the channels")
    return np.asarray(index[0], np.int64)
