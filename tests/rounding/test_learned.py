"""AdaRound and AdaQuant learn what rounding to nearest cannot know."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.adaquant import adaquant
from subbyte.compiler.rounding.adaround import adaround
from subbyte.compiler.rounding.clipping import clipped_scales, mse
from subbyte.compiler.rounding.objective import output_error, output_errors
from subbyte.compiler.rounding.types import Grid
from tests.rounding.problems import problem


@pytest.mark.parametrize(
    "grid", [Grid(1), Grid(2), Grid(4), Grid(4, per="tensor"), Grid(4, per="block", block=8)], ids=str
)
def test_learned_rounding_beats_nearest_by_far(grid: Grid) -> None:
    matrix, moments = problem(1)
    plain = output_error(matrix, mse(matrix, grid, moments), moments)
    assert output_error(matrix, adaround(matrix, grid, moments), moments) < 0.7 * plain
    assert output_error(matrix, adaquant(matrix, grid, moments), moments) < 0.8 * plain


def test_adaround_goes_up_or_down_by_less_than_a_step() -> None:
    matrix, moments = problem(2)
    scales = clipped_scales(matrix, Grid(4), moments)
    found = adaround(matrix, Grid(4), moments, scales=scales)
    inside = np.abs(matrix) < 7 * scales.scale
    assert (np.abs(found.values() - matrix)[inside] < np.broadcast_to(scales.scale, matrix.shape)[inside]).all()


def test_adaround_between_nearest_and_the_best_of_up_and_down() -> None:
    """Layers of 6 inputs and 2 bits, where all 64 ways of rounding a channel can be tried."""
    learned, best, plain = 0.0, 0.0, 0.0
    ways = np.array(list(itertools.product((0, 1), repeat=6)))
    for seed in range(6):
        matrix, moments = problem(seed, (1, 4, 6))
        scales = clipped_scales(matrix, Grid(2), moments)
        learned += output_error(matrix, adaround(matrix, Grid(2), moments, scales=scales), moments)
        plain += float(output_errors(matrix - scales.values(scales.nearest(matrix)), moments).sum())
        tried = np.clip(np.floor(matrix / scales.scale)[0, :, np.newaxis] + ways, -2, 1)
        errors = matrix[0, :, np.newaxis] - scales.scale[0, :, np.newaxis] * tried
        best += float(((errors @ moments[0]) * errors).sum(axis=2).min(axis=1).sum())
    assert best * (1 - 1e-6) <= learned < 1.5 * best
    assert learned < 0.9 * plain


def test_other_seeds_begin_elsewhere() -> None:
    matrix, moments = problem(3)
    first, again, other = (adaround(matrix, Grid(2), moments, steps=50, spread=1.0, seed=seed) for seed in (1, 1, 2))
    assert (first.codes == again.codes).all()
    assert (first.codes != other.codes).any()


def test_bad_options_are_sentences() -> None:
    matrix, moments = problem(4)
    with pytest.raises(NumericsError, match="steps 0"):
        adaround(matrix, Grid(3), moments, steps=0)
    with pytest.raises(NumericsError, match="rate 0"):
        adaquant(matrix, Grid(3), moments, rate=0.0)
