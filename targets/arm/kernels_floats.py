"""Rows for elementwise work on floats: N1 of 32-bit sums, Relu and LeakyRelu, and with 64 bits sums and products."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, INT32
from subbyte.compiler.ir.ops import Add, Binary, DequantizeLinear, Div, Mul, Sub, Unary
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    Integer,
    Kernel,
    Real,
    ResultPointer,
    Special,
    Storage,
    as_array,
)
from subbyte.targets.arm.rows import AARCH64, cost_at, row
from subbyte.targets.common.c_types import is_affine
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import around, elementwise_loops, is_plain, pieces, same_order
from subbyte.targets.common.spans import fits_span, span

_CHUNK = 8192  # elements of a tile
_LONGEST = 8192  # scales beyond one another before they repeat
_SYMBOLS: dict[type[Binary], str] = {
    Add: "subbyte_arm_add_f32",
    Sub: "subbyte_arm_subtract_f32",
    Mul: "subbyte_arm_multiply_f32",
    Div: "subbyte_arm_divide_f32",
}


def _is_unary(op: Unary, function: str) -> bool:
    return op.type.dtype == FLOAT32 and op.function == function and same_order(op.x.type, op.type)


def _unary_call(op: Unary, symbol: str) -> Call:
    parameters = tuple(Real(float(np.float32(parameter))) for parameter in op.parameters)
    size = (Integer(op.type.elements), Integer(_CHUNK))
    operands = (operand(op, op.x), ResultPointer())
    return Call(
        symbol,
        (*operands, *parameters, *size, Special.TILE_BEGIN, Special.TILE_END),
        tiles=pieces(op.type.elements, _CHUNK),
    )


def _accepts_leaky_relu(op: Unary) -> bool:
    return _is_unary(op, "LeakyRelu") and bool(abs(np.float32(op.parameters[0])) >= 2.0**-20)


def _scales(op: DequantizeLinear) -> NDArray[np.float32] | None:
    """The scales of neighbouring elements, until they repeat, a multiple of 16; None where elements repeat theirs."""
    quant = op.x.type.quant
    if quant is None or not is_affine(quant):
        return None
    scales = np.asarray(quant.static()[0], np.float32).reshape(-1)
    if quant.axis is not None and scales.size > 1:
        _, channels, inner = around(op.x.type, quant.axis)
        if inner != 1 or channels != scales.size:
            return None
    period = math.lcm(scales.size, 16)
    return np.tile(scales, period // scales.size) if period <= _LONGEST else None


def _accepts_dequantize(op: DequantizeLinear) -> bool:
    if op.x.type.dtype != INT32 or op.type.dtype != FLOAT32 or not same_order(op.x.type, op.type):
        return False
    scales = _scales(op)
    if scales is None or op.x.type.quant is None or op.x.type.quant.static()[1].any():
        return False
    return bool((np.abs(scales) >= np.finfo(np.float32).smallest_normal).all())


def _dequantize_call(op: DequantizeLinear) -> Call:
    scales = _scales(op)
    assert scales is not None
    chunk = max(1, _CHUNK // scales.size) * scales.size
    return Call(
        "subbyte_arm_dequantize_s32",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("scales", as_array(scales, np.float32)),
            Integer(scales.size),
            Integer(op.type.elements),
            Integer(chunk),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(op.type.elements, chunk),
        proof="N1 in float32",
    )


def _accepts_binary(op: Binary) -> bool:
    types = (op.a.type, op.b.type)
    if any(of_type.dtype != FLOAT32 for of_type in (*types, op.type)):
        return False
    if not all(map(is_plain, (*types, op.type))) or not fits_span(op.type, types):
        return False
    return all(strides[-1] in (0, 1) for strides in elementwise_loops(op.type, types).strides)


def _binary_call(op: Binary) -> Call:
    runs, tiles = span(elementwise_loops(op.type, (op.a.type, op.b.type)), _CHUNK)
    operands = (operand(op, op.a), operand(op, op.b))
    arguments = (*operands, ResultPointer(), runs, Special.TILE_BEGIN, Special.TILE_END)
    return Call(_SYMBOLS[type(op)], arguments, tiles=tiles)


ROWS: tuple[Kernel, ...] = (
    row(
        Unary, "subbyte_arm_relu_f32", "arm_floats.h", Storage.ANY,
        lambda op: _unary_call(op, "subbyte_arm_relu_f32"), lambda op: _is_unary(op, "Relu"), "f32 -> f32",
        cost_at(2.0, 1.0), (0,),
    ),
    row(
        Unary, "subbyte_arm_leaky_relu_f32", "arm_floats.h", Storage.ANY,
        lambda op: _unary_call(op, "subbyte_arm_leaky_relu_f32"), _accepts_leaky_relu, "f32 -> f32",
        cost_at(3.0, 1.5), (0,),
    ),
    row(
        DequantizeLinear, "subbyte_arm_dequantize_s32", "arm_floats.h", Storage.ANY, _dequantize_call,
        _accepts_dequantize, "s32 -> f32", cost_at(2.5, 1.3),
    ),
    *(
        row(
            op, symbol, "arm_floats.h", Storage.ANY, _binary_call, _accepts_binary, "f32 f32 -> f32",
            cost_at(2.5, 1.3), (0, 1), features=AARCH64,
        )
        for op, symbol in _SYMBOLS.items()
    ),
)  # fmt: skip
