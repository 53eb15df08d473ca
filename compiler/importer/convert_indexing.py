"""Repetition, run-time indices, and searches and running sums along one axis."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.dtype import BOOL, INT64
from subbyte.compiler.importer.codes import movable, plain
from subbyte.compiler.importer.convert_pools import flattened
from subbyte.compiler.importer.operator import Marks, Operator, converts
from subbyte.compiler.ir import ops, ops_indexing, ops_logic
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.shapes import Shape, broadcast

# Repetition -----------------------------------------------------------------------------------------------------------


@converts("Expand")
def convert_expand(op: Operator) -> Value:
    x, shape = movable(op, op.operand(0)), op.integers(1, "shape") or ()
    if any(extent < 0 for extent in shape):
        raise op.broken(f"expands to the shape {list(shape)}, which has a negative extent.")
    return _expanded(op, x, broadcast(x.type.shape, shape), op.marks)


def _expanded(op: Operator, x: Value, shape: Shape, marks: Marks) -> Value:
    if shape == x.type.shape:
        return op.same(x)
    if x.constant is not None:
        op.check_folded_size(shape, x.constant.itemsize)
    return op.emit(ops_indexing.Expand(x, shape, **marks))


@converts("Tile")
def convert_tile(op: Operator) -> Value:
    """[a, b] -> [1, a, 1, b], repeated to [r, a, s, b], -> [r * a, s * b]."""
    x, repeats = movable(op, op.operand(0)), op.integers(1, "repeats") or ()
    if len(repeats) != x.type.rank or any(count < 0 for count in repeats):
        raise op.broken(f"repeats {x.type} by {list(repeats)}; a number from 0 on is needed for each axis.")
    if all(count == 1 for count in repeats):
        return op.same(x)
    pairs = tuple(zip(repeats, x.type.shape, strict=True))
    apart = op.emit(ops.Reshape(x, tuple(n for _, extent in pairs for n in (1, extent)), **op.inner))
    repeated = _expanded(op, apart, tuple(n for pair in pairs for n in pair), op.inner)
    return op.emit(ops.Reshape(repeated, tuple(count * extent for count, extent in pairs), **op.marks))


@converts("Trilu")
def convert_trilu(op: Operator) -> Value:
    """What lies on and above diagonal k of the last two axes (upper: 1), or on and below it; 0 elsewhere."""
    x, k = plain(op, op.operand(0)), op.integers(1, "k") or (0,)
    if x.type.rank < 2 or len(k) != 1:
        raise op.broken(f"takes diagonal {list(k)} of {x.type}; one number, and matrices, are needed.")
    rows, columns = x.type.shape[-2:]
    op.check_folded_size((rows, columns), 1)
    diagonal = np.arange(columns) - np.arange(rows)[:, None]
    kept = diagonal >= k[0] if op.flag("upper", True) else diagonal <= k[0]
    return op.emit(ops_logic.Where(op.part(kept, BOOL), x, op.part(0, x.type.dtype), **op.marks))


# Along one axis -------------------------------------------------------------------------------------------------------


@converts("ArgMax", "ArgMin")
def convert_arg_extreme(op: Operator) -> Value:
    x = op.operand(0)
    axis = op.axis(op.integer("axis", 0), x.type.rank)
    keepdims, last = op.flag("keepdims", True), op.flag("select_last_index", False)
    return op.emit(ops_indexing.ArgExtreme(x, axis, keepdims, op.op_type == "ArgMax", last, **op.marks))


@converts("Hardmax")
def convert_hardmax(op: Operator) -> Value:
    """1 where the first largest element stands, else 0: along one axis, before opset 13 over all from `axis` on."""
    x = plain(op, op.operand(0))
    axis = op.axis(op.integer("axis", -1 if op.opset >= 13 else 1), max(x.type.rank, 1))
    shape = x.type.shape
    if op.opset < 13:
        x, axis = op.emit(ops.Reshape(x, flattened(shape, axis), **op.inner)), 1
    largest = op.emit(ops_indexing.ArgExtreme(x, axis, True, True, False, **op.inner))
    chosen = op.emit(
        ops_logic.Compare(largest, _numbers(op, x.type.shape[axis], axis, x.type.rank), "equal", **op.inner)
    )
    result = op.emit(ops.Cast(chosen, x.type.dtype, **op.inner))
    return op.emit(ops.Reshape(result, shape, **op.marks))


def _numbers(op: Operator, count: int, axis: int, rank: int) -> Value:
    """0 .. count - 1 along `axis` of `rank` axes."""
    op.check_folded_size((count,), 8)
    return op.part(np.arange(count).reshape([-1 if i == axis else 1 for i in range(rank)]), INT64)


@converts("OneHot")
def convert_one_hot(op: Operator) -> Value:
    """values[1] where the new axis counts to the index, else values[0]; negative indices count from the end."""
    indices, depth, values = plain(op, op.operand(0)), op.constant(1, "depth"), plain(op, op.operand(2))
    if depth.size != 1 or not 0 < int(depth.reshape(-1)[0]) < 2**31 or values.type.shape != (2,):
        raise op.broken(f"has depth {depth.tolist()} and values {values.type}; a number above 0, and two, are needed.")
    count, rank = int(depth.reshape(-1)[0]), indices.type.rank + 1
    axis = op.axis(op.integer("axis", -1), rank)
    if indices.type.dtype != INT64:
        indices = op.emit(ops.Cast(indices, INT64, **op.inner))
    shape = (*indices.type.shape[:axis], 1, *indices.type.shape[axis:])
    column = op.emit(ops.Reshape(indices, shape, **op.inner))
    negative = op.emit(ops_logic.Compare(column, op.part(0, INT64), "less", **op.inner))
    counted = op.emit(ops.Add(column, op.part(count, INT64), **op.inner))
    wrapped = op.emit(ops_logic.Where(negative, counted, column, **op.inner))
    hot = op.emit(ops_logic.Compare(wrapped, _numbers(op, count, axis, rank), "equal", **op.inner))
    off, on = (
        op.emit(ops.Reshape(op.emit(ops.Slice(values, (i,), (i + 1,), (1,), **op.inner)), (), **op.inner))
        for i in (0, 1)
    )
    return op.emit(ops_logic.Where(hot, on, off, **op.marks))


@converts("CumSum", "CumProd")
def convert_cumulate(op: Operator) -> Value:
    x, axes = plain(op, op.operand(0)), op.integers(1, "axis") or ()
    if len(axes) != 1:
        raise op.broken(f"has the axes {list(axes)}; one is needed.")
    axis = op.axis(axes[0], x.type.rank)
    exclusive, reverse = op.flag("exclusive", False), op.flag("reverse", False)
    return op.emit(ops_indexing.Cumulate(x, axis, exclusive, reverse, op.op_type == "CumProd", **op.marks))


@converts("TopK")
def convert_top_k(op: Operator) -> tuple[Value, ...]:
    """In order, which sorted=0 allows too."""
    x, count = movable(op, op.operand(0)), op.integers(1, "K") or ()
    if len(count) != 1:
        raise op.broken(f"has K {list(count)}; one number is needed.")
    axis = op.axis(op.integer("axis", -1), x.type.rank)
    return op.emit_all(ops_indexing.TopK(x, count[0], axis, op.flag("largest", True), **op.marks))


# By indices -----------------------------------------------------------------------------------------------------------


@converts("GatherElements")
def convert_gather_elements(op: Operator) -> Value:
    x, indices = movable(op, op.operand(0)), plain(op, op.operand(1))
    return op.emit(ops_indexing.GatherElements(x, indices, op.axis(op.integer("axis", 0), x.type.rank), **op.marks))


@converts("GatherND")
def convert_gather_nd(op: Operator) -> Value:
    x, indices = movable(op, op.operand(0)), plain(op, op.operand(1))
    return op.emit(ops_indexing.GatherND(x, indices, op.integer("batch_dims", 0), **op.marks))


@converts("ScatterElements", "Scatter")
def convert_scatter_elements(op: Operator) -> Value:
    x, indices, updates = (plain(op, op.operand(i)) for i in range(3))
    axis = op.axis(op.integer("axis", 0), x.type.rank)
    reduction = op.word("reduction", "none")
    return op.emit(ops_indexing.ScatterElements(x, indices, updates, axis, reduction, **op.marks))


@converts("ScatterND")
def convert_scatter_nd(op: Operator) -> Value:
    x, indices, updates = (plain(op, op.operand(i)) for i in range(3))
    return op.emit(ops_indexing.ScatterND(x, indices, updates, op.word("reduction", "none"), **op.marks))


@converts("ReverseSequence")
def convert_reverse_sequence(op: Operator) -> Value:
    """Of each batch the first `length` steps backwards, the rest as they are; the lengths are constants."""
    x, lengths = movable(op, op.operand(0)), op.integers(1, "sequence_lens") or ()
    batch, time = op.integer("batch_axis", 1), op.integer("time_axis", 0)
    if x.type.rank < 2 or {batch, time} != {0, 1} or len(lengths) != x.type.shape[batch]:
        raise op.broken(f"has batch_axis {batch}, time_axis {time} and {len(lengths)} lengths for {x.type}.")
    steps = x.type.shape[time]
    if not all(0 <= length <= steps for length in lengths):
        raise op.broken(f"has lengths {list(lengths)} for {steps} steps.")
    op.check_folded_size((steps, len(lengths), math.prod(x.type.shape[2:])), 8)
    order = np.array([(*reversed(range(length)), *range(length, steps)) for length in lengths], np.int64)
    wide = (order if time == 1 else order.T).reshape(*x.type.shape[:2], *[1] * (x.type.rank - 2))
    indices = op.part(np.broadcast_to(wide, x.type.shape), INT64)
    return op.emit(ops_indexing.GatherElements(x, indices, time, **op.marks))
