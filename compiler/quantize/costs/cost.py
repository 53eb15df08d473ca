"""What a cost is: numbers for every layer and choice, and a part that no choice changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.target import Target

Choices = Mapping[str, Sequence[Choice]]
"""{name of a layer: what it may get}"""

Progress = Callable[[str, int, int | None], None]
"""progress(what, done, of how many): called as a slow cost is measured."""


@dataclass(frozen=True)
class CostTable:
    """values: {layer: {choice: cost}}. fixed: what the network costs beside its layers, whatever they get.

    spreads: {layer: {choice: (low, high)}} of what was measured; empty where costs are counted.
    """

    values: Mapping[str, Mapping[Choice, float]]
    fixed: float = 0
    spreads: Mapping[str, Mapping[Choice, tuple[float, float]]] = field(default_factory=dict)

    def total(self, chosen: Mapping[str, Choice]) -> float:
        """The cost of the network with these choices."""
        return self.fixed + sum(self.values[layer][choice] for layer, choice in chosen.items())


@dataclass(frozen=True)
class Cost:
    """One kind of cost, a sum over layers. unit: "bytes", "s". needs_target: it is one of a target."""

    name: str
    unit: str
    meaning: str
    table: Callable[[Graph, Choices, Target | None, Progress | None], CostTable]
    needs_target: bool = False

    def measure(
        self, graph: Graph, choices: Choices, target: Target | None = None, progress: Progress | None = None
    ) -> CostTable:
        """The cost of each layer of the float network `graph` with each of its choices.

        Raises: UnsupportedError: the cost is one of a target, and none is given. ModelError: a layer without choices,
            or choices for what is no layer.
        """
        if self.needs_target and target is None:
            raise UnsupportedError(f"the cost '{self.name}' is one of a target; name it, such as --target native")
        names = {layer.name for layer in layers(graph)}
        if names != choices.keys():
            odd = sorted(names ^ choices.keys())[0]
            expected = "it has no choices" if odd in names else f"graph '{graph.name}' has no such layer"
            raise ModelError(f"the cost '{self.name}' of layer '{odd}' cannot be told: {expected}")
        return self.table(graph, choices, target, progress)


def for_each(graph: Graph, choices: Choices, value: Callable[[Layer, Choice], float]) -> dict[str, dict[Choice, float]]:
    """{layer: {choice: value(layer, choice)}}, in the order of the graph."""
    return {layer.name: {choice: value(layer, choice) for choice in choices[layer.name]} for layer in layers(graph)}
