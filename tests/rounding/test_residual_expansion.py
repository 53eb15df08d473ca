"""Residual expansion: terms add up to the weights."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.gptq import gptq
from subbyte.compiler.rounding.objective import output_errors
from subbyte.compiler.rounding.residual_expansion import expand, held_channels
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights
from tests.rounding.problems import problem


def left(matrix: Reals, terms: tuple[RoundedWeights, ...]) -> Reals:
    return matrix - sum(term.values().astype(np.float64) for term in terms)


@pytest.mark.parametrize("bits", [2, 4])
def test_each_term_divides_the_largest_error(bits: int) -> None:
    matrix, _ = problem(1)
    for count in (1, 2, 3):
        largest = np.abs(left(matrix, expand(matrix, Grid(bits, narrow=True), count))).max(axis=2)
        bound = np.abs(matrix).max(axis=2) / (2 * Grid(bits).qmax) ** count
        assert (largest <= bound * (1 + 1e-4)).all()


def test_terms_of_some_channels_hold_the_worst() -> None:
    matrix, moments = problem(2, (2, 10, 12))
    whole = expand(matrix, Grid(3), 2, moments, share=0.3)
    assert len(held_channels(whole[0])) == 20
    held = held_channels(whole[1])
    assert len(held) == 6
    errors = output_errors(left(matrix, whole[:1]), moments)
    worst = {group * 10 + int(channel) for group in range(2) for channel in np.argsort(-errors[group])[:3]}
    assert set(held) == worst


def test_terms_take_any_method() -> None:
    matrix, moments = problem(3)
    plain, compensated = (
        output_errors(left(matrix, expand(matrix, Grid(3), 2, moments, **options)), moments).sum()
        for options in ({}, {"rounding": gptq})
    )
    one = output_errors(left(matrix, expand(matrix, Grid(3), 1, moments)), moments).sum()
    assert max(plain, compensated) < 0.1 * one


def test_bad_options_are_sentences() -> None:
    matrix, _ = problem(4)
    with pytest.raises(NumericsError, match="0 terms"):
        expand(matrix, Grid(3), 0)
    with pytest.raises(NumericsError, match="bipolar weights cannot be 0"):
        expand(matrix, Grid(1), 2, share=0.5)
