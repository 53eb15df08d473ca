"""Rows for normalisations over the last axes of floats."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.target import Argument, Call, ConstantStruct, Integer, Kernel, ResultPointer, Special, Storage
from subbyte.targets.common.c_types import is_real, type_code
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import is_row_major, tensor_types
from subbyte.targets.portable.rows import row


def _accepts(op: Normalization) -> bool:
    return is_real(op.type.dtype) and all(map(is_row_major, tensor_types(op)))


def _call(op: Normalization) -> Call:
    extent = math.prod(op.type.shape[op.axis :])
    fields = (
        ("type", type_code(op.type.dtype)),
        ("extent", extent),
        ("centred", int(isinstance(op, LayerNormalization))),
        ("divides", int(op.divides)),
        ("epsilon", float(np.float32(op.epsilon))),
    )
    rows: tuple[Argument, ...] = tuple(Integer(0) if v is None else operand(op, v) for v in (op.scale, op.bias))
    return Call(
        "subbyte_normalize_floats",
        (
            operand(op, op.x),
            *rows,
            ResultPointer(),
            ConstantStruct("subbyte_normalization", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=op.type.elements // extent,
    )


def _rows() -> Iterator[Kernel]:
    normalizations: tuple[type[Node], ...] = (LayerNormalization, RMSNormalization)
    for op in normalizations:
        yield row(
            op, "subbyte_normalize_floats", "normalization.h", Storage.ROW_MAJOR, _call, _accepts,
            "f32 f16 -> the same", (0,),
        )  # fmt: skip


ROWS = tuple(_rows())
