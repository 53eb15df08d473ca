"""QONNX's operators as its documentation and its executor write them, in float32, step by step.

Compared with qonnx 1.0's own executor (custom_op/general: int_quant, binary_quant, trunc_v1, trunc_v2) on every
combination that the tests use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.fix,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
    "half_even": np.round,
}


def bounds(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """The smallest and the largest integer."""
    if signed:
        return -(2 ** (bits - 1)) + int(narrow), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - int(narrow)


def quant(x: Array, scale: Array, zero_point: Array, bits: int, *, signed: bool, narrow: bool, rounding: str) -> Array:
    """Quant: (round(clamp(x / scale + zeropt)) - zeropt) * scale; one signed bit is the sign."""
    y = x / scale + zero_point
    if signed and bits == 1:
        y = np.where(y >= 0, np.float32(1), np.float32(-1))
    else:
        y = ROUNDINGS[rounding](np.clip(y, *np.float32(bounds(bits, signed, narrow))))
    return np.asarray((y - zero_point) * scale, np.float32)


def trunc_1(x: Array, scale: Array, zero_point: Array, in_bits: int, out_bits: int, rounding: str) -> Array:
    """Trunc of opset 1: the low bits go, the scale stays."""
    y = np.round(x / scale + zero_point) / np.float32(2.0 ** (in_bits - out_bits))
    return np.asarray((ROUNDINGS[rounding](y) - zero_point) * scale, np.float32)


def trunc_2(
    x: Array, scale: Array, zero_point: Array, out_scale: Array, out_bits: int, *, signed: bool, narrow: bool,
    rounding: str,
) -> Array:  # fmt: skip
    """Trunc of opset 2: the low bits go, the result is clamped and has a scale of its own."""
    step = np.float32(2.0 ** np.round(np.log2(out_scale / scale)))
    y = np.clip(np.round(x / scale + zero_point) / step, *np.float32(bounds(out_bits, signed, narrow)))
    return np.asarray((ROUNDINGS[rounding](y) - zero_point / step) * out_scale, np.float32)
