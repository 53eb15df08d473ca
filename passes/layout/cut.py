"""Two ways to store each tensor, chosen together: the minimum cut of a graph whose edges cost the bytes to be repacked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Variable = int
Costs = tuple[tuple[float, float], tuple[float, float]]

_SOURCE, _SINK = "first", "second"


@dataclass
class Cut:
    """Minimise a sum of costs over variables that are 0 or 1.

    alone: cost of each variable being 0, being 1. edges: (a, b) -> cost where a is 0 and b is 1.
    A sum of such costs is minimal at a minimum cut between a source (0) and a sink (1), which is found exactly.
    Source: Ivanescu 1965; Kolmogorov and Zabih 2004, on which costs of two variables are cuts (the submodular ones).
    """

    alone: list[list[float]] = field(default_factory=list)
    edges: dict[tuple[Variable, Variable], float] = field(default_factory=dict)

    def variable(self) -> Variable:
        self.alone.append([0.0, 0.0])
        return len(self.alone) - 1

    def add_alone(self, variable: Variable, costs: Sequence[float]) -> None:
        """costs[i] where the variable is i."""
        for label in (0, 1):
            self.alone[variable][label] += costs[label]

    def add_edge(self, a: Variable, b: Variable, cost: float) -> None:
        """cost where a is 0 and b is 1."""
        self.edges[a, b] = self.edges.get((a, b), 0.0) + cost

    def add_pair(self, a: Variable, b: Variable, costs: Costs) -> bool:
        """costs[i][j] where a is i and b is j; False, and nothing is added, where that is no cut (not submodular)."""
        (c00, c01), (c10, c11) = costs
        crossing = c01 + c10 - c00 - c11
        if crossing < 0:
            return False
        self.add_alone(a, (0.0, c10 - c00))
        self.add_alone(b, (0.0, c11 - c10))
        if crossing:
            self.add_edge(a, b, crossing)
        return True

    def add_shared(self, a: Variable, others: Iterable[Variable], cost: float) -> None:
        """cost where a is 0 and any of the others is 1, and where a is 1 and any of them is 0: one repack serves all."""
        others = list(others)
        if len(others) == 1:
            self.add_edge(a, others[0], cost)
            self.add_edge(others[0], a, cost)
            return
        above, below = self.variable(), self.variable()
        self.add_edge(a, above, cost)
        self.add_edge(below, a, cost)
        for other in others:
            self.add_edge(above, other, float("inf"))
            self.add_edge(other, below, float("inf"))

    def solve(self) -> list[int]:
        """The cheapest label of each variable; where several are, more ones."""
        needed = [costs for costs in self.alone if costs[0] != costs[1]]
        if not needed:
            return [1] * len(self.alone)
        import networkx  # here and not above: graphs without a choice do not need it, and it takes a while to load

        network = networkx.DiGraph()
        network.add_nodes_from((_SOURCE, _SINK))
        for variable, (zero, one) in enumerate(self.alone):
            lowest = min(zero, one)
            if one > lowest:  # cut where the variable is 1, on the sink's side
                network.add_edge(_SOURCE, variable, capacity=one - lowest)
            if zero > lowest:
                network.add_edge(variable, _SINK, capacity=zero - lowest)
        for (a, b), cost in self.edges.items():
            if cost == float("inf"):
                network.add_edge(a, b)
            else:
                network.add_edge(a, b, capacity=cost)
        _, (zeros, _) = networkx.minimum_cut(network, _SOURCE, _SINK, flow_func=networkx.algorithms.flow.dinitz)
        return [0 if variable in zeros else 1 for variable in range(len(self.alone))]
