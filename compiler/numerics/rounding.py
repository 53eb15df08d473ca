"""Rounding of real numbers to whole ones, in each mode that a quantizer may ask for."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from subbyte.compiler.numerics.arrays import Codes, Floats


class Rounding(Enum):
    """How a quantizer rounds; the names are QONNX's.  The value is the number that the C twin knows the mode by."""

    HALF_EVEN = 0
    CEIL = 1
    FLOOR = 2
    UP = 3
    DOWN = 4
    HALF_UP = 5
    HALF_DOWN = 6
    BIPOLAR = 7


def apply_rounding(x: Any, mode: Rounding) -> Floats:
    """Round to a whole number; NaN and infinities stay what they are.

    HALF_EVEN: to nearest, ties to the even number (ONNX).    CEIL, FLOOR: toward +inf, -inf.
    UP, DOWN: away from zero, toward zero.    HALF_UP, HALF_DOWN: to nearest, ties away from zero, toward zero.
    BIPOLAR: +1 from zero on (-0.0 included), -1 below: the two codes of a binary network.

    The real number is rounded, once: HALF_UP of 0.49999997 is 0, although float32(0.49999997 + 0.5) is 1.

    Args: x: float32, any shape.
    Returns: float32, the shape of x.
    Source: QONNX, custom_op/general/intquant.py, resolve_rounding_mode; BIPOLAR is custom_op/general/bipolar_quant.py.
    """
    real = np.asarray(x, np.float32).astype(np.float64)  # |x| + 0.5 is exact for every x below 2**29, and a no-op above
    magnitude = np.abs(real)
    match mode:
        case Rounding.HALF_EVEN:
            rounded = np.rint(real)
        case Rounding.CEIL:
            rounded = np.ceil(real)
        case Rounding.FLOOR:
            rounded = np.floor(real)
        case Rounding.UP:
            rounded = np.copysign(np.ceil(magnitude), real)
        case Rounding.DOWN:
            rounded = np.trunc(real)
        case Rounding.HALF_UP:
            rounded = np.copysign(np.floor(magnitude + 0.5), real)
        case Rounding.HALF_DOWN:
            rounded = np.copysign(np.ceil(magnitude - 0.5), real)
        case Rounding.BIPOLAR:
            rounded = np.where(real >= 0, 1.0, np.where(np.isnan(real), real, -1.0))
    return rounded.astype(np.float32)


def shift_half_even(x: Any, shift: int) -> Codes:
    """rne(x / 2**shift) of whole numbers, half to even.  Its C twin is subbyte_shift_rne_s64.

    Args: x: integers that fit int64, any shape; shift: 1 .. 62.
    """
    x = np.asarray(x, np.int64)
    whole = x >> shift
    rest, half = x - (whole << shift), 1 << (shift - 1)
    return np.asarray(whole + ((rest > half) | ((rest == half) & (whole % 2 != 0))), np.int64)
