"""Rows for pools and reductions, over codes and floats."""

from __future__ import annotations

import math
from collections.abc import Iterator

from subbyte.compiler.dtype import BOOL, INT32
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import (
    AveragePool,
    MaxPool,
    Reduce,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
)
from subbyte.compiler.ir.qops import QAveragePool, QReduce, QReduceMean, QReduceSum
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import Call, ConstantStruct, Integer, Kernel, ResultPointer, Special, Storage
from subbyte.targets.common.c_types import grid, has_grid, is_code, is_real, is_short_code, storage_code, type_code
from subbyte.targets.common.constants import centred_range, operand
from subbyte.targets.common.geometry import Loops, is_channels_last, merge, padded, stored_strides
from subbyte.targets.common.spans import AXES, span
from subbyte.targets.common.windows import Pool, count_arrays, is_spatial, spatial
from subbyte.targets.portable.rows import row

BLOCK = 64  # SUBBYTE_BLOCK of kernels/codes.h

# Pools ----------------------------------------------------------------------------------------------------------------


def pool_struct(op: Pool) -> ConstantStruct:
    """The struct subbyte_pool of kernels/pool.h."""
    s = spatial(op)
    return ConstantStruct(
        "subbyte_pool",
        (
            ("type", storage_code(op.x.type)),
            ("height", s.extents[0]),
            ("width", s.extents[1]),
            ("channels", op.x.type.shape[1]),
            ("out_height", s.results[0]),
            ("out_width", s.results[1]),
            ("kernel_height", s.kernel[0]),
            ("kernel_width", s.kernel[1]),
            ("stride_height", s.strides[0]),
            ("stride_width", s.strides[1]),
            ("pad_top", s.begins[0]),
            ("pad_left", s.begins[1]),
            ("dilation_height", s.dilations[0]),
            ("dilation_width", s.dilations[1]),
        ),
    )


def is_pool(op: Pool) -> bool:
    """1-D or 2-D, channels last."""
    return is_spatial(op.x.type) and is_channels_last(op.x.type) and is_channels_last(op.type)


def _pool_tiles(op: Pool) -> int:
    return op.type.shape[0] * spatial(op).results[0]


def _max_pool_call(op: MaxPool) -> Call:
    real = is_real(op.type.dtype)
    of_result = () if real else (Integer(storage_code(op.type)),)
    return Call(
        "subbyte_max_pool_floats" if real else "subbyte_max_pool_codes",
        (operand(op, op.x), ResultPointer(), *of_result, pool_struct(op), Special.TILE_BEGIN, Special.TILE_END),
        tiles=_pool_tiles(op),
    )


def sums_fit_int32(x: TensorType, count: int) -> bool:
    """Whether the sum of `count` codes less their zero point fits int32."""
    return count * max(map(abs, centred_range(x))) <= INT32.max


def _accepts_average_pool_codes(op: QAveragePool) -> bool:
    return (
        is_pool(op)
        and has_grid(op.x.type)
        and is_short_code(op.x.type.dtype)
        and has_grid(op.type)
        and is_short_code(op.dtype)
        and sums_fit_int32(op.x.type, math.prod(op.kernel))
    )


def _average_pool_codes_call(op: QAveragePool) -> Call:
    return Call(
        "subbyte_average_pool_codes",
        (
            operand(op, op.x),
            ResultPointer(),
            *count_arrays(op),
            pool_struct(op),
            grid(op.x.type),
            grid(op.type),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=_pool_tiles(op),
    )


def _average_pool_floats_call(op: AveragePool) -> Call:
    return Call(
        "subbyte_average_pool_floats",
        (
            operand(op, op.x),
            ResultPointer(),
            *count_arrays(op),
            pool_struct(op),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=_pool_tiles(op),
    )


# Reductions -----------------------------------------------------------------------------------------------------------


def _kept_axes(op: Reduce | QReduce) -> list[int]:
    """The axes of x that are left, in the order in which the result stores them."""
    kept = [axis for axis in range(op.x.type.rank) if axis not in op.axes]
    if op.keepdims:
        return [axis for axis in op.type.order if axis in kept]
    return [kept[axis] for axis in op.type.order]


def _kept_loops(op: Reduce | QReduce) -> Loops:
    along = stored_strides(op.x.type)
    kept = _kept_axes(op)
    return merge([op.x.type.shape[axis] for axis in kept], [[along[axis] for axis in kept]])


def _reduced_loops(op: Reduce | QReduce) -> Loops:
    """Over the reduced axes in logical order: N8's trees number their elements so."""
    along = stored_strides(op.x.type)
    axes = sorted(op.axes)
    return merge([op.x.type.shape[axis] for axis in axes], [[along[axis] for axis in axes]])


def is_reduction(op: Reduce | QReduce) -> bool:
    loops = (_kept_loops(op), _reduced_loops(op))
    return all(len(loop.extents) <= AXES for loop in loops) and math.prod(loops[1].extents) > 0


def reduce_struct(op: Reduce | QReduce) -> ConstantStruct:
    """The struct subbyte_reduce of kernels/reduce.h."""
    loops = _reduced_loops(op)
    fields = (
        ("extents", padded(loops.extents, AXES, fill=1)),
        ("strides", padded(loops.strides[0], AXES)),
        ("count", math.prod(loops.extents)),
    )
    return ConstantStruct("subbyte_reduce", fields)


def _extreme_call(op: Reduce) -> Call:
    struct, tiles = span(_kept_loops(op), BLOCK)
    return Call(
        "subbyte_reduce_extreme_floats" if is_real(op.type.dtype) else "subbyte_reduce_extreme_codes",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(type_code(op.type.dtype)),
            Integer(1 if isinstance(op, ReduceMax) else -1),
            reduce_struct(op),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _accepts_sum_codes(op: QReduce) -> bool:
    return (
        is_reduction(op)
        and has_grid(op.x.type)
        and is_short_code(op.x.type.dtype)
        and has_grid(op.type)
        and is_short_code(op.dtype)
        and sums_fit_int32(op.x.type, math.prod(op.x.type.shape[axis] for axis in op.axes))
    )


def _sum_codes_call(op: QReduce) -> Call:
    struct, tiles = span(_kept_loops(op), BLOCK)
    return Call(
        "subbyte_reduce_sum_codes",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(int(isinstance(op, QReduceMean))),
            reduce_struct(op),
            grid(op.x.type),
            grid(op.type),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _sum_floats_call(op: Reduce) -> Call:
    struct, tiles = span(_kept_loops(op), BLOCK)
    return Call(
        "subbyte_reduce_sum_floats",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(type_code(op.type.dtype)),
            Integer(int(isinstance(op, ReduceMean))),
            reduce_struct(op),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _product_floats_call(op: ReduceProd) -> Call:
    struct, tiles = span(_kept_loops(op), BLOCK)
    return Call(
        "subbyte_reduce_product_floats",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(type_code(op.type.dtype)),
            reduce_struct(op),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


INTEGER_REDUCTIONS: dict[type[Node], int] = {  # enum subbyte_reduction
    ReduceSum: 0, ReduceMean: 1, ReduceProd: 2, ReduceMax: 3, ReduceMin: 4,
}  # fmt: skip


def _accepts_integers(op: Reduce) -> bool:
    dtype = op.type.dtype
    whole = dtype.kind in ("int", "uint") and dtype.bits == dtype.container_bits
    return (whole or dtype == BOOL) and is_reduction(op)


def _integers_call(op: Reduce) -> Call:
    struct, tiles = span(_kept_loops(op), BLOCK)
    dtype = op.type.dtype
    return Call(
        "subbyte_reduce_integers",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(INTEGER_REDUCTIONS[type(op)]),
            Integer(0 if dtype == BOOL else type_code(dtype)),
            reduce_struct(op),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _rows() -> Iterator[Kernel]:
    last, anyhow = Storage.CHANNELS_LAST, Storage.ANY
    yield row(
        MaxPool, "subbyte_max_pool_codes", "pool.h", last, _max_pool_call,
        lambda op: is_pool(op) and is_code(op.type.dtype), "codes of up to 32 bits -> the same", packed=True,
    )  # fmt: skip
    yield row(
        MaxPool, "subbyte_max_pool_floats", "pool.h", last, _max_pool_call,
        lambda op: is_pool(op) and is_real(op.type.dtype), "f32 f16 -> the same",
    )  # fmt: skip
    yield row(
        QAveragePool, "subbyte_average_pool_codes", "pool.h", last, _average_pool_codes_call,
        _accepts_average_pool_codes, "codes -> codes of up to 16 bits",
    )  # fmt: skip
    yield row(
        AveragePool, "subbyte_average_pool_floats", "pool.h", last, _average_pool_floats_call,
        lambda op: is_pool(op) and is_real(op.type.dtype), "f32 f16 -> the same",
    )  # fmt: skip
    extremes: tuple[type[Node], ...] = (ReduceMax, ReduceMin)
    for op in extremes:
        yield row(
            op, "subbyte_reduce_extreme_codes", "reduce.h", anyhow, _extreme_call,
            lambda op: is_reduction(op) and is_code(op.type.dtype), "codes of up to 32 bits -> the same",
        )  # fmt: skip
        yield row(
            op, "subbyte_reduce_extreme_floats", "reduce.h", anyhow, _extreme_call,
            lambda op: is_reduction(op) and is_real(op.type.dtype), "f32 f16 -> the same",
        )  # fmt: skip
    code_sums: tuple[type[Node], ...] = (QReduceSum, QReduceMean)
    for op in code_sums:
        yield row(
            op, "subbyte_reduce_sum_codes", "reduce.h", anyhow, _sum_codes_call, _accepts_sum_codes,
            "codes -> codes of up to 16 bits",
        )  # fmt: skip
    sums: tuple[type[Node], ...] = (ReduceSum, ReduceMean)
    for op in sums:
        yield row(
            op, "subbyte_reduce_sum_floats", "reduce.h", anyhow, _sum_floats_call,
            lambda op: is_reduction(op) and is_real(op.type.dtype), "f32 f16 -> the same",
        )  # fmt: skip
    yield row(
        ReduceProd, "subbyte_reduce_product_floats", "reduce.h", anyhow, _product_floats_call,
        lambda op: is_reduction(op) and is_real(op.type.dtype), "f32 f16 -> the same",
    )  # fmt: skip
    for op in INTEGER_REDUCTIONS:
        yield row(
            op, "subbyte_reduce_integers", "reduce.h", anyhow, _integers_call, _accepts_integers,
            "integers of 8 to 64 bits and bool -> the same",
        )  # fmt: skip


ROWS = tuple(_rows())
