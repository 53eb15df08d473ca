"""Few-valued weights for look-ups: what the tables hold, where weights stand, and that narrow sums provably fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.targets.common.lookup_weights import (
    NIBBLES,
    OUTPUTS,
    SEXTETS,
    Cells,
    LookupWeights,
    choose_cells,
    fits,
    tables_of,
)

FORMS = (
    Cells(NIBBLES, 2, 2),
    Cells(NIBBLES, 1, 1),
    Cells(OUTPUTS, 2, 1),
    Cells(SEXTETS, 2, 2),
    Cells(SEXTETS, 1, 1),
)


@pytest.mark.parametrize(
    ("levels", "qmax", "sextets", "form"),
    [
        (2, 1, False, FORMS[1]),
        (2, 3, False, FORMS[2]),
        (3, 1, False, FORMS[0]),
        (4, 3, False, FORMS[0]),
        (2, 1, True, FORMS[4]),
        (2, 3, True, FORMS[3]),
        (4, 3, True, FORMS[3]),
        (5, 3, False, None),
        (4, 4, True, None),
    ],
)
def test_cells_follow_the_bits_of_codes_and_weights(levels: int, qmax: int, sextets: bool, form: Cells | None) -> None:
    assert choose_cells(levels, qmax, sextets=sextets) == form


@pytest.mark.parametrize("cells", FORMS, ids=lambda cells: cells.layout)
def test_an_entry_is_the_sum_of_its_products(cells: Cells) -> None:
    random = np.random.default_rng(0)
    levels = np.array([-5, -1, 2, 7])[: 1 << cells.weight_bits]
    tables = tables_of(levels, cells)
    assert tables.shape == (cells.rows, cells.lookups, 64 if cells.form == SEXTETS else 16)
    for _ in range(200):
        codes = random.integers(0, 1 << cells.code_bits, cells.codes)
        names = random.integers(0, levels.size, cells.codes)
        row = tables[cells.of(codes)]
        apart = zip(codes.reshape(cells.lookups, -1), names.reshape(cells.lookups, -1), strict=True)
        for table, (of_codes, of_names) in zip(row, apart, strict=True):
            entry = (of_names << np.arange(cells.products) * cells.weight_bits).sum()
            assert table[entry] == (of_codes * levels[of_names]).sum()


def _weights(values: NDArray[np.int64], cells: Cells = FORMS[0], qmax: int = 3) -> LookupWeights:
    """Of one output whose run is one row of channels."""
    return LookupWeights(values.reshape(1, 1, 1, -1), qmax, cells)


def test_narrow_sums_end_where_one_more_would_not_fit() -> None:
    bounds = np.array([-128]), np.array([127])
    assert fits(*bounds, 8)
    assert not fits(bounds[0] - 1, bounds[1], 8)
    assert not fits(bounds[0], bounds[1] + 1, 8)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_chunk_is_as_long_as_its_own_weights_allow(sign: int) -> None:
    ones = np.full(40, sign)
    assert _weights(ones).chunk == 10  # 10 cells of 4 codes 3: 120
    over = np.append(ones, np.array([sign, sign, sign, 0]))  # 129, beyond both ends of 8 bits
    assert _weights(over).chunk == 6  # two chunks, as even as can be
    assert np.int64(129 * sign).astype(np.int8) != 129 * sign
    mixed = np.tile([1, -1, 1, -1], 20)  # 6 and -6 a cell: the two ends are reached apart
    assert _weights(mixed).chunk == 20
    assert _weights(np.tile(mixed, 2)).chunk == 20


def test_a_cell_whose_sum_is_beyond_a_byte_is_refused() -> None:
    assert _weights(np.array([10, 10, 10, 10])).chunk == 1  # 120
    assert _weights(np.array([10, 10, 10, 13])).chunk is None  # 129


def test_chunks_share_16_bits_as_long_as_their_own_weights_allow() -> None:
    full = _weights(np.full(32764 // 12 * 4, 1))  # 2730 cells of 12: 32760
    assert full.chunks(10) == 273
    more = _weights(np.full(2731 * 4, 1))  # 32772
    assert more.chunks(10) == 137  # two blocks
    assert np.int64(2731 * 12).astype(np.int16) != 2731 * 12


@pytest.mark.parametrize("cells", FORMS, ids=lambda cells: cells.layout)
@pytest.mark.parametrize(("outputs", "channels", "vectors"), [(1, 1, 1), (33, 7, 1), (70, 12, 2), (129, 5, 3)])
def test_every_weight_stands_once_in_its_place(cells: Cells, outputs: int, channels: int, vectors: int) -> None:
    block, runs, taps = 32, 2, 3
    levels = np.array([-3, -1, 0, 2])[: 1 << cells.weight_bits]
    values = np.random.default_rng(1).choice(levels, (outputs, runs, taps, channels))
    weights = LookupWeights(values, 3, cells)
    packed = weights.vectors(block, vectors)
    of_pixel = weights.cells_of_pixel
    at = 0
    for first in range(0, outputs, vectors * block):
        in_panel = min(vectors, -(-(outputs - first) // block))
        loads = -(-in_panel // 2) if cells.form == OUTPUTS else in_panel
        panel = packed[at : at + runs * taps * of_pixel * loads * block].reshape(runs, taps, of_pixel, loads, block)
        at += panel.size
        for output in range(first, min(outputs, first + vectors * block)):
            vector, place = divmod(output - first, block)
            byte = 2 * (place % (block // 2)) + place // (block // 2)
            if cells.form == OUTPUTS:
                bits = panel[..., vector // 2, byte] >> 4 * (vector % 2)
            else:
                bits = panel[..., vector, byte]
            names = bits[..., None] >> np.arange(cells.codes) * cells.weight_bits & (1 << cells.weight_bits) - 1
            found = weights.levels[names.reshape(runs, taps, -1)[..., :channels]]
            assert (found == values[output]).all()
    assert at == packed.size
