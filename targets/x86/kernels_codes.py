"""Rows for elementwise work on bytes: OffsetCodes, Clamp, DequantizeLinear, QuantizeLinear, QAdd, QSub, QMul."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear
from subbyte.compiler.ir.qops import Clamp, OffsetCodes, QAdd, QBinary, QMul, QSub
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantStruct,
    Integer,
    Kernel,
    Real,
    ResultPointer,
    Special,
    Storage,
)
from subbyte.targets.common.binary_forms import Grids
from subbyte.targets.common.constants import operand, zero_point
from subbyte.targets.common.geometry import elementwise_loops, pieces, same_order, stored_bits
from subbyte.targets.common.spans import fits_span, span
from subbyte.targets.x86.forms import form_of
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, is_unsigned_grid, row

_CHUNK = 16384  # elements of a tile; a multiple of every register


def _pass_over(symbol: str, x: TensorType, arguments: tuple[Argument, ...], proof: str = "") -> Call:
    """A call over all elements in the order in which they are stored."""
    return Call(
        symbol,
        (*arguments, Integer(x.elements), Integer(_CHUNK), Special.TILE_BEGIN, Special.TILE_END),
        tiles=pieces(x.elements, _CHUNK),
        proof=proof,
    )


def _accepts_offset(op: OffsetCodes) -> bool:
    return op.x.type.dtype.bits == 8 and same_order(op.x.type, op.type)


def _offset_call(op: OffsetCodes, isa: str) -> Call:
    return _pass_over(f"subbyte_x86_offset_codes_{isa}", op.x.type, (operand(op, op.x), ResultPointer()))


def _accepts_clamp(op: Clamp) -> bool:
    alike = same_order(op.x.type, op.type) and stored_bits(op.x.type) == stored_bits(op.type)
    return is_unsigned_grid(op.x.type) and alike and 0 <= op.low <= op.high < 1 << stored_bits(op.type)


def _clamp_call(op: Clamp, isa: str) -> Call:
    arguments = (operand(op, op.x), ResultPointer(), Integer(op.low), Integer(op.high), Integer(stored_bits(op.type)))
    return _pass_over(f"subbyte_x86_clamp_u8_{isa}", op.x.type, arguments)


def _accepts_dequantize(op: DequantizeLinear) -> bool:
    has_scale = op.x.type.quant is not None and is_unsigned_grid(op.x.type)
    return has_scale and op.type.dtype == FLOAT32 and same_order(op.x.type, op.type)


def _dequantize_call(op: DequantizeLinear, isa: str) -> Call:
    assert op.x.type.quant is not None
    scale, zero = op.x.type.quant.scalar()
    arguments = (operand(op, op.x), ResultPointer(), Real(scale), Integer(zero), Integer(stored_bits(op.x.type)))
    return _pass_over(f"subbyte_x86_dequantize_u8_{isa}", op.x.type, arguments, "N1 in float32")


def _accepts_quantize(op: QuantizeLinear) -> bool:
    plain = op.rounding == "HALF_EVEN" and not op.zero_point_first
    return plain and op.x.type.dtype == FLOAT32 and is_unsigned_grid(op.type) and same_order(op.x.type, op.type)


def _quantize_call(op: QuantizeLinear, isa: str) -> Call:
    scale, zero = op.quant.scalar()
    arguments = (
        operand(op, op.x),
        ResultPointer(),
        Real(scale),
        Integer(zero),
        Integer(op.quant.qmin),
        Integer(op.quant.qmax),
        Integer(stored_bits(op.type)),
    )
    return _pass_over(f"subbyte_x86_quantize_u8_{isa}", op.x.type, arguments, "N2 in float32")


def _accepts_binary(op: QBinary) -> bool:
    types = (op.a.type, op.b.type)
    if not all(of_type.quant is not None and is_unsigned_grid(of_type) for of_type in (*types, op.type)):
        return False
    alike = all(same_order(of_type, op.type) for of_type in types if of_type.shape == op.type.shape)
    return alike and fits_span(op.type, types)


def binary_struct(op: QBinary) -> ConstantStruct:
    """The struct subbyte_x86_binary of kernels/x86_binary.h."""
    form = form_of(Grids.of(op))
    return ConstantStruct(
        "subbyte_x86_binary",
        (
            ("form", form.form),
            ("a_scale", form.a_scale),
            ("b_scale", form.b_scale),
            ("y_scale", form.y_scale),
            ("constant", form.constant),
            ("reciprocal", int(form.reciprocal)),
            ("a_zero", zero_point(op.a.type)),
            ("b_zero", zero_point(op.b.type)),
            ("y_zero", zero_point(op.type)),
            ("qmin", op.quant.qmin),
            ("qmax", op.quant.qmax),
        ),
    )


def _binary_call(op: QBinary, isa: str) -> Call:
    runs, tiles = span(elementwise_loops(op.type, (op.a.type, op.b.type)), _CHUNK)
    operands = (operand(op, op.a), operand(op, op.b))
    return Call(
        f"subbyte_x86_binary_u8u8u8_{isa}",
        (*operands, ResultPointer(), binary_struct(op), runs, Special.TILE_BEGIN, Special.TILE_END),
        tiles=tiles,
        proof=form_of(Grids.of(op)).proof,
    )


def _rows() -> Iterator[Kernel]:
    anyhow = Storage.ANY
    for isa, registers in REGISTERS.items():
        header, features, cost = f"x86_codes_{isa}.h", registers.features, cost_at(registers.bytes)
        slow = cost_at(registers.bytes * 0.6)  # a division
        yield row(
            OffsetCodes, f"subbyte_x86_offset_codes_{isa}", header, anyhow, partial(_offset_call, isa=isa),
            _accepts_offset, "s8 u8 -> u8 s8", features, cost, (0,),
        )  # fmt: skip
        yield row(
            Clamp, f"subbyte_x86_clamp_u8_{isa}", header, anyhow, partial(_clamp_call, isa=isa),
            _accepts_clamp, "u8 -> u8", features, cost, (0,), packed=True,
        )  # fmt: skip
        yield row(
            DequantizeLinear, f"subbyte_x86_dequantize_u8_{isa}", header, anyhow,
            partial(_dequantize_call, isa=isa), _accepts_dequantize, "u8 -> f32", features, cost, packed=True,
        )  # fmt: skip
        yield row(
            QuantizeLinear, f"subbyte_x86_quantize_u8_{isa}", header, anyhow,
            partial(_quantize_call, isa=isa), _accepts_quantize, "f32 -> u8", features, slow, packed=True,
        )  # fmt: skip
        for operation in (QAdd, QSub, QMul):
            yield row(
                operation, f"subbyte_x86_binary_u8u8u8_{isa}", f"x86_binary_{isa}.h", anyhow,
                partial(_binary_call, isa=isa), _accepts_binary, "u8 u8 -> u8", features, cost, (0, 1),
            )  # fmt: skip


ROWS = tuple(_rows())
