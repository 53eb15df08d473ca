"""Rows for normalisations over the last axes of floats."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.target import Call, Kernel, Storage
from subbyte.targets.common.c_types import is_real, type_code
from subbyte.targets.common.geometry import is_row_major, tensor_types
from subbyte.targets.common.normalization import normalization_call
from subbyte.targets.portable.rows import row


def _accepts(op: Normalization) -> bool:
    return is_real(op.type.dtype) and all(map(is_row_major, tensor_types(op)))


def _call(op: Normalization) -> Call:
    return normalization_call(
        op, "subbyte_normalize_floats", "subbyte_normalization", (("type", type_code(op.type.dtype)),)
    )


def _rows() -> Iterator[Kernel]:
    normalizations: tuple[type[Node], ...] = (LayerNormalization, RMSNormalization)
    for op in normalizations:
        yield row(
            op, "subbyte_normalize_floats", "normalization.h", Storage.ROW_MAJOR, _call, _accepts,
            "f32 f16 -> the same", (0,),
        )  # fmt: skip


ROWS = tuple(_rows())
