"""Weights whose products are summed in bytes, a byte for each output: how they are stored, how long sums fit.

The steps of a window are codes of the input, each multiplied by a byte of weights, or cells of a few codes, each the
number of a row of tables in which weights are looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT8, INT16
from subbyte.compiler.target import as_array
from subbyte.targets.common.lookup_weights import OUTPUTS, Cells, tables_of
from subbyte.targets.common.tiles import ceil_div, padded_to

VECTOR = 16  # bytes
CODES_AT_ONCE = 4  # SUBBYTE_ARM_BYTE_CODES of kernels/arm_byte_sums.h


@dataclass(frozen=True)
class Chunks:
    """How sums are widened: after `steps` steps from 8 bits to 16, after `chunks` times as many from 16 to 32."""

    steps: int
    chunks: int


def choose_chunks(low: NDArray[np.int64], high: NDArray[np.int64], multiple: int) -> Chunks | None:
    """The longest chunks whose sums fit, of a multiple of steps; None where one multiple is too many.

    low, high: [outputs, steps], the least and the largest sum that a step may add to that of an output; low is at most
    0 and high at least. Only sums of whole chunks must fit: on the way there they are exact modulo 256.
    """
    steps = low.shape[1]
    sums = [np.pad(np.cumsum(part, axis=1), ((0, 0), (1, 0))) for part in (low, high)]
    of_bytes = _longest(sums, steps, multiple, INT8.bits)
    if of_bytes is None:
        return None
    of_words = _longest(sums, steps, of_bytes, INT16.bits)
    return None if of_words is None else Chunks(of_bytes, of_words // of_bytes)


def _longest(sums: list[NDArray[np.int64]], steps: int, multiple: int, bits: int) -> int | None:
    """The longest chunk, a multiple of steps, whose sums fit so many bits; all chunks but the last are as long."""
    limit = 1 << (bits - 1)
    total = ceil_div(steps, multiple)
    low, high = sums
    least = max(int(-low[:, -1].min(initial=0)) // limit, int(high[:, -1].max(initial=0)) // limit, 1)
    for count in range(least, total + 1):
        length = ceil_div(total, count) * multiple
        edges = np.append(np.arange(0, steps, length), steps)
        if (np.diff(low[:, edges]) >= -limit).all() and (np.diff(high[:, edges]) < limit).all():
            return length
    return None


@dataclass(frozen=True, eq=False)
class ProductWeights:
    """Weights that are multiplied as bytes.

    values: int64 [outputs, products] of signed bytes; x_range: the least and the largest code that they meet.
    """

    values: NDArray[np.int64]
    x_range: tuple[int, int]

    @property
    def steps(self) -> int:
        return ceil_div(self.values.shape[1], CODES_AT_ONCE) * CODES_AT_ONCE

    @cached_property
    def chunks(self) -> Chunks | None:
        ends = [padded_to(self.values, 1, CODES_AT_ONCE) * code for code in (*self.x_range, 0)]
        return choose_chunks(np.minimum.reduce(ends), np.maximum.reduce(ends), CODES_AT_ONCE)

    def packed(self, vectors: int) -> NDArray[np.uint8]:
        """[panels][steps][vectors][16], the last panel of the vectors that are left; one step of zeros behind."""
        return _in_panels(padded_to(self.values, 1, CODES_AT_ONCE) & 255, vectors, vectors)


@dataclass(frozen=True, eq=False)
class CellWeights:
    """Weights that are looked up.

    values: int64 [outputs, taps, channels] of few levels; x_most: codes that they meet are 0..x_most.
    """

    values: NDArray[np.int64]
    x_most: int
    cells: Cells

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """The values that there are, ascending."""
        return np.unique(self.values)

    @property
    def cells_of_pixel(self) -> int:
        return ceil_div(self.values.shape[2], self.cells.codes)

    @property
    def steps(self) -> int:
        return int(self.values.shape[1]) * self.cells_of_pixel

    def grouped(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """[..., cells, codes] of values [..., channels]: code i of cell l is channel i * cells + l; zeros behind."""
        whole = padded_to(values, values.ndim - 1, self.cells.codes)
        return whole.reshape(*values.shape[:-1], self.cells.codes, -1).swapaxes(-1, -2)

    @property
    def known(self) -> NDArray[np.uint8]:
        """[cells, and zeros up to whole vectors]: the bits of a pixel's cells that are codes of channels."""
        codes = self.grouped(np.full(self.values.shape[2], (1 << self.cells.code_bits) - 1))
        return as_array(padded_to(self.cells.of(codes), 0, VECTOR), np.uint8)

    @property
    def tables(self) -> NDArray[np.uint8]:
        """[rows][look-ups][16]: sums modulo 256."""
        return as_array(tables_of(self.levels, self.cells).reshape(-1) & 255, np.uint8)

    @cached_property
    def chunks(self) -> Chunks | None:
        groups = self.grouped(self.values).reshape(len(self.values), self.steps, -1)
        low, high = (part(groups, 0).sum(axis=-1) * self.x_most for part in (np.minimum, np.maximum))
        return choose_chunks(low, high, 1)

    def packed(self, vectors: int) -> NDArray[np.uint8]:
        """[panels][steps][vectors][16], OUTPUTS with those of two vectors in a byte; one step of zeros behind."""
        codes = self.grouped(np.searchsorted(self.levels, self.values)).reshape(len(self.values), self.steps, -1)
        together = (codes << np.arange(self.cells.codes) * self.cells.weight_bits).sum(axis=-1)
        return _in_panels(together, vectors, vectors, halves=self.cells.form == OUTPUTS)


def _in_panels(values: NDArray[np.int64], vectors: int, ahead: int, *, halves: bool = False) -> NDArray[np.uint8]:
    """[panels][steps][vectors][16] of values [outputs, steps], then `ahead` vectors of zeros.

    halves: two vectors share bytes, the second of them in the upper halves.
    """
    by_vector = padded_to(values, 0, VECTOR).reshape(-1, VECTOR, values.shape[1]).transpose(0, 2, 1)
    panels = []
    for first in range(0, len(by_vector), vectors):
        panel = by_vector[first : first + vectors]
        if halves:
            panel = padded_to(panel, 0, 2)
            panel = panel[0::2] | panel[1::2] << 4
        panels.append(panel.transpose(1, 0, 2).reshape(-1))
    panels.append(np.zeros(ahead * VECTOR, np.int64))
    return as_array(np.concatenate(panels), np.uint8)
