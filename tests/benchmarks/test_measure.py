"""The interleaved measurement: who runs when, and what is made of the times."""

from __future__ import annotations

import time
from functools import partial
from itertools import groupby

import numpy as np

from benchmarks.measure import Timing, interleave, ratios


def timing(*medians: float) -> Timing:
    return Timing(tuple(np.full(3, median) for median in medians), np.zeros(len(medians)), 1)


def test_the_ratio_is_that_of_the_faster_peer_in_each_round() -> None:
    found, fastest = ratios(timing(10, 10, 20), {"slow": timing(30, 40, 50), "quick": timing(20, 50, 10)})
    assert found.tolist() == [2, 4, 0.5]
    assert fastest == ["quick", "slow", "quick"]


def test_engines_take_turns_and_another_begins_each_round() -> None:
    calls: list[str] = []

    def engine(name: str) -> None:
        calls.append(name)
        time.sleep(0.0002)

    interleave({name: partial(engine, name) for name in "abc"}, rounds=4, block_seconds=0.002)
    warm_up, rounds = "abc", ("abc", "bca", "cab", "abc")
    expected = warm_up + "".join(rounds)
    assert [name for name, _ in groupby(calls)] == [name for name, _ in groupby(expected)]


def test_times_are_those_of_one_inference() -> None:
    found = interleave({"sleeper": lambda: time.sleep(0.001)}, rounds=3, block_seconds=0.01)["sleeper"]
    assert all(1e6 <= median < 3e6 for median in found.medians)
    assert len(found.wall) == len(found.cpu) == 3
    assert found.cpu.max() < 1e6, "sleeping takes no processor time"
