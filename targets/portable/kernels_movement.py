"""Rows for data movement, on elements of any type."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT64
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import (
    Concat,
    DepthToSpace,
    Gather,
    Pad,
    Repack,
    ResizeNearest,
    Slice,
    SpaceToDepth,
    Split,
    Transpose,
)
from subbyte.compiler.ir.ops_indexing import Expand
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.resize import nearest_indices
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    Pointers,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import (
    Loops,
    all_plain,
    around,
    broadcast_strides,
    is_row_major,
    merge,
    padded,
    same_bytes,
    stored_strides,
)
from subbyte.targets.portable.rows import SECONDS_PER_ELEMENT, row, scalar_cost

AXES = 8  # SUBBYTE_COPY_AXES of kernels/data_movement.h
_SECONDS_PER_BYTE = 1e-10  # of a run

Copied = Transpose | Repack | Slice | DepthToSpace | SpaceToDepth | Expand
Picked = Pad | ResizeNearest


def _itemsize(of_type: TensorType) -> int:
    return int(of_type.dtype.numpy.itemsize)


# Copies by strides ----------------------------------------------------------------------------------------------------


def _blocks(op: DepthToSpace | SpaceToDepth) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Extents and strides of x along (n, c, block row, block column, h, w); c, h and w count blocks."""
    x = op.x.type
    n, c, h, w = x.shape
    b = op.block
    along = stored_strides(x)
    if isinstance(op, SpaceToDepth):
        extents = (n, c, b, b, h // b, w // b)
        return extents, (along[0], along[1], along[2], along[3], along[2] * b, along[3] * b)
    deep = c // b**2
    channel, across = (along[1], along[1] * deep) if op.mode == "DCR" else (along[1] * b**2, along[1])
    return (n, deep, b, b, h, w), (along[0], channel, across * b, across, along[2], along[3])


def _block_strides_of_result(op: DepthToSpace | SpaceToDepth) -> tuple[int, ...]:
    """Strides of the result along the axes of `_blocks`."""
    along = stored_strides(op.type)
    b = op.block
    if isinstance(op, DepthToSpace):
        return (along[0], along[1], along[2], along[3], along[2] * b, along[3] * b)
    c = op.x.type.shape[1]
    return (along[0], along[1], along[1] * c * b, along[1] * c, along[2], along[3])


def _axes(op: Copied) -> tuple[Sequence[int], Sequence[int], Sequence[int], int]:
    """Extents, strides of x, strides of the result along the same axes, and the element of x that comes first."""
    along, of_result = stored_strides(op.x.type), stored_strides(op.type)
    match op:
        case Transpose(perm=perm):
            return op.type.shape, [along[axis] for axis in perm], of_result, 0
        case Expand():
            return op.type.shape, broadcast_strides(op.x.type, op.type.rank), of_result, 0
        case Slice(starts=starts, steps=steps):
            start = sum(s * at for s, at in zip(along, starts, strict=True))
            return op.type.shape, [s * step for s, step in zip(along, steps, strict=True)], of_result, start
        case DepthToSpace() | SpaceToDepth():
            extents, strides = _blocks(op)
            return extents, strides, _block_strides_of_result(op), 0
    return op.type.shape, along, of_result, 0


def _copy_loops(op: Copied) -> tuple[Loops, int]:
    """Loops over the result in the order in which it is stored; strides are those of x."""
    extents, strides, of_result, start = _axes(op)
    order = sorted(range(len(extents)), key=lambda axis: -of_result[axis])
    return merge([extents[axis] for axis in order], [[strides[axis] for axis in order]]), start


def _accepts_copy(op: Copied) -> bool:
    return len(_copy_loops(op)[0].extents) <= AXES


def _copy_cost(op: Any, facts: TargetFacts) -> float:
    """Runs of neighbours are copied as a whole, all else element by element."""
    loops, _ = _copy_loops(op)
    if loops.strides[0][-1] != 1:
        return scalar_cost(op, facts)
    elements, run = math.prod(loops.extents), loops.extents[-1]
    return elements / run * SECONDS_PER_ELEMENT + elements * _itemsize(op.type) * _SECONDS_PER_BYTE


def _copy_call(op: Copied) -> Call:
    loops, start = _copy_loops(op)
    fields = (
        ("extents", padded(loops.extents, AXES, fill=1)),
        ("strides", padded(loops.strides[0], AXES)),
        ("start", start),
        ("bytes", _itemsize(op.type)),
    )
    return Call(
        "subbyte_copy",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantStruct("subbyte_copy", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=math.prod(loops.extents[:-1]),
    )


# Rows cut and joined --------------------------------------------------------------------------------------------------


def _accepts_pieces(op: Concat | Split) -> bool:
    """All tensors stored in one order; their axis then cuts each into rows."""
    whole = op.type if isinstance(op, Concat) else op.x.type
    parts = tuple(value.type for value in op.values) if isinstance(op, Concat) else op.types
    return all(part.order == whole.order or same_bytes(part, whole.order) for part in parts)


def _piece_arrays(whole: TensorType, parts: Sequence[TensorType], axis: int) -> tuple[ConstantArray, int, int, int]:
    """Bytes of each part in a row, their number, the bytes of a row, the number of rows."""
    outer, extent, inner = around(whole, axis)
    size = inner * _itemsize(whole)
    sizes = np.array([part.shape[axis] * size for part in parts], np.int32)
    return ConstantArray("bytes", as_array(sizes, np.int32)), len(parts), extent * size, outer


def _concat_call(op: Concat) -> Call:
    sizes, count, row_bytes, rows = _piece_arrays(op.type, [value.type for value in op.values], op.axis)
    return Call(
        "subbyte_concat",
        (
            Pointers(tuple(operand(op, value) for value in op.values)),
            ResultPointer(),
            sizes,
            Integer(count),
            Integer(row_bytes),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=rows,
    )


def _split_call(op: Split) -> Call:
    sizes, count, row_bytes, rows = _piece_arrays(op.x.type, op.types, op.axis)
    return Call(
        "subbyte_split",
        (
            operand(op, op.x),
            Pointers(tuple(ResultPointer(index) for index in range(count))),
            sizes,
            Integer(count),
            Integer(row_bytes),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=rows,
    )


# Index tables ---------------------------------------------------------------------------------------------------------


def _indices(op: Picked, axis: int) -> NDArray[np.int64]:
    """For each entry of `axis` of the result, its index in x; -1 for the constant of a Pad."""
    numbers = np.arange(op.x.type.shape[axis])
    if isinstance(op, ResizeNearest):
        if (op.sizes[axis], op.scales[axis]) == (numbers.size, 1.0):
            return numbers
        return nearest_indices(op.coordinates, op.rounding, op.sizes[axis], numbers.size, op.scales[axis])
    begin, end = op.pads[axis], op.pads[axis + op.type.rank]
    kept = numbers[max(-begin, 0) : numbers.size - max(-end, 0)]
    borders = (max(begin, 0), max(end, 0))
    match op.mode:
        case "reflect":
            return np.pad(kept, borders, mode="reflect")
        case "edge":
            return np.pad(kept, borders, mode="edge")
        case "wrap":
            return np.pad(kept, borders, mode="wrap")
    return np.pad(kept, borders, constant_values=-1)


def _pick_tables(op: Picked) -> tuple[list[NDArray[np.int64]], int]:
    """A table of element offsets for each stored axis of the result up to the last that changes; the run behind it."""
    along = stored_strides(op.x.type)
    tables = []
    for axis in op.type.order:
        indices = _indices(op, axis)
        tables.append(np.where(indices < 0, -1, indices * along[axis]))
    run = 1
    while tables and (tables[-1] == np.arange(tables[-1].size) * run).all():
        run *= tables.pop().size
    return tables or [np.zeros(1, np.int64)], run


def _accepts_pick(op: Picked) -> bool:
    """The tables find the elements of x in whatever order it is stored."""
    readable = op.x.type.order == op.type.order or all_plain(op)
    return readable and op.x.type.elements > 0 and len(_pick_tables(op)[0]) <= AXES


def _pick_call(op: Picked) -> Call:
    tables, run = _pick_tables(op)
    tables = [np.zeros(1, np.int64)] * (AXES - len(tables)) + tables
    extents = tuple(table.size for table in tables)
    fill = np.array([op.value if isinstance(op, Pad) and op.mode == "constant" else 0]).astype(op.type.dtype.numpy)
    fields = (("extents", extents), ("run", run), ("bytes", _itemsize(op.type)))
    return Call(
        "subbyte_pick",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("indices", as_array(np.concatenate(tables), np.int32)),
            ConstantArray("fill", as_array(fill, fill.dtype)),
            ConstantStruct("subbyte_pick", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=math.prod(extents[:-1]),
    )


# Run-time indices -----------------------------------------------------------------------------------------------------


def _accepts_gather(op: Gather) -> bool:
    return all(is_row_major(of_type) for of_type in (op.x.type, op.indices.type, op.type))


def _gather_call(op: Gather) -> Call:
    outer, extent, inner = around(op.x.type, op.axis)
    numbers = (int(op.indices.type.dtype == INT64), extent, op.indices.type.elements, inner * _itemsize(op.type))
    return Call(
        "subbyte_gather",
        (
            operand(op, op.x),
            operand(op, op.indices),
            ResultPointer(),
            *map(Integer, numbers),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=outer,
        checked=True,
    )


def _rows() -> Iterator[Kernel]:
    header, says, anyhow = "data_movement.h", "any -> the same", Storage.ANY
    copied: tuple[type[Node], ...] = (Transpose, Repack, Slice, DepthToSpace, SpaceToDepth, Expand)
    for op in copied:
        yield replace(row(op, "subbyte_copy", header, anyhow, _copy_call, _accepts_copy, says), cost=_copy_cost)
    yield row(Concat, "subbyte_concat", header, anyhow, _concat_call, _accepts_pieces, says)
    yield row(Split, "subbyte_split", header, anyhow, _split_call, _accepts_pieces, says)
    picked: tuple[type[Node], ...] = (Pad, ResizeNearest)
    for op in picked:
        yield row(op, "subbyte_pick", header, anyhow, _pick_call, _accepts_pick, says)
    yield row(Gather, "subbyte_gather", header, Storage.ROW_MAJOR, _gather_call, _accepts_gather, says)


ROWS = tuple(_rows())
