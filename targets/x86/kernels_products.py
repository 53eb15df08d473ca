"""Rows for matrix products of two run-time matrices of codes: attention's, whatever their batches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.qops import QGemm
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.common.constants import constant_of, is_constant, operand, zero_point
from subbyte.targets.common.geometry import is_row_major, pieces
from subbyte.targets.x86.packing import padded_to
from subbyte.targets.x86.proofs import may_reach_int32
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import is_unsigned_byte, is_unsigned_grid, row

_RATES = {"avx512": 40.0, "avx2": 20.0}  # products a nanosecond
_CODES = 2.0  # codes a nanosecond that become 16-bit integers


def _columns(isa: str) -> int:
    """Columns of a tile: four vectors of 32-bit sums."""
    return REGISTERS[isa].bytes


def _accepts(op: QGemm) -> bool:
    r = op.requantization
    if r is None or r.table is not None or not is_unsigned_byte(op.dtype):
        return False
    if not (is_unsigned_grid(op.a.type) and is_unsigned_grid(op.b.type)) or is_constant(op.b):
        return False
    if op.bias is not None and not is_constant(op.bias):
        return False
    if not all(map(is_row_major, (op.a.type, op.b.type, op.type))):
        return False
    try:
        return accumulator_of(op) == INT32
    except NumericsError:
        return False


def _matrices(of_type: TensorType, batches: tuple[int, ...], role: str) -> ConstantArray:
    """Which matrix of an operand each batch takes."""
    own = of_type.shape[:-2]
    numbers = np.arange(int(np.prod(own)), dtype=np.int64).reshape(own)
    return ConstantArray(role, as_array(np.broadcast_to(numbers, batches).reshape(-1), np.int32))


def _call(op: QGemm, isa: str) -> Call:
    r = op.requantization
    assert r is not None, "accepted with a requantization"
    rows, columns = op.type.shape[-2:]
    depth, block, batches = op.a.type.shape[-1], _columns(isa), op.type.shape[:-2]

    def per_column(role: str, values: NDArray[Any] | None, dtype: Any) -> Argument:
        if values is None:
            return Integer(0)
        return ConstantArray(role, as_array(padded_to(np.broadcast_to(values, (columns,)), 0, block), dtype))

    fields = (
        ("rows", rows),
        ("columns", columns),
        ("depth", depth),
        ("a_zero", zero_point(op.a.type)),
        ("b_zero", zero_point(op.b.type)),
        ("y_zero", r.zero_point),
        ("qmin", r.qmin),
        ("qmax", r.qmax),
        ("wide", int(may_reach_int32(op))),
    )
    pitch = depth + depth % 2
    return Call(
        f"subbyte_x86_product_u8u8u8_{isa}",
        (
            operand(op, op.a),
            operand(op, op.b),
            per_column("bias", None if op.bias is None else constant_of(op.bias), np.int32),
            per_column("multiplier", r.multiplier, np.float32),
            per_column("shift", r.shift, np.float32),
            ResultPointer(),
            _matrices(op.a.type, batches, "matrices_of_a"),
            _matrices(op.b.type, batches, "matrices_of_b"),
            ConstantStruct("subbyte_x86_product", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=int(np.prod(batches)) * pieces(columns, block),
        scratch_bytes=2 * pitch * (block + 4),
        proof="N4 in float32",
    )


def _cost(op: QGemm, facts: TargetFacts, isa: str) -> float:
    """The products, and the codes that become 16-bit integers: b once, a once for each block of columns."""
    del facts
    blocks = pieces(op.type.shape[-1], _columns(isa))
    widened = op.b.type.elements + op.a.type.elements * blocks
    return (multiply_accumulates(op) / _RATES[isa] + widened / _CODES) * 1e-9


def _rows() -> Iterator[Kernel]:
    for isa, registers in REGISTERS.items():
        yield row(
            QGemm,
            f"subbyte_x86_product_u8u8u8_{isa}",
            f"x86_product_{isa}.h",
            Storage.ROW_MAJOR,
            partial(_call, isa=isa),
            _accepts,
            "u8 u8 -> u8, both at run time",
            registers.features,
            partial(_cost, isa=isa),
        )


ROWS = tuple(_rows())
