"""Two ways to store each tensor, all chosen together: a minimum cut, whose edges cost the bytes to be repacked."""

from __future__ import annotations

from collections import deque
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
        """cost where a is 0 and one of the others is 1, and where a is 1 and one of them 0: one repack serves all."""
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
        """The cheapest label of each variable."""
        labels = self._settled()
        free = [variable for variable, label in enumerate(labels) if label is None]
        if free:
            zeros = self._minimum_cut(labels)
            for variable in free:
                labels[variable] = 0 if variable in zeros else 1
        return [label or 0 for label in labels]

    def _settled(self) -> list[int | None]:
        """Labels that are best whatever their neighbours have (of equals 1); None where that depends: seldom."""
        costs = [list(alone) for alone in self.alone]  # with the edges to settled neighbours
        ahead: list[dict[Variable, float]] = [{} for _ in costs]
        behind: list[dict[Variable, float]] = [{} for _ in costs]
        for (a, b), cost in self.edges.items():
            ahead[a][b] = behind[b][a] = cost
        labels: list[int | None] = [None] * len(costs)
        known_first = sorted(range(len(costs)), key=lambda variable: float("inf") not in costs[variable])
        waiting = deque(known_first)
        while waiting:
            variable = waiting.popleft()
            if labels[variable] is not None:
                continue
            zero, one = costs[variable]
            if one + sum(behind[variable].values()) <= zero:
                labels[variable] = 1
                for before, cost in behind[variable].items():
                    costs[before][0] += cost
            elif zero + sum(ahead[variable].values()) <= one:
                labels[variable] = 0
                for after, cost in ahead[variable].items():
                    costs[after][1] += cost
            else:
                continue
            for other in ahead[variable]:
                del behind[other][variable]
            for other in behind[variable]:
                del ahead[other][variable]
            waiting.extend((*ahead[variable], *behind[variable]))
        return labels

    def _minimum_cut(self, settled: list[int | None]) -> set[object]:
        """The variables on the side of 0, among those that are not settled."""
        import networkx  # here and not above: it takes a while to load

        network = networkx.DiGraph()
        network.add_nodes_from((_SOURCE, _SINK))

        def add(a: object, b: object, cost: float) -> None:
            known = network.get_edge_data(a, b, {"capacity": 0.0})
            network.add_edge(a, b, capacity=known["capacity"] + cost)

        for variable, (zero, one) in enumerate(self.alone):
            if settled[variable] is None:
                lowest = min(zero, one)
                add(_SOURCE, variable, one - lowest)  # cut where the variable is 1, on the side of the sink
                add(variable, _SINK, zero - lowest)
        for (a, b), cost in self.edges.items():
            if settled[a] != 1 and settled[b] != 0 and (settled[a] is None or settled[b] is None):
                add(a if settled[a] is None else _SOURCE, b if settled[b] is None else _SINK, cost)
        _, (zeros, _) = networkx.minimum_cut(network, _SOURCE, _SINK)
        return set(zeros)
