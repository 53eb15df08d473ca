"""Rows for normalisations over the last axes of float32: the eight lanes of N8's tree are those of a register."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.target import Call, Kernel, Storage
from subbyte.targets.common.geometry import is_row_major, tensor_types
from subbyte.targets.common.normalization import normalization_call
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, row


def _accepts(op: Normalization) -> bool:
    return op.type.dtype == FLOAT32 and all(map(is_row_major, tensor_types(op)))


def _call(op: Normalization) -> Call:
    return normalization_call(op, "subbyte_x86_normalize_avx2", "subbyte_x86_normalization")


def _rows() -> Iterator[Kernel]:
    normalizations: tuple[type[Node], ...] = (LayerNormalization, RMSNormalization)
    for op in normalizations:
        yield row(
            op, "subbyte_x86_normalize_avx2", "x86_normalization.h", Storage.ROW_MAJOR, _call, _accepts,
            "f32 -> f32", REGISTERS["avx2"].features, cost_at(2), (0,),
        )  # fmt: skip


ROWS = tuple(_rows())
