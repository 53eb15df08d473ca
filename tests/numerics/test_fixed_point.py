"""N5: thresholds and the integer forms of N4, each equal to N4 wherever it is offered."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.fixed_point import (
    HalfEven,
    apply_guess_and_correct,
    apply_half_even,
    emulate,
    emulation,
    guess_and_correct,
    search_half_even,
)
from subbyte.compiler.numerics.requantize import Requantization, requantize
from subbyte.compiler.numerics.thresholds import all_thresholds, count_thresholds, thresholds

RANGES = [(0, -128, 127), (77, 0, 255), (-3, -8, 7), (1, 0, 3)]


def of(m: Any, zero_point: int = 0, qmin: int = -128, qmax: int = 127, shift: Any = None) -> Requantization:
    return Requantization(np.float32(m), None if shift is None else np.float32(shift), zero_point, qmin, qmax)


def multipliers(rng: np.random.Generator, count: int) -> Any:
    """Of both signs: random ones, powers of two, and short mantissas, for accumulators of 2**10 to 2**26."""
    exponents = rng.uniform(-20, -2, count)
    random = np.exp2(exponents)
    random[::4] = np.exp2(np.rint(exponents[::4]))
    random[1::4] = rng.integers(3, 128, random[1::4].size) * np.exp2(np.rint(exponents[1::4]) - 6)
    return (random * rng.choice([-1, 1], count)).astype(np.float32)


def probes(rng: np.random.Generator, steps: Any, low: int, high: int) -> Any:
    """Both sides of every step, the ends, and random accumulators."""
    near = np.concatenate([steps + d for d in range(-3, 4)])
    return np.clip(np.concatenate([near, rng.integers(low, high + 1, 500), [low, high, 0]]), low, high)


@pytest.mark.parametrize(("zero_point", "qmin", "qmax"), RANGES)
@pytest.mark.parametrize("shift", [None, -7.3])
def test_thresholds_count_to_n4(zero_point: int, qmin: int, qmax: int, shift: float | None) -> None:
    rng = np.random.default_rng(0)
    for m in multipliers(rng, 20):
        r = of(m, zero_point, qmin, qmax, shift)
        low, high = sorted(int(v) for v in rng.integers(-(2**27), 2**27, 2))
        steps = thresholds(r, 0, low, high)
        assert steps.shape == (qmax - qmin,)
        assert (np.diff(steps) >= 0).all()
        acc = probes(rng, steps, low, high)
        assert (count_thresholds(acc, steps, r, 0) == requantize(acc, r)).all()


def test_thresholds_of_every_channel_and_of_int64_accumulators() -> None:
    r = Requantization(np.float32([1e-3, -2e-3, 1e-13]), np.float32([0, 5, -5]), 0, -128, 127)
    low, high = [-(2**20), -(2**24), -(2**60)], [2**20, 2**24, 2**60]
    steps = all_thresholds(r, low, high)
    for channel in range(3):
        assert (steps[channel] == thresholds(r, channel, low[channel], high[channel])).all()
        acc = probes(np.random.default_rng(1), steps[channel], low[channel], high[channel])
        assert (count_thresholds(acc, steps[channel], r, channel) == requantize(acc, r.channel(channel))).all()


def test_thresholds_of_a_tie() -> None:
    assert thresholds(of(0.5, 0, 0, 3), 0, -100, 100).tolist() == [2, 3, 6]  # 1/2 -> 0, 3/2 -> 2, 5/2 -> 2


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0, 2**63 - 1)])
def test_impossible_ranges_are_refused(low: int, high: int) -> None:
    with pytest.raises(NumericsError, match="range of accumulators"):
        thresholds(of(1), 0, low, high)


@pytest.mark.parametrize(("zero_point", "qmin", "qmax"), RANGES)
def test_half_even_equals_n4_wherever_it_is_found(zero_point: int, qmin: int, qmax: int) -> None:
    rng = np.random.default_rng(2)
    found = 0
    for m in multipliers(rng, 60):
        r = of(m, zero_point, qmin, qmax)
        reach = int(rng.uniform(0.3, 2) * (qmax - qmin) / abs(m))
        form = search_half_even(r, 0, -reach, reach)
        if form is not None:
            found += 1
            acc = probes(rng, thresholds(r, 0, -reach, reach), -reach, reach)
            assert (apply_half_even(acc, form, r) == requantize(acc, r)).all(), (m, form)
    assert found >= 30


def test_half_even_exists_for_every_power_of_two_and_is_short() -> None:
    for exponent in range(2, 17):
        form = search_half_even(of(2.0**-exponent, 3), 0, -(2**24), 2**24)
        assert form is not None
        assert form.m / 2**form.s == 2.0**-exponent


def test_half_even_does_not_exist_for_every_multiplier() -> None:
    missing = [
        m for m in multipliers(np.random.default_rng(3), 60) / 64 if search_half_even(of(m), 0, -(2**24), 2**24) is None
    ]
    assert missing
    assert search_half_even(of(0.5, shift=0.25), 0, -100, 100) is None


def test_half_even_search_is_exhaustive_over_a_small_range() -> None:
    rng = np.random.default_rng(4)
    acc = np.arange(-1500, 1501)
    for m in multipliers(rng, 40) * 64:
        r = of(m, 1, -8, 7)
        form = search_half_even(r, 0, -1500, 1500)
        if form is not None:
            assert (apply_half_even(acc, form, r) == requantize(acc, r)).all()
        else:  # and nothing near the multiplier is found by trial either
            for s in range(20):
                for m_near in {math.floor(abs(float(m)) * 2**s), math.ceil(abs(float(m)) * 2**s)}:
                    trial = HalfEven(int(math.copysign(m_near, m)), s)
                    assert (apply_half_even(acc, trial, r) != requantize(acc, r)).any()


@pytest.mark.parametrize(("zero_point", "qmin", "qmax"), RANGES)
@pytest.mark.parametrize("shift", [None, 12.6])
def test_guess_and_correct_equals_n4(zero_point: int, qmin: int, qmax: int, shift: float | None) -> None:
    rng = np.random.default_rng(5)
    for m in multipliers(rng, 40):
        r = of(m, zero_point, qmin, qmax, shift)
        reach = int(rng.uniform(0.3, 2) * (qmax - qmin) / abs(m))
        form = guess_and_correct(r, 0, -reach, reach)
        assert form is not None
        acc = probes(rng, thresholds(r, 0, -reach, reach), -reach, reach)
        assert (apply_guess_and_correct(acc, form, r) == requantize(acc, r)).all(), (m, shift)


def test_emulation_equals_n4_for_every_multiplier_and_accumulator() -> None:
    rng = np.random.default_rng(6)
    wide = (rng.integers(0, 2**32, 60, dtype=np.uint32)).view(np.float32)
    for m in [*multipliers(rng, 60), *wide[np.isfinite(wide) & (wide != 0)], np.float32(1e-45), np.float32(3e38)]:
        r = of(m, 3, -128, 127)
        steps = thresholds(r, 0, -(2**61), 2**61)
        acc = np.concatenate([probes(rng, steps[::16], -(2**61), 2**61), rng.integers(-(2**31), 2**31, 50)])
        assert (emulate(acc, *emulation(r, 0), r) == requantize(acc, r)).all(), m


def test_emulation_of_a_shift_is_refused() -> None:
    with pytest.raises(NumericsError, match="with a shift"):
        emulation(of(0.1, shift=1.0), 0)


def test_c_forms_equal_n4(twin: Any) -> None:
    rng = np.random.default_rng(7)
    for m in multipliers(rng, 40):
        for zero_point, qmin, qmax in RANGES:
            r = of(m, zero_point, qmin, qmax)
            reach = min(int(rng.uniform(0.3, 2) * (qmax - qmin) / abs(m)), 2**30)
            steps = thresholds(r, 0, -reach, reach)
            acc = probes(rng, steps, -reach, reach).astype(np.int32)
            want = requantize(acc, r)
            grid = [(value, np.int32) for value in (zero_point, qmin, qmax)]
            form = search_half_even(r, 0, -reach, reach)
            if form is not None:
                got = twin.call("half_even", np.int32, (acc, np.int32), (form.m, np.int32), (form.s, np.int32), *grid)
                assert (got == want).all(), ("half even", m)
            guess = guess_and_correct(r, 0, -reach, reach)
            assert guess is not None
            out = np.empty(acc.size, np.int32)
            operand = np.ascontiguousarray(-acc if guess.negate else acc)
            narrow = guess.steps.astype(np.int32)
            twin.raw("corrected", acc.size, guess.m, guess.c, guess.s, narrow, qmin, qmax, operand, out)
            assert (out == want).all(), ("corrected", m)
            twin.raw("count_steps", acc.size, steps.astype(np.int32), steps.size, acc, out)
            assert ((qmin + out if m > 0 else qmax - out) == want).all(), ("thresholds", m)


def test_c_emulation_equals_n4(twin: Any) -> None:
    rng = np.random.default_rng(8)
    wide = (rng.integers(0, 2**32, 300, dtype=np.uint32)).view(np.float32)
    for m in [*multipliers(rng, 100), *wide[np.isfinite(wide) & (wide != 0)], np.float32(1e-45), np.float32(3e38)]:
        r = of(m, 3, -128, 127)
        acc = probes(rng, thresholds(r, 0, -(2**61), 2**61), -(2**61), 2**61)
        acc = np.concatenate([acc, rng.integers(-(2**31), 2**31, 2000), rng.integers(-(2**20), 2**20, 2000)])
        mantissa, s = emulation(r, 0)
        grid = [(value, np.int32) for value in (3, -128, 127)]
        got = twin.call("emulated", np.int32, (acc, np.int64), (mantissa, np.int32), (s, np.int32), *grid)
        assert (got == requantize(acc, r)).all(), m
