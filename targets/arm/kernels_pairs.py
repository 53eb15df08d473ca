"""Rows for QAdd, QSub and QMul of narrow codes: a table of every pair, which the interpreter makes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.qops import QAdd, QBinary, QMul, QSub
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import Call, ConstantArray, Integer, Kernel, ResultPointer, Special, Storage, as_array
from subbyte.targets.arm.kernels_codes import can_broadcast, is_quantized_byte
from subbyte.targets.arm.rows import AARCH64, NEON, cost_at, row
from subbyte.targets.common.binary_forms import Grids
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import elementwise_loops
from subbyte.targets.common.spans import span

_CHUNK = 16384


def pair_bits(op: QBinary) -> int | None:
    """Bits of a pair; None where an operand is no unsigned code."""
    types = (op.a.type, op.b.type)
    if not all(is_unsigned_byte(of_type.dtype) for of_type in types):
        return None
    return sum(of_type.dtype.bits for of_type in types)


@lru_cache(maxsize=64)
def pair_table(grids: Grids, entries: int) -> NDArray[np.uint8]:
    """[entries]: the code of each pair, 0 for those that are none."""
    a, b, y = grids.all_pairs()
    table = np.zeros(entries, np.uint8)
    table[a.astype(np.int64) + (b.astype(np.int64) << grids.a.dtype.bits)] = y.astype(np.int64) & 255
    return as_array(table, np.uint8)


def _accepts(op: QBinary, entries: int) -> bool:
    types: tuple[TensorType, ...] = (op.a.type, op.b.type, op.type)
    bits = pair_bits(op)
    return bits is not None and 1 << bits <= entries and all(map(is_quantized_byte, types)) and can_broadcast(op)


def _call(op: QBinary, entries: int) -> Call:
    runs, tiles = span(elementwise_loops(op.type, (op.a.type, op.b.type)), _CHUNK)
    return Call(
        f"subbyte_arm_pairs_of_{entries}",
        (
            operand(op, op.a),
            operand(op, op.b),
            ResultPointer(),
            ConstantArray("table", pair_table(Grids.of(op), entries), f"pairs{entries}"),
            Integer(op.a.type.dtype.bits),
            runs,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
        proof="N6 by a table of all pairs of codes",
    )


def _rows() -> Iterator[Kernel]:
    operations: tuple[type[QBinary], ...] = (QAdd, QSub, QMul)
    for entries, features, cost in ((32, NEON, cost_at(1.5, 0.7)), (256, AARCH64, cost_at(2.0, 1.5))):
        for op in operations:
            yield row(
                op, f"subbyte_arm_pairs_of_{entries}", "arm_pairs.h", Storage.ANY, partial(_call, entries=entries),
                partial(_accepts, entries=entries), "u b -> b8, few bits", cost, (0, 1), features=features,
            )  # fmt: skip


ROWS = tuple(_rows())
