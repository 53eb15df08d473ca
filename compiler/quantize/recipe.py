"""A recipe: every choice that quantizing a network leaves open, in a form that is printed, searched and kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.rounding.registry import ROUNDINGS

BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
LEARNED = "learned"  # a rounding of the whole network, not of one matrix: compiler/quantize/learn.py
_CHOICES: dict[str, tuple[str, ...]] = {
    "calibration": ("minmax", "percentile", "kl", "mse"),
    "activations": ("asymmetric", "symmetric"),
    "weights": ("symmetric", "asymmetric"),
    "weights_per": ("channel", "tensor"),
    "smooth": ("none", "smooth_activations", "scale_salient_weights", "unify_normalization_scales", "rotate_features"),
    "correct_biases": ("none", "analytic", "empirical", "sequential"),
    "rounding": (*ROUNDINGS, LEARNED),
}


@dataclass(frozen=True)
class Recipe:
    """How a float network becomes a quantized one.

    weight_bits, activation_bits: of every layer, where no budget chooses for each layer.
    first_bits, last_bits: of the weights of the first and the last layer, whatever others get; None: as others.
    calibration: how ranges of activations are found (compiler/calibration/ranges.py); percentile: of that method.
    activations: "symmetric" grids have zero point 0, and "asymmetric" ones only what is never negative has not.
    weights, weights_per: scheme and granularity of the weights' scales; power_of_two: of all scales.
    merge: parallel and consecutive layers become one first; equalize: channels share their ranges between layers.
    smooth: what scales or rotates the channels of transformers, none by default.
    correct_biases: the mean error of each output goes into the bias: of each layer by itself, from batch statistics
        ("analytic") or from the samples ("empirical"), or of all layers up to it, one after the other ("sequential").
    rounding: a method of compiler/rounding, or "learned": all weights and scales of the network, so that it answers as
        the float network does (needs torch); steps: of learning.
    samples: how many are used at most; seed: of everything random.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    first_bits: int | None = None
    last_bits: int | None = None
    calibration: str = "mse"
    percentile: float = 99.99
    activations: str = "asymmetric"
    weights: str = "symmetric"
    weights_per: str = "channel"
    power_of_two: bool = False
    merge: bool = True
    equalize: bool = False
    smooth: str = "none"
    correct_biases: str = "empirical"
    rounding: str = "coordinate_descent"
    steps: int = 300
    samples: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise UnsupportedError(f"a recipe has {name} {value!r}; there are {', '.join(allowed)}")
        for name in ("weight_bits", "activation_bits", "first_bits", "last_bits"):
            bits = getattr(self, name)
            if bits not in BITS and not (bits is None and name in ("first_bits", "last_bits")):
                raise UnsupportedError(f"a recipe has {name} {bits!r}; {_listed(BITS)} are known")
        if not 50 < self.percentile <= 100:
            raise UnsupportedError(f"a recipe has percentile {self.percentile}; above 50 and at most 100 is needed")
        if self.steps < 1 or (self.samples is not None and self.samples < 1):
            raise UnsupportedError(f"a recipe has steps {self.steps} and samples {self.samples}; 1 or more are needed")
        if 1 in (self.weight_bits, self.first_bits, self.last_bits) and self.weights == "asymmetric":
            raise UnsupportedError("weights of 1 bit are -scale and +scale; a recipe with them has weights 'symmetric'")

    def replace(self, **changes: Any) -> Recipe:
        """A copy with some choices changed.  Raises UnsupportedError: a choice that there is not."""
        return Recipe.from_dict({**self.as_dict(), **changes})

    def as_dict(self) -> dict[str, Any]:
        """Every choice by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, choices: Mapping[str, Any]) -> Recipe:
        """The recipe of `as_dict`; what is left out is the default.

        Raises UnsupportedError: a name or a value that is not known.
        """
        known = {field.name: field.type for field in dataclasses.fields(cls)}
        strange = [name for name in choices if name not in known]
        if strange:
            raise UnsupportedError(f"a recipe has no '{strange[0]}'; it has {', '.join(known)}")
        for name, value in choices.items():
            if not _fits(value, str(known[name])):
                raise UnsupportedError(f"a recipe has {name} {value!r}; {known[name]} is needed")
        return cls(**choices)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that `as_json` wrote, or somebody by hand.  Raises UnsupportedError, as `from_dict`."""
        try:
            choices = json.loads(text)
        except ValueError as error:
            raise UnsupportedError(f"a recipe is one JSON object; this cannot be read: {error}") from error
        if not isinstance(choices, dict):
            raise UnsupportedError(f"a recipe is one JSON object, not {type(choices).__name__}")
        return cls.from_dict(choices)

    def as_json(self) -> str:
        """All choices in one line, in the order of the fields."""
        return json.dumps(self.as_dict())


NEAREST = Recipe(calibration="minmax", correct_biases="none", rounding="nearest", merge=False)
"""What most tools do by default: ranges as seen, weights rounded to the nearest code."""

RECIPES = {"default": Recipe(), "learned": Recipe(rounding=LEARNED, correct_biases="none"), "nearest": NEAREST}
"""Recipes by name."""


def _fits(value: Any, annotation: str) -> bool:
    """Whether a value from JSON is of the field's type; bool is no int here."""
    kinds: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "int | None": (int, type(None)),
        "float": (int, float),
        "str": (str,),
        "bool": (bool,),
    }
    return isinstance(value, kinds[annotation]) and (annotation == "bool" or not isinstance(value, bool))


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
