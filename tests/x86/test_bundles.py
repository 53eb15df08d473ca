"""Bundles hold every weight once, no lane of 16 bits overflows, and what is held in 16 bits is as much as fits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT8, INT32, UINT8
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.qops import QGemm
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.targets.x86.bundles import FOUR, SIZES, Bundles, bundle, cut_into_fours, lane_sums, pack_bundles
from subbyte.targets.x86.kernels_short_sums import Held, held

SHAPES = [(1, 1, 1), (7, 1, 3), (8, 2, 4), (9, 3, 5), (16, 1, 6), (24, 3, 7), (8, 2, 48), (40, 3, 192)]


def _random(shape: tuple[int, int, int]) -> NDArray[np.int64]:
    return np.random.default_rng(sum(shape)).integers(-128, 127, shape, endpoint=True)


def _sums(packed: Bundles, lanes: int, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a kernel computes for the codes x [runs, products], every lane checked against 16 bits."""
    products = x.shape[1]
    stored = np.zeros((x.shape[0], max(products, FOUR)), np.int64)
    stored[:, :products] = x
    sums = []
    for first, *counts in packed.of.tolist():
        total, at = np.zeros(lanes, np.int64), first
        for size, count in zip(SIZES, counts, strict=True):
            for _ in range(count):
                held_by = np.zeros((lanes, 2), np.int64)
                for four in range(at, at + size):
                    run, code = packed.places[four]
                    products_of_four = packed.weights[four].astype(np.int64) * stored[run, code : code + FOUR]
                    pairs = products_of_four.reshape(lanes, 2, 2).sum(axis=-1)
                    held_by += pairs
                    assert np.abs(pairs + 0.5).max() < 32768
                    assert np.abs(held_by + 0.5).max() < 32768
                total += held_by.sum(axis=-1)
                at += size
        sums.append(total)
    return np.concatenate(sums)


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("shape", SHAPES)
def test_bundles_compute_the_sums_of_worst_operands_within_16_bits(shape: tuple[int, int, int], lanes: int) -> None:
    weights = _random(shape)
    packed = pack_bundles(weights, lanes, 255)
    for output in range(shape[0]):
        for sign in (1, -1):
            x = np.where(weights[output] * sign > 0, 255, 0)
            assert (_sums(packed, lanes, x)[: shape[0]] == (weights * x).sum(axis=(1, 2))).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_fours_stay_in_their_run(shape: tuple[int, int, int]) -> None:
    packed = pack_bundles(_random(shape), 8, 255)
    assert packed.places[:, 1].min() >= 0
    assert packed.places[:, 1].max() <= max(shape[2] - FOUR, 0)


@pytest.mark.parametrize(
    ("run", "fours"),
    [
        ([64, 64, 64, 64], 1),  # 255 * 128 = 32640
        ([65, 64, 1, 1], 2),  # one too many
        ([1, 127, 127, 1, 1, 1, 1, 1], 2),  # different pairs
        ([127] * 8, 5),  # 1, 2, 2, 2, 1
        ([127, -128, 127, -128], 1),
        ([-64, -64, -64, -64], 1),
        ([-65, -64, 0, 0], 2),
    ],
)
def test_fours_overlap_where_a_pair_would_overflow(run: list[int], fours: int) -> None:
    weights = np.array(run, np.int64).reshape(1, 1, -1)
    cut, places = cut_into_fours(weights, len(run), 255)
    assert len(cut) == len(places) == fours
    assert lane_sums(cut).max() <= 128
    whole = np.zeros(len(run), np.int64)
    for four, (_, code) in zip(cut[:, 0], places, strict=True):
        whole[code : code + FOUR] += four
    assert whole.tolist() == run


def test_small_weights_make_bundles_of_four() -> None:
    packed = pack_bundles(np.full((8, 1, 64), 16), 8, 255)
    assert packed.count == (4, 0, 0)
    assert pack_bundles(np.full((8, 1, 64), 17), 8, 255).count == (0, 8, 0)
    assert pack_bundles(np.full((8, 1, 64), 33), 8, 255).count == (0, 0, 16)
    assert pack_bundles(np.full((8, 1, 64), 127), 8, 15).count == (4, 0, 0)


def test_every_four_is_in_one_bundle() -> None:
    sums = np.random.default_rng(0).integers(0, 90, (700, 4, 2))
    order, (four, two, one) = bundle(sums, 255)
    assert sorted(order.tolist()) == list(range(700))
    assert 4 * four + 2 * two + one == 700
    for first, size, count in ((0, 4, four), (4 * four, 2, two)):
        for k in range(count):
            assert sums[order[first + k * size : first + (k + 1) * size]].sum(axis=0).max() <= 128


def test_random_weights_are_nearly_all_in_bundles_of_two() -> None:
    weights = np.clip(np.rint(np.random.default_rng(0).normal(0, 36, (16, 3, 384))), -127, 127).astype(np.int64)
    packed = pack_bundles(weights, 8, 255)
    _, two, one = packed.count
    assert two > 10 * one
    assert len(packed.weights) < 1.1 * weights.size / (8 * FOUR)


def test_weights_beyond_a_byte_are_refused() -> None:
    with pytest.raises(NumericsError, match="do not fit int8"):
        pack_bundles(np.full((1, 1, 4), 128), 8, 255)
    with pytest.raises(NumericsError, match="do not fit uint8"):
        pack_bundles(np.full((1, 1, 4), 1), 8, 256)


def _gemm(weight: int, depth: int, qmax: int) -> QGemm:
    scale, zero = np.float32(1), np.int64(0)
    a = Input("a", TensorType(UINT8, (1, depth), QuantParams(scale, zero, 0, qmax)))
    weights = TensorType(INT8, (depth, 3), QuantParams(scale, zero, -128, 127))
    b = Constant(np.full((depth, 3), weight, np.int8), weights)
    return QGemm(a.out, b.out, None, None, INT32, None)


@pytest.mark.parametrize(
    ("weight", "depth", "qmax", "expected"),
    [
        (7, 1024, 15, Held(1, 128)),  # 32767 // (2 * 7 * 15) = 156 of 256 groups: two blocks of 128
        (7, 512, 15, Held(1, 128)),
        (-8, 544, 15, Held(1, 136)),  # 32768 // 240
        (-8, 548, 15, Held(1, 69)),  # one group too many
        (64, 16, 255, Held(1, 1)),
        (65, 16, 255, None),
    ],
)
def test_what_is_held_in_16_bits(weight: int, depth: int, qmax: int, expected: Held | None) -> None:
    assert held(_gemm(weight, depth, qmax)) == expected
