"""The call of a kernel that normalizes rows over the last axes of floats."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization
from subbyte.compiler.target import Argument, Call, ConstantStruct, Integer, ResultPointer, Special
from subbyte.targets.common.constants import operand


def normalization_call(op: Normalization, symbol: str, struct: str, fields: tuple[tuple[str, int], ...] = ()) -> Call:
    """(x, scale, bias, y, struct, begin, end), scale and bias null where there are none; tiles are rows.

    fields: what `struct` begins with; extent, centred, divides and epsilon follow.
    """
    extent = math.prod(op.type.shape[op.axis :])
    shared = (
        ("extent", extent),
        ("centred", int(isinstance(op, LayerNormalization))),
        ("divides", int(op.divides)),
        ("epsilon", float(np.float32(op.epsilon))),
    )
    rows: tuple[Argument, ...] = tuple(Integer(0) if v is None else operand(op, v) for v in (op.scale, op.bias))
    return Call(
        symbol,
        (
            operand(op, op.x),
            *rows,
            ResultPointer(),
            ConstantStruct(struct, (*fields, *shared)),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=op.type.elements // extent,
    )
