"""Grids of activations as text: what a user says about a float input whose values lie on one."""

from __future__ import annotations

import math
import re

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.plan import ActivationGrid
from subbyte.compiler.ir.types import QuantParams

_FIXED = re.compile(r"(u?)fixed<\s*(\d{1,2})\s*,\s*(-?\d{1,2})\s*>")
_LARGEST_BITS = 16


def parse_grid(text: str) -> ActivationGrid:
    """`fixed<W,I>`, `ufixed<W,I>` or `DTYPE:SCALE[:ZERO_POINT]` as a grid.

    fixed<W,I> has W bits, I of them before the binary point, the sign included, as `ap_fixed` counts: the scale is
    2**(I - W). The dtype is int1..int16 or uint1..uint16.
    Raises GraphError: it is none of these, or has more than 16 bits.
    """
    fixed = _FIXED.fullmatch(text.strip())
    try:
        if fixed is not None:
            bits, whole = int(fixed[2]), int(fixed[3])
            return _grid(DType("uint" if fixed[1] else "int", bits), math.ldexp(1.0, whole - bits), 0)
        name, scale, *rest = text.strip().split(":")
        zero_point = int(rest[0]) if rest else 0
        number = float(scale)
    except (ValueError, OverflowError):  # no number, or fewer parts than two
        raise _no_grid(text) from None
    if len(rest) > 1:
        raise _no_grid(text)
    return _grid(DType.parse(name), number, zero_point)


def _no_grid(text: str) -> GraphError:
    return GraphError(
        f"'{text}' is no grid; grids are fixed<16,6>, ufixed<8,0> (bits, those before the point) or "
        "int8:SCALE[:ZERO_POINT]"
    )


def _grid(dtype: DType, scale: float, zero_point: int) -> ActivationGrid:
    if dtype.kind not in ("int", "uint") or dtype.bits > _LARGEST_BITS:
        raise GraphError(f"the grid of an input has codes of {dtype}; int1..int16 and uint1..uint16 serve")
    if not dtype.min <= zero_point <= dtype.max:
        raise GraphError(f"the zero point {zero_point} of an input's grid is no code of {dtype}")
    quant = QuantParams(np.asarray(scale, np.float32), np.asarray(zero_point, np.int64), dtype.min, dtype.max)
    return ActivationGrid(dtype, quant)


def grid_text(grid: ActivationGrid) -> str:
    """`int16:0.0009765625:0`, which reads back to the same grid."""
    scale, zero_point = grid.quant.scalar()
    return f"{grid.dtype}:{scale!r}:{zero_point}"
