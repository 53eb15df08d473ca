"""Rows for functions of a byte: Lookup with one table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from subbyte.compiler.ir.qops import Lookup
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
)
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import pieces, same_order
from subbyte.targets.common.lookup_tables import byte_tables
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, row

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


_RATES = {"avx512vbmi": 16.0, **{isa: registers.bytes / 16 for isa, registers in REGISTERS.items()}}
_FEATURES = {
    "avx512vbmi": REGISTERS["avx512"].features | {"avx512vbmi"},
    **{isa: registers.features for isa, registers in REGISTERS.items()},
}


def _rows() -> Iterator[Kernel]:
    for isa, rate in _RATES.items():
        yield row(
            Lookup,
            f"subbyte_x86_lookup_{isa}",
            f"x86_tables_{isa}.h",
            Storage.ANY,
            partial(_lookup_call, isa=isa),
            _accepts_lookup,
            "b8 -> b8",
            _FEATURES[isa],
            cost_at(rate),
            (0,),
        )


ROWS = tuple(_rows())
