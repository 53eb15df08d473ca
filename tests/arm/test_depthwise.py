"""Convolutions in groups on Arm: how channels are cut into blocks, and taps into groups whose sums fit 16 bits."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.targets.arm.kernels_depthwise import blocks_of, groups_of


@pytest.mark.parametrize("seed", range(8))
def test_no_codes_make_a_group_of_taps_leave_16_bits(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(-128, 128, (16, 25))
    for group in groups_of(weights, -128, 127):
        parts = np.stack([part for _, part in group], axis=1)
        highest = np.maximum(parts * -128, parts * 127).sum(axis=1)
        lowest = np.minimum(parts * -128, parts * 127).sum(axis=1)
        assert highest.max() <= 32767
        assert lowest.min() >= -32768


def test_groups_hold_every_weight_once() -> None:
    weights = np.random.default_rng(0).integers(-300, 300, (8, 9))
    summed = np.zeros_like(weights)
    for tap, part in (one for group in groups_of(weights, -128, 127) for one in group):
        assert abs(part).max() <= 128
        summed[:, tap] += part
    assert (summed == weights).all()


def test_the_worst_pair_of_bytes_is_kept_apart() -> None:
    weights = np.full((8, 2), -128)
    assert [len(group) for group in groups_of(weights, -128, 127)] == [1, 1]  # 2 * 2^14 is one too many
    assert [len(group) for group in groups_of(weights, -127, 127)] == [2]


def test_light_filters_are_one_group() -> None:
    weights = np.random.default_rng(1).integers(-2, 2, (16, 9))
    assert len(groups_of(weights, -128, 127)) == 1


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 47, 64])
def test_blocks_hold_every_channel_of_every_pixel(channels: int, lanes: int) -> None:
    for width in (1, 5, 48):
        for stride in (1, 2):
            blocks = blocks_of(channels, lanes, width, stride, 4)
            last = blocks.abreast * channels - lanes
            bytes_of = set()
            for index, block in enumerate(blocks.channels):
                start = min(index * lanes, last) if last >= 0 else 0
                for lane, channel in enumerate(block):
                    if start + lane < blocks.abreast * channels:
                        assert channel == (start + lane) % channels
                        bytes_of.add(start + lane)
            assert bytes_of == set(range(blocks.abreast * channels))
            assert stride == 1 or blocks.abreast == 1
