"""Scales and zero points while they are looked for, and the rows of weights that share one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.level_scales import nearest_level
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights

SMALLEST_SCALE = 2.0**-64  # with an activation's scale of 2**-62 or more the product is still a normal float32
_WHERE_ALL_IS_ZERO = 2.0**-7
_QUIET = 2.0**-12  # bipolar weights cannot be 0: what stands for a row of zeros, beside the largest scale


@dataclass(frozen=True, eq=False)
class Scales:
    """What the codes of each weight of a matrix [G, O, K] mean: a grid of even steps, or a table of levels.

    scale: float64 [G, O, B], each a float32 number above zero; [1, 1, 1] per tensor.
    zero_point: int64, of that shape.
    length: how many weights along K share a scale: B = ceil(K / length).
    levels: a table that ascends, which codes from 0 index; None for the grid's codes.
    """

    grid: Grid
    scale: Reals
    zero_point: Codes
    length: int
    levels: Reals | None = None

    @property
    def qmin(self) -> int:
        """The lowest code."""
        return self.grid.qmin if self.levels is None else 0

    @property
    def qmax(self) -> int:
        """The highest code."""
        return self.grid.qmax if self.levels is None else self.levels.size - 1

    def encode(self, targets: Reals, scale: Reals, zero_point: Codes) -> Codes:
        """The code whose value is nearest to each target, given its scale and zero point; of bipolar codes the sign."""
        if self.levels is not None:
            return nearest_level(targets / scale, self.levels)
        if self.grid.bits == 1:
            return np.where(targets >= 0, 1, -1)
        with np.errstate(over="ignore"):  # beyond every code, so clamped
            steps = np.rint(targets / scale) + zero_point
        return np.clip(steps, self.grid.qmin, self.grid.qmax).astype(np.int64)

    def steps(self, codes: Codes, zero_point: Codes) -> Reals:
        """What the scale is multiplied by."""
        if self.levels is not None:
            return np.asarray(self.levels[codes])
        return (codes - zero_point).astype(np.float64)

    def columns(self, begin: int, end: int) -> tuple[Reals, Codes]:
        """(scale, zero point) of the weights begin..end-1 along K: [G, O, end - begin], or what broadcasts to it."""
        if self.scale.shape[2] == 1:
            return self.scale, self.zero_point
        index = np.arange(begin, end) // self.length
        return self.scale[:, :, index], self.zero_point[:, :, index]

    def spread(self, shape: tuple[int, ...]) -> tuple[Reals, Codes]:
        """(scale, zero point) of each weight of a matrix of `shape`."""
        scale, zero_point = self.columns(0, shape[2])
        return np.broadcast_to(scale, shape), np.broadcast_to(zero_point, shape)

    def scaled(self, factor: float) -> Scales:
        """All scales times `factor`, which is a power of two where the grid's scales are."""
        return self.replace(scale=as_float32(self.scale * factor))

    def nearest(self, matrix: Reals) -> Codes:
        """The code whose value is nearest to each weight, half to even; of bipolar codes the weight's sign."""
        return self.encode(matrix, *self.columns(0, matrix.shape[2]))

    def values(self, codes: Codes) -> Reals:
        """scale * (codes - zero point) in float64, without the rounding of `RoundedWeights.values`."""
        scale, zero_point = self.columns(0, codes.shape[2])
        return np.asarray(scale * self.steps(codes, zero_point))

    def replace(self, **changes: Any) -> Scales:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def rounded(self, codes: Codes) -> RoundedWeights:
        """The codes with this grid."""
        g, o, k = codes.shape
        grid = self.grid
        shape: tuple[int, ...] = () if grid.per == "tensor" else (g * o,)
        if grid.per == "block":
            shape = (g * o, -(-k // self.length))
        scale, zero_point = self.scale.reshape(shape), self.zero_point.reshape(shape)
        block = self.length if grid.per == "block" else None
        levels = None if self.levels is None else tuple(self.levels.tolist())
        return RoundedWeights(codes, scale.astype(np.float32), zero_point, self.qmin, self.qmax, levels, block)


def scales_of_rounded(rounded: RoundedWeights, grid: Grid) -> Scales:
    """The scales of weights that were rounded to `grid` before.

    Raises: NumericsError: they were rounded to something else.
    """
    g, o, k = rounded.codes.shape
    per = "tensor" if rounded.scale.ndim == 0 else "channel" if rounded.block is None else "block"
    table = None if rounded.levels is None else np.array(rounded.levels)
    lowest, highest = (grid.qmin, grid.qmax) if table is None else (0, table.size - 1)
    if (rounded.qmin, rounded.qmax, per, rounded.block) != (lowest, highest, grid.per, grid.block):
        raise NumericsError(
            f"the weights to start from have codes {rounded.qmin}..{rounded.qmax} with scales per {per}, not {grid}"
        )
    shape = (1, 1, 1) if per == "tensor" else (g, o, -1)
    scale = rounded.scale.astype(np.float64).reshape(shape)
    return Scales(grid, scale, rounded.zero_point.reshape(shape), block_length(grid, k), table)


def rows_of(array: Reals, grid: Grid) -> Reals:
    """[R, n]: a row for each scale of `grid`, blocks cut short by the end of K filled with zeros."""
    g, o, k = array.shape
    if grid.per == "tensor":
        return array.reshape(1, -1)
    if grid.per == "channel":
        return array.reshape(g * o, k)
    length = block_length(grid, k)
    blocks = -(-k // length)
    padded = np.pad(array, [(0, 0), (0, 0), (0, blocks * length - k)])
    return padded.reshape(g * o * blocks, length)


def block_length(grid: Grid, k: int) -> int:
    """How many weights along K share a scale."""
    return k if grid.block is None else grid.block


def scales_of(scale: Reals, zero_point: Codes, grid: Grid, shape: tuple[int, ...]) -> Scales:
    """One scale and zero point [R] for each row of `rows_of`, as Scales of a matrix of `shape`, all of them usable.

    A scale of 0 says that the row is zero: it gets the largest scale of the others, so that its bias, whose scale is a
    multiple of it, fits its integer. A power of two is the next that is not smaller, for bipolar codes the nearest.
    """
    g, o, k = shape
    length = block_length(grid, k)
    wanted = (1, 1, 1) if grid.per == "tensor" else (g, o, -(-k // length))
    largest = scale.max() if scale.max() > 0 else _WHERE_ALL_IS_ZERO
    stand_in = largest * (_QUIET if grid.bits == 1 else 1.0)
    usable = as_float32(np.where(scale > 0, scale, stand_in))
    if grid.power_of_two:
        exponent = np.log2(usable)
        usable = 2.0 ** (np.rint(exponent) if grid.bits == 1 else np.ceil(exponent - 1e-6))
    return Scales(grid, usable.reshape(wanted), zero_point.astype(np.int64).reshape(wanted), length)


def as_float32(scale: Reals) -> Reals:
    """The nearest usable float32 scales, as float64."""
    bounded = np.clip(scale, SMALLEST_SCALE, np.finfo(np.float32).max)
    return bounded.astype(np.float32).astype(np.float64)
