"""From a range of real numbers to the codes that stand for it: dtype, scale and zero point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import BIPOLAR, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.types import QuantParams

Array = NDArray[Any]
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)  # subnormal scales lose bits, and zero is none
_LARGEST_SCALE = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Form:
    """What codes an activation may become.

    bits: 1 to 16. symmetric: the zero point is 0. signed: codes below zero exist; None: where numbers below zero do.
    One signed bit is bipolar: -scale and +scale, and no zero.
    """

    bits: int
    symmetric: bool = False
    signed: bool | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 16:
            raise NumericsError(f"activations of {self.bits} bits cannot be; 1 to 16 bits can.")

    def dtype(self, low: float) -> DType:
        """The type of the codes of numbers from `low` on.

        Raises NumericsError: symmetric unsigned codes are asked for, and there are numbers below zero.
        """
        signed = low < 0 if self.signed is None else self.signed
        if low < 0 and not signed and self.symmetric:
            raise NumericsError(
                f"numbers down to {low:g} have no unsigned codes with zero point 0; ask signed codes, or a zero point."
            )
        if signed and self.bits == 1:
            return BIPOLAR
        return DType("int" if signed else "uint", self.bits)

    def affine(self, low: Array, high: Array, dtype: DType) -> tuple[Array, Array]:
        """(scale float32, zero point int64) of codes of `dtype` for ranges from `low` to `high`, any shape of both.

        Ranges are widened to hold 0, which is a code; the scale is the least that holds the range (with a zero point:
        to half a step), at least the smallest normal float32, and 1 where the range is 0.
        """
        low, high = np.minimum(low, 0.0).astype(np.float64), np.maximum(high, 0.0).astype(np.float64)
        zero_point = np.zeros(np.shape(low), np.int64)
        if dtype == BIPOLAR:
            scale = np.maximum(-low, high)
        elif self.symmetric:
            scale = np.maximum(high / max(dtype.max, 1), low / dtype.min if dtype.min else 0.0)
        else:
            scale = (high - low) / (dtype.max - dtype.min)
        scale = np.where(scale == 0, 1.0, np.clip(scale, _SMALLEST_SCALE, _LARGEST_SCALE)).astype(np.float32)
        if not self.symmetric and dtype != BIPOLAR:
            wanted = np.rint(dtype.min - low / scale.astype(np.float64))
            zero_point = np.clip(wanted, dtype.min, dtype.max).astype(np.int64)
            zero_point = np.where((low == 0) & (high == 0), max(dtype.min, 0), zero_point)
        return np.asarray(scale), np.asarray(zero_point)

    def quant_params(self, low: Array, high: Array, axis: int | None = None) -> tuple[DType, QuantParams]:
        """The codes for ranges [] of a tensor, or [C] along `axis`."""
        dtype = self.dtype(float(np.min(low)))
        scale, zero_point = self.affine(np.asarray(low), np.asarray(high), dtype)
        return dtype, QuantParams(scale, zero_point, dtype.min, dtype.max, axis=axis)
