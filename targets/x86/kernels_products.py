"""Rows for matrix products of two run-time matrices of codes: attention's, in whatever order they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.qops import QGemm
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
from subbyte.targets.common.batches import firsts_of_batches
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import constant_of, is_constant, operand, zero_point
from subbyte.targets.common.geometry import pieces, stored_strides
from subbyte.targets.common.sums import may_reach_int32
from subbyte.targets.common.tiles import padded_to
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import is_unsigned_grid, row


@dataclass(frozen=True)
class Product:
    """One kernel.

    lanes: sums in a register; sums: registers for them in a tile; vectors: of columns, at most; group: products that a
    lane gains at a time. rate: products a nanosecond, for costs.
    """

    name: str
    lanes: int
    sums: int
    vectors: int
    group: int
    rate: float
    features: frozenset[str]


PRODUCTS = (
    Product("avx512vnni", 16, 24, 4, 4, 300.0, REGISTERS["avx512"].features | {"avx512vnni"}),
    Product("avxvnni", 8, 12, 2, 4, 150.0, REGISTERS["avx2"].features | {"avxvnni"}),
    Product("avx512", 16, 16, 4, 2, 80.0, REGISTERS["avx512"].features),
    Product("avx2", 8, 8, 4, 2, 40.0, REGISTERS["avx2"].features),
)
MOST_ROWS = 16  # of a register tile
_CODES = 4.0  # codes a nanosecond that are rearranged


@dataclass(frozen=True)
class RegisterTile:
    """rows of a by vectors of columns of b."""

    rows: int
    vectors: int


def register_tile(product: Product, rows: int, columns: int) -> RegisterTile:
    """As few vectors as take the columns, 4 at most; tiles of equal height, as high as there are registers for."""
    wanted = pieces(columns, product.lanes)
    vectors = next((n for n in (1, 2, 4) if n >= wanted), 4)
    vectors = min(vectors, product.vectors)
    most = min(product.sums // vectors, MOST_ROWS, rows)
    return RegisterTile(pieces(rows, pieces(rows, most)), vectors)


def _accepts(op: QGemm) -> bool:
    r = op.requantization
    if r is None or r.table is not None or not is_unsigned_byte(op.dtype):
        return False
    if not (is_unsigned_grid(op.a.type) and is_unsigned_grid(op.b.type)) or is_constant(op.b):
        return False
    if op.bias is not None and not is_constant(op.bias):
        return False
    if op.type.shape[-1] > 1 and stored_strides(op.type)[-1] != 1:
        return False
    try:
        return accumulator_of(op) == INT32
    except NumericsError:
        return False


def _call(op: QGemm, product: Product) -> Call:
    r = op.requantization
    assert r is not None, "accepted with a requantization"
    rows, columns = op.type.shape[-2:]
    depth, batches = op.a.type.shape[-1], op.type.shape[:-2]
    tile = register_tile(product, rows, columns)
    block = tile.vectors * product.lanes

    def per_column(role: str, values: NDArray[Any] | None, dtype: Any) -> Argument:
        if values is None:
            return Integer(0)
        return ConstantArray(role, as_array(padded_to(np.broadcast_to(values, (columns,)), 0, block), dtype))

    (a_row, a_depth), (b_depth, b_column) = (stored_strides(of_type)[-2:] for of_type in (op.a.type, op.b.type))
    fields = (
        ("rows", rows),
        ("columns", columns),
        ("depth", depth),
        ("a_row", a_row),
        ("a_depth", 1 if depth == 1 else a_depth),
        ("b_depth", b_depth),
        ("b_column", b_column),
        ("y_row", stored_strides(op.type)[-2]),
        ("tile_rows", tile.rows),
        ("vectors", tile.vectors),
        ("a_zero", zero_point(op.a.type)),
        ("b_zero", zero_point(op.b.type)),
        ("y_zero", r.zero_point),
        ("qmin", r.qmin),
        ("qmax", r.qmax),
        ("wide", int(may_reach_int32(op))),
    )
    groups = pieces(depth, product.group)
    return Call(
        f"subbyte_x86_product_u8u8u8_{product.name}",
        (
            operand(op, op.a),
            operand(op, op.b),
            per_column("bias", None if op.bias is None else constant_of(op.bias), np.int32),
            per_column("multiplier", r.multiplier, np.float32),
            per_column("shift", r.shift, np.float32),
            ResultPointer(),
            firsts_of_batches(op.a.type, batches, "firsts_of_a"),
            firsts_of_batches(op.b.type, batches, "firsts_of_b"),
            firsts_of_batches(op.type, batches, "firsts_of_y"),
            ConstantStruct("subbyte_x86_product", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=int(np.prod(batches)) * pieces(columns, block),
        scratch_bytes=4 * (groups * block + block + MOST_ROWS + groups * tile.rows),
        proof="N4 in float32",
    )


def _cost(op: QGemm, facts: TargetFacts, product: Product) -> float:
    """The products, and the codes that are rearranged: b once, a once for each block of columns where it is too."""
    del facts
    vectors = register_tile(product, *op.type.shape[-2:]).vectors
    copies = pieces(op.type.shape[-1], vectors * product.lanes)
    in_place = product.group == 4 and stored_strides(op.a.type)[-1] == 1 and op.a.type.shape[-1] % 4 == 0
    moved = op.b.type.elements + (0 if in_place else op.a.type.elements * copies)
    return (multiply_accumulates(op) / product.rate + moved / _CODES) * 1e-9


def _rows() -> Iterator[Kernel]:
    for product in PRODUCTS:
        yield row(
            QGemm,
            f"subbyte_x86_product_u8u8u8_{product.name}",
            f"x86_product_{product.name}.h",
            Storage.ROW_MAJOR,
            partial(_call, product=product),
            _accepts,
            "u8 u8 -> u8, both at run time",
            product.features,
            partial(_cost, product=product),
        )


ROWS = tuple(_rows())
