"""What grids hold, and what rounded weights refuse."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, INT4, TERNARY
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.types import Grid, RoundedWeights


def test_codes_of_grids() -> None:
    assert (Grid(1).qmin, Grid(1).qmax, Grid(1).dtype) == (-1, 1, BIPOLAR)
    assert (Grid.ternary().qmin, Grid.ternary().qmax, Grid.ternary().dtype) == (-1, 1, TERNARY)
    assert (Grid(4).qmin, Grid(4).qmax, Grid(4).dtype) == (-8, 7, INT4)
    assert (Grid(4, narrow=True).qmin, Grid(4, symmetric=False).qmin) == (-7, -8)
    assert Grid(1).codes.tolist() == [-1, 1]
    assert Grid.ternary().codes.tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"bits": 0}, "1 to 16 bits"),
        ({"bits": 17}, "1 to 16 bits"),
        ({"bits": 4, "per": "row"}, "not per 'row'"),
        ({"bits": 4, "per": "block"}, "needs its length"),
        ({"bits": 4, "block": 8}, "the others have none"),
        ({"bits": 1, "symmetric": False}, "have no zero point"),
    ],
)
def test_grids_that_are_none(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(NumericsError, match=sentence):
        Grid(**arguments)  # type: ignore[arg-type]


def test_values_of_blocks_with_zero_points() -> None:
    rounded = RoundedWeights(
        np.array([[[0, 1, 2]]]), np.array([[0.5, 2.0]], np.float32), np.array([[1, 3]]), 0, 3, block=2
    )
    assert rounded.values().tolist() == [[[-0.5, 0.0, -2.0]]]


def test_values_of_levels() -> None:
    rounded = RoundedWeights(
        np.array([[[0, 2], [1, 1]]]), np.array([0.5, 2.0], np.float32), np.zeros(2), 0, 2, (-4.0, 1.0, 16.0)
    )
    assert rounded.values().tolist() == [[[-2.0, 8.0], [2.0, 2.0]]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"codes": np.full((1, 2, 3), 9)}, "codes 9..9 are outside"),
        ({"codes": np.zeros((2, 3))}, r"\[groups, outputs, K\]"),
        ({"scale": np.ones(3)}, "do not fit codes"),
        ({"scale": np.array([1.0, 0.0])}, "above zero"),
        ({"scale": np.array([1.0, np.nan])}, "above zero"),
        ({"zero_point": np.zeros(())}, "do not fit scales"),
        ({"levels": (0.0, 1.0)}, "do not index a table"),
    ],
)
def test_rounded_weights_that_are_none(changes: dict[str, object], sentence: str) -> None:
    whole = RoundedWeights(np.zeros((1, 2, 3)), np.ones(2, np.float32), np.zeros(2), -2, 1)
    with pytest.raises(NumericsError, match=sentence):
        whole.replace(**changes)
