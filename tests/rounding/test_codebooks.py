"""Codebooks: the levels are the best ones, and what each kind of table holds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding import optimal_centres as centres_module
from subbyte.compiler.rounding.clipping import mse
from subbyte.compiler.rounding.codebooks import kmeans, power_levels, power_sum_levels, power_sums
from subbyte.compiler.rounding.objective import output_error
from subbyte.compiler.rounding.optimal_centres import optimal_centres, optimal_places
from subbyte.compiler.rounding.types import Grid, Reals
from tests.rounding.problems import problem


def cost(values: Reals, weights: Reals, levels: Reals) -> float:
    return float((weights * (values[:, np.newaxis] - levels).__abs__().min(axis=1) ** 2).sum())


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_centres_are_the_best_partition(count: int) -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        values, weights = np.round(random.standard_normal(9), 1), random.random(9)
        found = optimal_centres(values, weights, count)
        order = np.argsort(values)
        least = np.inf
        for cuts in itertools.combinations(range(1, 9), count - 1):
            parts = np.split(order, cuts)
            means = np.array([np.average(values[part], weights=weights[part]) for part in parts])
            least = min(least, cost(values, weights, means))
        assert cost(values, weights, found) <= least + 1e-12


@pytest.mark.parametrize("count", [1, 2, 3])
def test_places_are_the_best_choice_of_whole_numbers(count: int) -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        values, weights = 4 * random.standard_normal(12), random.random(12)  # some beyond the places
        found = optimal_places(values, weights, count, 4)
        least = min(cost(values, weights, np.array(chosen)) for chosen in itertools.combinations(range(-4, 5), count))
        assert cost(values, weights, found) == pytest.approx(least)


def test_centres_of_many_values_are_close_to_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    values, weights = random.standard_normal(1500), random.random(1500)
    exact = cost(values, weights, optimal_centres(values, weights, 8))
    monkeypatch.setattr(centres_module, "MOST_CELLS", 200)
    assert exact <= cost(values, weights, optimal_centres(values, weights, 8)) <= 1.005 * exact


def test_fewer_values_than_centres_are_kept() -> None:
    assert optimal_centres(np.array([1.0, 5.0, 1.0]), np.ones(3), 4).tolist() == [1.0, 5.0]


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("places", [127, None])
def test_free_levels_beat_even_ones(bits: int, places: int | None) -> None:
    matrix = np.random.default_rng(2).standard_normal((1, 16, 100))
    even = output_error(matrix, mse(matrix, Grid(bits)))
    assert output_error(matrix, kmeans(matrix, Grid(bits), places=places)) < 0.9 * even


def test_levels_of_kmeans_are_a_table_of_int8() -> None:
    matrix, moments = problem(3)
    levels = np.array(kmeans(matrix, Grid(4), moments).levels)
    assert levels.size == 16
    assert (levels == np.rint(levels)).all()
    assert np.abs(levels).max() <= 127
    with pytest.raises(NumericsError, match="256 levels do not fit the 255 whole numbers"):
        kmeans(matrix, Grid(8), moments)


def test_weights_on_few_levels_are_kept_exactly() -> None:
    table = np.array([-100.0, -37.0, 0.0, 127.0]) / 128
    matrix = table[np.random.default_rng(4).integers(0, 4, (1, 6, 30))]
    matrix[0, :, 0] = table[3]
    assert (kmeans(matrix, Grid(2)).values() == matrix).all()


def test_sums_of_powers_of_two() -> None:
    assert power_sum_levels(2).tolist() == [-1, 0, 1]
    assert power_sum_levels(4).tolist() == [-24, -16, -12, -9, -8, -4, -1, 0, 1, 4, 8, 9, 12, 16, 24]
    for bits in range(2, 8):
        levels = power_sum_levels(bits)
        assert levels.size == 2**bits - 1
        assert all(bin(int(abs(level))).count("1") <= bits // 2 for level in levels)
    assert np.abs(power_sum_levels(5)).max() <= 127


def test_the_exponent_follows_the_weights() -> None:
    """Heavy tails want levels near 0, a flat distribution wants even ones."""
    random = np.random.default_rng(5)
    heavy, flat = random.standard_t(3, (1, 8, 300)), random.uniform(-1, 1, (1, 8, 300))

    def spacing(matrix: Reals) -> float:
        levels = np.array(power_levels(matrix, Grid(4)).levels)
        return float((levels[-1] - levels[-2]) / (levels[8] - levels[7]))  # the widest step over the narrowest

    assert spacing(heavy) > 1.5
    assert spacing(flat) == pytest.approx(1.0, abs=0.2)
    even = output_error(heavy, mse(heavy, Grid(4, narrow=True)))
    assert output_error(heavy, power_levels(heavy, Grid(4))) < 0.9 * even


@pytest.mark.parametrize("method", [kmeans, power_sums, power_levels])
def test_compensation_works_on_tables(method: object) -> None:
    matrix, moments = problem(6)
    found = [method(matrix, Grid(3), moments, compensate=compensate) for compensate in (False, True)]  # type: ignore[operator]
    plain, compensated = (output_error(matrix, rounded, moments) for rounded in found)
    assert compensated < 0.7 * plain


def test_grids_without_such_a_table_are_sentences() -> None:
    matrix, _ = problem(7)
    with pytest.raises(NumericsError, match="2 to 7"):
        power_sums(matrix, Grid(8))
    with pytest.raises(NumericsError, match="at least 2 bits"):
        power_levels(matrix, Grid(1))
