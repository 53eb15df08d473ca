"""Integer forms of requantizations (N5) are N4 at every step, beside it and at the ends of the range."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.fixed_point_choice import FixedPointLimits, fixed_point, proved_fixed_point
from subbyte.compiler.numerics.monotone import staircase_of
from subbyte.compiler.numerics.requantize import Requantization, requantize
from subbyte.compiler.numerics.staircase import Staircase, climb, climb_by_search
from subbyte.compiler.numerics.step_choice import StepPreferences, choose_step_form
from subbyte.compiler.numerics.step_forms import (
    CompareSteps,
    FixedPoint,
    SearchSteps,
    StepForm,
    Unchanged,
    apply_steps,
)
from subbyte.compiler.numerics.thresholds import staircase

ALL = 1 << 16


def stairs_of(r: Requantization, low: Codes, high: Codes) -> Staircase:
    found = staircase(r, low, high, ALL)
    assert found is not None
    return found


def at_the_steps(found: Staircase) -> Codes:
    """[n, rows]: every step and its neighbours, and both ends."""
    low, high = found.low[:, None], found.high[:, None]
    near = [found.steps + offset for offset in (-2, -1, 0, 1)]
    return np.clip(np.concatenate([low, high, *near], axis=1), low, high).T


def check(form: StepForm, r: Requantization, found: Staircase) -> None:
    sums = at_the_steps(found)
    assert np.array_equal(apply_steps(form, sums), requantize(sums, r))
    assert np.array_equal(apply_steps(form, sums.T, axis=0), requantize(sums, r).T)


def random_channels(random: np.random.Generator, bits: int, reach: int) -> tuple[Requantization, Codes, Codes]:
    """Multipliers of both signs that use all codes in part of the range, a shift every other time."""
    channels = int(random.integers(1, 9))
    low, high = -random.integers(reach // 4, reach, channels), random.integers(reach // 4, reach, channels)
    size = 2.0**bits / (high - low) * random.uniform(0.5, 4, channels)
    multiplier = np.float32(size * random.choice([-1.0, 1.0], channels))
    shift = np.float32(random.normal(0, 9, channels)) if random.random() < 0.5 else None
    qmin = 0 if random.random() < 0.5 else -(1 << (bits - 1))
    zero_point = int(random.integers(qmin, qmin + (1 << bits)))
    return Requantization(multiplier, shift, zero_point, qmin, qmin + (1 << bits) - 1), low, high


@pytest.mark.parametrize("seed", range(40))
def test_a_chosen_form_is_n4(seed: int) -> None:
    random = np.random.default_rng(seed)
    r, low, high = random_channels(random, int(random.integers(2, 9)), 1 << int(random.integers(8, 24)))
    found = stairs_of(r, low, high)
    form = choose_step_form(found)
    check(form, r, found)
    assert found.count <= 15 or not isinstance(form, CompareSteps)
    assert found.count > 6 or isinstance(form, CompareSteps)


@pytest.mark.parametrize("seed", range(10))
def test_few_sums_of_8_bits_need_no_exception(seed: int) -> None:
    random = np.random.default_rng(seed)
    r, low, high = random_channels(random, 8, 1 << 12)
    form = choose_step_form(stairs_of(r, low, high))
    assert isinstance(form, FixedPoint)
    assert form.exceptions == 0
    sums = np.stack([np.linspace(*ends, 5000).astype(np.int64) for ends in zip(low, high, strict=True)], axis=1)
    assert np.array_equal(apply_steps(form, sums), requantize(sums, r))


def test_every_sum_of_a_small_range() -> None:
    r = Requantization(np.float32([0.37, -0.11]), np.float32([0.2, 7]), 5, -100, 120)
    found = stairs_of(r, np.array([-900, -900]), np.array([900, 900]))
    sums = np.repeat(np.arange(-900, 901)[:, None], 2, axis=1)
    for preferences in (StepPreferences(), StepPreferences(compared=300)):
        assert np.array_equal(apply_steps(choose_step_form(found, preferences), sums), requantize(sums, r))


@pytest.mark.parametrize("zero_point", [0, 1])
def test_power_of_two_multipliers_round_ties_to_even_by_a_shift(zero_point: int) -> None:
    r = Requantization(np.float32(2**-9), None, zero_point, -128, 127)
    found = stairs_of(r, np.array([-(1 << 20)]), np.array([1 << 20]))
    form = choose_step_form(found)
    assert isinstance(form, FixedPoint)
    assert (form.ties_to, form.multiplier.tolist(), form.shift, form.exceptions) == (zero_point, [1], 9, 0)
    check(form, r, found)


def test_few_steps_are_compared_unless_a_shift_takes_them() -> None:
    ends = np.array([-9000]), np.array([9000])
    shifted = choose_step_form(stairs_of(Requantization(np.float32(2**-9), None, 0, 0, 15), *ends))
    assert isinstance(shifted, FixedPoint)
    assert (shifted.multiplier.tolist(), shifted.shift) == ([1], 9)
    for multiplier, codes in ((2**-9, 3), (0.00197, 15)):
        r = Requantization(np.float32(multiplier), None, 0, 0, codes)
        assert isinstance(choose_step_form(stairs_of(r, *ends)), CompareSteps)


def test_channels_of_other_powers_of_two_share_a_shift() -> None:
    r = Requantization(np.float32([2**-9, -(2**-7), 3 * 2**-10]), None, 0, -128, 127)
    found = stairs_of(r, np.full(3, -(1 << 17)), np.full(3, 1 << 17))
    form = choose_step_form(found)
    assert isinstance(form, FixedPoint)
    assert (form.multiplier.tolist(), form.shift, form.exceptions) == ([2, -8, 3], 10, 0)
    check(form, r, found)


def test_sums_near_a_tie_are_exceptions() -> None:
    random = np.random.default_rng(1)
    r = Requantization(np.float32(random.uniform(2**-12, 2**-11, 32)), None, 3, -128, 127)
    found = stairs_of(r, np.full(32, -(1 << 19)), np.full(32, 1 << 19))
    form = choose_step_form(found)
    assert isinstance(form, FixedPoint)
    assert form.exceptions > 0
    assert (np.abs(form.add).sum(axis=1) == 0).any()
    check(form, r, found)
    at = np.take_along_axis(form.at, np.argsort(-np.abs(form.add), axis=1), axis=1)[:, 0]
    assert np.array_equal(apply_steps(form, at[None]), requantize(at[None], r))
    bare = dataclasses.replace(form, at=form.at[:, :0], add=form.add[:, :0])
    assert (apply_steps(bare, at[None]) != requantize(at[None], r)).any()


def test_more_exceptions_than_allowed_are_a_search() -> None:
    random = np.random.default_rng(1)
    r = Requantization(np.float32(random.uniform(2**-12, 2**-11, 32)), None, 3, -128, 127)
    found = stairs_of(r, np.full(32, -(1 << 19)), np.full(32, 1 << 19))
    form = choose_step_form(found, StepPreferences(limits=FixedPointLimits(exceptions=0)))
    assert isinstance(form, SearchSteps)
    check(form, r, found)


def has_line(found: Staircase) -> bool:
    """Whether any real slope has a line with exactly these steps: all pairs of steps bound the slope (exact)."""
    steps = [Fraction(step) for step in found.steps[0].tolist()]
    least, most = Fraction(0), None
    for j, before in enumerate(steps):
        for k, after in enumerate(steps):
            run = after - (before - 1)  # the line rises by more than k - j over run
            if run > 0:
                least = max(least, Fraction(k - j) / run)
            elif run < 0:
                bound = Fraction(k - j) / run
                most = bound if most is None else min(most, bound)
            elif k >= j:
                return False
    return most is None or least < most


@pytest.mark.parametrize("seed", range(12))
def test_a_line_is_found_where_there_is_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps = np.sort(random.integers(0, 200, (1, 6)) + np.arange(6) * int(random.integers(1, 40)), axis=1)
    found = Staircase(steps, np.arange(7)[None], [-500], [700])
    form = fixed_point(found, FixedPointLimits(0, 0, multiplier_bits=(27,)))
    rounded_down = form is not None and form.ties_to is None
    assert rounded_down == has_line(found) or (form is not None and form.ties_to is not None)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_line_is_found_for_random_staircases_is_right_everywhere(seed: int) -> None:
    """Steep and flat rows together, several codes at one sum, ends of rows far from the clamp."""
    random = np.random.default_rng(seed)
    rows, count, reach = int(random.integers(1, 5)), int(random.integers(1, 36)), 1 << int(random.integers(2, 9))
    low = random.integers(-reach, reach + 1, rows)
    high = low + random.integers(0, reach + 1, rows)
    even = low[:, None] + np.arange(count) * ((high - low)[:, None] + 1) // count + random.integers(0, 2, (rows, count))
    codes = np.arange(count + 1) * int(random.choice([-1, 1])) + random.integers(-5, 5, (rows, 1))
    found = Staircase(np.sort(even, axis=1), codes, low, high)
    form = fixed_point(found)
    if form is not None:
        for row in range(rows):
            sums = np.repeat(low[None], high[row] - low[row] + 1, axis=0)
            sums[:, row] = np.arange(low[row], high[row] + 1)
            assert np.array_equal(apply_steps(form, sums)[:, row], climb(sums, found)[:, row])


def test_the_narrowest_multiplier_is_taken() -> None:
    found = staircase_of(lambda sums: np.clip((sums * 5 + 7) >> 6, -20, 20), -1000, 1000)
    form = fixed_point(found)
    assert form is not None
    assert form.shift <= 6
    sums = np.arange(-1000, 1001)[:, None]
    assert np.array_equal(apply_steps(form, sums)[:, 0], np.clip((sums[:, 0] * 5 + 7) >> 6, -20, 20))


def test_codes_that_are_not_consecutive_are_searched_or_compared() -> None:
    table = np.random.default_rng(0).integers(-50, 50, 256)
    r = Requantization(np.float32([0.02, -0.03]), None, 0, -128, 127, table)
    found = stairs_of(r, np.full(2, -9000), np.full(2, 9000))
    form = choose_step_form(found)
    assert isinstance(form, SearchSteps)
    check(form, r, found)
    compared = choose_step_form(found, StepPreferences(compared=300))
    assert isinstance(compared, CompareSteps)
    check(compared, r, found)


def test_a_table_that_only_clamps_is_fixed_point_still() -> None:
    r = Requantization(np.float32([0.02, 0.05]), None, -128, -128, 127, np.clip(np.arange(-128, 128), -128, 40))
    found = stairs_of(r, np.full(2, -9000), np.full(2, 9000))
    form = choose_step_form(found)
    assert isinstance(form, FixedPoint)
    assert (form.low, form.high) == (-128, 40)
    check(form, r, found)


def test_several_codes_at_one_sum_and_channels_that_never_step() -> None:
    r = Requantization(np.float32([2.7, 1e-6, -3.1]), np.float32([0.3, 0, 0]), 4, -128, 127)
    found = stairs_of(r, np.full(3, -60), np.full(3, 60))
    form = choose_step_form(found)
    assert isinstance(form, FixedPoint)
    assert form.multiplier[1] == 0
    sums = np.repeat(np.arange(-60, 61)[:, None], 3, axis=1)
    assert np.array_equal(apply_steps(form, sums), requantize(sums, r))


def test_a_channel_that_uses_part_of_the_codes_takes_no_step_more() -> None:
    r = Requantization(np.float32([0.01, 0.01]), None, 0, -128, 127)
    found = stairs_of(r, np.array([-20000, -2049]), np.array([20000, 1049]))
    form = choose_step_form(found)
    assert isinstance(form, FixedPoint)
    check(form, r, found)


def test_wide_sums_saturate_to_where_codes_change() -> None:
    r = Requantization(np.float32([0.011, -0.013]), None, 0, -128, 127)
    found = stairs_of(r, np.full(2, -(1 << 32)), np.full(2, 1 << 30))
    form = choose_step_form(found)
    assert isinstance(form, FixedPoint)
    assert form.live is not None
    assert form.live[0] == found.steps.min() - 1
    assert form.live[1] == found.steps.max()
    assert form.product_range()[1] < 1 << 40
    check(form, r, found)
    with pytest.raises(NumericsError, match="differs from its thresholds"):
        proved_fixed_point(dataclasses.replace(form, live=(form.live[0] + 60, form.live[1])), found)


def test_results_of_16_bits() -> None:
    r = Requantization(np.float32([2**-7, -0.0041]), None, 0, -32768, 32767)
    found = stairs_of(r, np.full(2, -(1 << 23)), np.full(2, 1 << 23))
    assert found.count == 65535
    form = choose_step_form(found)
    check(form, r, found)


def test_the_proof_fails_for_a_form_that_is_off_by_one() -> None:
    r = Requantization(np.float32([0.02, -0.03]), None, 0, -128, 127)
    found = stairs_of(r, np.full(2, -5000), np.full(2, 5000))
    form = choose_step_form(found)
    assert isinstance(form, FixedPoint)
    assert (form.exceptions, form.ties_to) == (0, 0)  # 0.02 * 25 is 0.5 in float32, and so are 50 more and more
    assert form.tie is not None
    assert (form.tie > 1).all()
    moved = dataclasses.replace(form, offset=form.offset + np.array([0, 1 << (form.shift - 4)]))
    with pytest.raises(NumericsError, match="form of channel 1 differs from its thresholds for accumulator"):
        proved_fixed_point(moved, found)
    with pytest.raises(NumericsError, match="form of channel 0 differs"):
        proved_fixed_point(dataclasses.replace(form, at=[[5], [0]], add=[[1], [0]]), found)


def test_products_stay_within_int64() -> None:
    with pytest.raises(NumericsError, match="leave 62 bits"):
        FixedPoint([1 << 30], [0], 3, 0, 1, np.zeros((1, 0)), np.zeros((1, 0)), 0, 1 << 33)
    form = FixedPoint([3], [0], 3, 0, 1, np.zeros((1, 0)), np.zeros((1, 0)), 0, 9)
    with pytest.raises(NumericsError, match=r"sums 0\.\.10 meet a fixed-point form that was proved for 0\.\.9"):
        apply_steps(form, [[0], [10]])
    with pytest.raises(NumericsError, match=r"parity 0 and within \[1\] of them; .* with shift 0"):
        dataclasses.replace(form, shift=0, ties_to=0)
    with pytest.raises(NumericsError, match=r"multipliers \(1,\), offsets \(2,\)"):
        dataclasses.replace(form, offset=[0, 0])


def test_a_search_is_the_climb() -> None:
    random = np.random.default_rng(4)
    found = Staircase(
        np.sort(random.integers(-50, 50, (3, 9)), axis=1), random.integers(0, 9, (3, 10)), [-60] * 3, [60] * 3
    )
    sums = random.integers(-60, 60, (7, 3))
    assert np.array_equal(climb_by_search(sums, found), climb(sums, found))
    assert np.array_equal(climb_by_search(sums.T, found, axis=0), climb(sums.T, found, axis=0))


def test_sums_that_are_the_codes_stay() -> None:
    assert apply_steps(Unchanged(), [[3, -2]]).tolist() == [[3, -2]]
    with pytest.raises(NumericsError, match="a StepForm is no form of steps"):
        apply_steps(StepForm(), [0])


# Staircases of functions ----------------------------------------------------------------------------------------------


def test_a_staircase_of_a_function_is_the_function() -> None:
    sums = np.arange(-70, 300)
    for function in (lambda s: s // 7, lambda s: 5 - s // 3, lambda s: np.clip(s * 3, 0, 90), lambda s: s * 0 + 4):
        found = staircase_of(function, -70, 299)
        assert np.array_equal(climb(sums[:, None], found)[:, 0], function(sums))


def test_functions_that_are_no_staircase_are_refused() -> None:
    with pytest.raises(NumericsError, match="not monotone"):
        staircase_of(lambda sums: np.where(sums == 50, 0, sums), 0, 99)
    with pytest.raises(NumericsError, match="takes 99 steps"):
        staircase_of(lambda sums: sums, 0, 99, most=98)
    with pytest.raises(NumericsError, match=r"asked for over 3\.\.2"):
        staircase_of(lambda sums: sums, 3, 2)
