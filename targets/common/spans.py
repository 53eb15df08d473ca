"""How elementwise kernels cut their work into tiles: the struct subbyte_span of kernels/span.h."""

from __future__ import annotations

import math
from collections.abc import Sequence

from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import ConstantStruct
from subbyte.targets.common.geometry import Loops, elementwise_loops, padded, pieces

AXES = 6
CHUNK = 2048


def span(loops: Loops, chunk: int = CHUNK) -> tuple[ConstantStruct, int]:
    """The struct for loops with one or two operands, and its number of tiles."""
    a = loops.strides[0]
    b = loops.strides[1] if len(loops.strides) > 1 else (0,) * len(a)
    chunks = pieces(loops.extents[-1], chunk)
    struct = ConstantStruct(
        "subbyte_span",
        (
            ("extents", padded(loops.extents, AXES, fill=1)),
            ("a", padded(a, AXES)),
            ("b", padded(b, AXES)),
            ("chunk", chunk),
            ("chunks", chunks),
        ),
    )
    return struct, math.prod(loops.extents[:-1]) * chunks


def elementwise_span(result: TensorType, operands: Sequence[TensorType]) -> tuple[ConstantStruct, int]:
    """The span of a result stored in any order, over operands that are broadcast to it."""
    return span(elementwise_loops(result, operands))


def fits_span(result: TensorType, operands: Sequence[TensorType]) -> bool:
    """Whether the loops that are left after merging fit the struct."""
    return len(elementwise_loops(result, operands).extents) <= AXES
