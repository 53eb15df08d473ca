"""Weights as planes of bits: what they stand for, how they are laid out, how long their counts may grow."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.targets.arm.bit_planes import PANEL, VECTOR, Planes, PlaneWeights, choose_planes, chunk_of


@pytest.mark.parametrize(
    ("values", "planes"),
    [
        ([0], Planes(0, 1, (1,))),
        ([0, 1], Planes(0, 1, (1,))),
        ([-3, 0], Planes(0, -3, (-3,))),
        ([-1, 1], Planes(-1, 2, (2,))),
        ([-9, 14], Planes(-9, 23, (23,))),
        ([-1, 0, 1], Planes(0, 1, (1, -2))),
        ([-4, 0, 4], Planes(0, 4, (4, -8))),
        ([-2, -1, 0, 1], Planes(0, 1, (1, -2))),
        ([0, 1, 2, 3], Planes(0, 1, (1, 2))),
        ([-3, -1, 1, 3], Planes(-3, 2, (2, 4))),
        ([5], Planes(0, 5, (5,))),
        ([-5], Planes(0, 5, (-5,))),
        (range(-4, 4), Planes(0, 1, (1, 2, -4))),
    ],
)
def test_planes_are_few_and_stand_for_the_values(values: list[int], planes: Planes) -> None:
    held = np.array(values, np.int64)
    assert choose_planes(held) == planes
    assert (planes.level + np.tensordot(planes.factors, planes.bits(held).astype(np.int64), 1) == held).all()


def test_counts_of_a_chunk_fit_a_byte_and_their_products_16_bits() -> None:
    for factors in ((1,), (1, -2, 2, -4), (1, 2, 4, 8, -16), (200, -255), (2, 4, 6)):
        for vectors in (chunk_of(factors), chunk_of(factors) + 1):
            ones = 8 * VECTOR * vectors
            positive = sum(factor for factor in factors if factor > 0) * ones
            negative = sum(factor for factor in factors if factor < 0) * ones
            fits = 8 * vectors <= 255 and positive <= 32767 and negative >= -32767
            assert fits == (vectors == chunk_of(factors))


def test_weights_too_large_for_16_bits_have_no_chunk() -> None:
    assert chunk_of((255,)) == 1
    assert chunk_of((256,)) == 0


def test_packed_planes_count_to_the_sums_of_products() -> None:
    random = np.random.default_rng(5)
    values = random.integers(-2, 2, (19, 3, 21))
    codes = random.integers(0, 4, (3, 21))
    weights = PlaneWeights(values, 2)
    x = np.stack([weights.lines((codes >> j & 1).astype(np.uint8)) for j in range(2)])
    packed = weights.packed(4)
    panels = packed.reshape(2, PANEL // 4, weights.steps, 4, 2, VECTOR)
    ones = np.unpackbits(panels[..., None, :] & x.transpose(1, 0, 2)[:, None, None], axis=-1).sum(axis=-1)
    sums = (ones.sum(axis=2).reshape(2 * PANEL, 4) * weights.factors).sum(axis=1)
    assert (sums[:19] == (values * codes).sum(axis=(1, 2))).all()
    assert not sums[19:].any()


def test_known_bits_are_those_of_channels() -> None:
    weights = PlaneWeights(np.ones((1, 2, 3), np.int64), 1)
    assert np.unpackbits(weights.known).sum() == 6
    assert weights.known[0, :2].tolist() == [0b00010101, 0b00010101]
