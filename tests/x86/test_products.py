"""Products of run-time matrices read and write whatever orders their tensors are stored in, exactly on every level."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.dtype import UINT8
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.types import Layout
from subbyte.compiler.target import find_target
from subbyte.targets.x86.kernels_products import MOST_ROWS, PRODUCTS, ROWS, register_tile
from tests.conformance.cases_sums import Numbers, gemm
from tests.conformance.harness import Library, Prepared

LEVELS = {
    "avx512vnni": "x86-64-v4+avx512vnni",
    "avxvnni": "x86-64-v3+avxvnni",
    "avx512": "x86-64-v4",
    "avx2": "x86-64-v3",
}
PLAIN = Numbers(w=UINT8, w_zero=131, per_channel=False)
NUMBERS = (
    PLAIN,
    replace(PLAIN, x_zero=0, w_zero=128),
    replace(PLAIN, x_zero=255, w_zero=0, x_fill="lowest", w_fill="highest"),
    replace(PLAIN, x_zero=0, w_zero=255, x_fill="highest", w_fill="lowest"),
    replace(PLAIN, x_fill="extremes", w_fill="extremes"),
)
SHAPES = (
    (3, 1, 1, 1),  # batches, rows, depth, columns
    (2, 2, 3, 7),
    (2, 5, 4, 8),
    (3, 13, 16, 15),
    (2, 17, 17, 16),
    (2, 7, 20, 33),
    (2, 6, 64, 64),
    (1, 25, 31, 65),
    (2, 12, 18, 130),
)
ORDERS = ((0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1))
ORDERS_OF_Y = ((0, 1, 2), (1, 0, 2))


def prepared(name: str) -> Iterator[Prepared]:
    """Every shape in every order of b; orders of a and y and the numbers in turn."""
    kernel = next(row for row in ROWS if row.symbol.endswith(f"_{name}"))
    for number, (shape, b) in enumerate(product(SHAPES, ORDERS)):
        batches, rows, depth, columns = shape
        a, y = ORDERS[number % 5 % len(ORDERS)], ORDERS_OF_Y[number % 7 % len(ORDERS_OF_Y)]
        numbers = NUMBERS[number % len(NUMBERS)]
        label = f"{shape} a {a} b {b} y {y} numbers {number % len(NUMBERS)}"
        case = gemm(label, numbers, (batches, rows, depth), (batches, depth, columns), constant=False)
        op = case.node(False)
        stored = [
            Input(value.node.name, value.type.with_layout(Layout(order))).out if order else value
            for value, order in zip(op.operands, (a, b, None), strict=False)
        ]
        over = dict(zip(op.operands, stored, strict=True))
        op = op.map_operands(lambda value, over=over: over[value]).replace(layout=Layout(y))
        assert kernel.accepts(op), f"{kernel.symbol} refuses {label}"
        yield Prepared(label, kernel, op, case.arrays(op))


@pytest.mark.parametrize("name", LEVELS)
def test_operands_are_read_where_they_lie(
    name: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(LEVELS[name])
    if not target.runs_here:
        optional_capability("instruction set", f"this processor cannot run {target.name}")
    calls = list(prepared(name))
    library = Library(target, calls, tmp_path)
    for call in calls:
        (expected,) = evaluate_node(call.op, tuple(call.operands))
        tiles = [(tile, tile + 1) for tile in reversed(range(call.call.tiles))]
        for split in ([(0, call.call.tiles)], tiles):
            (found,) = library.run(call, split)
            np.testing.assert_array_equal(found, expected, err_msg=call.name)


@pytest.mark.parametrize("name", LEVELS)
def test_a_register_tile_fits_the_registers_and_the_matrix(name: str) -> None:
    of_level = next(one for one in PRODUCTS if one.name == name)
    for rows, columns in product(range(1, 40), (1, 7, 8, 9, 16, 17, 31, 32, 33, 64, 65, 128)):
        tile = register_tile(of_level, rows, columns)
        assert tile.vectors in (1, 2, 4)
        assert tile.vectors <= of_level.vectors
        assert 1 <= tile.rows <= min(rows, MOST_ROWS)
        assert tile.rows * tile.vectors <= of_level.sums
