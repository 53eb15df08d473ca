"""Rows for elementwise work on codes: QuantizeLinear, DequantizeLinear, Clamp, OffsetCodes, Lookup, QAdd...QDiv."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear
from subbyte.compiler.ir.qops import Clamp, Lookup, OffsetCodes, QAdd, QBinary, QDiv, QMul, QSub
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.numerics.rounding import Rounding
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    as_array,
)
from subbyte.targets.common.c_types import grid, has_grid, is_code, is_real, is_short_code, storage_code, type_code
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import around, pieces, same_order
from subbyte.targets.common.lookup_tables import byte_tables
from subbyte.targets.common.spans import CHUNK, elementwise_span, fits_span
from subbyte.targets.portable.rows import row

# QuantizeLinear and DequantizeLinear ----------------------------------------------------------------------------------


def _quant(of_type: TensorType) -> QuantParams:
    if of_type.quant is None:
        raise GraphError(f"{of_type} has no scale; codes with a scale are needed")
    return of_type.quant


def _has_channel_grids(of_type: TensorType) -> bool:
    """Codes of known scales, one, or one for each entry or block of an axis, that fit int32 less their zero points."""
    quant = of_type.quant
    if quant is None or not quant.is_static or quant.levels is not None:
        return False
    zeros = quant.static()[1]
    widest = int(np.abs(zeros).max(initial=0)) + max(abs(of_type.dtype.min), abs(of_type.dtype.max))
    return is_code(of_type.dtype) and (widest < 2**31 or not zeros.any())


def _affine(x: TensorType, y: TensorType, codes: TensorType, rounding: int, zero_point_first: bool) -> ConstantStruct:
    quant = _quant(codes)
    channels, inner = (1, codes.elements) if quant.axis is None else around(codes, quant.axis)[1:]
    if quant.block is not None:
        channels, inner = codes.elements, 1
    qmin, qmax = codes.code_range()
    fields = (
        ("x_type", storage_code(x)),
        ("y_type", storage_code(y)),
        ("channels", channels),
        ("inner", inner),
        ("elements", codes.elements),
        ("chunk", CHUNK),
        ("qmin", qmin),
        ("qmax", qmax),
        ("rounding", rounding),
        ("zero_point_first", int(zero_point_first)),
    )
    return ConstantStruct("subbyte_affine", fields)


def _grids(codes: TensorType) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scales and zero points as the kernel reads them; those of blocks for each element, in the order as stored."""
    quant = _quant(codes)
    if quant.block is None:
        return quant.static()
    scale, zero = (spread(part, codes.shape, quant.axis, quant.block).transpose(codes.order) for part in quant.static())
    return scale, zero


def _affine_call(op: QuantizeLinear | DequantizeLinear, symbol: str, codes: TensorType, struct: ConstantStruct) -> Call:
    scale, zero = _grids(codes)
    return Call(
        symbol,
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("scale", as_array(scale, np.float32)),
            ConstantArray("zero_point", as_array(zero, np.int32)),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(codes.elements, CHUNK),
    )


def _accepts_quantize(op: QuantizeLinear) -> bool:
    return (
        is_real(op.x.type.dtype)
        and is_short_code(op.type.dtype)
        and _has_channel_grids(op.type)
        and same_order(op.x.type, op.type)
    )


def _quantize_call(op: QuantizeLinear) -> Call:
    struct = _affine(op.x.type, op.type, op.type, Rounding[op.rounding].value, op.zero_point_first)
    return _affine_call(op, "subbyte_quantize_linear", op.type, struct)


def _accepts_dequantize(op: DequantizeLinear) -> bool:
    return is_real(op.type.dtype) and _has_channel_grids(op.x.type) and same_order(op.x.type, op.type)


def _dequantize_call(op: DequantizeLinear) -> Call:
    struct = _affine(op.x.type, op.type, op.x.type, 0, False)
    return _affine_call(op, "subbyte_dequantize_linear", op.x.type, struct)


# Codes to codes -------------------------------------------------------------------------------------------------------


def _accepts_clamp(op: Clamp | OffsetCodes) -> bool:
    return is_short_code(op.x.type.dtype) and same_order(op.x.type, op.type)


def _clamp_call(op: Clamp | OffsetCodes) -> Call:
    x, y = op.x.type, op.type
    offset = op.offset if isinstance(op, OffsetCodes) else 0
    low, high = (op.low, op.high) if isinstance(op, Clamp) else (y.dtype.min, y.dtype.max)
    numbers = (type_code(x.dtype), type_code(y.dtype), offset, low, high, x.elements, CHUNK)
    return Call(
        "subbyte_clamp_codes",
        (operand(op, op.x), ResultPointer(), *map(Integer, numbers), Special.TILE_BEGIN, Special.TILE_END),
        tiles=pieces(x.elements, CHUNK),
    )


def _accepts_lookup(op: Lookup) -> bool:
    return op.x.type.dtype.container_bits == 8 and same_order(op.x.type, op.type)


def _lookup_call(op: Lookup) -> Call:
    x = op.x.type
    tables = byte_tables(op)
    channels, inner = (1, x.elements) if op.axis is None else around(x, op.axis)[1:]
    fields = (
        ("channels", channels),
        ("inner", inner),
        ("bytes", tables.itemsize),
        ("elements", x.elements),
        ("chunk", CHUNK),
    )
    return Call(
        "subbyte_lookup",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("table", as_array(tables, tables.dtype), "by_byte"),
            ConstantStruct("subbyte_lookup", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(x.elements, CHUNK),
    )


def _accepts_wide_lookup(op: Lookup) -> bool:
    return op.x.type.dtype.container_bits == 16 and op.axis is None and same_order(op.x.type, op.type)


def _wide_lookup_call(op: Lookup) -> Call:
    x = op.x.type
    return Call(
        "subbyte_lookup_wide",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("table", as_array(op.table, op.table.dtype), "by_code"),
            *map(Integer, (int(x.dtype.is_signed), x.dtype.min, op.table.itemsize, x.elements, CHUNK)),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(x.elements, CHUNK),
        proof=f"a table of all {op.table.size} codes in {op.table.nbytes} bytes, exact",
    )


# Arithmetic between two tensors ---------------------------------------------------------------------------------------

OPERATIONS: dict[type[Node], int] = {QAdd: 0, QSub: 1, QMul: 2, QDiv: 3}  # enum subbyte_operation


def stored_alike(result: TensorType, operands: tuple[TensorType, ...]) -> bool:
    """Whether operands that are not broadcast lie in memory as the result does, and the loops fit the struct."""
    alike = all(same_order(of_type, result) for of_type in operands if of_type.shape == result.shape)
    return alike and fits_span(result, operands)


def _accepts_binary(op: QBinary) -> bool:
    types = (op.a.type, op.b.type)
    return all(map(has_grid, types)) and has_grid(op.type) and is_short_code(op.dtype) and stored_alike(op.type, types)


def _binary_call(op: QBinary) -> Call:
    struct, tiles = elementwise_span(op.type, (op.a.type, op.b.type))
    return Call(
        "subbyte_quantized_binary",
        (
            operand(op, op.a),
            operand(op, op.b),
            ResultPointer(),
            Integer(OPERATIONS[type(op)]),
            grid(op.a.type),
            grid(op.b.type),
            grid(op.type),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _rows() -> Iterator[Kernel]:
    anyhow = Storage.ANY
    yield row(
        QuantizeLinear, "subbyte_quantize_linear", "quantization.h", anyhow, _quantize_call, _accepts_quantize,
        "f32 f16 -> codes of up to 16 bits", packed=True,
    )  # fmt: skip
    yield row(
        DequantizeLinear, "subbyte_dequantize_linear", "quantization.h", anyhow, _dequantize_call, _accepts_dequantize,
        "codes of up to 32 bits -> f32 f16", packed=True,
    )  # fmt: skip
    for op in (Clamp, OffsetCodes):
        yield row(
            op, "subbyte_clamp_codes", "quantization.h", anyhow, _clamp_call, _accepts_clamp, "codes -> codes", (0,)
        )
    yield row(
        Lookup, "subbyte_lookup", "lookup.h", anyhow, _lookup_call, _accepts_lookup, "8-bit codes -> anything", (0,)
    )
    yield row(
        Lookup, "subbyte_lookup_wide", "lookup.h", anyhow, _wide_lookup_call, _accepts_wide_lookup,
        "codes of 9 to 16 bits -> anything",
    )  # fmt: skip
    for binary in OPERATIONS:
        yield row(
            binary, "subbyte_quantized_binary", "quantized_binary.h", anyhow, _binary_call, _accepts_binary,
            "codes or f32, codes or f32 -> codes", (0, 1),
        )  # fmt: skip


ROWS = tuple(_rows())
