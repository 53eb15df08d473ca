"""Normalizations in ONNX: as one operator, or written out where no operator rounds as they do."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.exporter.windows import write_mean
from subbyte.compiler.exporter.writer import Writer, unsupported, writes
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization


@writes(ops.BatchNormalization)
def write_batch_normalization(writer: Writer, node: ops.BatchNormalization) -> None:
    operands = (node.x, node.scale, node.bias, node.mean, node.variance)
    writer.emit_on(node, "BatchNormalization", *operands, epsilon=float(node.epsilon))


@writes(LayerNormalization, RMSNormalization)
def write_normalization(writer: Writer, node: Normalization) -> None:
    """The operator multiplies by the inverse deviation; what divides by it is written out."""
    if node.divides:
        _write_out(writer, node)
        return
    name, dtype = writer.result(node), node.x.type.dtype
    rms = isinstance(node, RMSNormalization)
    if rms and node.bias is not None:
        raise unsupported(node, "has a bias, which ONNX's RMSNormalization has not. Add it behind.")
    if node.scale is None:
        row = np.ones(node.x.type.shape[node.axis :], dtype.numpy)
        scale = writer.constant(f"{name}.scale", row, dtype)  # x * 1 is exact
    else:
        scale = writer.operand(node.scale, f"{name}.scale")
    operands = [writer.operand(node.x, f"{name}.0"), scale]
    if node.bias is not None:
        operands.append(writer.operand(node.bias, f"{name}.bias"))
    op_type = "RMSNormalization" if rms else "LayerNormalization"
    writer.emit(node, op_type, operands, axis=node.axis, epsilon=float(node.epsilon))


def _write_out(writer: Writer, node: Normalization) -> None:
    """f32(d / f32(sqrt(f32(mean of f32(d * d) + epsilon)))), then scale and bias: each operation an operator."""
    name, dtype = writer.result(node), node.x.type.dtype
    if dtype != FLOAT32:
        raise unsupported(node, f"of {node.x.type} divides by the deviation, which is written for float32 only.")
    axes = tuple(range(node.axis, node.x.type.rank))

    def part(op_type: str, role: str, *operands: str) -> str:
        made = writer.inner(node, role, dtype)
        writer.emit(node, op_type, operands, outputs=[made])
        return made

    x = writer.operand(node.x, f"{name}.0")
    d = x
    if isinstance(node, LayerNormalization):
        d = part("Sub", "centred", x, write_mean(writer, node, "mean", x, axes))
    variance = write_mean(writer, node, "variance", part("Mul", "squares", d, d), axes)
    epsilon = writer.constant(f"{name}.epsilon", node.epsilon, dtype)
    deviation = part("Sqrt", "deviation", part("Add", "shifted", variance, epsilon))
    steps = [("Div", "normalized", deviation)]
    if node.scale is not None:
        steps.append(("Mul", "scaled", writer.operand(node.scale, f"{name}.scale")))
    if node.bias is not None:
        steps.append(("Add", "biased", writer.operand(node.bias, f"{name}.bias")))
    for op_type, role, other in steps[:-1]:
        d = part(op_type, role, d, other)
    writer.emit(node, steps[-1][0], [d, steps[-1][2]])
