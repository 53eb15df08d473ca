"""Repetition, run-time indices, searches and running sums in ONNX."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import INT64
from subbyte.compiler.exporter.writer import Writer, writes
from subbyte.compiler.ir import ops_indexing

_FIRST_WITH_REDUCTION = {"none": 13, "add": 16, "mul": 16, "max": 18, "min": 18}


@writes(ops_indexing.Expand)
def write_expand(writer: Writer, node: ops_indexing.Expand) -> None:
    name = writer.result(node)
    shape = writer.integers(f"{name}.shape", node.shape)
    writer.emit(node, "Expand", [writer.operand(node.x, f"{name}.0"), shape])


@writes(ops_indexing.ArgExtreme)
def write_arg_extreme(writer: Writer, node: ops_indexing.ArgExtreme) -> None:
    op_type = "ArgMax" if node.largest else "ArgMin"
    keepdims, last = int(node.keepdims), int(node.last)
    writer.emit_on(node, op_type, node.x, axis=node.axis, keepdims=keepdims, select_last_index=last)


@writes(ops_indexing.GatherElements)
def write_gather_elements(writer: Writer, node: ops_indexing.GatherElements) -> None:
    writer.emit_on(node, "GatherElements", node.x, node.indices, axis=node.axis)


@writes(ops_indexing.GatherND)
def write_gather_nd(writer: Writer, node: ops_indexing.GatherND) -> None:
    writer.emit_on(node, "GatherND", node.x, node.indices, batch_dims=node.batch_dims)


@writes(ops_indexing.ScatterElements)
def write_scatter_elements(writer: Writer, node: ops_indexing.ScatterElements) -> None:
    reduction = None if node.reduction == "none" else node.reduction
    writer.need(_FIRST_WITH_REDUCTION[node.reduction])
    writer.emit_on(node, "ScatterElements", node.x, node.indices, node.updates, axis=node.axis, reduction=reduction)


@writes(ops_indexing.ScatterND)
def write_scatter_nd(writer: Writer, node: ops_indexing.ScatterND) -> None:
    reduction = None if node.reduction == "none" else node.reduction
    writer.need(_FIRST_WITH_REDUCTION[node.reduction])
    writer.emit_on(node, "ScatterND", node.x, node.indices, node.updates, reduction=reduction)


@writes(ops_indexing.Cumulate)
def write_cumulate(writer: Writer, node: ops_indexing.Cumulate) -> None:
    name = writer.result(node)
    axis = writer.constant(f"{name}.axis", np.array(node.axis, np.int64), INT64)
    op_type = "CumProd" if node.product else "CumSum"
    operands = [writer.operand(node.x, f"{name}.0"), axis]
    writer.emit(node, op_type, operands, exclusive=int(node.exclusive), reverse=int(node.reverse))


@writes(ops_indexing.TopK)
def write_top_k(writer: Writer, node: ops_indexing.TopK) -> None:
    name = writer.result(node)
    count = writer.integers(f"{name}.k", [node.k])
    operands = [writer.operand(node.x, f"{name}.0"), count]
    writer.emit(node, "TopK", operands, axis=node.axis, largest=int(node.largest), sorted=1)
