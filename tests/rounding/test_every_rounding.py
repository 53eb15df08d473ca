"""What all methods have in common: codes in range, usable scales, repeatable, exact on the grid, sound at the edges."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.adaquant import adaquant
from subbyte.compiler.rounding.adaround import adaround
from subbyte.compiler.rounding.objective import output_error
from subbyte.compiler.rounding.registry import ROUNDINGS
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights, Rounding
from tests.rounding.problems import all_grids, problem

CODEBOOKS = ("kmeans", "power_sums", "power_levels")
METHODS: dict[str, Rounding] = {
    **ROUNDINGS,
    "adaround": partial(adaround, steps=20),
    "adaquant": partial(adaquant, steps=20),
}
UNIFORM = {name: method for name, method in METHODS.items() if name not in CODEBOOKS}
GRIDS = all_grids()
SMALL_GRIDS = all_grids((1, 2, 3, 5))


def suits(name: str, grid: Grid) -> bool:
    """Whether a codebook of that kind has such a grid."""
    return (name != "kmeans" or grid.bits < 8) and (name not in CODEBOOKS[1:] or 2 <= grid.bits <= 7)


def check(rounded: RoundedWeights, grid: Grid, matrix: Reals) -> None:
    """Codes are in range, scales above zero, finite and of the grid's kind, values finite."""
    assert rounded.codes.shape == matrix.shape
    if rounded.levels is None:
        assert (rounded.qmin, rounded.qmax) == (grid.qmin, grid.qmax)
        assert np.isin(rounded.codes, grid.codes).all()
        assert ((rounded.zero_point >= grid.qmin) & (rounded.zero_point <= grid.qmax)).all()
        assert not (grid.symmetric and rounded.zero_point.any())
    else:
        assert len(rounded.levels) <= 2**grid.bits
        assert 0 <= rounded.codes.min() <= rounded.codes.max() < len(rounded.levels)
    assert rounded.scale.dtype == np.float32
    assert (np.isfinite(rounded.scale) & (rounded.scale > 0)).all()
    assert not grid.power_of_two or (np.frexp(rounded.scale)[0] == 0.5).all()
    assert np.isfinite(rounded.values()).all()


@pytest.mark.parametrize("name", METHODS)
def test_every_grid(name: str) -> None:
    matrix, moments = problem(1, (2, 2, 6))
    for grid in (grid for grid in GRIDS if suits(name, grid)):
        for second_moments in (None, moments):
            check(METHODS[name](matrix, grid, second_moments), grid, matrix)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_codes_are_in_range_whatever_the_weights_are(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(METHODS)))
    grid = data.draw(st.sampled_from([grid for grid in SMALL_GRIDS if suits(name, grid)]))
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9)))
    magnitudes = st.sampled_from([0.0, 1e-42, 1e-20, 0.1, 1.0, 3.0, 1e10, 1e30])
    numbers = data.draw(st.lists(magnitudes, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    signs = np.random.default_rng(data.draw(st.integers(0, 99))).choice([-1.0, 1.0], shape)
    matrix = np.array(numbers).reshape(shape) * signs
    rows = data.draw(st.integers(1, 12))
    _, moments = problem(data.draw(st.integers(0, 99)), shape, rows)
    check(METHODS[name](matrix, grid, moments), grid, matrix)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_twice(name: str) -> None:
    matrix, moments = problem(2)
    first, second = (METHODS[name](matrix, Grid(3), moments) for _ in range(2))
    assert first.codes.tobytes() == second.codes.tobytes()
    assert first.scale.tobytes() == second.scale.tobytes()


@pytest.mark.parametrize("name", UNIFORM)
@pytest.mark.parametrize("grid", [Grid(1), Grid.ternary(), *(Grid(bits) for bits in range(2, 9))], ids=str)
def test_weights_on_the_grid_stay(name: str, grid: Grid) -> None:
    random = np.random.default_rng(3)
    codes = random.choice(grid.codes, (2, 4, 12))
    codes[:, :, 0], codes[:, :, 1] = grid.qmax, grid.qmin  # the range says the scale
    matrix = codes * np.array([0.125, 0.75, 3.0, 1.25]).reshape(1, 4, 1)
    for second_moments in (None, problem(3, (2, 4, 12))[1]):
        rounded = UNIFORM[name](matrix, grid, second_moments)
        assert (rounded.values() == matrix).all()
        assert (rounded.codes == codes).all()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "grid", [Grid(3), Grid(3, per="tensor"), Grid(3, symmetric=False), Grid(2, per="block", block=3)]
)
def test_zeros_stay_zeros(name: str, grid: Grid) -> None:
    matrix, moments = problem(4, (2, 3, 7))
    matrix[0, 1] = 0.0
    if grid.per == "tensor" or name in CODEBOOKS:
        matrix[:] = 0.0
    assert not METHODS[name](matrix, grid, moments).values()[0, 1].any()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["one sample", "no inputs", "dead inputs", "K is 1", "one value", "an outlier"])
def test_degenerate_layers_are_not_worse_than_min_max(name: str, kind: str) -> None:
    """With 4 bits all methods but greedy path following beat rounding to nearest, or equal it, in every layer."""
    matrix, moments = problem(5, (2, 4, 9), rows=1 if kind == "one sample" else 100)
    if kind == "no inputs":
        moments[:] = 0.0
    elif kind == "dead inputs":
        moments[:, 2:4], moments[:, :, 2:4] = 0.0, 0.0
    elif kind == "K is 1":
        matrix, moments = matrix[:, :, :1], moments[:, :1, :1]
    elif kind == "one value":
        matrix[:] = 0.3
    elif kind == "an outlier":
        matrix[0, 0, 0] = 1e6
    grid = Grid(4)
    rounded = METHODS[name](matrix, grid, moments)
    check(rounded, grid, matrix)
    if name not in ("gpfq", *CODEBOOKS):
        plain = output_error(matrix, ROUNDINGS["nearest"](matrix, grid), moments)
        assert output_error(matrix, rounded, moments) <= plain * (1 + 1e-6) + 1e-12


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("nan", r"the weight at \[group, output, k\] = \[0, 2, 1\] is nan"),
        ("inf", r"is -inf; weights must be finite"),
        ("moments", "look for it in the calibration samples"),
        ("negative", "sums of squares"),
        ("shape", r"second moments of shape \(1, 24, 24\) do not fit weights \(1, 8, 5\)"),
        ("rank", r"weights of shape \(8, 24\) cannot be rounded"),
    ],
)
def test_bad_input_is_a_sentence(name: str, broken: str, sentence: str) -> None:
    matrix, moments = problem(6)
    if broken in ("nan", "inf"):
        matrix[0, 2, 1] = np.nan if broken == "nan" else -np.inf
    elif broken == "moments":
        moments[0, 1, 1] = np.inf
    elif broken == "negative":
        moments[0, 1, 1] = -1.0
    elif broken == "shape":
        matrix = matrix[:, :, :5]
    else:
        matrix = matrix[0]
    with pytest.raises(NumericsError, match=sentence):
        METHODS[name](matrix, Grid(3), moments)
