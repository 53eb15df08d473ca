"""Weights for tables of partial sums: how codes become cells, cells blocks, and the proof that sums of blocks fit.

A block is what the kernel sums in narrow lanes: the cells of some neighbouring channels at one tap, or of some
neighbouring taps where a pixel has few cells. The tables of its cells are built at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.target import as_array
from subbyte.targets.common.packing import pack_rows
from subbyte.targets.common.tiles import ceil_div, padded_to

MOST_CELLS = 12  # of a block: SUBBYTE_ARM_PARTIAL_CELLS of kernels/arm_partial_cells.h
ROW_BYTES = 32
_LEVELS = 16  # entries of the table of weights
_LARGEST_CODE = 7


@dataclass(frozen=True)
class Cells:
    """How codes become cells: `codes` codes of `bits` bits each."""

    bits: int
    codes: int

    @property
    def rows(self) -> int:
        """Of the table of a cell."""
        return 1 << (self.bits * self.codes)

    def of(self, code: int) -> int:
        """The cell all of whose codes are `code`."""
        return sum(code << (self.bits * i) for i in range(self.codes))


def cells_for(input_qmax: int) -> tuple[Cells, ...]:
    """Of codes 0..input_qmax: cells of 6 bits, which sum most at a time, and of 4, whose tables are built sooner."""
    if input_qmax > _LARGEST_CODE:
        return ()
    bits = max(input_qmax.bit_length(), 1)
    return (Cells(3, 2),) if bits == 3 else (Cells(bits, 6 // bits), Cells(bits, 4 // bits))


@dataclass(frozen=True)
class Blocks:
    """How the cells of a run are cut: into `count` blocks, as even as can be, of 16-bit (`wide`) or 8-bit sums."""

    count: int
    wide: bool

    @property
    def panel(self) -> int:
        """Outputs of a row of the tables."""
        return ROW_BYTES // (2 if self.wide else 1)

    def edges(self, run: int) -> NDArray[np.int64]:
        """Where the blocks of a run of so many cells begin, and the last ends."""
        return np.arange(self.count + 1) * run // self.count

    def largest(self, run: int) -> int:
        """Cells of the largest block."""
        return ceil_div(run, self.count)


@dataclass(frozen=True, eq=False)
class PartialWeights:
    """Weights of a sum of products by tables of partial sums.

    values: int64 [outputs, kernel height, kernel width, channels]. input_qmax: codes of the input are 0..input_qmax.
    joined: a run is the cells of all pixels of a row of the kernel, else those of one pixel.
    """

    values: NDArray[np.int64]
    input_qmax: int
    cells: Cells
    joined: bool

    @property
    def cells_of_pixel(self) -> int:
        return ceil_div(self.values.shape[3], self.cells.codes)

    @property
    def side(self) -> int:
        """Pixels of a run."""
        return self.values.shape[2] if self.joined else 1

    @property
    def run(self) -> int:
        """Cells of a run."""
        return self.side * self.cells_of_pixel

    @property
    def runs(self) -> int:
        return int(self.values.shape[1] * self.values.shape[2]) // self.side

    @cached_property
    def _by_run(self) -> NDArray[np.int64]:
        """[outputs, runs, cells, codes]; codes beyond the channels are 0 in every cell, their weights here too."""
        apart = padded_to(self.values, 3, self.cells.codes)
        return apart.reshape(len(apart), self.runs, self.run, self.cells.codes)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """[2][outputs, runs, cells + 1]: the least and the greatest sum of products of the first cells of each run."""
        by_run = self._by_run
        parts = [np.minimum(by_run, 0).sum(axis=-1), np.maximum(by_run, 0).sum(axis=-1)]
        return np.stack([np.pad(np.cumsum(p, axis=-1), ((0, 0), (0, 0), (1, 0))) for p in parts]) * self.input_qmax

    def extremes(self, blocks: Blocks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The least and the greatest sum of each block: [outputs, runs, blocks] each."""
        low, high = np.diff(self._ends[..., blocks.edges(self.run)], axis=-1)
        return low, high

    def offset(self, blocks: Blocks) -> int:
        """What is added to every 8-bit sum of a block, so that the least of all is 0."""
        return 0 if blocks.wide else -int(self.extremes(blocks)[0].min())

    def start(self, blocks: Blocks) -> int:
        """What 16-bit sums begin with, modulo 2^16: less the offsets of all blocks."""
        return int(-self.offset(blocks) * self.runs * blocks.count) & 0xFFFF

    def fits(self, blocks: Blocks) -> bool:
        """Whether the blocks have at most MOST_CELLS cells and fit their lanes, proved from these weights.

        8 bits: the sum of a block plus the offset lies in 0..255, and that of all blocks in 16 bits, signed. Sums are
        exact modulo 2^8 within a block, and modulo 2^16 from block to block, so that only their ends must fit.
        16 bits: the sum of a block lies in them, signed; that of all is in 32 bits, as for every other kernel.
        """
        if blocks.largest(self.run) > MOST_CELLS:
            return False
        low, high = self.extremes(blocks)
        if blocks.wide:
            return _fit_16(low, high)
        return int(high.max()) + self.offset(blocks) <= 255 and _fit_16(low.sum(axis=(1, 2)), high.sum(axis=(1, 2)))

    @cached_property
    def _distinct(self) -> NDArray[np.int64]:
        return np.unique(self.values)

    @property
    def weight_bits(self) -> int:
        """Of a weight in memory: 1, 2 or 4, the number of its level; or 8, itself."""
        return next((bits for bits in (1, 2, 4) if self._distinct.size <= 1 << bits), 8)

    @property
    def levels(self) -> NDArray[np.int8]:
        """The weights that there are, ascending, in a table of 16 bytes; none where they are stored themselves."""
        listed = self._distinct if self.weight_bits < 8 else np.zeros(0, np.int64)
        return as_array(np.pad(listed, (0, _LEVELS - listed.size)), np.int8)

    def packed(self, blocks: Blocks) -> NDArray[np.uint8]:
        """[panels][blocks, each of all runs][weights of a block / those of a byte][outputs of a panel].

        A byte holds neighbouring weights of one output, the first in the lowest bits; what is left of the last byte
        of a block is 0.
        """
        bits = self.weight_bits
        numbers = self._by_run & 0xFF if bits == 8 else np.searchsorted(self._distinct, self._by_run)
        numbers = np.minimum(numbers, (1 << bits) - 1)  # a weight beyond the channels is any of the levels
        edges, parts = blocks.edges(self.run), []
        for begin, end in pairwise(edges):
            flat = numbers[:, :, begin:end].reshape(*numbers.shape[:2], -1)  # [outputs, runs, weights]
            together = padded_to(pack_rows(flat, bits), 0, blocks.panel)
            by_panel = together.reshape(-1, blocks.panel, *together.shape[1:])
            parts.append(by_panel.transpose(0, 2, 3, 1).reshape(len(by_panel), -1))
        return as_array(np.concatenate(parts, axis=1), np.uint8)


def _fit_16(low: NDArray[np.int64], high: NDArray[np.int64]) -> bool:
    return bool(low.min() >= -(1 << 15) and high.max() < 1 << 15)
