"""compiler/quantize/recipe.py and budgets.py: what is not known is refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.quantize import budgets
from subbyte.compiler.quantize.recipe import RECIPES, Recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_read_back(name: str) -> None:
    assert Recipe.from_json(RECIPES[name].as_json()) == RECIPES[name]


def test_what_is_left_out_is_the_default() -> None:
    assert Recipe.from_json('{"weight_bits": 4}') == Recipe(weight_bits=4)
    assert Recipe().replace(rounding="gptq") == Recipe(rounding="gptq")


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"weight_bits": 9}, "a recipe has weight_bits 9; 1, 2, 3, 4, 5, 6, 7, 8, 16 are known"),
        ({"activation_bits": None}, "a recipe has activation_bits None; int is needed"),
        ({"weight_bits": True}, "a recipe has weight_bits True; int is needed"),
        ({"rounding": "rounder"}, "a recipe has rounding 'rounder'; there are nearest, "),
        ({"calibration": 3}, "a recipe has calibration 3; str is needed"),
        ({"percentile": 40}, "a recipe has percentile 40; above 50"),
        ({"steps": 0}, "a recipe has steps 0"),
        ({"weight_bits": 1, "weights": "asymmetric"}, "weights of 1 bit are -scale and .scale"),
        ({"colour": "red"}, "a recipe has no 'colour'; it has weight_bits, "),
    ],
)
def test_what_is_no_choice_is_refused(choices: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        Recipe.from_dict(choices)


@pytest.mark.parametrize(("text", "sentence"), [("{", "cannot be read"), ("[1]", "one JSON object, not list")])
def test_what_is_no_recipe_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        Recipe.from_json(text)


@pytest.mark.parametrize(
    ("read", "text", "amount"),
    [
        (budgets.seconds, "5ms", 0.005),
        (budgets.seconds, "250 us", 2.5e-4),
        (budgets.size, "20KB", 20_000.0),
        (budgets.size, "1.5 MiB", 1.5 * 2**20),
        (budgets.number, "1.5G", 1.5e9),
        (budgets.number, "3e6", 3e6),
    ],
)
def test_budgets_have_units(read: Any, text: str, amount: float) -> None:
    assert read(text) == pytest.approx(amount, rel=1e-12)


@pytest.mark.parametrize("text", ["5", "5 parsecs", "ms", "-5ms", "0ms", "nan ms", "1e400s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError, match=r"write it as 5ms|above zero and finite"):
        budgets.seconds(text)
