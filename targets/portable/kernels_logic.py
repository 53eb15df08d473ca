"""Rows for comparisons, selection, and whole-number arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator

from subbyte.compiler.dtype import BOOL, FLOAT64, DType
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import Binary, Div, Maximum, Minimum, Pow
from subbyte.compiler.ir.ops_logic import (
    RELATIONS,
    BitAnd,
    BitOr,
    BitXor,
    Compare,
    Mod,
    Modular,
    Remainder,
    ShiftLeft,
    ShiftRight,
    Where,
)
from subbyte.compiler.target import Call, ConstantStruct, Integer, Kernel, ResultPointer, Special, Storage
from subbyte.targets.common.c_types import is_real, type_code
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import Loops, elementwise_loops, padded
from subbyte.targets.common.spans import elementwise_span
from subbyte.targets.portable.kernels_codes import stored_alike
from subbyte.targets.portable.rows import row

SELECT_AXES = 8  # SUBBYTE_SELECT_AXES of kernels/logic.h
WHOLE_FUNCTIONS: dict[type[Node], int] = {  # enum subbyte_whole_function
    Div: 0, Remainder: 1, Mod: 2, Pow: 3, BitAnd: 4, BitOr: 5, BitXor: 6, ShiftLeft: 7, ShiftRight: 8, Minimum: 9,
    Maximum: 10,
}  # fmt: skip
ON_BOOLS: tuple[type[Node], ...] = (BitAnd, BitOr, BitXor)


def memory_code(dtype: DType) -> int:
    """The enumerator of the integers that a bool or integer is in memory, or of the float."""
    return 0 if dtype == BOOL else type_code(dtype)


# Comparisons and selection --------------------------------------------------------------------------------------------


def _accepts_compare(op: Compare) -> bool:
    return stored_alike(op.type, (op.a.type, op.b.type))


def _compare_call(op: Compare) -> Call:
    struct, tiles = elementwise_span(op.type, (op.a.type, op.b.type))
    doubles = op.a.type.dtype == FLOAT64
    return Call(
        "subbyte_compare",
        (
            operand(op, op.a),
            operand(op, op.b),
            ResultPointer(),
            Integer(RELATIONS.index(op.relation)),
            Integer(0 if doubles else memory_code(op.a.type.dtype)),
            Integer(int(doubles)),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _select_loops(op: Where) -> Loops:
    return elementwise_loops(op.type, (op.condition.type, op.a.type, op.b.type))


def _accepts_select(op: Where) -> bool:
    return len(_select_loops(op).extents) <= SELECT_AXES


def _select_call(op: Where) -> Call:
    loops = _select_loops(op)
    extents = padded(loops.extents, SELECT_AXES, fill=1)
    condition, a, b = (padded(strides, SELECT_AXES) for strides in loops.strides)
    fields = (
        ("extents", extents),
        ("condition", condition),
        ("a", a),
        ("b", b),
        ("bytes", op.type.dtype.numpy.itemsize),
    )
    return Call(
        "subbyte_select",
        (
            operand(op, op.condition),
            operand(op, op.a),
            operand(op, op.b),
            ResultPointer(),
            ConstantStruct("subbyte_select", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=math.prod(extents[:-1]),
    )


# Whole numbers --------------------------------------------------------------------------------------------------------


def _accepts_whole(op: Binary | Modular) -> bool:
    dtype = op.type.dtype
    whole = dtype.kind in ("int", "uint") and dtype.bits == dtype.container_bits
    return (whole or (dtype == BOOL and type(op) in ON_BOOLS)) and stored_alike(op.type, (op.a.type, op.b.type))


def _whole_call(op: Binary | Modular) -> Call:
    struct, tiles = elementwise_span(op.type, (op.a.type, op.b.type))
    return Call(
        "subbyte_whole_binary",
        (
            operand(op, op.a),
            operand(op, op.b),
            ResultPointer(),
            Integer(WHOLE_FUNCTIONS[type(op)]),
            Integer(memory_code(op.type.dtype)),
            Integer(op.type.dtype.bits),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
        checked=True,
    )


def _accepts_remainder(op: Modular) -> bool:
    return is_real(op.type.dtype) and stored_alike(op.type, (op.a.type, op.b.type))


def _remainder_call(op: Modular) -> Call:
    struct, tiles = elementwise_span(op.type, (op.a.type, op.b.type))
    return Call(
        "subbyte_remainder_floats",
        (
            operand(op, op.a),
            operand(op, op.b),
            ResultPointer(),
            Integer(int(isinstance(op, Mod))),
            Integer(type_code(op.type.dtype)),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
    )


def _rows() -> Iterator[Kernel]:
    header, anyhow = "logic.h", Storage.ANY
    yield row(
        Compare, "subbyte_compare", header, anyhow, _compare_call, _accepts_compare, "floats integers bool -> bool"
    )
    yield row(Where, "subbyte_select", header, anyhow, _select_call, _accepts_select, "bool, any -> any")
    for op in WHOLE_FUNCTIONS:
        says = "integers of 8 to 64 bits" + (" and bool" if op in ON_BOOLS else "") + " -> the same"
        yield row(op, "subbyte_whole_binary", header, anyhow, _whole_call, _accepts_whole, says, (0, 1))
    remainders: tuple[type[Node], ...] = (Mod, Remainder)
    for op in remainders:
        yield row(
            op, "subbyte_remainder_floats", header, anyhow, _remainder_call, _accepts_remainder,
            "f32 f16 -> the same", (0, 1),
        )  # fmt: skip


ROWS = tuple(_rows())
