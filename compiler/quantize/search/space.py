"""The space of recipes: names, the values that each may take, and which choices exist only behind others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError

Value = str | int | float | bool | None
Recipe = Mapping[str, Value]
_ENUMERATED = 20_000


@dataclass(frozen=True)
class Choice:
    """A name and its values; it exists where each choice named in `when`, earlier in the space, has one of the values.

    Choice("percentile", (99.9, 99.99), when={"method": ("percentile",)}) is part of recipes of that method only.
    """

    name: str
    values: tuple[Value, ...]
    when: Mapping[str, tuple[Value, ...]] = ()  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "when", {name: tuple(values) for name, values in dict(self.when).items()})
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise ModelError(f"the choice '{self.name}' has no values; at least one is needed.")
        given: tuple[object, ...] = self.values
        wrong = [value for value in given if not isinstance(value, (str, int, float, bool, type(None)))]
        if wrong:
            raise ModelError(
                f"the choice '{self.name}' has the value {wrong[0]!r}; texts, numbers, true, false and null are stored."
            )
        if any(
            one == other for at, one in enumerate(self.values) for other in self.values[:at]
        ):  # 1 is True to a store
            raise ModelError(f"the choice '{self.name}' has a value twice: {list(self.values)}.")

    def is_in(self, recipe: Recipe) -> bool:
        """Whether it exists beside the earlier choices of `recipe`."""
        return all(
            name in recipe and _key(recipe[name]) in {_key(value) for value in values}
            for name, values in self.when.items()
        )


@dataclass(frozen=True)
class Space:
    """All recipes: one value for each choice that exists."""

    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        earlier: dict[str, Choice] = {}
        for choice in self.choices:
            if choice.name in earlier:
                raise ModelError(f"the choice '{choice.name}' stands in the space twice.")
            for name, values in choice.when.items():
                if name not in earlier:
                    raise ModelError(
                        f"the choice '{choice.name}' depends on '{name}', which does not stand before it; before it "
                        f"stand {', '.join(map(repr, earlier)) or 'none'}."
                    )
                if strange := [value for value in values if _key(value) not in map(_key, earlier[name].values)]:
                    raise ModelError(
                        f"the choice '{choice.name}' exists where '{name}' is {strange[0]!r}, which is none of its "
                        f"values {list(earlier[name].values)}."
                    )
            earlier[choice.name] = choice
        if not earlier:
            raise ModelError("the space of recipes has no choices; at least one is needed.")

    @classmethod
    def of(cls, choices: Mapping[str, Sequence[Value]] | Sequence[Choice]) -> Space:
        """From {name: values}, where all choices always exist, or from a sequence of Choice."""
        if isinstance(choices, Mapping):
            return cls(tuple(Choice(name, tuple(values)) for name, values in choices.items()))
        return cls(tuple(choices))

    @cached_property
    def size(self) -> int:
        """How many recipes there are; counted without making them where no choice depends on another."""
        if not any(choice.when for choice in self.choices):
            size = 1
            for choice in self.choices:
                size *= len(choice.values)
            return size
        return sum(1 for _ in self.recipes())

    def recipes(self) -> Iterator[dict[str, Value]]:
        """All of them, in the order of the choices and of their values, the last choice changing fastest."""

        def extended(recipe: dict[str, Value], index: int) -> Iterator[dict[str, Value]]:
            if index == len(self.choices):
                yield dict(recipe)
                return
            choice = self.choices[index]
            if not choice.is_in(recipe):
                yield from extended(recipe, index + 1)
                return
            for value in choice.values:
                yield from extended({**recipe, choice.name: value}, index + 1)

        return extended({}, 0)

    def random(self, generator: np.random.Generator) -> dict[str, Value]:
        """One recipe: each choice that exists takes any of its values alike."""
        recipe: dict[str, Value] = {}
        for choice in self.choices:
            if choice.is_in(recipe):
                recipe[choice.name] = choice.values[int(generator.integers(len(choice.values)))]
        return recipe

    def candidates(self, generator: np.random.Generator, near: Sequence[Recipe] = ()) -> list[dict[str, Value]]:
        """What a search looks through: all recipes of a space of at most 20,000, else that many random ones and `near`
        with one choice changed."""
        if self._is_small:
            return list(self.recipes())
        found = {self.key(recipe): recipe for recipe in (self.random(generator) for _ in range(_ENUMERATED))}
        for recipe in near:
            for choice in self.choices:
                for value in choice.values if choice.name in recipe else ():
                    changed = self.completed({**recipe, choice.name: value}, generator)
                    found[self.key(changed)] = changed
        return list(found.values())

    def completed(self, recipe: Recipe, generator: np.random.Generator) -> dict[str, Value]:
        """`recipe` without the choices that do not exist in it, and with random values for those that it lacks."""
        complete: dict[str, Value] = {}
        for choice in self.choices:
            if choice.is_in(complete):
                drawn = choice.values[int(generator.integers(len(choice.values)))]
                complete[choice.name] = recipe.get(choice.name, drawn)
        return complete

    def check(self, recipe: Recipe) -> None:
        """Raises ModelError where `recipe` lacks a choice, has one that does not exist, or a value that is none."""
        expected = [choice for choice in self.choices if choice.is_in(recipe)]
        if set(recipe) != {choice.name for choice in expected}:
            raise ModelError(
                f"the recipe has {', '.join(map(repr, recipe)) or 'nothing'}; the space has "
                f"{', '.join(repr(choice.name) for choice in expected)} here."
            )
        for choice in expected:
            if _key(recipe[choice.name]) not in map(_key, choice.values):
                raise ModelError(
                    f"the recipe has {recipe[choice.name]!r} for '{choice.name}'; its values are {list(choice.values)}."
                )

    def key(self, recipe: Recipe) -> str:
        """A text that is the same for equal recipes alone."""
        values: list[object] = [recipe.get(choice.name, []) for choice in self.choices]  # [] is no value
        return json.dumps(values)

    def as_dict(self) -> list[dict[str, object]]:
        """What JSON holds of it."""
        return [
            {"name": choice.name, "values": list(choice.values), "when": {k: list(v) for k, v in choice.when.items()}}
            for choice in self.choices
        ]

    def one_hot(self, recipes: Sequence[Recipe]) -> NDArray[np.float32]:
        """[recipes, values of all choices]: 1 where the recipe has the value; a choice that does not exist is all 0."""
        rows = np.zeros((len(recipes), sum(len(choice.values) for choice in self.choices)), np.float32)
        for row, recipe in zip(rows, recipes, strict=True):
            start = 0
            for choice in self.choices:
                if choice.name in recipe:
                    wanted = _key(recipe[choice.name])
                    for index, value in enumerate(choice.values):
                        row[start + index] = _key(value) == wanted
                start += len(choice.values)
        return rows

    @cached_property
    def _is_small(self) -> bool:
        return all(count < _ENUMERATED for count, _ in enumerate(self.recipes()))


def _key(value: Value) -> tuple[str, Value]:
    """Equal for the same value of the same type: True is not 1."""
    return type(value).__name__, value
