"""Rows for run-time indices, and for searches and running sums along one axis; everything row-major."""

from __future__ import annotations

import math
from collections.abc import Iterator

from subbyte.compiler.dtype import FLOAT64, INT64, DType
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_indexing import (
    REDUCTIONS,
    ArgExtreme,
    Cumulate,
    GatherElements,
    GatherND,
    ScatterElements,
    ScatterND,
    TopK,
)
from subbyte.compiler.target import Call, ConstantStruct, Integer, Kernel, ResultPointer, Special, Storage
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import around, is_row_major, padded, pieces, stored_strides, tensor_types
from subbyte.targets.common.spans import CHUNK
from subbyte.targets.portable.kernels_logic import memory_code
from subbyte.targets.portable.rows import row

AXES = 8  # SUBBYTE_INDEX_AXES of kernels/indexing.h


def _is_number(dtype: DType) -> bool:
    """What is compared and summed: float32, float16 and integers as wide as their container."""
    return dtype != FLOAT64 and (dtype.is_float or (dtype.is_integer and dtype.bits == dtype.container_bits))


def _row_major(op: Node) -> bool:
    return all(map(is_row_major, tensor_types(op)))


# Along one axis -------------------------------------------------------------------------------------------------------


def _accepts_rows(op: Cumulate) -> bool:
    return _row_major(op) and _is_number(op.x.type.dtype)


def _accepts_search(op: ArgExtreme | TopK) -> bool:
    return _row_major(op) and op.x.type.dtype != FLOAT64


def _rows_struct(op: ArgExtreme | TopK | Cumulate) -> tuple[ConstantStruct, int]:
    """The struct subbyte_rows, and the number of rows."""
    outer, extent, inner = around(op.x.type, op.axis)
    fields = (("type", memory_code(op.x.type.dtype)), ("extent", extent), ("inner", inner))
    return ConstantStruct("subbyte_rows", fields), outer * inner


def _arg_extreme_call(op: ArgExtreme) -> Call:
    struct, tiles = _rows_struct(op)
    return Call(
        "subbyte_arg_extreme",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(1 if op.largest else -1),
            Integer(int(op.last)),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _top_k_call(op: TopK) -> Call:
    struct, tiles = _rows_struct(op)
    return Call(
        "subbyte_top_k",
        (
            operand(op, op.x),
            ResultPointer(0),
            ResultPointer(1),
            Integer(op.k),
            Integer(1 if op.largest else -1),
            Integer(op.x.type.dtype.numpy.itemsize),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=tiles,
        scratch_bytes=4 * op.x.type.shape[op.axis],
    )


def _cumulate_call(op: Cumulate) -> Call:
    struct, tiles = _rows_struct(op)
    return Call(
        "subbyte_cumulate",
        (
            operand(op, op.x),
            ResultPointer(),
            *(Integer(int(flag)) for flag in (op.product, op.exclusive, op.reverse)),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


# By indices -----------------------------------------------------------------------------------------------------------


def _accepts_elements(op: GatherElements | ScatterElements) -> bool:
    return _row_major(op) and op.x.type.rank <= AXES and _may_reduce(op)


def _may_reduce(op: Node) -> bool:
    """Whether a scatter only puts, or computes with numbers of the machine."""
    return not isinstance(op, (ScatterElements, ScatterND)) or op.reduction == "none" or _is_number(op.type.dtype)


def _elements_struct(op: GatherElements | ScatterElements) -> ConstantStruct:
    along, indices = stored_strides(op.x.type), op.indices.type
    fields = (
        ("extents", padded(indices.shape, AXES, fill=1)),
        ("strides", padded([0 if axis == op.axis else step for axis, step in enumerate(along)], AXES)),
        ("count", indices.elements),
        ("extent", op.x.type.shape[op.axis]),
        ("step", along[op.axis]),
        ("wide", int(indices.dtype == INT64)),
    )
    return ConstantStruct("subbyte_elements", fields)


def _gather_elements_call(op: GatherElements) -> Call:
    return Call(
        "subbyte_gather_elements",
        (
            operand(op, op.x),
            operand(op, op.indices),
            ResultPointer(),
            Integer(op.type.dtype.numpy.itemsize),
            _elements_struct(op),
            Integer(CHUNK),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(op.type.elements, CHUNK),
        checked=True,
    )


def _accepts_parts(op: GatherND | ScatterND) -> bool:
    return _row_major(op) and op.indices.type.shape[-1] <= AXES and _may_reduce(op)


def _parts_struct(op: GatherND | ScatterND) -> ConstantStruct:
    x, indices = op.x.type, op.indices.type
    batch = op.batch_dims if isinstance(op, GatherND) else 0
    depth = indices.shape[-1]

    def ended(values: tuple[int, ...]) -> tuple[int, ...]:
        return (*values, *(0,) * (AXES - depth))

    fields = (
        ("extents", ended(x.shape[batch : batch + depth])),
        ("strides", ended(stored_strides(x)[batch : batch + depth])),
        ("depth", depth),
        ("rows", math.prod(indices.shape[batch:-1])),
        ("batch", math.prod(x.shape[batch:])),
        ("count", math.prod(indices.shape[:-1])),
        ("run", math.prod(x.shape[batch + depth :])),
        ("wide", int(indices.dtype == INT64)),
    )
    return ConstantStruct("subbyte_parts", fields)


def _gather_parts_call(op: GatherND) -> Call:
    return Call(
        "subbyte_gather_parts",
        (
            operand(op, op.x),
            operand(op, op.indices),
            ResultPointer(),
            Integer(op.type.dtype.numpy.itemsize),
            _parts_struct(op),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=math.prod(op.indices.type.shape[:-1]),
        checked=True,
    )


def _scatter_call(op: ScatterElements | ScatterND) -> Call:
    by_elements = isinstance(op, ScatterElements)
    dtype = op.type.dtype
    return Call(
        "subbyte_scatter_elements" if by_elements else "subbyte_scatter_parts",
        (
            operand(op, op.x),
            operand(op, op.indices),
            operand(op, op.updates),
            ResultPointer(),
            Integer(op.type.elements),
            Integer(REDUCTIONS.index(op.reduction)),
            Integer(0 if op.reduction == "none" else memory_code(dtype)),
            Integer(dtype.numpy.itemsize),
            _elements_struct(op) if isinstance(op, ScatterElements) else _parts_struct(op),
        ),
        checked=True,
    )


def _rows() -> Iterator[Kernel]:
    header, straight = "indexing.h", Storage.ROW_MAJOR
    numbers, anything = "f32 f16 integers", "any, indices -> any"
    yield row(
        ArgExtreme, "subbyte_arg_extreme", header, straight, _arg_extreme_call, _accepts_search, f"{numbers} -> s64"
    )
    yield row(TopK, "subbyte_top_k", header, straight, _top_k_call, _accepts_search, f"{numbers} -> the same, s64")
    yield row(Cumulate, "subbyte_cumulate", header, straight, _cumulate_call, _accepts_rows, f"{numbers} -> the same")
    yield row(
        GatherElements, "subbyte_gather_elements", header, straight, _gather_elements_call, _accepts_elements, anything
    )
    yield row(GatherND, "subbyte_gather_parts", header, straight, _gather_parts_call, _accepts_parts, anything)
    yield row(
        ScatterElements, "subbyte_scatter_elements", header, straight, _scatter_call, _accepts_elements,
        "any, indices, any -> any",
    )  # fmt: skip
    yield row(
        ScatterND, "subbyte_scatter_parts", header, straight, _scatter_call, _accepts_parts, "any, indices, any -> any"
    )


ROWS = tuple(_rows())
