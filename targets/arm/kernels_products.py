"""Rows for matrix products of two run-time matrices of codes: attention's, in whatever order they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of
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
from subbyte.targets.arm.kernels_dots import MOST_PIXELS, MOST_SUMS, MOST_VECTORS, SDOT, SMMLA
from subbyte.targets.arm.rows import CYCLE, NEON, in_order, is_byte, is_byte_grid, row
from subbyte.targets.common.batches import firsts_of_batches
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import constant_of, is_constant, operand, zero_point
from subbyte.targets.common.geometry import pieces, stored_strides
from subbyte.targets.common.tiles import padded_to

_LANES = 4  # columns of a vector


@dataclass(frozen=True)
class Product:
    """One kernel.

    name: the suffix of its kernels. group: codes that are multiplied at a time, each in so many `bytes` as cells.
    tiles: register tiles, (rows, vectors of columns), and the cycles that a product of every sum takes in one.
    """

    name: str
    group: int
    bytes: int
    tiles: tuple[tuple[tuple[int, int], float, float], ...]
    features: frozenset[str]


def _by_instruction(instruction: Any) -> Product:
    """Register tiles of kernels_dots.py: cycles in order, and out of it."""
    tiles = tuple(
        (
            (rows, vectors),
            instruction.cycles(8, rows, vectors, ordered=True) / instruction.step,
            instruction.cycles(8, rows, vectors, ordered=False) / instruction.step,
        )
        for rows in range(1, MOST_PIXELS + 1)
        for vectors in range(1, MOST_VECTORS + 1)
        if rows * vectors <= MOST_SUMS and instruction.fits_registers(8, rows, vectors)
    )
    return Product(instruction.name, instruction.order.group, 1, tiles, instruction.features)


def _words(state: str, sums: int) -> Product:
    """One multiplication for each four sums, one load for each vector, a quarter for each row."""
    tiles = tuple(
        ((rows, vectors), rows * vectors + vectors + rows / 2, rows * vectors + 0.2 * vectors)
        for rows in range(1, min(MOST_PIXELS, sums) + 1)
        for vectors in range(1, MOST_VECTORS + 1)
        if rows * vectors <= sums and rows <= 4
    )
    return Product("neon", 4, 2, tiles, NEON | {state})


PRODUCTS = (_by_instruction(SMMLA), _by_instruction(SDOT), _words("aarch64", 16), _words("aarch32", 8))


def _tile(product: Product, rows: int, columns: int, depth: int, *, ordered: bool = False) -> tuple[float, int, int]:
    """(cycles of all register tiles, rows of one, vectors of columns of one): the fastest."""
    best: tuple[float, int, int] | None = None
    for (high, wide), in_turn, freely in product.tiles:
        if high > rows or (wide > 1 and (wide - 1) * _LANES >= columns):
            continue
        cycles = depth * (in_turn if ordered else freely) + high * wide * (12.0 if ordered else 4.0) + 15.0
        cycles *= pieces(rows, high) * pieces(columns, wide * _LANES)
        if best is None or cycles < best[0]:
            best = (cycles, high, wide)
    assert best is not None, "a product has as many rows as its smallest register tile"
    return best


def _accepts(op: QGemm, product: Product) -> bool:
    r = op.requantization
    if is_constant(op.b) or not (is_byte_grid(op.a.type) and is_byte_grid(op.b.type)):
        return False
    if (op.dtype != INT32) if r is None else (r.table is not None or not is_byte(op.type)):
        return False
    if op.bias is not None and not is_constant(op.bias):
        return False
    rows, columns = op.type.shape[-2:]
    if rows < min(tile[0] for tile, *_ in product.tiles) or (columns > 1 and stored_strides(op.type)[-1] != 1):
        return False
    try:
        return accumulator_of(op) == INT32
    except NumericsError:
        return False


def _flip(of_type: TensorType) -> int:
    """0x80 where codes are bytes without a sign."""
    return 0x80 if is_unsigned_byte(of_type.dtype) and max(of_type.code_range()[1], zero_point(of_type)) > 127 else 0


def _call(op: QGemm, product: Product) -> Call:
    r = op.requantization
    rows, columns = op.type.shape[-2:]
    depth, batches = op.a.type.shape[-1], op.type.shape[:-2]
    _, high, wide = _tile(product, rows, columns, depth)
    block = wide * _LANES

    def per_column(role: str, values: NDArray[Any] | None, dtype: Any) -> Argument:
        if values is None:
            return Integer(0)
        return ConstantArray(role, as_array(padded_to(np.broadcast_to(values, (columns,)), 0, block), dtype))

    (a_row, a_depth), (b_depth, b_column) = (stored_strides(of_type)[-2:] for of_type in (op.a.type, op.b.type))
    a_flip, b_flip = _flip(op.a.type), _flip(op.b.type)
    fields = (
        ("rows", rows),
        ("columns", columns),
        ("depth", depth),
        ("a_row", a_row),
        ("a_depth", 1 if depth == 1 else a_depth),
        ("b_depth", 1 if depth == 1 and b_column != 1 else b_depth),
        ("b_column", b_column),
        ("y_row", stored_strides(op.type)[-2]),
        ("tile_rows", high),
        ("vectors", wide),
        ("a_flip", a_flip),
        ("b_flip", b_flip),
        ("a_zero", zero_point(op.a.type) - a_flip),
        ("b_zero", zero_point(op.b.type) - b_flip),
        ("y_zero", 0 if r is None else r.zero_point),
        ("qmin", 0 if r is None else r.qmin),
        ("qmax", 0 if r is None else r.qmax),
    )
    padded = pieces(depth, product.group) * product.group
    return Call(
        f"subbyte_arm_product_{product.name}",
        (
            operand(op, op.a),
            operand(op, op.b),
            per_column("bias", None if op.bias is None else constant_of(op.bias), np.int32),
            per_column("multiplier", None if r is None else r.multiplier, np.float32),
            per_column("shift", None if r is None else r.shift, np.float32),
            ResultPointer(),
            firsts_of_batches(op.a.type, batches, "firsts_of_a"),
            firsts_of_batches(op.b.type, batches, "firsts_of_b"),
            firsts_of_batches(op.type, batches, "firsts_of_y"),
            ConstantStruct("subbyte_arm_product", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=math.prod(batches) * pieces(columns, block),
        scratch_bytes=padded * (block + high) * product.bytes + 4 * block,
        proof="" if r is None else "N4 in float32",
    )


def _cost(op: QGemm, facts: TargetFacts, product: Product) -> float:
    """The products, and the codes that are rearranged: b once, a once for each block of columns where it is too."""
    ordered = in_order(facts)
    rows, columns = op.type.shape[-2:]
    depth, batches = op.a.type.shape[-1], math.prod(op.type.shape[:-2])
    wide = _tile(product, rows, columns, depth)[2]
    in_place = product.bytes == 1 and stored_strides(op.a.type)[-1] == 1 and depth % product.group == 0
    in_place = in_place and not _flip(op.a.type)
    blocks = pieces(columns, wide * _LANES)
    moved = columns * depth + (0 if in_place else rows * depth * blocks)
    cycles = _tile(product, rows, columns, depth, ordered=ordered)[0] + moved * (0.6 if ordered else 0.3)
    return (batches * cycles + 200.0) * CYCLE


def _rows() -> Iterator[Kernel]:
    for product in PRODUCTS:
        yield row(
            QGemm,
            f"subbyte_arm_product_{product.name}",
            f"arm_product_{product.name}.h",
            Storage.ROW_MAJOR,
            partial(_call, product=product),
            partial(_accepts, product=product),
            "b8 b8 -> b8 s32, both at run time",
            partial(_cost, product=product),
            features=product.features,
        )


ROWS = tuple(_rows())
