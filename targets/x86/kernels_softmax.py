"""Rows for softmax of bytes along the last stored axis (N7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.qops import QSoftmax
from subbyte.compiler.numerics.softmax import ONE_Q31, softmax_reciprocal
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    as_array,
)
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import around, same_order
from subbyte.targets.x86.levels import LEVELS
from subbyte.targets.x86.rows import cost_at, row

REACH_STEP = 64  # distances are in whole registers of bytes


@dataclass(frozen=True)
class Variant:
    """One kernel. planes: its sum reads the bytes of the exponentials apart. rate: codes a nanosecond, for costs."""

    name: str
    features: frozenset[str]
    planes: bool
    rate: float


VARIANTS = (
    Variant("avx512vbmi", LEVELS["x86-64-v4"] | {"avx512vbmi"}, planes=True, rate=8.0),
    Variant("avx512", LEVELS["x86-64-v4"], planes=False, rate=4.0),
    Variant("avx2", LEVELS["x86-64-v3"], planes=False, rate=2.0),
)


def reach(op: QSoftmax) -> int:
    """Distances from the largest code of a row whose result may differ from that of 0: up to there all may.

    A row's sum is 2^31 or more, so the product is at most table[d] * m / 2^(31 + k); one half and less rounds to 0.
    """
    m, k = softmax_reciprocal(op.quant.scalar()[0])
    seen = sum(2 * int(entry) * m > ONE_Q31 << k for entry in op.table)
    return max(-(-seen // REACH_STEP), 1) * REACH_STEP


def _planes(table: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """[4, 256]: byte i of each entry, the lowest first."""
    return (table[None, :] >> (8 * np.arange(4, dtype=np.uint32))[:, None] & 255).astype(np.uint8)


def _accepts(op: QSoftmax) -> bool:
    bytes_only = is_unsigned_byte(op.x.type.dtype) and is_unsigned_byte(op.dtype) and op.table.size == 256
    try:
        softmax_reciprocal(op.quant.scalar()[0])
    except NumericsError:
        return False
    return bytes_only and same_order(op.x.type, op.type) and around(op.x.type, op.axis)[2] == 1


def _call(op: QSoftmax, variant: Variant) -> Call:
    rows, extent, _ = around(op.x.type, op.axis)
    scale, zero = op.quant.scalar()
    m, k = softmax_reciprocal(scale)
    fields = (
        ("extent", extent),
        ("reach", reach(op)),
        ("none", min(max(zero, op.quant.qmin), op.quant.qmax)),
        ("m_high", m >> 16),
        ("m_low", m & 0xFFFF),
        ("k", k),
        ("y_zero", zero),
        ("qmin", op.quant.qmin),
        ("qmax", op.quant.qmax),
    )
    terms = _planes(op.table) if variant.planes else op.table[::-1].astype(np.uint64)
    return Call(
        f"subbyte_x86_softmax_u8_{variant.name}",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("table", op.table),
            ConstantArray("exponentials", as_array(op.table, np.float32)),
            ConstantArray("terms", as_array(terms, terms.dtype), "planes_of_bytes" if variant.planes else "reversed"),
            ConstantStruct("subbyte_x86_softmax", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=rows,
        proof="N7: float32 away from ties, integers there",
    )


def _rows() -> Iterator[Kernel]:
    for variant in VARIANTS:
        yield row(
            QSoftmax,
            f"subbyte_x86_softmax_u8_{variant.name}",
            f"x86_softmax_{variant.name}.h",
            Storage.ANY,
            partial(_call, variant=variant),
            _accepts,
            "u8 -> u8",
            variant.features,
            cost_at(variant.rate),
        )


ROWS = tuple(_rows())
