"""Pools and reductions in ONNX."""

from __future__ import annotations

from typing import Any

from subbyte.compiler.dtype import BOOL
from subbyte.compiler.exporter.writer import Writer, writes
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node

_REDUCTIONS: dict[type[ops.Reduce], str] = {
    ops.ReduceSum: "ReduceSum",
    ops.ReduceMean: "ReduceMean",
    ops.ReduceProd: "ReduceProd",
    ops.ReduceMax: "ReduceMax",
    ops.ReduceMin: "ReduceMin",
}
_BOOLS_ARE_REDUCED = 20
_AXES_ARE_AN_OPERAND = 18  # of all reductions but ReduceSum, whose axes are one from 13 on


def _window(node: ops.MaxPool | ops.AveragePool) -> dict[str, Any]:
    """The attributes of a pool; dilations only where there are any, since AveragePool has them from opset 19 on."""
    return {
        "kernel_shape": node.kernel,
        "strides": node.strides,
        "pads": node.pads,
        "dilations": node.dilations if any(d != 1 for d in node.dilations) else None,
        "ceil_mode": int(node.ceil_mode),
    }


@writes(ops.MaxPool)
def write_max_pool(writer: Writer, node: ops.MaxPool) -> None:
    writer.emit_on(node, "MaxPool", node.x, **_window(node))


@writes(ops.AveragePool)
def write_average_pool(writer: Writer, node: ops.AveragePool) -> None:
    """Over the whole image: GlobalAveragePool."""
    whole = node.kernel == node.x.type.shape[2:] and not any(node.pads) and all(d == 1 for d in node.dilations)
    if whole and all(s == 1 for s in node.strides) and not (node.ceil_mode or node.count_include_pad):
        writer.emit_on(node, "GlobalAveragePool", node.x)
    else:
        writer.emit_on(node, "AveragePool", node.x, **_window(node), count_include_pad=int(node.count_include_pad))


@writes(*_REDUCTIONS)
def write_reduction(writer: Writer, node: ops.Reduce) -> None:
    op_type, name = _REDUCTIONS[type(node)], writer.result(node)
    _write(writer, node, op_type, writer.operand(node.x, f"{name}.0"), node.axes, name, int(node.keepdims))


def write_mean(writer: Writer, node: Node, role: str, x: str, axes: tuple[int, ...]) -> str:
    """The mean over `axes`, which stay with extent 1, as a part of `node`."""
    name = writer.inner(node, role, node.type.dtype)
    _write(writer, node, "ReduceMean", x, axes, name, 1)
    return name


def _write(writer: Writer, node: Node, op_type: str, x: str, axes: tuple[int, ...], name: str, keepdims: int) -> None:
    if writer.held(x) == BOOL:
        writer.need(_BOOLS_ARE_REDUCED)
    if op_type != "ReduceSum" and max(writer.opset, writer.needed) < _AXES_ARE_AN_OPERAND:
        writer.emit(node, op_type, [x], outputs=[name], axes=axes, keepdims=keepdims)
    else:
        operands = [x, writer.integers(f"{name}.axes", axes)]
        writer.emit(node, op_type, operands, outputs=[name], keepdims=keepdims)
