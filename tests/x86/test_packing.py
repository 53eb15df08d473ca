"""Packed weights hold every weight once, where its kernel multiplies it; register tiles fit the registers."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.numerics.accumulate import saturating_pairs
from subbyte.targets.x86.dots import DOTS
from subbyte.targets.x86.kernels_depthwise import blocks_of, pack_channels, pack_taps
from subbyte.targets.x86.packing import pack_ones, pack_weights, saturates
from subbyte.targets.x86.registers import (
    MOST_PIXELS,
    MOST_SUMS,
    MOST_VECTORS,
    Dot,
    RegisterTile,
    Window,
    ceil_div,
    choose_register_tile,
    choose_tiles,
)

BY_NAME = {dot.name: dot for dot in DOTS}


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("group", [2, 4])
@pytest.mark.parametrize("vectors", [1, 2, 3])
@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 40, 70])
def test_weights_are_panels_of_runs_of_groups_of_vectors(lanes: int, group: int, vectors: int, outputs: int) -> None:
    runs, products = 2, 7
    weights = np.random.default_rng(outputs).integers(-128, 128, (outputs, runs, products))
    packed = pack_weights(weights, lanes, group, RegisterTile(1, vectors, 0))
    groups = ceil_div(products, group)
    at = 0
    for panel in range(0, ceil_div(outputs, lanes), vectors):
        here = min(vectors, ceil_div(outputs, lanes) - panel)
        for run in range(runs):
            for g in range(groups):
                for v in range(here):
                    for lane in range(lanes):
                        for k in range(group):
                            o, i = (panel + v) * lanes + lane, g * group + k
                            expected = weights[o, run, i] if o < outputs and i < products else 0
                            assert packed[at] == expected
                            at += 1
    assert at == packed.size


def test_ones_mark_the_products_of_a_run() -> None:
    assert pack_ones(2, 5, 4).tolist() == [1, 1, 1, 1, 1, 0, 0, 0] * 2
    assert pack_ones(1, 3, 2).view(np.int16).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("pair", "qmax", "expected"),
    [
        ((64, 64), 255, False),  # 255 * 128 = 32640
        ((65, 64), 255, True),
        ((-64, -64), 255, False),  # -32640
        ((-65, -64), 255, True),
        ((127, -128), 255, False),
        ((127, 127), 129, False),  # 129 * 254 = 32766
        ((127, 127), 130, True),
        ((-128, -128), 128, False),  # -32768, the smallest
        ((-128, -128), 129, True),
    ],
)
def test_a_pair_saturates_beyond_16_bits(pair: tuple[int, int], qmax: int, expected: bool) -> None:
    packed = np.array([pair, (0, 0)], np.int8).reshape(-1)
    assert saturates(packed, qmax) is expected
    assert bool(saturating_pairs(packed.reshape(-1, 2), qmax).any()) is expected


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


@pytest.mark.parametrize("dot", DOTS, ids=lambda dot: dot.name)
@pytest.mark.parametrize("sums_inputs", [False, True])
@pytest.mark.parametrize("outputs", [1, 8, 16, 17, 64, 1001])
@pytest.mark.parametrize("width", [1, 5, 16, 125])
def test_a_register_tile_fits_the_registers(dot: Dot, sums_inputs: bool, outputs: int, width: int) -> None:
    tile = choose_register_tile(dot, width, outputs, 36, sums_inputs=sums_inputs)
    assert 1 <= tile.pixels <= min(width, MOST_PIXELS)
    assert 1 <= tile.vectors <= MOST_VECTORS
    assert tile.pixels * tile.vectors <= MOST_SUMS
    if tile.pixels > 1:
        used = tile.pixels * (tile.vectors + sums_inputs) + tile.vectors + 1 + dot.spare
        assert used <= dot.registers
    rest = outputs % (tile.vectors * dot.lanes)
    assert tile.last_vectors == ceil_div(rest, dot.lanes) <= tile.vectors


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 1000), (32, 32), (7, 7), (112, 112), (3, 5)])
@pytest.mark.parametrize("pixels", [1, 5, 16])
@pytest.mark.parametrize("channels", [3, 64, 1024])
def test_tiles_are_never_narrower_than_a_register_tile(height: int, width: int, pixels: int, channels: int) -> None:
    pixels = min(pixels, width)
    window = Window((1, 1), (3, 3), channels, BY_NAME["avx512vnni"])
    for of_tile in (None, window):
        tiles = choose_tiles(height, width, 9 * channels * 64, pixels, of_tile)
        assert 1 <= tiles.rows <= height
        assert width // tiles.columns >= pixels
        needed = window(ceil_div(height, tiles.rows), ceil_div(width, tiles.columns))
        assert tiles.scratch_bytes == (0 if of_tile is None else needed)
