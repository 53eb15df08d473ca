"""Bits for each layer: sensitivities and costs become one integer program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from subbyte.compiler.assignment.pareto import pareto
from subbyte.compiler.assignment.problem import Assignment, Choice, Problem, problem_of
from subbyte.compiler.assignment.solve import solve
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.quantize.costs import COSTS
from subbyte.compiler.quantize.costs.cost import Progress
from subbyte.compiler.quantize.recipe import Recipe
from subbyte.compiler.quantize.statistics import Statistics
from subbyte.compiler.quantize.weights import rounded_layer
from subbyte.compiler.sensitivity import measure
from subbyte.compiler.target import Target
from subbyte.passes.precision.points import shared_grids

DEFAULT_WEIGHT_BITS = (2, 3, 4, 5, 6, 8)


@dataclass(frozen=True, eq=False)
class Assigned:
    """What was decided, of what, and what else could have been.

    front: the best assignments over the first budget's cost. uniform: what each single choice for all layers comes to,
    where every layer has it.
    """

    problem: Problem
    assignment: Assignment
    front: tuple[Assignment, ...]
    uniform: Mapping[Choice, Assignment]


def layer_choices(
    graph: Graph, recipe: Recipe, weight_bits: Sequence[int], activation_bits: Sequence[int]
) -> dict[str, tuple[Choice, ...]]:
    """What each layer may get; the first and the last only what the recipe pins them to."""
    found = layers(graph)
    every = tuple(Choice(w, a) for w in sorted(set(weight_bits)) for a in sorted(set(activation_bits)))
    choices = {layer.name: every for layer in found}
    for layer, bits in ((found[0], recipe.first_bits), (found[-1], recipe.last_bits)):
        if bits is not None:
            choices[layer.name] = tuple(Choice(bits, a) for a in sorted(set(activation_bits)))
    return choices


def tied_layers(graph: Graph, several_activations: bool) -> list[tuple[tuple[str, ...], Literal["activations"]]]:
    """Layers that read one tensor, or tensors of one grid, and so get the same bits of activations."""
    if not several_activations:
        return []
    group_of = {value: index for index, group in enumerate(shared_grids(graph)) for value in group}
    readers: dict[object, list[str]] = {}
    for layer in layers(graph):
        readers.setdefault(group_of.get(layer.x, layer.x), []).append(layer.name)
    return [(tuple(names), "activations") for names in readers.values() if len(names) > 1]


def assign(
    graph: Graph,
    data: Data,
    statistics: Statistics,
    recipe: Recipe,
    choices: Mapping[str, Sequence[Choice]],
    budgets: Mapping[str, float],
    *,
    sensitivity: str,
    target: Target | None,
    show: Progress,
    points: int = 16,
) -> Assigned:
    """The choices of least loss within `budgets`, {name of a cost: limit}.

    A layer's loss is measured with its weights rounded as the recipe rounds them.
    Raises: Infeasible: no choices meet the budgets.
    """
    tables = {name: COSTS[name].measure(graph, choices, target, show) for name in budgets}
    by_name = {layer.name: layer for layer in layers(graph)}
    rounded: dict[tuple[str, int], Any] = {}

    def round_weights(layer: Layer, bits: int) -> Any:
        if (layer.name, bits) not in rounded:
            found = rounded_layer(by_name[layer.name], bits, recipe, statistics)
            rounded[layer.name, bits] = layer.from_matrix(found.values())
        return rounded[layer.name, bits]

    losses = measure(
        graph,
        data,
        choices,
        sensitivity,
        round_weights=round_weights,
        seed=recipe.seed,
        progress=lambda done, total: show("sensitivities", done, total),
    )
    problem = problem_of(
        losses.losses,
        {name: table.values for name, table in tables.items()},
        budgets,
        together=tied_layers(graph, len({c.activation_bits for of in choices.values() for c in of}) > 1),
        pairs=losses.pairs,
        fixed={name: table.fixed for name, table in tables.items()},
    )
    assignment = solve(problem)
    open_problem = replace(problem, budgets={})
    return Assigned(problem, assignment, pareto(open_problem, next(iter(budgets)), points), _uniform(open_problem))


def _uniform(problem: Problem) -> dict[Choice, Assignment]:
    """Each choice for all layers; pinned layers keep theirs."""
    every = dict.fromkeys(choice for of in problem.choices for choice in of if len(of) > 1)
    found = {}
    for choice in every:
        if all(len(of) == 1 or choice in of for of in problem.choices):
            found[choice] = problem.assignment([0 if len(of) == 1 else of.index(choice) for of in problem.choices])
    return found
