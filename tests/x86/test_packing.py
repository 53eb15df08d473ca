"""Packed weights hold every weight once, where its kernel multiplies it; register tiles fit the registers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from subbyte.targets.common.tiles import ceil_div
from subbyte.targets.x86.dots import DOTS
from subbyte.targets.x86.kernels_depthwise import blocks_of, pack_channels, pack_taps
from subbyte.targets.x86.packing import pack_weights, summands
from subbyte.targets.x86.registers import (
    MANY_TILES,
    MOST_PIXELS,
    MOST_SUMS,
    MOST_VECTORS,
    RESIDENT_WEIGHTS,
    WINDOW_BYTES,
    Dot,
    Window,
    choose_register_tile,
    choose_tiles,
)

BY_NAME = {dot.name: dot for dot in DOTS}


@pytest.mark.parametrize("dot", DOTS, ids=lambda dot: dot.name)
@pytest.mark.parametrize("vectors", [1, 2, 3])
@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 40, 70])
def test_weights_are_panels_of_runs_of_groups_of_vectors(dot: Dot, vectors: int, outputs: int) -> None:
    weights = np.random.default_rng(outputs).integers(-60, 61, (outputs, 2, 7))
    packed = pack_weights(weights, dot, vectors, 255)
    at = 0
    for panel in range(0, ceil_div(outputs, dot.lanes), vectors):
        here = range(panel, min(panel + vectors, ceil_div(outputs, dot.lanes)))
        order = product(range(2), range(ceil_div(7, dot.group)), here, range(dot.lanes), range(dot.group))
        for run, group, vector, lane, k in order:
            output, i = vector * dot.lanes + lane, group * dot.group + k
            assert packed.main[at] == (weights[output, run, i] if output < outputs and i < 7 else 0)
            at += 1
    assert at == packed.main.size
    assert packed.more.size == 0


def test_what_a_byte_does_not_hold_is_a_further_group_of_its_panel() -> None:
    dot, weights = BY_NAME["avx512vnni"], np.zeros((40, 2, 7), np.int64)
    weights[33, 1, 5], weights[2, 0, 0] = 200, -255
    packed = pack_weights(weights, dot, 2, 255)
    assert packed.more_of.tolist() == [0, 1, 2]
    assert packed.more_at.tolist() == [[0, 0], [1, 4]]
    more = packed.more.reshape(2, 2, 16, 4)
    assert (more[0, 0, 2, 0], more[1, 0, 1, 1], np.count_nonzero(more)) == (-127, 200 - 127, 2)


@pytest.mark.parametrize("dot", DOTS, ids=lambda dot: dot.name)
@pytest.mark.parametrize("qmax", [1, 15, 128, 255])
def test_summands_add_up_to_the_weights_and_are_multiplied_exactly(dot: Dot, qmax: int) -> None:
    edges = [-255, -254, -129, -128, -127, -65, -64, -1, 0, 1, 63, 64, 65, 127, 128, 129, 254, 255]
    weights = np.array([[a, b, b, a] for a in edges for b in edges])
    parts = summands(weights, dot, qmax)
    assert (sum(parts) == weights).all()
    for part in parts:
        assert (part * np.sign(weights) >= 0).all()
        assert (np.abs(part) <= np.abs(weights)).all()
        assert part.min() >= -128
        assert part.max() <= 127
        if dot.saturates:
            pairs = part.reshape(-1, 2)
            assert qmax * np.maximum(pairs, 0).sum(axis=1).max() <= 32767
            assert qmax * np.minimum(pairs, 0).sum(axis=1).min() >= -32768


@pytest.mark.parametrize(
    ("pair", "qmax", "parts"),
    [
        ((64, 64), 255, 1),  # 255 * 128 = 32640
        ((65, 64), 255, 2),
        ((-64, -64), 255, 1),  # -32640
        ((-65, -64), 255, 2),
        ((127, -128), 255, 1),
        ((127, 127), 129, 1),  # 129 * 254 = 32766
        ((127, 127), 130, 2),
        ((-128, -128), 128, 1),  # -32768, the smallest
        ((-128, -128), 129, 2),
    ],
)
def test_a_pair_is_split_where_it_may_saturate_16_bits(pair: tuple[int, int], qmax: int, parts: int) -> None:
    assert len(summands(np.array([pair]), BY_NAME["avx2_maddubs"], qmax)) == parts
    assert len(summands(np.array([pair]), BY_NAME["avxvnni"], qmax)) == 1


@pytest.mark.parametrize("block_bytes", [32, 64])
@pytest.mark.parametrize("channels", [1, 3, 16, 17, 48, 64, 130])
def test_channels_stand_in_the_order_of_unpacked_bytes(channels: int, block_bytes: int) -> None:
    blocks = blocks_of(channels, 9, block_bytes)
    packed = pack_channels(np.arange(channels), blocks.blocks, block_bytes)
    bytes_of_block = np.arange(block_bytes).reshape(-1, 16)
    for block in range(blocks.blocks):
        unpacked = [bytes_of_block[:, 4 * i : 4 * i + 4].reshape(-1) for i in range(4)]
        assert (packed[block] == (np.array(unpacked) + block * block_bytes) % channels).all()


def test_taps_are_zero_behind_the_last() -> None:
    weights = np.arange(1, 16 * 9 + 1).reshape(16, 9)
    packed = pack_taps(weights, 2, 32, 4)
    assert packed.shape == (2, 3, 4, 8, 4)
    assert packed[0, 0, 0, 0].tolist() == weights[0, :4].tolist()
    assert packed[1, 2, 3, 7].tolist() == [weights[15, 8], 0, 0, 0]


@pytest.mark.parametrize(("channels", "width"), [(1, 1), (1, 500), (7, 33), (24, 9), (64, 5), (1001, 3), (129, 64)])
def test_a_row_of_a_depthwise_result_is_covered_once(channels: int, width: int) -> None:
    blocks = blocks_of(channels, width, 64)
    assert blocks.segments * blocks.length == channels * width
    assert blocks.blocks * 64 >= min(blocks.length, blocks.blocks * 64)
    assert blocks.segments == 1 or blocks.blocks == ceil_div(channels, 64)
    assert blocks_of(channels, width, 64, stride=2).segments == width


@pytest.mark.parametrize("dot", DOTS, ids=lambda dot: dot.name)
@pytest.mark.parametrize("outputs", [1, 8, 16, 17, 64, 1001])
@pytest.mark.parametrize("width", [1, 5, 16, 125])
def test_a_register_tile_fits_the_registers(dot: Dot, outputs: int, width: int) -> None:
    tile = choose_register_tile(dot, width, outputs, 36)
    assert 1 <= tile.pixels <= min(width, MOST_PIXELS)
    assert 1 <= tile.vectors <= MOST_VECTORS
    assert tile.pixels * tile.vectors <= MOST_SUMS
    if tile.pixels > 1:
        assert tile.pixels * tile.vectors + tile.vectors + 1 + dot.spare <= dot.registers
    rest = outputs % (tile.vectors * dot.lanes)
    assert tile.last_vectors == ceil_div(rest, dot.lanes) <= tile.vectors


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 1000), (32, 32), (7, 7), (112, 112), (3, 5)])
@pytest.mark.parametrize("pixels", [1, 5, 16])
@pytest.mark.parametrize("channels", [3, 64, 1024])
@pytest.mark.parametrize("panels", [1, 11])
def test_tiles_are_never_narrower_than_a_register_tile(
    height: int, width: int, pixels: int, channels: int, panels: int
) -> None:
    pixels = min(pixels, width)
    window = Window((1, 1), (3, 3), channels, BY_NAME["avx512vnni"])
    for of_tile in (None, window):
        tiles = choose_tiles(height, width, 9 * channels * 64, pixels, of_tile, panels, 9 * channels * 64)
        assert 1 <= tiles.rows <= height
        assert 1 <= tiles.columns <= width // pixels
        assert 1 <= tiles.panels <= panels
        widest = ceil_div(width // pixels, tiles.columns) * pixels + width % pixels
        needed = window(ceil_div(height, tiles.rows), widest)
        assert tiles.scratch_bytes == (0 if of_tile is None else needed)


def test_large_weights_are_cut_so_that_they_stay_in_the_cache() -> None:
    """3x3, 512 channels and outputs, 7x7 results: few areas, and no more weights at a time than the cache keeps."""
    weight_bytes = 9 * 512 * 512
    tiles = choose_tiles(7, 7, weight_bytes, 7, Window((1, 1), (3, 3), 512, BY_NAME["avx512vnni"]), 11, weight_bytes)
    assert weight_bytes / tiles.panels <= 1.25 * RESIDENT_WEIGHTS
    assert tiles.rows * tiles.panels >= MANY_TILES
    assert tiles.scratch_bytes <= WINDOW_BYTES


def test_one_row_of_a_matrix_is_cut_by_outputs() -> None:
    tiles = choose_tiles(1, 1, 512 * 1000, 1, None, 13, 512 * 1000)
    assert (tiles.rows, tiles.columns, tiles.panels) == (1, 1, 7)
    small = choose_tiles(1, 1, 640 * 128, 1, None, 2, 640 * 128)
    assert (small.rows, small.columns, small.panels) == (1, 1, 1)  # not worth to wake a thread for


@pytest.mark.parametrize("width", [14, 49, 128, 197, 3136])
def test_columns_are_cut_into_equal_numbers_of_register_tiles(width: int) -> None:
    for pixels in (1, 6, 7, 14):
        tiles = choose_tiles(1, width, 1 << 16, pixels, None)
        assert (width // pixels) % tiles.columns == 0
