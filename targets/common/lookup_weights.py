"""Few-valued weights for look-ups: their codes side by side in bytes, and the tables of sums that the bytes name.

Codes of the input share bytes, the cells: a cell is the number of a row of the tables. What a byte of weights is looked
up in with that row is the sum of products of the cell's codes and the weights whose codes the byte holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT8, INT16, UINT8
from subbyte.compiler.target import as_array
from subbyte.targets.common.tiles import ceil_div, padded_to

NIBBLES, OUTPUTS, SEXTETS = range(3)  # as in kernels/x86_lookup_sums.h
MOST_LEVELS = 4


@dataclass(frozen=True)
class Cells:
    """How codes become cells, and weights bytes.

    form: NIBBLES, OUTPUTS or SEXTETS. code_bits: of a code in a cell; weight_bits: of a weight's code.
    """

    form: int
    code_bits: int
    weight_bits: int

    @property
    def codes(self) -> int:
        """In a cell."""
        return (6 if self.form == SEXTETS else 8) // self.code_bits

    @property
    def rows(self) -> int:
        """Of the tables."""
        return 64 if self.form == SEXTETS else 256

    @property
    def lookups(self) -> int:
        """That a cell takes for a vector of outputs."""
        return 2 if self.form == NIBBLES else 1

    @property
    def products(self) -> int:
        """That a look-up sums."""
        return self.codes // self.lookups

    def of(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The cell of codes [..., self.codes]."""
        return np.asarray((codes << np.arange(self.codes) * self.code_bits).sum(axis=-1), np.int64)

    @property
    def layout(self) -> str:
        """The name of the order of weights in a byte."""
        return f"{('nibbles', 'outputs', 'sextets')[self.form]}{self.weight_bits}bit"


def choose_cells(levels: int, input_qmax: int, *, sextets: bool) -> Cells | None:
    """The cells that sum most products a look-up for weights of so many levels; None where there are none.

    Codes are 0..input_qmax, at most 3. One-bit weights of two-bit codes have too many tables for sextets.
    """
    if levels > MOST_LEVELS or input_qmax > 3:
        return None
    code_bits = 1 if input_qmax <= 1 else 2
    weight_bits = 1 if levels <= 2 else 2
    if sextets:
        bits = max(code_bits, weight_bits)
        return Cells(SEXTETS, bits, bits)
    if weight_bits == 1 and code_bits == 2:
        return Cells(OUTPUTS, 2, 1)
    return Cells(NIBBLES, max(code_bits, weight_bits), weight_bits)


def tables_of(levels: NDArray[np.int64], cells: Cells) -> NDArray[np.int64]:
    """[rows][look-ups][entries]: sum over the weights of an entry of level * code, for the codes of the row's cell."""
    rows = np.arange(cells.rows)[:, None] >> np.arange(cells.codes) * cells.code_bits & (1 << cells.code_bits) - 1
    entries = 64 if cells.form == SEXTETS else 16
    names = np.arange(entries)[:, None] >> np.arange(cells.products) * cells.weight_bits & (1 << cells.weight_bits) - 1
    values = levels[np.minimum(names, levels.size - 1)]
    return np.asarray(
        np.einsum("rlp,ep->rle", rows.reshape(cells.rows, cells.lookups, cells.products), values), np.int64
    )


@dataclass(frozen=True, eq=False)
class LookupWeights:
    """Weights of a sum of products by look-ups, before they are put into vectors.

    values: int64 [outputs, runs, taps, channels]; a run is what lies side by side in the input: a row of the window.
    input_qmax: codes of the input are 0..input_qmax.
    """

    values: NDArray[np.int64]
    input_qmax: int
    cells: Cells

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """The values that there are, ascending."""
        return np.unique(self.values)

    @property
    def cells_of_pixel(self) -> int:
        return ceil_div(self.values.shape[3], self.cells.codes)

    @cached_property
    def tables(self) -> NDArray[np.uint8]:
        """The tables in bytes; sums are exact modulo 256."""
        return as_array(tables_of(self.levels, self.cells).reshape(-1) & 255, np.uint8)

    @cached_property
    def _extremes(self) -> NDArray[np.int64]:
        """[2][outputs, runs, cells of a run]: the least and the greatest sum of a cell's products."""
        outputs, runs = self.values.shape[:2]
        grouped = padded_to(self.values, 3, self.cells.codes).reshape(outputs, runs, -1, self.cells.codes)
        return np.stack([np.minimum(grouped, 0).sum(axis=-1), np.maximum(grouped, 0).sum(axis=-1)]) * self.input_qmax

    @cached_property
    def chunk(self) -> int | None:
        """How many cells of a run, from its first on, are summed in 8 bits; None where one is too much.

        The sums are proved to fit from the weights of each chunk. Only those of whole chunks must: on the
        way there they are exact modulo 256.
        """
        run = self._extremes.shape[-1]
        sums = [np.pad(np.cumsum(part, axis=-1), ((0, 0), (0, 0), (1, 0))) for part in self._extremes]
        for count in range(1, run + 1):
            length = ceil_div(run, count)
            edges = np.append(np.arange(0, run, length), run)
            low, high = (np.diff(part[..., edges], axis=-1) for part in sums)
            if fits(low, high, INT8.bits):
                return length
        return None

    def chunks(self, chunk: int) -> int:
        """How many chunks, in their order, are summed in 16 bits; proved as `chunk` is, and at least 1."""
        low, high = (
            np.add.reduceat(part, np.arange(0, part.shape[-1], chunk), axis=-1).reshape(part.shape[0], -1)
            for part in self._extremes
        )
        total = low.shape[1]
        for blocks in range(1, total + 1):
            count = ceil_div(total, blocks)
            starts = np.arange(0, total, count)
            least, greatest = (np.add.reduceat(part, starts, axis=-1) for part in (low, high))
            if fits(least, greatest, INT16.bits):
                return count
        return 1

    def vectors(self, block: int, vectors: int) -> NDArray[np.uint8]:
        """[panels][runs][cells][vectors][block] bytes of weights; panels of `vectors` vectors, the last of the rest.

        A byte at an even place 2 i of a vector is that of output i, at an odd place 2 i + 1 of output block / 2 + i.
        With OUTPUTS a byte holds the weights of two vectors.
        """
        cells = self.cells
        codes = np.searchsorted(self.levels, self.values)
        outputs, runs = codes.shape[:2]
        grouped = padded_to(codes, 3, cells.codes).reshape(outputs, runs, -1, cells.codes)
        together = padded_to((grouped << np.arange(cells.codes) * cells.weight_bits).sum(axis=-1), 0, block)
        by_vector = together.reshape(-1, 2, block // 2, *together.shape[1:]).swapaxes(1, 2)
        by_vector = np.moveaxis(by_vector.reshape(-1, block, *together.shape[1:]), 1, -1)
        panels = []
        for first in range(0, len(by_vector), vectors):
            panel = by_vector[first : first + vectors]
            if cells.form == OUTPUTS:
                panel = padded_to(panel, 0, 2)
                panel = panel[0::2] | panel[1::2] << 4
            panels.append(panel.transpose(1, 2, 0, 3).reshape(-1))
        return as_array(np.concatenate(panels), UINT8.numpy)


def fits(low: NDArray[np.int64], high: NDArray[np.int64], bits: int) -> bool:
    """Whether sums from `low` to `high` fit signed integers of so many bits."""
    limit = 1 << (bits - 1)
    return bool((low >= -limit).all() and (high < limit).all())
