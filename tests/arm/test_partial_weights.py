"""Weights for tables of partial sums: what is packed where, and that sums of blocks provably fit their lanes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.targets.arm.partial_sums import MOST_CELLS, Blocks, Cells, PartialWeights, cells_for
from subbyte.targets.common.packing import unpack_rows

THREE = Cells(2, 3)


@pytest.mark.parametrize(
    ("qmax", "found"),
    [
        (0, (Cells(1, 6), Cells(1, 4))),
        (1, (Cells(1, 6), Cells(1, 4))),
        (2, (Cells(2, 3), Cells(2, 2))),
        (3, (Cells(2, 3), Cells(2, 2))),
        (4, (Cells(3, 2),)),
        (7, (Cells(3, 2),)),
        (8, ()),
    ],
)
def test_cells_hold_six_bits_or_four(qmax: int, found: tuple[Cells, ...]) -> None:
    assert cells_for(qmax) == found
    assert all(cells.rows in (16, 64) for cells in found)


def _row(values: NDArray[np.int64], cells: Cells = THREE, qmax: int = 3) -> PartialWeights:
    """Of one output and one pixel."""
    return PartialWeights(values.reshape(1, 1, 1, -1), qmax, cells, False)


def test_a_block_has_room_for_255_steps_and_no_more() -> None:
    full = np.full(36, 2)  # 12 cells of 18
    full[:3] = (7, 7, 5)  # and one of 57: 255 together
    assert _row(full).fits(Blocks(1, wide=False))
    full[0] += 1
    assert not _row(full).fits(Blocks(1, wide=False))
    assert _row(full).fits(Blocks(2, wide=False))


def test_both_ends_of_a_block_count() -> None:
    both = np.where(np.arange(36) % 2, -2, 2)
    assert _row(both).fits(Blocks(1, wide=False))  # -108..108
    assert _row(both).offset(Blocks(1, wide=False)) == 108
    more = np.where(np.arange(36) % 2, -2, 3)  # -108..162
    assert not _row(more).fits(Blocks(1, wide=False))


def test_the_worst_codes_reach_the_ends_that_are_proved() -> None:
    random = np.random.default_rng(2)
    values = random.integers(-9, 10, (7, 3, 3, 40))
    weights = PartialWeights(values, 3, THREE, False)
    blocks = Blocks(3, wide=True)
    low, high = weights.extremes(blocks)
    assert low.shape == (7, 9, 3)
    worst = np.where(values > 0, 3, 0) * values
    assert (high.sum(axis=(1, 2)) == worst.sum(axis=(1, 2, 3))).all()
    assert (low.sum(axis=(1, 2)) == (np.where(values < 0, 3, 0) * values).sum(axis=(1, 2, 3))).all()


def test_the_sum_of_all_blocks_must_fit_16_bits() -> None:
    blocks = Blocks(1000, wide=False)
    held = np.zeros(3000, np.int64)
    held[0::3] = 10  # 30 a block of one cell, 30000
    held[1], held[4] = 60, 60  # 360 more, and then 2760 to go
    assert _row(held).fits(blocks)
    held[7:3000:3] = 1  # 998 blocks of 3 more: 33354
    assert not _row(held).fits(blocks)
    assert _row(held).fits(Blocks(1000, wide=True))


def test_a_cell_beyond_8_bits_needs_16() -> None:
    wide = np.array([127, -128, 100])
    assert not _row(wide).fits(Blocks(1, wide=False))
    assert _row(wide).fits(Blocks(1, wide=True))


def test_blocks_are_no_longer_than_registers_of_code_are_written_for() -> None:
    assert _row(np.zeros(3 * MOST_CELLS, np.int64)).fits(Blocks(1, wide=False))
    assert not _row(np.zeros(3 * MOST_CELLS + 1, np.int64)).fits(Blocks(1, wide=False))


@pytest.mark.parametrize("levels", [(-1, 1), (-1, 0, 1), (-2, -1, 0, 1), (-9, 4, 13), range(-8, 8), range(-128, 128)])
@pytest.mark.parametrize(
    ("outputs", "channels", "joined", "count"), [(5, 7, True, 2), (33, 20, False, 3), (64, 6, True, 1)]
)
def test_every_weight_stands_in_its_place(
    levels: tuple[int, ...], outputs: int, channels: int, joined: bool, count: int
) -> None:
    values = np.random.default_rng(1).choice(levels, (outputs, 2, 3, channels))
    weights = PartialWeights(values, 3, THREE, joined)
    for blocks in (Blocks(count, wide=False), Blocks(count, wide=True)):
        packed = weights.packed(blocks)
        panels = -(-outputs // blocks.panel)
        assert packed.shape[0] == panels
        edges, at = blocks.edges(weights.run), 0
        found = np.zeros((panels * blocks.panel, weights.runs, weights.run * 3), np.int64)
        for begin, end in pairwise(edges):
            taken = -(-(end - begin) * 3 * weights.weight_bits // 8) * blocks.panel
            for run in range(weights.runs):
                part = packed[:, at : at + taken].reshape(panels, -1, blocks.panel).swapaxes(1, 2)
                numbers = unpack_rows(np.ascontiguousarray(part), weights.weight_bits, int(end - begin) * 3)
                small = weights.weight_bits < 8
                read = weights.levels.astype(np.int64)[numbers] if small else numbers.astype(np.int8).astype(np.int64)
                found[:, run, 3 * begin : 3 * end] = read.reshape(-1, read.shape[-1])
                at += taken
        assert at == packed.shape[1]
        apart = found[:outputs].reshape(outputs, 2, 3, -1)[..., :channels]
        assert (apart == values).all()


@pytest.mark.parametrize(("count", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8)])
def test_weights_take_their_bits(count: int, bits: int) -> None:
    assert _row(np.arange(count)).weight_bits == bits
