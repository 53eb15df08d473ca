"""Rows for linear resizing of bytes: QResizeLinear, a vector of codes that lie side by side at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from subbyte.compiler.ir.qops import QResizeLinear
from subbyte.compiler.target import Call, ConstantStruct, Kernel, ResultPointer, Special, Storage, TargetFacts
from subbyte.targets.common.constants import operand
from subbyte.targets.common.tiles import ceil_div
from subbyte.targets.portable.kernels_floats import is_resize, resizing
from subbyte.targets.x86.registers import REGISTERS, Registers
from subbyte.targets.x86.rows import is_unsigned_grid, row

_SECONDS_PER_BLOCK = 40e-9  # of 32 or 64 codes, with the loads and products of four corners


def _accepts(op: QResizeLinear) -> bool:
    has_scale = op.x.type.quant is not None and op.type.quant is not None
    return has_scale and is_unsigned_grid(op.x.type) and is_unsigned_grid(op.type) and is_resize(op)


def _call(op: QResizeLinear, isa: str) -> Call:
    assert op.x.type.quant is not None
    (x_scale, x_zero), (y_scale, y_zero) = op.x.type.quant.scalar(), op.quant.scalar()
    loops = resizing(op)
    numbers: tuple[tuple[str, int | float], ...] = (
        ("x_scale", x_scale),
        ("y_scale", y_scale),
        ("x_zero", x_zero),
        ("y_zero", y_zero),
        ("qmin", op.quant.qmin),
        ("qmax", op.quant.qmax),
    )
    return Call(
        f"subbyte_x86_resize_linear_u8_{isa}",
        (
            operand(op, op.x),
            ResultPointer(),
            *loops.arrays,
            ConstantStruct("subbyte_x86_resize", (*loops.fields, *numbers)),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=loops.tiles,
        proof="N6 in float32",
    )


def _cost(op: QResizeLinear, facts: TargetFacts, registers: Registers) -> float:
    """Blocks of the runs, full or not."""
    del facts
    run = resizing(op).run
    return op.type.elements / run * ceil_div(run, registers.bytes) * _SECONDS_PER_BLOCK


def _rows() -> Iterator[Kernel]:
    for isa, registers in REGISTERS.items():
        yield row(
            QResizeLinear, f"subbyte_x86_resize_linear_u8_{isa}", f"x86_resize_{isa}.h", Storage.ANY,
            partial(_call, isa=isa), _accepts, "u8 -> u8", registers.features, partial(_cost, registers=registers),
        )  # fmt: skip


ROWS = tuple(_rows())
