"""What weights may become (Grid), what they became (RoundedWeights), and what every method is (Rounding)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import BIPOLAR, TERNARY, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes

Reals = NDArray[np.float64]
"""Weights, moments and errors while a method works; what it returns holds float32 scales."""

Per = Literal["tensor", "channel", "block"]

MOST_BITS = 16


@dataclass(frozen=True)
class Grid:
    """What the weights of a layer may become: scale * (code - zero_point), codes of `bits` bits.

    bits: 1 to 16. One bit is bipolar, {-1, +1}; ternary, {-1, 0, +1}, is two bits with `narrow`.
    symmetric: the zero point is 0; else each scale has a zero point of its own within the codes, so that 0 is exact.
    per: one scale for the tensor, for each output channel, or for each `block` weights of a channel along K (the last
        block of a channel may be shorter).
    power_of_two: each scale is a power of two.
    narrow: the lowest code, -2**(bits - 1), is not used.
    """

    bits: int
    symmetric: bool = True
    per: Per = "channel"
    block: int | None = None
    power_of_two: bool = False
    narrow: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MOST_BITS:
            raise NumericsError(f"a grid of {self.bits} bits was asked for; weights take 1 to {MOST_BITS} bits")
        if self.per not in ("tensor", "channel", "block"):
            raise NumericsError(f"a grid has scales per tensor, channel or block, not per '{self.per}'")
        if (self.per == "block") != (self.block is not None) or (self.block is not None and self.block < 1):
            raise NumericsError(
                f"a grid per {self.per} was given block {self.block}; a grid per block needs its length, 1 or more, "
                "the others have none"
            )
        if self.bits == 1 and not self.symmetric:
            raise NumericsError("weights of 1 bit are -scale and +scale and have no zero point; ask for symmetric=True")

    @classmethod
    def ternary(cls, per: Per = "channel", block: int | None = None, power_of_two: bool = False) -> Grid:
        """{-1, 0, +1} times a scale."""
        return cls(2, True, per, block, power_of_two, narrow=True)

    @property
    def qmin(self) -> int:
        """The lowest code."""
        return -1 if self.bits == 1 else -(1 << (self.bits - 1)) + int(self.narrow)

    @property
    def qmax(self) -> int:
        """The highest code."""
        return 1 if self.bits == 1 else (1 << (self.bits - 1)) - 1

    @property
    def dtype(self) -> DType:
        """The type of the codes: bipolar, ternary or int2 to int16."""
        if self.bits == 1:
            return BIPOLAR
        return TERNARY if self.bits == 2 and self.narrow and self.symmetric else DType("int", self.bits)

    @property
    def codes(self) -> Codes:
        """All codes, ascending."""
        return np.array([-1, 1]) if self.bits == 1 else np.arange(self.qmin, self.qmax + 1)

    def __str__(self) -> str:
        words = [self.dtype.name if self.symmetric else f"{self.dtype.name} with zero point", f"per {self.per}"]
        words += [f"of {self.block}"] if self.block is not None else []
        return ", ".join([" ".join(words), *(["power-of-two scales"] if self.power_of_two else [])])


@dataclass(frozen=True, eq=False)
class RoundedWeights:
    """A weight matrix as codes and what they mean: scale * (code - zero_point), or scale * levels[code].

    codes: int64 [G, O, K], each in qmin..qmax; bipolar ones are -1 and +1 only.
    scale: float32, above zero; [] per tensor, [G * O] per channel, [G * O, blocks] where `block` is given.
    zero_point: int64, of the shape of scale; 0 where there are levels.
    levels: the table of a codebook, which the codes, 0 and up, index; None for affine codes.
    block: how many weights of a row share a scale; None where a row has one.
    """

    codes: Codes
    scale: NDArray[np.float32]
    zero_point: Codes
    qmin: int
    qmax: int
    levels: tuple[float, ...] | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("codes", np.int64), ("scale", np.float32), ("zero_point", np.int64)):
            array = np.array(getattr(self, name), dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.codes.ndim != 3 or self.codes.size == 0:
            raise NumericsError(f"codes have shape {self.codes.shape}; a layer's are [groups, outputs, K], none empty")
        g, o, k = self.codes.shape
        blocks = () if self.block is None else (-(-k // self.block),)
        if self.scale.shape not in ([(g * o, *blocks)] if blocks else [(), (g * o,)]):
            raise NumericsError(f"scales of shape {self.scale.shape} do not fit codes of shape {self.codes.shape}")
        if self.zero_point.shape != self.scale.shape:
            raise NumericsError(f"zero points {self.zero_point.shape} do not fit scales {self.scale.shape}")
        if not (np.isfinite(self.scale) & (self.scale > 0)).all():
            raise NumericsError("a scale is zero, negative, infinite or NaN; scales are finite and above zero")
        low, high = int(self.codes.min()), int(self.codes.max())
        if low < self.qmin or high > self.qmax:
            raise NumericsError(f"codes {low}..{high} are outside {self.qmin}..{self.qmax}")
        if self.levels is not None and (self.qmin < 0 or self.qmax >= len(self.levels) or self.zero_point.any()):
            raise NumericsError(f"codes {self.qmin}..{self.qmax} do not index a table of {len(self.levels)} levels")

    def values(self) -> NDArray[np.float32]:
        """[G, O, K] float32: what the codes mean, rounded once (design.md N1)."""
        scale, zero_point = per_weight(self.scale, self.codes.shape, self.block), self.zero_point
        if self.levels is not None:
            steps = np.array(self.levels)[self.codes]
        else:
            steps = (self.codes - per_weight(zero_point, self.codes.shape, self.block)).astype(np.float64)
        return np.asarray(scale.astype(np.float64) * steps, np.float32)

    def replace(self, **changes: Any) -> RoundedWeights:
        """A copy with some fields changed."""
        return replace(self, **changes)


Rounding = Callable[..., RoundedWeights]
"""A method (matrix, grid, second_moments=None, **its options): codes whose outputs differ little from the weights'.

Args:
    matrix: [G, O, K], the weights of G groups of O outputs, as `ir.layers.Layer.matrix` gives them; finite.
    grid: what they may become.
    second_moments: [G, K, K], the mean of x x^T over the rows x that the matrix multiplies; None: the identity.
Raises: NumericsError: a weight or moment is NaN or infinite, or the shapes do not fit.
"""


def per_weight(table: NDArray[Any], shape: tuple[int, ...], block: int | None) -> NDArray[Any]:
    """A table of scales or zero points ([], [G * O] or [G * O, blocks]) as an array that broadcasts to [G, O, K]."""
    g, o, k = shape
    if table.ndim == 0:
        return table.reshape(1, 1, 1)
    if block is None:
        return table.reshape(g, o, 1)
    return np.repeat(table.reshape(g, o, -1), block, axis=2)[:, :, :k]
