"""Rows for functions of a byte: Lookup with one table, QSoftmax along the last stored axis."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.qops import Lookup, QSoftmax
from subbyte.compiler.numerics.softmax import softmax_reciprocal
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
)
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import around, pieces, same_order
from subbyte.targets.common.lookup_tables import byte_tables
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, is_unsigned_byte, row

_CHUNK = 16384


def _accepts_lookup(op: Lookup) -> bool:
    one_byte = op.x.type.dtype.container_bits == 8 and op.dtype.numpy.itemsize == 1
    return one_byte and op.axis is None and same_order(op.x.type, op.type)


def _lookup_call(op: Lookup, isa: str) -> Call:
    table = byte_tables(op)[0].view("uint8")
    return Call(
        f"subbyte_x86_lookup_{isa}",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("table", table),
            Integer(op.type.elements),
            Integer(_CHUNK),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(op.type.elements, _CHUNK),
        proof="table" if op.quant is not None else "",
    )


def _accepts_softmax(op: QSoftmax) -> bool:
    bytes_only = is_unsigned_byte(op.x.type.dtype) and is_unsigned_byte(op.dtype) and op.table.size == 256
    try:
        softmax_reciprocal(op.quant.scalar()[0])
    except NumericsError:
        return False
    return bytes_only and same_order(op.x.type, op.type) and around(op.x.type, op.axis)[2] == 1


def _softmax_call(op: QSoftmax, isa: str) -> Call:
    rows, extent, _ = around(op.x.type, op.axis)
    scale, zero = op.quant.scalar()
    m, k = softmax_reciprocal(scale)
    struct = ConstantStruct(
        "subbyte_x86_softmax",
        (
            ("extent", extent),
            ("m_high", m >> 16),
            ("m_low", m & 0xFFFF),
            ("k", k),
            ("y_zero", zero),
            ("qmin", op.quant.qmin),
            ("qmax", op.quant.qmax),
        ),
    )
    return Call(
        f"subbyte_x86_softmax_u8_{isa}",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("table", op.table),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=rows,
        proof="N7 in integers",
    )


def _rows() -> Iterator[Kernel]:
    anyhow = Storage.ANY
    for isa, registers in REGISTERS.items():
        header, features, cost = f"x86_tables_{isa}.h", registers.features, cost_at(registers.bytes / 16)
        yield row(
            Lookup, f"subbyte_x86_lookup_{isa}", header, anyhow, partial(_lookup_call, isa=isa),
            _accepts_lookup, "b8 -> b8", features, cost, (0,),
        )  # fmt: skip
        yield row(
            QSoftmax, f"subbyte_x86_softmax_u8_{isa}", header, anyhow, partial(_softmax_call, isa=isa),
            _accepts_softmax, "u8 -> u8", features, cost,
        )  # fmt: skip


ROWS = tuple(_rows())
