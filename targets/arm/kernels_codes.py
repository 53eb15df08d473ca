"""Rows for elementwise work on bytes: signedness, clamps, N1 and N2, tables, and N6 of two tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear
from subbyte.compiler.ir.qops import Clamp, Lookup, OffsetCodes, QAdd, QBinary, QMul, QSub
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    Real,
    ResultPointer,
    Special,
    Storage,
)
from subbyte.targets.arm.binary_forms import Form, form_of
from subbyte.targets.arm.rows import NEON, cost_at, is_byte, is_byte_grid, row
from subbyte.targets.common.binary_forms import Grids
from subbyte.targets.common.c_types import is_affine, is_unsigned_byte
from subbyte.targets.common.constants import operand, zero_point
from subbyte.targets.common.geometry import elementwise_loops, pieces, same_order
from subbyte.targets.common.lookup_tables import byte_tables
from subbyte.targets.common.spans import fits_span, span

_CHUNK = 16384  # elements of a tile; a multiple of every register
_OPERATIONS: tuple[type[QBinary], ...] = (QAdd, QSub, QMul)  # as in kernels/arm_binary.h


def is_quantized_byte(of_type: TensorType) -> bool:
    """Codes of a byte with one known scale."""
    quant = of_type.quant
    return quant is not None and is_affine(quant) and quant.is_per_tensor and is_byte_grid(of_type)


def quant_flip(of_type: TensorType) -> int:
    """0x80 for codes 0..255, which turning bit 7 over makes -128..127."""
    return 0x80 if is_unsigned_byte(of_type.dtype) else 0


def _pass_over(symbol: str, x: TensorType, arguments: tuple[Argument, ...], proof: str = "") -> Call:
    """A call over all elements in the order in which they are stored."""
    return Call(
        symbol,
        (*arguments, Integer(x.elements), Integer(_CHUNK), Special.TILE_BEGIN, Special.TILE_END),
        tiles=pieces(x.elements, _CHUNK),
        proof=proof,
    )


# Signedness, clamps ---------------------------------------------------------------------------------------------------


def _accepts_offset(op: OffsetCodes) -> bool:
    return op.x.type.dtype.bits == 8 and same_order(op.x.type, op.type)


def _offset_call(op: OffsetCodes) -> Call:
    return _pass_over("subbyte_arm_offset_codes", op.x.type, (operand(op, op.x), ResultPointer()))


def _accepts_clamp(op: Clamp) -> bool:
    low, high = op.x.type.dtype.min, op.x.type.dtype.max
    inside = low <= op.low <= op.high <= high
    return is_byte(op.x.type) and inside and same_order(op.x.type, op.type)


def _clamp_call(op: Clamp) -> Call:
    bounds = (Integer(op.low), Integer(op.high), Integer(quant_flip(op.type)))
    return _pass_over("subbyte_arm_clamp", op.x.type, (operand(op, op.x), ResultPointer(), *bounds))


# N1 and N2 ------------------------------------------------------------------------------------------------------------


def is_normal_grid(of_type: TensorType) -> bool:
    """Codes of a byte with a scale that is no subnormal number."""
    if not is_quantized_byte(of_type):
        return False
    assert of_type.quant is not None
    return of_type.quant.scalar()[0] >= float(np.finfo(np.float32).smallest_normal)


def _accepts_dequantize(op: DequantizeLinear) -> bool:
    return is_normal_grid(op.x.type) and op.type.dtype == FLOAT32 and same_order(op.x.type, op.type)


def _dequantize_call(op: DequantizeLinear) -> Call:
    assert op.x.type.quant is not None
    scale, zero = op.x.type.quant.scalar()
    numbers = (Real(scale), Integer(zero), Integer(quant_flip(op.x.type)))
    arguments = (operand(op, op.x), ResultPointer(), *numbers)
    return _pass_over("subbyte_arm_dequantize", op.x.type, arguments, "N1 in float32")


def has_reciprocal(op: QuantizeLinear) -> bool:
    """Whether kernels/arm_codes.h finds its quotients: N2 of float32 with a scale within 2^-100..2^100."""
    plain = op.rounding == "HALF_EVEN" and not op.zero_point_first and op.x.type.dtype == FLOAT32
    return plain and is_quantized_byte(op.type) and 2.0**-100 <= op.quant.scalar()[0] <= 2.0**100


def grid_struct(quant: QuantParams) -> ConstantStruct:
    """The struct subbyte_arm_grid of kernels/arm_codes.h."""
    scale, zero = quant.scalar()
    is_power_of_two = math.frexp(scale)[0] == 0.5
    return ConstantStruct(
        "subbyte_arm_grid",
        (
            ("scale", scale),
            ("reciprocal", float(np.float32(1) / np.float32(scale))),
            ("near", 1.0 if is_power_of_two else 0.5 - 2.0**-10),
            ("zero_point", zero),
            ("qmin", quant.qmin),
            ("qmax", quant.qmax),
        ),
    )


def _accepts_quantize(op: QuantizeLinear) -> bool:
    return has_reciprocal(op) and same_order(op.x.type, op.type)


def _quantize_call(op: QuantizeLinear) -> Call:
    arguments = (operand(op, op.x), ResultPointer(), grid_struct(op.quant))
    return _pass_over("subbyte_arm_quantize", op.x.type, arguments, "N2 in float32")


# Tables ---------------------------------------------------------------------------------------------------------------


def _accepts_lookup(op: Lookup) -> bool:
    one_byte = op.x.type.dtype.container_bits == 8 and op.dtype.numpy.itemsize == 1
    return one_byte and op.axis is None and same_order(op.x.type, op.type)


def _accepts_lookup_of_32(op: Lookup) -> bool:
    return _accepts_lookup(op) and is_unsigned_byte(op.x.type.dtype) and op.x.type.dtype.bits <= 5


def _lookup_call(op: Lookup, symbol: str) -> Call:
    table = ConstantArray("table", byte_tables(op)[0].view("uint8"))
    proof = "table" if op.quant is not None else ""
    return _pass_over(symbol, op.x.type, (operand(op, op.x), ResultPointer(), table), proof)


# N6 -------------------------------------------------------------------------------------------------------------------


def _form(op: QBinary, aarch64: bool) -> Form | None:
    return form_of(Grids.of(op), aarch64)


def can_broadcast(op: QBinary) -> bool:
    """Whether the operands lie as the kernels step through them: alike, or one code for all of a run."""
    types = (op.a.type, op.b.type)
    alike = all(same_order(of_type, op.type) for of_type in types if of_type.shape == op.type.shape)
    if not alike or not fits_span(op.type, types):
        return False
    return all(strides[-1] in (0, 1) for strides in elementwise_loops(op.type, types).strides)


def _accepts_binary(op: QBinary, kernel: str, aarch64: bool) -> bool:
    if not all(map(is_quantized_byte, (op.a.type, op.b.type, op.type))) or not can_broadcast(op):
        return False
    form = _form(op, aarch64)
    return form is not None and form.kernel == kernel


def _binary_call(op: QBinary, symbol: str, aarch64: bool) -> Call:
    form = _form(op, aarch64)
    assert form is not None
    runs, tiles = span(elementwise_loops(op.type, (op.a.type, op.b.type)), _CHUNK)
    numbers = ConstantStruct(
        "subbyte_arm_binary",
        (
            ("a_scale", form.a_scale),
            ("b_scale", form.b_scale),
            ("y_scale", form.y_scale),
            ("operation", _OPERATIONS.index(type(op))),
            ("divides", int(form.divides)),
            ("a_flip", quant_flip(op.a.type)),
            ("b_flip", quant_flip(op.b.type)),
            ("a_zero", zero_point(op.a.type)),
            ("b_zero", zero_point(op.b.type)),
            ("y_zero", zero_point(op.type)),
            ("qmin", op.quant.qmin),
            ("qmax", op.quant.qmax),
        ),
    )
    operands = (operand(op, op.a), operand(op, op.b))
    return Call(
        symbol,
        (*operands, ResultPointer(), numbers, runs, Special.TILE_BEGIN, Special.TILE_END),
        tiles=tiles,
        proof=form.proof,
    )


# Rows -----------------------------------------------------------------------------------------------------------------


def _binary_rows() -> Iterator[Kernel]:
    for state in ("aarch64", "aarch32"):
        for op in _OPERATIONS:
            for kernel in ("product", "reals") if op is QMul else ("scaled", "reals"):
                symbol, wide = f"subbyte_arm_binary_{kernel}", state == "aarch64"
                yield row(
                    op, symbol, "arm_binary.h", Storage.ANY, partial(_binary_call, symbol=symbol, aarch64=wide),
                    partial(_accepts_binary, kernel=kernel, aarch64=wide), "b8 b8 -> b8",
                    cost_at(*((3.5, 2.0) if wide else (6.0, 3.5))), (0, 1), features=NEON | {state},
                )  # fmt: skip


def _rows() -> Iterator[Kernel]:
    anyhow = Storage.ANY
    yield row(
        OffsetCodes, "subbyte_arm_offset_codes", "arm_codes.h", anyhow, _offset_call, _accepts_offset,
        "s8 u8 -> u8 s8", cost_at(0.3, 0.2), (0,),
    )  # fmt: skip
    yield row(
        Clamp, "subbyte_arm_clamp", "arm_codes.h", anyhow, _clamp_call, _accepts_clamp, "b8 -> b8",
        cost_at(0.5, 0.3), (0,),
    )  # fmt: skip
    yield row(
        DequantizeLinear, "subbyte_arm_dequantize", "arm_codes.h", anyhow, _dequantize_call, _accepts_dequantize,
        "b8 -> f32", cost_at(1.5, 1.0),
    )  # fmt: skip
    yield row(
        QuantizeLinear, "subbyte_arm_quantize", "arm_codes.h", anyhow, _quantize_call, _accepts_quantize,
        "f32 -> b8", cost_at(4.0, 2.5),
    )  # fmt: skip
    tables: tuple[tuple[str, type[Node], float], ...] = (("aarch64", Lookup, 1.2), ("aarch32", Lookup, 3.5))
    for state, op, cycles in tables:
        yield row(
            op, "subbyte_arm_lookup", "arm_tables.h", anyhow, partial(_lookup_call, symbol="subbyte_arm_lookup"),
            _accepts_lookup, "b8 -> b8", cost_at(cycles, cycles), (0,), features=NEON | {state},
        )  # fmt: skip
    yield row(
        Lookup, "subbyte_arm_lookup_of_32", "arm_tables.h", anyhow,
        partial(_lookup_call, symbol="subbyte_arm_lookup_of_32"), _accepts_lookup_of_32, "u5 -> b8",
        cost_at(0.6, 0.4), (0,),
    )  # fmt: skip
    yield from _binary_rows()


ROWS = tuple(_rows())
