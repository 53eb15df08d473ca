"""Rows for quantization at run time: DynamicRange, DynamicQuantize."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from subbyte.compiler.ir.qops_dynamic import DynamicQuantize, DynamicRange
from subbyte.compiler.target import Call, Integer, Kernel, ResultPointer, Special, Storage
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import pieces, same_order
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, row

_CHUNK = 16384  # elements of a tile; a multiple of every register


def _range_call(op: DynamicRange, isa: str) -> Call:
    results = (ResultPointer(0), ResultPointer(1))
    return Call(f"subbyte_x86_dynamic_range_{isa}", (operand(op, op.x), *results, Integer(op.x.type.elements)))


def _accepts_range(op: DynamicRange) -> bool:
    return op.x.type.elements > 0


def _accepts_quantize(op: DynamicQuantize) -> bool:
    return same_order(op.x.type, op.type)


def _quantize_call(op: DynamicQuantize, isa: str) -> Call:
    elements = op.type.elements
    return Call(
        f"subbyte_x86_dynamic_quantize_{isa}",
        (
            operand(op, op.x),
            operand(op, op.scale),
            operand(op, op.zero_point),
            ResultPointer(),
            Integer(elements),
            Integer(_CHUNK),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(elements, _CHUNK),
        proof="N2 in float32",
    )


def _rows() -> Iterator[Kernel]:
    for isa, registers in REGISTERS.items():
        header, features, cost = f"x86_dynamic_{isa}.h", registers.features, cost_at(registers.bytes / 16)
        yield row(
            DynamicRange, f"subbyte_x86_dynamic_range_{isa}", header, Storage.ANY, partial(_range_call, isa=isa),
            _accepts_range, "f32 -> scale and zero point of u8", features, cost,
        )  # fmt: skip
        yield row(
            DynamicQuantize, f"subbyte_x86_dynamic_quantize_{isa}", header, Storage.ANY,
            partial(_quantize_call, isa=isa), _accepts_quantize, "f32, scale and zero point at run time -> u8",
            features, cost,
        )  # fmt: skip


ROWS = tuple(_rows())
