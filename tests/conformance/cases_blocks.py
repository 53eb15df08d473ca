"""Cases of products with weights in blocks at the edges of register tiles, blocks and 16-bit sums."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subbyte.compiler.dtype import FLOAT32, INT8, UINT8, DType
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops_blocks import QBlockGemm, QuantizeBlocks, WeightOnlyMatMul
from subbyte.compiler.ir.types import QuantParams
from tests.conformance.cases import Case, Operand, cases, codes, generator, quantized, reals

SYMMETRIC = quantized(INT8, 1.0, 0, qmin=-127)
WIDTHS = (1, 2, 3, 4, 6, 8)
ROWS = (1, 2, 3, 5, 6, 7, 12, 13)
COLUMNS = (1, 7, 8, 9, 15, 16, 17, 31, 33, 47, 63, 64, 65, 129)
DEPTHS = ((1, 16), (15, 16), (16, 16), (17, 16), (96, 32), (100, 32), (130, 128), (256, 128), (40, 20), (48, 24))
"""(K, block): blocks that are whole, that are not, and that are no multiples of what the kernels read at once."""


def in_blocks(dtype: DType, depth: int, columns: int, block: int, zeros: str, fill: str = "random") -> Operand:
    """Weights [depth, columns]. zeros: "none": the least code; "one": another; "many": one for each block."""
    random, shape = generator(f"{dtype} {depth} {columns} {block}"), (-(-depth // block), columns)
    scale = random.uniform(-0.1, 0.1, shape).astype(np.float32)
    zero = {
        "none": np.full(shape, dtype.min),
        "one": np.full(shape, (dtype.min + dtype.max + 1) // 2),
        "many": random.integers(dtype.min, dtype.max, shape, endpoint=True),
    }[zeros]
    quant = QuantParams(scale, zero.astype(np.int64), dtype.min, dtype.max, axis=0, block=block)
    held = codes(f"weights {zeros}", (depth, columns), dtype, fill=fill, constant=True)
    return Operand(held.values, dtype, quant, constant=True)


def at_run_time(rows: int, depth: int, block: int, fill: str = "random") -> tuple[Operand, Operand]:
    """Codes -127..127 and their scales, a scale for each block of a row."""
    scales = reals("scales", (rows, -(-depth // block)), FLOAT32)
    return codes("a", (rows, depth), INT8, SYMMETRIC, fill), Operand(np.abs(scales.values), FLOAT32)


def with_one_scale(a: Value, b: Value) -> Node:
    return QBlockGemm(a, None, b)


@cases
def widths_of_codes() -> Iterator[Case]:
    for number, bits in enumerate(WIDTHS):
        for zeros in ("none", "one", "many"):
            dtype = DType(("uint", "int")[number % 2], bits) if bits > 1 else DType("uint", 1)
            for rows in (1, 4):
                a = at_run_time(rows, 96, 32)
                yield Case(f"blocks_{dtype}_{zeros}_rows_{rows}", QBlockGemm, (*a, in_blocks(dtype, 96, 21, 32, zeros)))


@cases
def edges_of_tiles() -> Iterator[Case]:
    for number, columns in enumerate(COLUMNS):
        weights = in_blocks(DType("uint", (2, 4)[number % 2]), 64, columns, 32, "one")
        yield Case(f"blocks_columns_{columns}", QBlockGemm, (*at_run_time(1, 64, 32), weights))
    for number, rows in enumerate(ROWS):
        weights = in_blocks(DType("uint", (2, 4)[number % 2]), 64, 70, 32, "one")
        yield Case(f"blocks_rows_{rows}", QBlockGemm, (*at_run_time(rows, 64, 32), weights))


@cases
def edges_of_blocks() -> Iterator[Case]:
    for depth, block in DEPTHS:
        for bits in (2, 4, 8):
            for rows in (1, 3):
                weights = in_blocks(DType("uint", bits), depth, 5, block, "many")
                name = f"blocks_of_{block}_depth_{depth}_{bits}_bits_rows_{rows}"
                yield Case(name, QBlockGemm, (*at_run_time(rows, depth, block), weights))


@cases
def zero_points_of_activations() -> Iterator[Case]:
    grids = [(INT8, zero) for zero in (-128, 0, 3)] + [(UINT8, zero) for zero in (0, 128, 255)]
    for dtype, zero in grids:
        for zeros in ("none", "many"):
            a = codes("a", (2, 40), dtype, quantized(dtype, 0.02, zero))
            weights = in_blocks(DType("int", 4), 40, 19, 16, zeros)
            yield Case(f"blocks_of_{dtype}_less_{zero}_{zeros}", with_one_scale, (a, weights))


def with_zero_point(a: Value, scale: Value, b: Value, zero: Value) -> Node:
    return QBlockGemm(a, scale, b, zero)


@cases
def zero_points_at_run_time() -> Iterator[Case]:
    for dtype in (INT8, UINT8):
        for zero in (dtype.min, 5, dtype.max):
            for number, zeros in enumerate(("none", "many")):
                a, scales = at_run_time(3, 40, 16)
                a = codes("a", (3, 40), dtype, fill="extremes")
                scale = scales if number else Operand(np.array(0.37, np.float32), FLOAT32)
                weights = in_blocks(DType("uint", 4), 40, 19, 16, zeros)
                operands = (a, scale, weights, Operand(np.array(zero, dtype.numpy), dtype))
                yield Case(f"blocks_of_{dtype}_less_{zero}_at_run_time_{zeros}", with_zero_point, operands)


@cases
def largest_sums_of_blocks() -> Iterator[Case]:
    """Every product at its bound with one sign, in blocks of many 16-bit sums: one product too many shows."""
    for bits in WIDTHS:
        dtype = DType("uint", bits)
        for fill in ("lowest", "highest"):
            for rows in (1, 3):
                a = codes("a", (rows, 1024), INT8, quantized(INT8, 1.0, 0), fill)
                weights = in_blocks(dtype, 1024, 9, 512, "none", "highest")
                yield Case(f"blocks_at_the_bound_{bits}_{fill}_rows_{rows}", with_one_scale, (a, weights))


@cases
def quantized_blocks_of_all_lengths() -> Iterator[Case]:
    for block in (1, 8, 16, 20, 32, 100, 128):
        for depth in (block, 3 * block + 1):
            x = reals(f"blocks {block} {depth}", (2, depth), FLOAT32, specials=True)
            yield Case(f"quantize_blocks_of_{block}_{depth}", lambda v, b=block: QuantizeBlocks(v, b), (x,))
            x = reals(f"blocks {block} {depth}", (2, depth), FLOAT32)
            yield Case(f"quantize_finite_blocks_of_{block}_{depth}", lambda v, b=block: QuantizeBlocks(v, b), (x,))


@cases
def floats_times_blocks() -> Iterator[Case]:
    for number, (depth, block) in enumerate(
        ((1, 16), (15, 16), (8, 8), (100, 32), (130, 128), (72, 24), (37, 37), (9, 40))
    ):
        for bits in (1, 2, 3, 4, 8):
            rows, columns = (1, 2, 3, 4, 7)[(number + bits) % 5], (1, 7, 8, 9, 16, 17, 33)[(number + bits) % 7]
            weights = in_blocks(DType("uint", bits), depth, columns, block, ("none", "one", "many")[number % 3])
            a = reals("a", (rows, depth), FLOAT32, specials=number % 2 == 1)
            yield Case(f"floats_times_blocks_of_{block}_depth_{depth}_{bits}_bits", WeightOnlyMatMul, (a, weights))
