"""What is to be decided: one choice for each layer, so that the loss is least and every budget is met."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from subbyte.compiler.errors import ModelError, SubbyteError

Table = tuple[tuple[float, ...], ...]
"""[layer][choice]: one number for every choice of every layer."""


@dataclass(frozen=True, order=True)
class Choice:
    """Bits of a layer's weights, and of the activations that it reads."""

    weight_bits: int
    activation_bits: int

    def __str__(self) -> str:
        return f"W{self.weight_bits}A{self.activation_bits}"


@dataclass(frozen=True)
class Tie:
    """Layers, by index, that get the same bits: of weights and activations ("both"), or of one of the two."""

    layers: tuple[int, ...]
    of: Literal["both", "weights", "activations"] = "both"

    def key(self, choice: Choice) -> tuple[int, ...]:
        """What is equal in all layers of the tie."""
        match self.of:
            case "weights":
                return (choice.weight_bits,)
            case "activations":
                return (choice.activation_bits,)
        return (choice.weight_bits, choice.activation_bits)


@dataclass(frozen=True)
class Problem:
    """Minimize sum_i loss[i][x_i] + sum_(i,j) pairs[i, j][x_i][x_j] over x, one choice x_i for each layer i, subject to

        fixed[name] + sum_i costs[name][i][x_i] <= budgets[name]   for every name in budgets, and the ties.

    layers: their names, each once. choices: what each may get; a layer of one choice is pinned.
    loss: any finite numbers; how much worse the network becomes. costs: finite, by name; those without a budget only
    decide between assignments of equal loss. fixed: what costs come to whatever is chosen, 0 where not named.
    ties: groups of layers, by index. pairs: for layers i < j, what choices for both add to the loss beside their own.
    Raises: ModelError: tables of other shapes, numbers that are not finite, unknown layers or budgets.
    Source: HAWQ-V3 (Yao et al. 2021, section 3.3), with more choices and budgets; pairs as in CLADO (Deng et al. 2023).
    """

    layers: tuple[str, ...]
    choices: tuple[tuple[Choice, ...], ...]
    loss: Table
    costs: Mapping[str, Table] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)
    ties: tuple[Tie, ...] = ()
    pairs: Mapping[tuple[int, int], Table] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.layers or len(set(self.layers)) != len(self.layers):
            raise ModelError(f"the layers are {list(self.layers)}; at least one is needed, and each once")
        if len(self.choices) != len(self.layers):
            raise ModelError(f"there are choices for {len(self.choices)} layers, and {len(self.layers)} layers")
        for layer, choices in zip(self.layers, self.choices, strict=True):
            if not choices or len(set(choices)) != len(choices):
                raise ModelError(f"the choices of layer '{layer}' are {_listed(choices)}; at least one, each once")
        for name, table in {
            "loss": self.loss,
            **{f"cost '{name}'": table for name, table in self.costs.items()},
        }.items():
            self._check_table(name, table)
        for name, budget in self.budgets.items():
            if name not in self.costs:
                raise ModelError(f"there is a budget for '{name}' but no such cost; costs are {_listed(self.costs)}")
            if math.isnan(budget):
                raise ModelError(f"the budget for '{name}' is NaN; it is a number")
        for name, value in self.fixed.items():
            if name not in self.costs or not math.isfinite(value):
                raise ModelError(
                    f"the fixed part of '{name}' is {value}; it is a finite number, of one of {_listed(self.costs)}"
                )
        for tie in self.ties:
            self._check_tie(tie)
        for (i, j), matrix in self.pairs.items():
            self._check_pair(i, j, matrix)

    def _check_table(self, name: str, table: Table) -> None:
        if len(table) != len(self.layers):
            raise ModelError(f"the table of {name} has {len(table)} rows; there are {len(self.layers)} layers")
        for layer, choices, row in zip(self.layers, self.choices, table, strict=True):
            if len(row) != len(choices):
                raise ModelError(f"the {name} of layer '{layer}' is {list(row)}; its choices are {_listed(choices)}")
            for choice, value in zip(choices, row, strict=True):
                if not math.isfinite(value):
                    raise ModelError(f"the {name} of layer '{layer}' with {choice} is {value}; it is a finite number")

    def _check_tie(self, tie: Tie) -> None:
        if len(set(tie.layers)) != len(tie.layers) or not all(0 <= i < len(self.layers) for i in tie.layers):
            raise ModelError(
                f"a tie is between the layers {list(tie.layers)}; they are different, of 0 to {len(self.layers) - 1}"
            )
        common = (
            set.intersection(*({tie.key(choice) for choice in self.choices[i]} for i in tie.layers))
            if tie.layers
            else {()}
        )
        if not common:
            offered = "; ".join(f"'{self.layers[i]}' may get {_listed(self.choices[i])}" for i in tie.layers)
            raise ModelError(f"tied layers get the same bits, but these have no choice in common: {offered}")

    def _check_pair(self, i: int, j: int, matrix: Table) -> None:
        if not 0 <= i < j < len(self.layers):
            raise ModelError(f"a pair is of the layers {i} and {j}; they are 0 to {len(self.layers) - 1}, in order")
        expected = (len(self.choices[i]), len(self.choices[j]))
        values = np.asarray(matrix, np.float64)
        if values.shape != expected or not np.isfinite(values).all():
            raise ModelError(
                f"the pair of layers '{self.layers[i]}' and '{self.layers[j]}' has a matrix of shape {values.shape}; "
                f"{expected} finite numbers are expected"
            )

    def cost_order(self) -> tuple[str, ...]:
        """The costs as they decide between assignments of equal loss: first those with budgets, in their order."""
        return (*self.budgets, *(name for name in self.costs if name not in self.budgets))

    def assignment(self, x: Sequence[int], slack: float = 0.0) -> Assignment:
        """What choosing x[i] for layer i comes to."""
        x = tuple(int(choice) for choice in x)
        terms = [row[choice] for row, choice in zip(self.loss, x, strict=True)]
        terms += [matrix[x[i]][x[j]] for (i, j), matrix in self.pairs.items()]
        costs = {
            name: _sum([self.fixed.get(name, 0), *(row[c] for row, c in zip(table, x, strict=True))])
            for name, table in self.costs.items()
        }
        chosen = {layer: of[c] for layer, of, c in zip(self.layers, self.choices, x, strict=True)}
        return Assignment(chosen, x, math.fsum(terms), costs, slack)


@dataclass(frozen=True)
class Assignment:
    """A choice for each layer, and what it comes to.

    indices: the places of the choices in the problem's. slack: no assignment within the budgets has a loss lower by
    more than this; 0: none has a lower one, none of equal loss is cheaper, and of these it is the first by indices.
    """

    choices: Mapping[str, Choice]
    indices: tuple[int, ...]
    loss: float
    costs: Mapping[str, float]
    slack: float = 0.0


class Infeasible(SubbyteError):
    """No assignment meets the budgets.

    smallest: what each cost can be at least, whatever the others are. together: a set of budgets that cannot be met at
    once, none of which can be left out; one name where a budget is below what is possible.
    """

    def __init__(self, message: str, smallest: Mapping[str, float], together: tuple[str, ...]) -> None:
        super().__init__(message)
        self.smallest, self.together = dict(smallest), together


def problem_of(
    loss: Mapping[str, Mapping[Choice, float]],
    costs: Mapping[str, Mapping[str, Mapping[Choice, float]]],
    budgets: Mapping[str, float],
    *,
    together: Sequence[tuple[Sequence[str], Literal["both", "weights", "activations"]]] = (),
    pairs: Mapping[tuple[str, str], Mapping[tuple[Choice, Choice], float]] | None = None,
    fixed: Mapping[str, float] | None = None,
) -> Problem:
    """The problem of tables by name: loss {layer: {choice: value}}, costs {name: {layer: {choice: value}}}.

    A layer's choices are those of its loss, in their order. together: ties as (names of layers, what they share).
    Raises: ModelError: a cost or pair lacks a layer or a choice, or has layers that the loss has not.
    """
    names = tuple(loss)
    place = {name: index for index, name in enumerate(names)}
    choices = tuple(tuple(loss[name]) for name in names)
    tables = {
        cost: tuple(
            tuple(_found(table, f"cost '{cost}'", layer, choice) for choice in of)
            for layer, of in zip(names, choices, strict=True)
        )
        for cost, table in costs.items()
    }
    unknown = {layer for layers, _ in together for layer in layers} | {layer for pair in pairs or {} for layer in pair}
    if missing := sorted(unknown - place.keys()):
        raise ModelError(f"'{missing[0]}' is tied or paired, but it is no layer; layers are {_listed(names)}")
    matrices: dict[tuple[int, int], Table] = {}
    for (a, b), values in (pairs or {}).items():
        first, second = sorted((a, b), key=place.__getitem__)
        swap = first != a
        matrices[place[first], place[second]] = tuple(
            tuple(_pair_value(values, (d, c) if swap else (c, d), a, b) for d in choices[place[second]])
            for c in choices[place[first]]
        )
    return Problem(
        names,
        choices,
        tuple(tuple(loss[name].values()) for name in names),
        tables,
        dict(budgets),
        tuple(Tie(tuple(place[layer] for layer in layers), of) for layers, of in together),
        matrices,
        dict(fixed or {}),
    )


def _found(table: Mapping[str, Mapping[Choice, float]], name: str, layer: str, choice: Choice) -> float:
    if layer not in table or choice not in table[layer]:
        raise ModelError(f"the {name} says nothing of layer '{layer}' with {choice}")
    return table[layer][choice]


def _pair_value(values: Mapping[tuple[Choice, Choice], float], key: tuple[Choice, Choice], a: str, b: str) -> float:
    if key not in values:
        raise ModelError(f"the pair of layers '{a}' and '{b}' says nothing of {key[0]} with {key[1]}")
    return values[key]


def _sum(values: Any) -> float:
    """Exact, and an int where all are."""
    found = list(values)
    return sum(found) if all(isinstance(value, int) for value in found) else math.fsum(found)


def _listed(items: Any) -> str:
    return ", ".join(map(str, items)) or "none"
