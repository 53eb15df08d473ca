"""Scales of least squared error: exact against a fine search, and why they are not those of the range."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding import level_scales
from subbyte.compiler.rounding.clipping import mse
from subbyte.compiler.rounding.easyquant import activation_scale, easyquant, easyquant_pair
from subbyte.compiler.rounding.level_scales import best_scales, level_errors, nearest_level
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.objective import output_error
from subbyte.compiler.rounding.types import Grid
from tests.rounding.problems import problem

TABLES = {
    "bipolar": [-1, 1],
    "ternary": [-1, 0, 1],
    "int2": [-2, -1, 0, 1],
    "int4": list(range(-8, 8)),
    "all above": [0, 1, 2, 3],
    "powers": [-8, -4, -2, -1, 0, 1, 2, 4, 8],
}


@pytest.mark.parametrize("table", TABLES)
def test_the_best_scale_beats_every_other(table: str) -> None:
    random = np.random.default_rng(0)
    rows, weights = random.standard_normal((20, 30)), random.random((20, 30))
    levels = np.array(TABLES[table], float)
    found = best_scales(rows, weights, levels)
    least = level_errors(rows, weights, levels, found)
    for scale in np.linspace(1e-3, 5.0, 4000):
        assert (least <= level_errors(rows, weights, levels, np.full(20, scale)) + 1e-9).all()


def test_the_search_for_many_levels_is_close_to_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    rows, levels = random.standard_normal((20, 300)), np.arange(-128.0, 128.0)
    weights = np.ones_like(rows)
    exact = level_errors(rows, weights, levels, best_scales(rows, weights, levels))
    monkeypatch.setattr(level_scales, "EXACT_STEPS", 0)
    searched = level_errors(rows, weights, levels, best_scales(rows, weights, levels))
    assert (exact <= searched * (1 + 1e-9)).all()
    assert searched.sum() < 1.15 * exact.sum()


def test_nearest_level_of_even_levels_by_division() -> None:
    levels, x = np.arange(-8.0, 8.0), np.linspace(-10, 10, 999)
    assert (nearest_level(x, levels) == np.abs(x[:, np.newaxis] - levels).argmin(axis=1)).all()


def test_an_outlier_is_clipped_where_few_bits_are_there() -> None:
    matrix = np.random.default_rng(2).standard_normal((1, 1, 1000))
    matrix[0, 0, 0] = 12.0
    assert mse(matrix, Grid(3)).scale[0] < 0.3 * nearest(matrix, Grid(3)).scale[0]


def test_percentile_ignores_the_outlier() -> None:
    matrix = np.random.default_rng(2).standard_normal((1, 1, 1000))
    matrix[0, 0, 0] = 1e3
    cut = nearest(matrix, Grid(4), percentile=99.5)
    assert cut.scale[0] < 1.0 < nearest(matrix, Grid(4)).scale[0]
    with pytest.raises(NumericsError, match="percentile 40"):
        nearest(matrix, Grid(4), percentile=40)


def test_zero_points_serve_weights_of_one_sign() -> None:
    matrix = 3.0 + np.random.default_rng(3).random((1, 4, 50))
    even, shifted = (output_error(matrix, mse(matrix, Grid(4, symmetric=symmetric))) for symmetric in (True, False))
    assert shifted < 0.5 * even


def test_weights_that_meet_large_inputs_count_more() -> None:
    matrix, moments = problem(4, (1, 64, 40))
    alike = output_error(matrix, mse(matrix, Grid(3), moments, weighting="none"), moments)
    full = output_error(matrix, mse(matrix, Grid(3), moments, weighting="full"), moments)
    assert full < alike
    with pytest.raises(NumericsError, match="weighting 'squared' is not known"):
        mse(matrix, Grid(3), moments, weighting="squared")  # type: ignore[arg-type]


def test_powers_of_two_are_the_best_ones() -> None:
    matrix = np.random.default_rng(5).standard_normal((1, 10, 60))
    found = mse(matrix, Grid(3, power_of_two=True))
    least = (found.values() - matrix) ** 2
    levels = np.arange(-4.0, 4.0)
    for exponent in range(-6, 4):
        tried = level_errors(matrix[0], np.ones((10, 60)), levels, np.full(10, 2.0**exponent))
        assert (least.sum(axis=2)[0] <= tried + 1e-9).all()


@pytest.mark.parametrize("measure", ["cosine", "l2"])
def test_easyquant_is_better_than_the_range(measure: str) -> None:
    matrix, moments = problem(6, (2, 16, 30))
    found = easyquant(matrix, Grid(3), moments, measure=measure)  # type: ignore[arg-type]
    assert output_error(matrix, found, moments) < 0.8 * output_error(matrix, nearest(matrix, Grid(3)), moments)


def test_easyquant_searches_the_scale_of_inputs_too() -> None:
    random = np.random.default_rng(7)
    rows, matrix = np.maximum(random.standard_normal((1, 400, 20)), 0), random.standard_normal((1, 8, 20))
    rows[0, 0, 0] = 30.0  # one input in 8,000: few codes are left for the others by the range
    rounded, scale = easyquant_pair(matrix, Grid(4), rows, 0, 15)
    assert scale == activation_scale(matrix, rounded, rows, 0, 15) < 30.0 / 15

    def outputs_error(weights: np.ndarray, step: float) -> float:
        inputs = step * np.clip(np.rint(rows / step), 0, 15)
        wanted = rows @ np.swapaxes(matrix, 1, 2)
        return float(((inputs @ np.swapaxes(weights, 1, 2) - wanted) ** 2).sum())

    assert outputs_error(rounded.values(), scale) < 0.8 * outputs_error(nearest(matrix, Grid(4)).values(), 2.0)
    with pytest.raises(NumericsError, match="somewhere not 0"):
        activation_scale(matrix, rounded, np.zeros((1, 3, 20)), 0, 15)
