"""Weights whose products are summed in bytes: where they stand, what tables hold, and that narrow sums provably fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.targets.arm.byte_weights import VECTOR, CellWeights, Chunks, ProductWeights, choose_chunks
from subbyte.targets.common.lookup_weights import NIBBLES, OUTPUTS, Cells, choose_cells


def _alike(low: int, high: int, steps: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.full((1, steps), low), np.full((1, steps), high)


@pytest.mark.parametrize(
    ("low", "high", "longest"),
    [(-6, 3, 21), (0, 9, 14), (-1, 1, 127), (-4, 0, 32), (-128, 127, 1), (-16, 8, 8)],
)
def test_chunks_are_as_long_as_their_sums_fit_a_byte(low: int, high: int, longest: int) -> None:
    assert choose_chunks(*_alike(low, high, longest), 1) == Chunks(longest, 1)
    chunks = choose_chunks(*_alike(low, high, longest + 1), 1)
    assert chunks is not None
    assert chunks.steps == -(-(longest + 1) // 2)


def test_one_step_that_does_not_fit_has_no_chunk() -> None:
    assert choose_chunks(*_alike(-129, 0, 1), 1) is None
    assert choose_chunks(*_alike(0, 128, 1), 1) is None
    assert choose_chunks(*_alike(-33, 0, 8), 4) is None


def test_chunks_of_words_are_whole_chunks_of_bytes() -> None:
    low, high = _alike(-128, 0, 257)
    assert choose_chunks(low[:, :256], high[:, :256], 1) == Chunks(1, 256)
    chunks = choose_chunks(low, high, 1)
    assert chunks == Chunks(1, 129)


def test_chunks_follow_the_weights_of_every_output() -> None:
    low = np.array([[0, 0, 0, 0, -100, -100], [0, 0, 0, 0, 0, 0]])
    high = np.array([[0, 0, 0, 0, 0, 0], [60, 60, 60, 0, 0, 0]])
    assert choose_chunks(low, high, 1) == Chunks(1, 6)
    assert choose_chunks(low[:, :4], high[:, :4], 1) == Chunks(2, 2)


def test_products_of_signed_codes_are_bounded_from_both_sides() -> None:
    values = np.array([[2, -3] * 10])
    weights = ProductWeights(values, (-5, 4))
    assert weights.chunks == Chunks(8, 3)  # a pair adds 2 * 4 + 3 * 5 = 23: four fit, six do not


def test_packed_weights_sum_to_the_products() -> None:
    random = np.random.default_rng(3)
    values = random.integers(-8, 8, (40, 10))
    weights = ProductWeights(values, (0, 3))
    packed = weights.packed(2)
    first, last = packed[: 12 * 2 * VECTOR].reshape(12, 32), packed[12 * 2 * VECTOR : 12 * 3 * VECTOR].reshape(12, 16)
    found = np.concatenate([first, last], axis=1).view(np.int8).T
    assert (found[:40, :10] == values).all()
    assert not found[40:].any()
    assert not found[:, 10:].any()
    assert packed[12 * 3 * VECTOR :].tolist() == [0] * 2 * VECTOR


@pytest.mark.parametrize("form", [Cells(NIBBLES, 2, 2), Cells(NIBBLES, 1, 1), Cells(OUTPUTS, 2, 1)])
def test_looked_up_weights_sum_to_the_products(form: Cells) -> None:
    random = np.random.default_rng(form.form + 2 * form.weight_bits)
    levels = np.array([-5, -1, 2, 3][: 1 << form.weight_bits])
    most = (1 << form.code_bits) - 1
    values = levels[random.integers(0, len(levels), (33, 2, 11))]
    codes = random.integers(0, most, (2, 11), endpoint=True)
    weights = CellWeights(values, most, form)
    rows = weights.tables.view(np.int8).reshape(form.rows, form.lookups, 16)
    cells = form.of(weights.grouped(codes)).reshape(-1) & np.tile(weights.known[: weights.cells_of_pixel], 2)
    steps, vectors = weights.steps, 3
    stored = 2 if form.form == OUTPUTS else 3
    packed = weights.packed(vectors)[: steps * stored * VECTOR].reshape(steps, stored, VECTOR)
    sums = np.zeros((4, VECTOR), np.int64)
    for step, cell in enumerate(cells):
        for half in range(2):
            names = packed[step] >> 4 * half & 15
            if form.form == OUTPUTS:
                sums[half::2] += rows[cell, 0][names]
            else:
                sums[:3] += rows[cell, half][names]
    assert (sums.reshape(-1)[:33] == (values * codes).sum(axis=(1, 2))).all()


def test_known_bits_are_those_of_channels() -> None:
    weights = CellWeights(np.ones((1, 1, 5), np.int64), 3, Cells(NIBBLES, 2, 2))
    assert weights.known[:2].tolist() == [0b00111111, 0b00001111]  # channels 0, 2, 4 and 1, 3


def test_chosen_cells_hold_the_codes_of_the_input() -> None:
    assert choose_cells(4, 3, sextets=False) == Cells(NIBBLES, 2, 2)
    assert choose_cells(5, 3, sextets=False) is None
