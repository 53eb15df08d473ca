"""N3: bounds of sums, flush intervals of narrow lanes, and the proof that vpmaddubsw does not saturate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from subbyte.compiler.dtype import INT32, INT64
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.accumulate import (
    accumulator_dtype,
    accumulator_range,
    accumulator_range_of_codes,
    flush_interval,
    flush_interval_of_weights,
    result_range,
    saturating_pairs,
    step_range,
)


@pytest.mark.parametrize(("z_a", "z_w", "bias"), [(0, 0, 0), (1, 0, 5), (2, -1, -7), (3, 2, 0)])
def test_bounds_hold_for_every_code_and_every_partial_sum(z_a: int, z_w: int, bias: int) -> None:
    weights = np.array([[2, -3, 1], [-2, -2, -2], [0, 0, 3]])
    low, high = accumulator_range(weights, z_w, 0, 3, z_a, bias)
    result_low, result_high = result_range(weights, z_w, 0, 3, z_a, bias)
    for channel, row in enumerate(weights):
        seen, finished = [], []
        folded = bias - z_a * int(row.sum()) + len(row) * z_a * z_w
        for codes in itertools.product(range(4), repeat=3):
            a = np.array(codes)
            for size in range(4):
                for part in itertools.combinations(range(3), size):
                    k = list(part)
                    centred = int(((a[k] - z_a) * (row[k] - z_w)).sum())
                    raw, correction = int((a[k] * row[k]).sum()), int((-z_w * a[k]).sum())
                    whole = int((-z_w * a).sum())
                    seen += [centred, centred + bias]
                    seen += [raw + c + f for c in (0, correction, whole) for f in (0, folded)]
            finished.append(int(((a - z_a) * (row - z_w)).sum()) + bias)
        assert low[channel] <= min(seen)
        assert max(seen) <= high[channel]
        assert (min(finished), max(finished)) == (result_low[channel], result_high[channel])
        assert low[channel] <= result_low[channel]
        assert result_high[channel] <= high[channel]


def test_bounds_are_reached_without_zero_points() -> None:
    low, high = accumulator_range(np.array([[127, -128, 5]]), 0, 0, 255, 0)
    assert (low.tolist(), high.tolist()) == ([-128 * 255], [132 * 255])


def test_bounds_of_unknown_weights_cover_every_weight() -> None:
    rng = np.random.default_rng(0)
    low, high = accumulator_range_of_codes(7, -128, 127, 3, 0, 255, 77)
    for _ in range(100):
        weights = rng.choice([-128, 127, 0, 3, 50], (4, 7))
        one_low, one_high = accumulator_range(weights, 3, 0, 255, 77)
        assert low <= one_low.min()
        assert one_high.max() <= high


def test_accumulator_dtype_is_int32_until_it_may_overflow() -> None:
    fits = np.full((1, 2**31 // (255 * 128)), -128)
    assert accumulator_dtype(*accumulator_range(fits, 0, 0, 255, 0)) == INT32
    assert accumulator_dtype(*accumulator_range(fits, 0, 0, 255, 0, bias=-(2**31))) == INT64
    assert accumulator_dtype(*accumulator_range(np.full((1, 66000), 127), 0, -128, 127, 0)) == INT32
    assert accumulator_dtype(*accumulator_range(np.full((1, 67000), 127), 0, 0, 255, 0)) == INT64


def test_a_sum_beyond_int64_is_refused() -> None:
    with pytest.raises(NumericsError, match="beyond int64"):
        accumulator_range(np.full((1, 4), 2**31), 0, 0, 2**31, 0)
    with pytest.raises(NumericsError, match="may exceed int64"):
        accumulator_range_of_codes(2**34, -(2**15), 2**15 - 1, 0, 0, 65535, 0)


@pytest.mark.parametrize(
    ("weights", "codes", "products", "lane_bits", "signed", "steps"),
    [
        ((0, 1), (0, 3), 4, 8, False, 21),  # tables of 4 one-bit weights times 2-bit codes in uint8 lanes
        ((0, 1), (0, 3), 9, 8, False, 9),  # tables of 9 in 64 entries
        ((0, 1), (0, 1), 8, 8, False, 31),  # cnt.16b and add.16b
        ((0, 1), (0, 1), 16, 16, False, 4095),  # cnt and uadalp
        ((0, 3), (0, 3), 1, 16, False, 7281),
        ((0, 3), (0, 3), 1, 16, True, 3640),
        ((-2, 1), (0, 3), 1, 16, True, 5461),
        ((-127, 127), (-128, 127), 1, 16, True, 2),  # vmull_s8 and vmlal_s8 without weight -128
        ((-64, 64), (-127, 127), 1, 16, True, 4),
        ((-8, 7), (-128, 127), 1, 16, True, 31),
        ((-8, 7), (0, 15), 1, 16, True, 273),
        ((-2, 1), (-128, 127), 1, 16, True, 127),
        ((0, 3), (0, 3), 1, 8, False, 28),  # mla.16b
        ((-2, 1), (0, 3), 1, 8, True, 21),
        ((0, 3), (0, 7), 1, 8, False, 12),
        ((-2, 1), (0, 7), 1, 8, True, 9),
        ((0, 7), (0, 7), 1, 8, False, 5),
        ((-128, 127), (0, 3), 2, 16, True, 42),  # vpmaddubsw with weights as the unsigned operand
        ((-128, 127), (0, 15), 2, 16, True, 8),
        ((-8, 7), (0, 15), 2, 16, True, 136),
        ((0, 3), (0, 3), 2, 16, True, 1820),
    ],
)
def test_flush_intervals_of_known_chains(
    weights: tuple[int, int], codes: tuple[int, int], products: int, lane_bits: int, signed: bool, steps: int
) -> None:
    low, high = step_range(*weights, *codes, products)
    assert flush_interval(low, high, lane_bits, signed=signed) == steps
    lane = (-(2 ** (lane_bits - 1)), 2 ** (lane_bits - 1) - 1) if signed else (0, 2**lane_bits - 1)
    assert lane[0] <= steps * low
    assert steps * high <= lane[1]
    assert (steps + 1) * low < lane[0] or (steps + 1) * high > lane[1]


def test_a_step_that_overflows_its_lane_is_refused() -> None:
    with pytest.raises(NumericsError, match="does not fit a lane of int16"):
        flush_interval(*step_range(-128, 127, 0, 255, 2), 16, signed=True)
    with pytest.raises(NumericsError, match="does not fit a lane of uint8"):
        flush_interval(-1, 3, 8, signed=False)
    with pytest.raises(NumericsError, match="does not fit a lane of int8"):
        flush_interval_of_weights(np.full((1, 2, 1), 100), 0, 3, 8, signed=True)
    with pytest.raises(NumericsError, match="add nothing"):
        flush_interval(0, 0, 16, signed=True)


def test_flush_interval_of_actual_weights_is_exact() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-128, 128, (3, 40, 2))
    weights //= 4
    got = flush_interval_of_weights(weights, 0, 63, 16, signed=True)
    fits = []
    for count in range(1, 41):
        runs = [weights[lane, start : start + count] * 63 for lane in range(3) for start in range(41 - count)]
        fits.append(all(run[run > 0].sum() <= 32767 and run[run < 0].sum() >= -32768 for run in runs))
    assert got == fits.index(False)
    assert got > flush_interval(*step_range(-32, 31, 0, 63, 2), 16, signed=True)


def test_pairs_that_saturate_are_found_exactly() -> None:
    values = np.arange(-128, 128)
    pairs = np.stack(np.meshgrid(values, values, indexing="ij"), -1)
    sums = [np.int64(a) * pairs[..., 0] + np.int64(b) * pairs[..., 1] for a in (0, 255) for b in (0, 255)]
    overflows = np.any([(s > 32767) | (s < -32768) for s in sums], axis=0)
    assert (saturating_pairs(pairs) == overflows).all()
    assert not saturating_pairs(np.array([[64, 64], [127, -128], [-64, -64]])).any()
    assert not saturating_pairs(pairs, input_qmax=127).any()
