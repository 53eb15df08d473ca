"""Rows for elementwise work on floats and plain integers, softmax and linear resizing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import BOOL, FLOAT64, INT64, UINT64, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import (
    UNARY_FUNCTIONS,
    Add,
    BatchNormalization,
    Binary,
    Cast,
    Div,
    LogSoftmax,
    Maximum,
    Minimum,
    Mul,
    Pow,
    PRelu,
    ResizeLinear,
    Softmax,
    Sub,
    Unary,
)
from subbyte.compiler.ir.qops import QResizeLinear, QSoftmax
from subbyte.compiler.numerics.float32 import rsqrt
from subbyte.compiler.numerics.resize import linear_taps
from subbyte.compiler.numerics.softmax import softmax_reciprocal
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    Real,
    ResultPointer,
    Special,
    Storage,
    as_array,
)
from subbyte.targets.common.c_types import grid, has_grid, is_code, is_real, is_short_code, type_code
from subbyte.targets.common.constants import constant_of, is_constant, operand
from subbyte.targets.common.geometry import around, padded, pieces, same_bytes, same_order, stored_strides
from subbyte.targets.common.spans import CHUNK, elementwise_span
from subbyte.targets.portable.kernels_codes import stored_alike
from subbyte.targets.portable.rows import row

# Two operands ---------------------------------------------------------------------------------------------------------

BINARY_FUNCTIONS: dict[type[Node], int] = {  # enum subbyte_binary_function
    Add: 0, Sub: 1, Mul: 2, Div: 3, Pow: 4, Minimum: 5, Maximum: 6, PRelu: 7,
}  # fmt: skip
INTEGER_FUNCTIONS: tuple[type[Node], ...] = (Add, Sub, Mul, Minimum, Maximum)


def _accepts_float_binary(op: Binary | PRelu) -> bool:
    return is_real(op.type.dtype) and stored_alike(op.type, tuple(value.type for value in op.operands))


def _is_plain_integer(dtype: DType) -> bool:
    """As wide as its container: arithmetic modulo 2^bits is that of the machine."""
    return dtype.kind in ("int", "uint") and dtype.bits == dtype.container_bits


def _accepts_integer_binary(op: Binary) -> bool:
    ordered = not isinstance(op, (Minimum, Maximum)) or op.type.dtype != UINT64
    types = tuple(value.type for value in op.operands)
    return _is_plain_integer(op.type.dtype) and ordered and stored_alike(op.type, types)


def _binary_call(op: Binary | PRelu) -> Call:
    a, b = (op.x, op.slope) if isinstance(op, PRelu) else (op.a, op.b)
    struct, tiles = elementwise_span(op.type, (a.type, b.type))
    return Call(
        "subbyte_binary_floats" if op.type.dtype.is_float else "subbyte_binary_integers",
        (
            operand(op, a),
            operand(op, b),
            ResultPointer(),
            Integer(BINARY_FUNCTIONS[type(op)]),
            Integer(type_code(op.type.dtype)),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


# One operand ----------------------------------------------------------------------------------------------------------

FUNCTIONS = {name: code for code, name in enumerate(UNARY_FUNCTIONS)}  # enum subbyte_function


def _accepts_unary(op: Unary) -> bool:
    return is_real(op.type.dtype) and same_order(op.x.type, op.type)


def _unary_call(op: Unary) -> Call:
    p, q = (*(Real(float(np.float32(value))) for value in op.parameters), Real(0.0), Real(0.0))[:2]
    return Call(
        "subbyte_unary_floats",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(FUNCTIONS[op.function]),
            p,
            q,
            *map(Integer, (type_code(op.type.dtype), op.type.elements, CHUNK)),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(op.type.elements, CHUNK),
    )


def _accepts_batch_normalization(op: BatchNormalization) -> bool:
    numbers = (op.scale, op.bias, op.mean, op.variance)
    return is_real(op.type.dtype) and same_order(op.x.type, op.type) and all(map(is_constant, numbers))


def _batch_normalization_call(op: BatchNormalization) -> Call:
    mean, variance, scale, bias = (
        constant_of(value).astype(np.float32) for value in (op.mean, op.variance, op.scale, op.bias)
    )
    inverse = rsqrt(variance + np.float32(op.epsilon))
    _, channels, inner = around(op.x.type, 1)
    return Call(
        "subbyte_batch_normalization",
        (
            operand(op, op.x),
            ResultPointer(),
            *(
                ConstantArray(role, as_array(values, np.float32))
                for role, values in (("mean", mean), ("inverse", inverse), ("scale", scale), ("bias", bias))
            ),
            *map(Integer, (type_code(op.type.dtype), channels, inner, op.type.elements, CHUNK)),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(op.type.elements, CHUNK),
    )


def _accepts_cast(op: Cast) -> bool:
    source, target = op.x.type.dtype, op.dtype
    if FLOAT64 in (source, target) or (source.is_float and target == UINT64):
        return False
    return same_order(op.x.type, op.type)


def _cast_call(op: Cast) -> Call:
    target = op.dtype
    low, high = (0, 0) if target.is_float else (target.min, min(target.max, INT64.max))
    numbers = (type_code(op.x.type.dtype), type_code(target), int(target == BOOL), low, high, op.type.elements, CHUNK)
    return Call(
        "subbyte_cast",
        (operand(op, op.x), ResultPointer(), *map(Integer, numbers), Special.TILE_BEGIN, Special.TILE_END),
        tiles=pieces(op.type.elements, CHUNK),
    )


# Softmax --------------------------------------------------------------------------------------------------------------


def _softmax_struct(op: Softmax | LogSoftmax | QSoftmax) -> tuple[ConstantStruct, int]:
    """The struct subbyte_softmax, and the number of rows."""
    outer, extent, inner = around(op.x.type, op.axis)
    fields = (
        ("x_type", type_code(op.x.type.dtype)),
        ("y_type", type_code(op.type.dtype)),
        ("extent", extent),
        ("inner", inner),
    )
    return ConstantStruct("subbyte_softmax", fields), outer * inner


def _accepts_softmax_of_codes(op: QSoftmax) -> bool:
    if not (is_code(op.x.type.dtype) and is_short_code(op.dtype) and has_grid(op.type)):
        return False
    try:
        softmax_reciprocal(op.quant.scalar()[0])
    except NumericsError:
        return False
    low, high = op.x.type.dtype.min, op.x.type.dtype.max
    return same_order(op.x.type, op.type) and high - low < op.table.size


def _softmax_of_codes_call(op: QSoftmax) -> Call:
    struct, tiles = _softmax_struct(op)
    m, k = softmax_reciprocal(op.quant.scalar()[0])
    fields = (
        ("m_high", m >> 16),
        ("m_low", m & 0xFFFF),
        ("k", k),
        ("zero_point", op.quant.scalar()[1]),
        ("qmin", op.quant.qmin),
        ("qmax", op.quant.qmax),
    )
    return Call(
        "subbyte_softmax_of_codes",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("table", as_array(op.table, np.uint32)),
            struct,
            ConstantStruct("subbyte_softmax_codes", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _accepts_softmax_of_floats(op: Softmax | LogSoftmax) -> bool:
    return is_real(op.type.dtype) and same_order(op.x.type, op.type)


def _softmax_of_floats_call(op: Softmax | LogSoftmax) -> Call:
    struct, tiles = _softmax_struct(op)
    return Call(
        "subbyte_softmax_of_floats",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(int(isinstance(op, LogSoftmax))),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=tiles,
        scratch_bytes=4 * op.x.type.shape[op.axis],
    )


# Linear resizing ------------------------------------------------------------------------------------------------------

RESIZE_AXES, RESIZED = 6, 3  # of kernels/resize.h


def _resized(op: ResizeLinear | QResizeLinear, axis: int) -> bool:
    return (op.sizes[axis], op.scales[axis]) != (op.x.type.shape[axis], 1.0)


def _taps(
    op: ResizeLinear | QResizeLinear, axis: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Elements of x below and above each index along `axis`, and the weight of the upper one."""
    step = stored_strides(op.x.type)[axis]
    if _resized(op, axis):
        lower, upper, weight = linear_taps(op.coordinates, op.sizes[axis], op.x.type.shape[axis], op.scales[axis])
        return lower * step, upper * step, weight
    indices = np.arange(op.sizes[axis]) * step
    return indices, indices, np.zeros(indices.size, np.float32)


def _loop_axes(op: ResizeLinear | QResizeLinear) -> tuple[list[int], int]:
    """The axes that are looped over as the result stores them, up to the last that is resized; the run behind it."""
    axes = [axis for axis in op.type.order if op.type.shape[axis] != 1 or _resized(op, axis)]
    run = 1
    while axes and not _resized(op, axes[-1]):
        run *= op.type.shape[axes.pop()]
    return axes, run


@dataclass(frozen=True, eq=False)
class Resizing:
    """What the loops of a linear resize need: the arrays and the geometry of kernels/resize.h."""

    arrays: tuple[ConstantArray, ConstantArray, ConstantArray]
    fields: tuple[tuple[str, int | tuple[int, ...]], ...]
    run: int
    tiles: int


def is_resize(op: ResizeLinear | QResizeLinear) -> bool:
    """Stored alike before and after, with few enough loops."""
    resized = sum(_resized(op, axis) for axis in range(op.type.rank))
    return (
        (op.x.type.order == op.type.order or same_bytes(op.x.type, op.type.order))
        and resized <= RESIZED
        and len(_loop_axes(op)[0]) <= RESIZE_AXES
    )


def resizing(op: ResizeLinear | QResizeLinear) -> Resizing:
    """The loops over the result of `op`."""
    axes, run = _loop_axes(op)
    missing = RESIZE_AXES - len(axes)
    taps = [_taps(op, axis) for axis in axes]
    lower, upper, weights = (
        np.concatenate([np.zeros(missing), *parts]) for parts in (zip(*taps, strict=True) if taps else ((), (), ()))
    )
    resized = tuple(missing + axes.index(axis) for axis in range(op.type.rank) if _resized(op, axis))
    extents = padded([op.type.shape[axis] for axis in axes], RESIZE_AXES, fill=1)
    arrays = (
        ConstantArray("lower", as_array(lower, np.int32)),
        ConstantArray("upper", as_array(upper, np.int32)),
        ConstantArray("weights", as_array(weights, np.float32)),
    )
    fields: tuple[tuple[str, int | tuple[int, ...]], ...] = (
        ("extents", extents),
        ("resized", (*resized, *(0,) * (RESIZED - len(resized)))),
        ("count", len(resized)),
        ("run", run),
    )
    return Resizing(arrays, fields, run, math.prod(extents[:-1]))


def _accepts_resize(op: ResizeLinear | QResizeLinear) -> bool:
    real_or_code = is_real(op.type.dtype) or is_short_code(op.type.dtype)
    return has_grid(op.x.type) and has_grid(op.type) and real_or_code and is_resize(op)


def _resize_call(op: ResizeLinear | QResizeLinear) -> Call:
    loops = resizing(op)
    return Call(
        "subbyte_resize_linear",
        (
            operand(op, op.x),
            ResultPointer(),
            *loops.arrays,
            grid(op.x.type),
            grid(op.type),
            ConstantStruct("subbyte_resize", loops.fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=loops.tiles,
    )


def _rows() -> Iterator[Kernel]:
    header, floats, anyhow = "float_elementwise.h", "f32 f16 -> the same", Storage.ANY
    for op in BINARY_FUNCTIONS:
        yield row(op, "subbyte_binary_floats", header, anyhow, _binary_call, _accepts_float_binary, floats, (0, 1))
    for op in INTEGER_FUNCTIONS:
        yield row(
            op, "subbyte_binary_integers", header, anyhow, _binary_call, _accepts_integer_binary,
            "integers of 8 to 64 bits -> the same", (0, 1),
        )  # fmt: skip
    yield row(Unary, "subbyte_unary_floats", header, anyhow, _unary_call, _accepts_unary, floats, (0,))
    yield row(
        BatchNormalization, "subbyte_batch_normalization", header, anyhow, _batch_normalization_call,
        _accepts_batch_normalization, floats, (0,),
    )  # fmt: skip
    yield row(
        Cast, "subbyte_cast", header, anyhow, _cast_call, _accepts_cast, "integers f32 f16 -> integers f32 f16 bool"
    )
    yield row(
        QSoftmax, "subbyte_softmax_of_codes", "softmax.h", anyhow, _softmax_of_codes_call, _accepts_softmax_of_codes,
        "codes of 8 bits -> codes of up to 16 bits",
    )  # fmt: skip
    softmaxes: tuple[type[Node], ...] = (Softmax, LogSoftmax)
    for op in softmaxes:
        yield row(
            op, "subbyte_softmax_of_floats", "softmax.h", anyhow, _softmax_of_floats_call, _accepts_softmax_of_floats,
            floats,
        )  # fmt: skip
    resizes: tuple[type[Node], ...] = (QResizeLinear, ResizeLinear)
    for op in resizes:
        yield row(
            op, "subbyte_resize_linear", "resize.h", anyhow, _resize_call, _accepts_resize,
            "codes f32 f16 -> codes of up to 16 bits, f32, f16",
        )  # fmt: skip


ROWS = tuple(_rows())
