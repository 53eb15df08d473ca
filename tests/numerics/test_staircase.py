"""N5: requantizations by thresholds, with and without a table behind them, are N4 for every reachable accumulator."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.requantize import Requantization, requantize
from subbyte.compiler.numerics.staircase import Staircase, climb
from subbyte.compiler.numerics.thresholds import proved, staircase


def random_requantization(random: np.random.Generator, channels: int) -> Requantization:
    """A few codes, multipliers of both signs, per tensor or per channel; a shift and a table every other time."""
    per_channel = random.random() < 0.6
    shape = channels if per_channel else ()
    multiplier = np.float32(random.uniform(0.0005, 0.3, shape) * random.choice([-1.0, 1.0], shape))
    shift = np.float32(random.normal(0, 3, shape)) if random.random() < 0.5 else None
    qmin = int(random.integers(-8, 1))
    qmax = qmin + 2 ** int(random.integers(1, 5)) - 1
    entries = (channels, qmax - qmin + 1) if random.random() < 0.5 else (qmax - qmin + 1,)
    table = random.integers(-5, 5, entries) if random.random() < 0.5 else None
    return Requantization(multiplier, shift, int(random.integers(qmin, qmax + 1)), qmin, qmax, table)


@pytest.mark.parametrize("seed", range(60))
def test_a_staircase_is_n4_for_every_reachable_accumulator(seed: int) -> None:
    random = np.random.default_rng(seed)
    channels = int(random.integers(1, 6))
    r = random_requantization(random, channels)
    low, high = -random.integers(0, 400, channels), random.integers(0, 400, channels)
    found = staircase(r, low, high, 15)
    assert found is not None
    assert found.rows == (r.channels or 1)
    for channel in range(channels):
        acc = np.arange(low[channel], high[channel] + 1)
        sums = np.repeat(acc[:, None], channels, axis=1)
        expected = requantize(sums, r)[:, channel]
        assert (climb(sums, found)[:, channel] == expected).all()
        assert (climb(sums.T, found, axis=0)[channel] == expected).all()


def test_codes_that_no_accumulator_reaches_need_no_step() -> None:
    r = Requantization(np.float32(0.01), None, 0, -128, 127)
    found = staircase(r, [-100], [700], 15)
    assert found is not None
    assert found.steps.tolist() == [[-50, 51, 150, 251, 350, 451, 550, 651]]  # ties go to the even code
    assert found.codes.tolist() == [list(range(-1, 8))]
    assert staircase(r, [-1000], [1700], 15) is None


def test_a_table_of_two_results_needs_one_step() -> None:
    table = (np.arange(256) >= 100).astype(np.int64) * 7
    found = staircase(Requantization(np.float32(0.5), None, 3, 0, 255, table), [-(2**20)], [2**20], 15)
    assert found is not None
    assert (found.steps.tolist(), found.codes.tolist()) == ([[194]], [[0, 7]])  # 97 is 193 / 2 = 96.5 to even, 96


def test_a_negative_multiplier_descends() -> None:
    found = staircase(Requantization(np.float32([1, -1]), None, 0, 0, 3), [-9, -9], [9, 9], 15)
    assert found is not None
    assert found.steps.tolist() == [[1, 2, 3], [-2, -1, 0]]
    assert found.codes.tolist() == [[0, 1, 2, 3], [3, 2, 1, 0]]


def test_channels_with_fewer_steps_end_in_steps_that_none_reaches() -> None:
    found = staircase(Requantization(np.float32([1, 1]), None, 0, 0, 3), [0, 0], [3, 1], 15)
    assert found is not None
    assert found.steps.tolist() == [[1, 2, 3], [1, 2, 2]]
    assert climb([[3, 1], [0, 0]], found).tolist() == [[3, 1], [0, 0]]


def test_more_steps_than_memory_should_hold_are_refused() -> None:
    r = Requantization(np.float32(np.full(257, 0.5)), None, 0, -32768, 32767)
    with pytest.raises(NumericsError, match="65535 steps for each of 257 channels"):
        staircase(r, np.full(257, -(1 << 20)), np.full(257, 1 << 20), 65535)


@pytest.mark.parametrize("change", ["steps", "codes"])
def test_the_proof_fails_for_a_staircase_that_is_off_by_one(change: str) -> None:
    r = Requantization(np.float32([0.3, -0.2]), None, 1, 0, 7)
    found = staircase(r, [-50, -50], [50, 50], 15)
    assert found is not None
    moved = getattr(found, change).copy()
    moved[1, 2] += 1
    with pytest.raises(NumericsError, match="thresholds of channel 1 differ from N4"):
        proved(dataclasses.replace(found, **{change: moved}), r)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (([[3, 2]], [[0, 1, 2]], [0], [9]), "descend"),
        (([[1, 2]], [[0, 1, 2]], [9], [0]), "proved for are none"),
        (([[1, 2]], [[0, 1]], [0], [9]), r"\[rows, n \+ 1\]"),
    ],
)
def test_impossible_staircases_are_refused(fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(NumericsError, match=message):
        Staircase(*fields)


def test_a_table_follows_n4() -> None:
    r = Requantization(np.float32([1, 1]), None, 0, -1, 1, [[5, 6, 7], [7, 6, 5]])
    assert requantize([[-9, -9], [0, 0], [9, 9]], r).tolist() == [[5, 7], [6, 6], [7, 5]]
    assert requantize([[-9, 0, 9], [-9, 0, 9]], r, axis=0).tolist() == [[5, 6, 7], [7, 6, 5]]


def test_changes_of_a_requantization_reach_the_results_of_its_table() -> None:
    r = Requantization(np.float32([1, 2, 1]), np.float32([0, 1, 0]), 0, 0, 2, [[0, 5, 9]] * 2 + [[1, 2, 3]])
    assert (r.channels, r.results()) == (3, (0, 9))
    assert r.clamped(2, 6).results() == (2, 6)
    assert r.moved(-4).results() == (-4, 5)
    kept = r.of_channels(np.array([True, False, True]))
    assert (kept.channels, kept.multiplier.tolist(), kept.results()) == (2, [1.0, 1.0], (0, 9))
    assert r.channel(2).table is not None
    assert r.channel(2).results() == (1, 3)
    with pytest.raises(NumericsError, match="to 3 codes has shape"):
        Requantization(np.float32(1), None, 0, 0, 2, [0, 1])
