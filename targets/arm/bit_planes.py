"""Weights as planes of bits, for sums of products by `and` and counts: kernels/arm_bit_serial.h.

A weight is level + sum over planes i of factor_i * bit_i, a code of the input sum over planes j of 2^j * bit_j. So the
sum of products is level times the sum of the codes, plus factor_i * 2^j times the number of ones that planes i and j
have in common, for each pair of planes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT16, UINT8
from subbyte.compiler.target import as_array
from subbyte.targets.common.tiles import ceil_div, padded_to

VECTOR = 16  # bytes
MOST_PLANES, MOST_PAIRS = 4, 8  # as many as stay in registers; SUBBYTE_ARM_BITS_PLANES of kernels/arm_bit_serial.h
PANEL = 16  # outputs, SUBBYTE_ARM_BITS_PANEL
_BIT_OF = np.array(
    [0, 2, 4, 6, 1, 3, 5, 7]
)  # of the byte in which codes b * lanes to (b + 1) * lanes - 1 have their bit


@dataclass(frozen=True)
class Planes:
    """How weights of a few values become planes: value = level + sum of factors[i] * bit_i of (value - level) / unit.

    factors: unit * 2^i, but for the last plane of two's complement, where it is negative.
    """

    level: int
    unit: int
    factors: tuple[int, ...]

    def bits(self, values: NDArray[np.int64]) -> NDArray[np.uint8]:
        """[planes, ...]: the bits of values [...]."""
        codes = (values - self.level) // self.unit & (1 << len(self.factors)) - 1
        return np.stack([(codes >> i & 1).astype(np.uint8) for i in range(len(self.factors))])


def choose_planes(values: NDArray[np.int64]) -> Planes:
    """The fewest planes for weights of these values; of equally many those with level 0, where zero maps to zero."""
    found = np.unique(values)
    low, high = int(found[0]), int(found[-1])
    if found.size <= 2 and (low == 0 or high == 0):
        return Planes(0, low + high or 1, (low + high or 1,))
    unit = math.gcd(*(int(value) for value in found)) or 1
    bits = _signed_bits(low // unit, high // unit)
    factors = tuple(unit << i for i in range(bits))
    at_zero = Planes(0, unit, (*factors[:-1], -factors[-1]) if low < 0 else factors)
    step = math.gcd(*(int(value) - low for value in found)) or 1
    count = max(1, ((high - low) // step).bit_length())
    if count < bits:
        return Planes(low, step, tuple(step << i for i in range(count)))
    return at_zero


def _signed_bits(low: int, high: int) -> int:
    """Bits that hold low..high: in two's complement where low is negative, else unsigned."""
    if low >= 0:
        return max(1, high.bit_length())
    return max(high, -low - 1).bit_length() + 1


def chunk_of(factors: tuple[int, ...]) -> int:
    """How many vectors of 16 bytes are counted before the counts are widened; 0 where one is too many.

    A byte counts at most 8 ones a vector. Then the products of the 128 * vectors ones of each pair of planes with its
    factor are added in 16 bits: positive and negative ones each fit by themselves, so every partial sum does.
    """
    most = max(sum(f for f in factors if f > 0), -sum(f for f in factors if f < 0), 1)
    return min(UINT8.max // 8, INT16.max // (8 * VECTOR * most))


@dataclass(frozen=True, eq=False)
class PlaneWeights:
    """Weights of a sum of products as planes.

    values: int64 [outputs, taps, channels]; x_planes: of the codes of the input.
    """

    values: NDArray[np.int64]
    x_planes: int

    @cached_property
    def planes(self) -> Planes:
        return choose_planes(self.values)

    @property
    def w_planes(self) -> int:
        return len(self.planes.factors)

    @property
    def factors(self) -> tuple[int, ...]:
        """Of each pair of planes, those of one plane of the weights side by side."""
        return tuple(factor << j for factor in self.planes.factors for j in range(self.x_planes))

    @property
    def lanes(self) -> int:
        """Bytes of a plane of a pixel of the input."""
        return ceil_div(self.values.shape[2], 8)

    @property
    def steps(self) -> int:
        """Vectors of a plane of a window."""
        return ceil_div(self.values.shape[1] * self.lanes, VECTOR)

    def lines(self, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[..., steps, 16]: bits [..., taps, channels] in the order in which windows hold those of codes."""
        placed = padded_to(bits, bits.ndim - 1, 8).reshape(*bits.shape[:-1], 8, self.lanes)
        together = (placed << _BIT_OF[:, None].astype(np.uint8)).sum(axis=-2, dtype=np.uint8)
        flat = together.reshape(*bits.shape[:-2], -1)
        return padded_to(flat, flat.ndim - 1, VECTOR).reshape(*bits.shape[:-2], self.steps, VECTOR)

    @property
    def known(self) -> NDArray[np.uint8]:
        """[steps][16]: the bits of a window that are codes."""
        return as_array(self.lines(np.ones(self.values.shape[1:], np.uint8)), np.uint8)

    def packed(self, group: int) -> NDArray[np.uint8]:
        """[panels][16 / group][steps][group][planes][16]."""
        lines = padded_to(self.lines(self.planes.bits(self.values)), 1, PANEL)
        by_group = lines.reshape(self.w_planes, -1, group, self.steps, VECTOR).transpose(1, 3, 2, 0, 4)
        return as_array(by_group.reshape(-1), np.uint8)
