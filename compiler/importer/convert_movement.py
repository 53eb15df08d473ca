"""Data movement: shapes, axes, pieces and borders. It works on codes as on floats, and keeps their scale."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.dtype import INT32, INT64
from subbyte.compiler.importer.codes import movable, plain
from subbyte.compiler.importer.convert_pools import flattened
from subbyte.compiler.importer.operator import Marks, Operator, converts
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.shapes import Shape

# Shapes ---------------------------------------------------------------------------------------------------------------


@converts("Reshape")
def convert_reshape(op: Operator) -> Value:
    """0 copies the extent (unless allowzero), one -1 takes what is left."""
    x = movable(op, op.operand(0))
    wanted = op.integers(1, "shape")
    if wanted is None:
        raise op.broken("does not say the new shape.")
    keep_zero = op.flag("allowzero", False)
    shape = []
    for i, extent in enumerate(wanted):
        if extent == 0 and not keep_zero and i >= x.type.rank:
            raise op.broken(f"copies axis {i} by a 0 in shape {list(wanted)}, but x is {x.type}.")
        shape.append(x.type.shape[i] if extent == 0 and not keep_zero else extent)
    if shape.count(-1) > 1 or min(shape, default=0) < -1:
        raise op.broken(f"has the shape {list(wanted)}; extents from 0 on and at most one -1 are needed.")
    if -1 in shape:
        rest = math.prod(extent for extent in shape if extent != -1)
        if rest == 0 or x.type.elements % rest:
            raise op.broken(f"cannot give the {x.type.elements} elements of {x.type} the shape {list(wanted)}.")
        shape[shape.index(-1)] = x.type.elements // rest
    return op.emit(ops.Reshape(x, tuple(shape), **op.marks))


@converts("Flatten")
def convert_flatten(op: Operator) -> Value:
    x = movable(op, op.operand(0))
    axis, rank = op.integer("axis", 1), x.type.rank
    if not -rank <= axis <= rank:
        raise op.broken(f"has axis {axis}, which {x.type} does not have.")
    return op.emit(ops.Reshape(x, flattened(x.type.shape, axis + rank if axis < 0 else axis), **op.marks))


@converts("Squeeze")
def convert_squeeze(op: Operator) -> Value:
    """Without axes every extent of 1 goes. Axes are an attribute before opset 13."""
    x = movable(op, op.operand(0))
    axes = op.integers(1, "axes") if op.opset >= 13 else op.integer_list("axes")
    if axes is None:
        gone = tuple(i for i, extent in enumerate(x.type.shape) if extent == 1)
    else:
        gone = op.axes(axes, x.type.rank)
    if any(x.type.shape[axis] != 1 for axis in gone):
        raise op.broken(f"removes axes {list(gone)} of {x.type}, one of which is not 1.")
    shape = tuple(extent for i, extent in enumerate(x.type.shape) if i not in gone)
    return op.emit(ops.Reshape(x, shape, **op.marks))


@converts("Unsqueeze")
def convert_unsqueeze(op: Operator) -> Value:
    """Axes count in the result; they are an attribute before opset 13."""
    x = movable(op, op.operand(0))
    axes = op.integers(1, "axes") if op.opset >= 13 else op.integer_list("axes")
    if axes is None:
        raise op.broken("does not say its axes.")
    rank = x.type.rank + len(axes)
    new = op.axes(axes, rank)
    extents = iter(x.type.shape)
    return op.emit(ops.Reshape(x, tuple(1 if i in new else next(extents) for i in range(rank)), **op.marks))


@converts("Transpose")
def convert_transpose(op: Operator) -> Value:
    x = op.operand(0)
    perm = op.integer_list("perm")
    if perm is None:
        perm = tuple(reversed(range(x.type.rank)))
    return op.emit(ops.Transpose(x, perm, **op.marks))


# Pieces ---------------------------------------------------------------------------------------------------------------


@converts("Concat")
def convert_concat(op: Operator) -> Value:
    values = [op.operand(i) for i in range(len(op.operands))]
    if not values:
        raise op.broken("has no operand.")
    return build_concat(op, values, op.marks)


def build_concat(op: Operator, values: list[Value], marks: Marks) -> Value:
    """The operands one after the other, empty ones left out; codes whose scales differ go as bare codes."""
    axis = op.axis(op.integer("axis", 1), values[0].type.rank)
    values = [value for value in values if value.type.elements] or values[:1]
    if len(values) == 1:
        return op.same(values[0])
    quants = [value.type.quant for value in values]
    first = quants[0]
    alike = all(
        first is quant or (first is not None and quant is not None and first.same_grid(quant)) for quant in quants
    )
    kept = tuple(movable(op, value) if alike else plain(op, value) for value in values)
    return op.emit(ops.Concat(kept, axis, **marks))


@converts("Split")
def convert_split(op: Operator) -> tuple[Value, ...]:
    """Sizes are an attribute before opset 13; without them equal parts, the last one smaller from opset 18 on."""
    x = movable(op, op.operand(0))
    axis = op.axis(op.integer("axis", 0), x.type.rank)
    sizes = op.integers(1, "sizes") if op.opset >= 13 else op.integer_list("split")
    count, extent = len(op.outputs), x.type.shape[axis]
    if not sizes:
        declared = op.integer("num_outputs", count)
        if declared != count or count < 1:
            raise op.broken(f"has num_outputs {declared}, but {count} outputs.")
        part = -(-extent // count)
        if part * count != extent and op.opset < 18:
            raise op.broken(f"cannot split the extent {extent} of {x.type} into {count} equal parts.")
        sizes = (*(part for _ in range(count - 1)), extent - part * (count - 1))
    if len(sizes) != count or min(sizes) < 0:
        raise op.broken(f"splits into {list(sizes)}, but has {count} outputs; a size from 0 on is needed for each.")
    if 0 not in sizes:
        return op.emit_all(ops.Split(x, axis, sizes, **op.marks))
    filled = tuple(size for size in sizes if size)
    if sum(filled) != extent:
        raise op.broken(f"splits the extent {extent} of {x.type} into {list(sizes)}.")
    whole = op.emit_all(ops.Split(x, axis, filled, **op.inner)) if len(filled) > 1 else (op.same(x),)
    parts = iter(whole)
    shape = (*x.type.shape[:axis], 0, *x.type.shape[axis + 1 :])
    return tuple(next(parts) if size else op.part(np.empty(shape), x.type.dtype) for size in sizes)


@converts("Slice")
def convert_slice(op: Operator) -> Value:
    """Starts and ends are clipped as in Python; axes default to the first ones, steps to 1."""
    x = movable(op, op.operand(0))
    starts, ends = op.integers(1, "starts") or (), op.integers(2, "ends") or ()
    axes = op.integers(3, "axes")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = op.integers(4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise op.broken(
            f"has starts {list(starts)}, ends {list(ends)}, axes {list(axes)} and steps {list(steps)}; lists of one "
            "length, and steps other than 0, are needed."
        )
    op.axes(axes, x.type.rank)
    full = [(0, extent, 1) for extent in x.type.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = op.axis(axis, x.type.rank)
        full[axis] = slice(start, end, step).indices(x.type.shape[axis])
    spans = tuple(zip(*full, strict=True)) if full else ((), (), ())
    return op.emit(ops.Slice(x, spans[0], spans[1], spans[2], **op.marks))


@converts("Gather")
def convert_gather(op: Operator) -> Value:
    x, indices = movable(op, op.operand(0)), plain(op, op.operand(1))
    axis = op.axis(op.integer("axis", 0), x.type.rank)
    extent = x.type.shape[axis]
    if indices.type.dtype not in (INT32, INT64):
        raise op.broken(f"has indices of type {indices.type}; int32 or int64 is needed.")
    known = indices.constant
    if known is not None and known.size and not (-extent <= known.min() and known.max() < extent):
        raise op.broken(f"picks indices {int(known.min())} to {int(known.max())} of the {extent} along axis {axis}.")
    return op.emit(ops.Gather(x, indices, axis, **op.marks))


# Borders --------------------------------------------------------------------------------------------------------------


@converts("Pad")
def convert_pad(op: Operator) -> Value:
    """Pads and value are attributes before opset 11, axes an operand from opset 18 on. Codes are padded with a code."""
    x = movable(op, op.operand(0))
    rank, mode = x.type.rank, op.word("mode", "constant")
    if mode not in ops.PAD_MODES:
        raise op.broken(f"has mode '{mode}'; {', '.join(ops.PAD_MODES)} exist.")
    pads = op.integers(1, "pads") if op.opset >= 11 else op.integer_list("pads")
    axes = op.integers(3, "axes") if op.opset >= 18 else None
    if pads is None or len(pads) != 2 * (rank if axes is None else len(axes)):
        raise op.broken(f"has pads {list(pads or ())} for {x.type}; a begin and an end for each axis are needed.")
    if axes is not None:
        begins, ends = dict.fromkeys(range(rank), 0), dict.fromkeys(range(rank), 0)
        op.axes(axes, rank)
        for i, axis in enumerate(axes):
            begins[op.axis(axis, rank)], ends[op.axis(axis, rank)] = pads[i], pads[len(axes) + i]
        pads = (*begins.values(), *ends.values())
    if not any(pads):
        return op.same(x)
    if mode == "constant":
        return op.emit(ops.Pad(x, pads, mode, _pad_value(op, x), **op.marks))
    return _mirrored(op, x, pads, mode)


def _pad_value(op: Operator, x: Value) -> float | int:
    """The number or code that fills the border; 0 where it is left out."""
    if op.opset < 11:
        if not x.type.dtype.is_float:
            raise op.broken(f"pads {x.type}; before opset 11 floats are needed.")
        return op.real("value", 0.0)
    array = op.optional_constant(2, "constant_value")
    if array is None or array.size == 0:
        return 0.0 if x.type.dtype.is_float else 0
    if array.size != 1 or array.dtype != x.type.dtype.numpy:
        raise op.broken(f"pads {x.type} with {array.dtype}{list(array.shape)}; a scalar of the same type is needed.")
    return float(array.item()) if x.type.dtype.is_float else int(array.item())


def _mirrored(op: Operator, x: Value, pads: Shape, mode: str) -> Value:
    """Borders made of x itself: first what negative pads cut off goes, then the rest is padded."""
    rank = x.type.rank
    cut = [(max(-pads[i], 0), x.type.shape[i] - max(-pads[rank + i], 0)) for i in range(rank)]
    grown = tuple(max(pad, 0) for pad in pads)
    if any(pad < 0 for pad in pads):
        marks = op.inner if any(grown) else op.marks
        starts, ends = tuple(start for start, _ in cut), tuple(end for _, end in cut)
        x = op.emit(ops.Slice(x, starts, ends, (1,) * rank, **marks))
    if not any(grown):
        return x
    for i, extent in enumerate(x.type.shape):
        most = {"reflect": extent - 1, "wrap": extent}.get(mode)
        wide = max(grown[i], grown[rank + i])
        if (most is not None and wide > most) or extent == 0:
            raise op.unsupported(
                f"pads {wide} elements along axis {i} of {x.type} with mode '{mode}'; {most or 0} are read at most. "
                "Pad in several steps."
            )
    return op.emit(ops.Pad(x, grown, mode, 0.0 if x.type.dtype.is_float else 0, **op.marks))


# Blocks ---------------------------------------------------------------------------------------------------------------


@converts("DepthToSpace")
def convert_depth_to_space(op: Operator) -> Value:
    x = movable(op, op.operand(0))
    return op.emit(ops.DepthToSpace(x, op.integer("blocksize", 0), op.word("mode", "DCR"), **op.marks))


@converts("SpaceToDepth")
def convert_space_to_depth(op: Operator) -> Value:
    """mode CRD (opset 28) orders the depth as [C, block, block] instead of [block, block, C]."""
    x, block, mode = movable(op, op.operand(0)), op.integer("blocksize", 0), op.word("mode", "DCR")
    if mode == "DCR":
        return op.emit(ops.SpaceToDepth(x, block, **op.marks))
    if mode != "CRD" or x.type.rank != 4 or block < 1 or x.type.shape[2] % block or x.type.shape[3] % block:
        raise op.broken(
            f"has mode '{mode}' and blocksize {block} for {x.type}; DCR or CRD, and a block that divides, are needed."
        )
    n, c, h, w = x.type.shape
    split = op.emit(ops.Reshape(x, (n, c, h // block, block, w // block, block), **op.inner))
    moved = op.emit(ops.Transpose(split, (0, 1, 3, 5, 2, 4), **op.inner))
    return op.emit(ops.Reshape(moved, (n, c * block * block, h // block, w // block), **op.marks))
