"""Rows for elementwise work on float32 and DequantizeLinear of 32-bit codes: the borders and insides of islands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from subbyte.compiler.dtype import FLOAT32, INT32
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import Add, Binary, DequantizeLinear, Div, Mul, Sub, Unary
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
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import around, elementwise_loops, is_plain, pieces, same_order
from subbyte.targets.common.spans import fits_span, span
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, row

_CHUNK = 8192  # elements of a tile; a multiple of every register

# As the enums of kernels/x86_floats.h.
_FUNCTIONS = (
    "Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Gelu", "GeluTanh", "Erf", "Exp",
    "Sqrt", "Reciprocal", "Neg", "Abs",
)  # fmt: skip
_OPERATIONS: dict[type[Binary], int] = {Add: 0, Sub: 1, Mul: 2, Div: 3}


def _accepts_unary(op: Unary) -> bool:
    return op.type.dtype == FLOAT32 and op.function in _FUNCTIONS and same_order(op.x.type, op.type)


def _unary_call(op: Unary, isa: str) -> Call:
    p, q = (*(Real(float(np.float32(value))) for value in op.parameters), Real(0.0), Real(0.0))[:2]
    return Call(
        f"subbyte_x86_unary_f32_{isa}",
        (
            operand(op, op.x),
            ResultPointer(),
            Integer(_FUNCTIONS.index(op.function)),
            p,
            q,
            Integer(op.type.elements),
            Integer(_CHUNK),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(op.type.elements, _CHUNK),
    )


def _accepts_binary(op: Binary) -> bool:
    types = (op.a.type, op.b.type)
    if op.type.dtype != FLOAT32 or not all(map(is_plain, (*types, op.type))) or not fits_span(op.type, types):
        return False
    return all(strides[-1] in (0, 1) for strides in elementwise_loops(op.type, types).strides)


def _binary_call(op: Binary, isa: str) -> Call:
    runs, tiles = span(elementwise_loops(op.type, (op.a.type, op.b.type)), _CHUNK)
    return Call(
        f"subbyte_x86_binary_f32_{isa}",
        (
            operand(op, op.a),
            operand(op, op.b),
            ResultPointer(),
            Integer(_OPERATIONS[type(op)]),
            runs,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _accepts_dequantize(op: DequantizeLinear) -> bool:
    quant = op.x.type.quant
    if op.x.type.dtype != INT32 or op.type.dtype != FLOAT32 or quant is None or not same_order(op.x.type, op.type):
        return False
    plain = quant.is_static and quant.block is None and quant.levels is None
    low, high = op.x.type.code_range()
    zeros = quant.static()[1] if plain else np.zeros(1)
    return plain and bool((low - zeros >= INT32.min).all() and (high - zeros <= INT32.max).all())


def _dequantize_call(op: DequantizeLinear, isa: str) -> Call:
    quant = op.x.type.quant
    assert quant is not None, "accepted with a quantization"
    scales, zeros = (np.reshape(values, -1) for values in quant.static())
    channels, inner = 1, op.x.type.elements
    if quant.axis is not None and op.x.type.shape[quant.axis] > 1:
        _, channels, inner = around(op.x.type, quant.axis)
    fields = (("channels", channels), ("inner", inner), ("elements", op.x.type.elements), ("chunk", _CHUNK))
    return Call(
        f"subbyte_x86_dequantize_s32_{isa}",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("scales", as_array(np.broadcast_to(scales, (channels,)), np.float32)),
            ConstantArray("zero_points", as_array(np.broadcast_to(zeros, (channels,)), np.int32)),
            ConstantStruct("subbyte_x86_dequantize", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(op.x.type.elements, _CHUNK),
        proof="N1 in float32",
    )


def _rows() -> Iterator[Kernel]:
    anyhow, floats = Storage.ANY, "f32 -> f32"
    for isa, registers in REGISTERS.items():
        header, features, cost = f"x86_floats_{isa}.h", registers.features, cost_at(registers.bytes / 8)
        yield row(
            Unary, f"subbyte_x86_unary_f32_{isa}", header, anyhow, partial(_unary_call, isa=isa), _accepts_unary,
            floats, features, cost, (0,),
        )  # fmt: skip
        yield row(
            DequantizeLinear, f"subbyte_x86_dequantize_s32_{isa}", header, anyhow, partial(_dequantize_call, isa=isa),
            _accepts_dequantize, "s32 -> f32", features, cost,
        )  # fmt: skip
        operations: tuple[type[Node], ...] = tuple(_OPERATIONS)
        for operation in operations:
            yield row(
                operation, f"subbyte_x86_binary_f32_{isa}", header, anyhow, partial(_binary_call, isa=isa),
                _accepts_binary, "f32 f32 -> f32", features, cost, (0, 1),
            )  # fmt: skip


ROWS = tuple(_rows())
