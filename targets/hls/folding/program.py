"""The integer program of a Problem, as HiGHS takes it; its answers are checked in integers.

Columns: x[i][o], 1 where layer i gets its option o; z[e][a][b] for each edge e, a and b the lanes that its writer
writes and its reader reads; for a latency also s[i], f[i], when layer i writes its first and last word. Rows:

    sum_o x[i][o] = 1                                                    each layer gets one option
    sum_b z[e][a][b] = sum_(o writes a) x[w][o], and alike for readers   z is the product of both where x is whole
    sum of resources <= budget - fixed                                   a row for each resource
    s[v], f[v] as Problem.latency has them, f[v] <= latency              a row for each edge and each side of a max

Minimized is the sum over resources of the share of the part, or the last f[i]. Options, and pairs of lanes, that take
more than `frame_cycles` are left out.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ToolchainError
from subbyte.targets.hls.folding.problem import Option, Problem
from subbyte.targets.hls.resources import KINDS, Resources

MOST_NODES = 4000
"""Of the search; what was found by then is taken. A count and not a time, so that every machine finds the same."""
GAP = 1e-3
"""Of the share that is minimized: one part in a thousand is far below what an estimate can tell."""

Columns = dict[int, float]


def require_scipy() -> None:
    """Raise ToolchainError where the solver is missing."""
    if importlib.util.find_spec("scipy") is None:
        raise ToolchainError(
            "choosing a folding needs SciPy's integer program, which is not installed; "
            "`pip install 'subbyte[hls]'` brings it."
        )


def minimize(
    problem: Problem,
    frame_cycles: int,
    latency_cycles: int | None = None,
    gap: float = GAP,
    least_latency: bool = False,
) -> tuple[int, ...] | None:
    """The choice of the least share within the budget with at most so many cycles; None where there is none.

    gap: how far above the least the choice may be, relatively. least_latency: minimize the latency, not the share.
    Raises: ToolchainError: SciPy is not installed, or HiGHS ends without an answer.
    """
    require_scipy()
    if frame_cycles < problem.least_cycles:
        return None
    margin = 0.0
    while True:
        rows = _Rows(problem, frame_cycles, latency_cycles, least_latency, margin)
        if not rows.solvable:
            return None
        choice = rows.solve(gap)
        if choice is None:
            return None
        late = latency_cycles is not None and problem.latency(choice) > latency_cycles
        if problem.resources(choice).within(problem.budget) and not late:
            return choice
        # HiGHS keeps rows within a tolerance of 1e-6 of their scale; ask for that much less.
        margin = margin * 4 or 1e-6


@dataclass(eq=False)
class _Rows:
    problem: Problem
    frame_cycles: int
    latency_cycles: int | None
    least_latency: bool
    margin: float
    kept: list[list[tuple[int, Option]]] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    objective: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    used: list[Resources] = field(default_factory=list)
    rows: list[tuple[Columns, float, float]] = field(default_factory=list)
    binaries: int = 0
    solvable: bool = True

    def __post_init__(self) -> None:
        for options in self.problem.options:
            fitting = [(index, option) for index, option in enumerate(options) if option.cycles <= self.frame_cycles]
            self.solvable = self.solvable and bool(fitting)
            self.kept.append(fitting)
            self.first.append(len(self.upper))
            for _, option in fitting:
                self._column(option.resources)
            self.rows.append(({self.first[-1] + k: 1.0 for k in range(len(fitting))}, 1.0, 1.0))
        self.binaries = len(self.upper)
        for number in range(len(self.problem.edges)):
            self._add_edge(number)
        self._add_budget()
        if self.latency_cycles is not None:
            self._add_latency(self.latency_cycles)

    def _column(self, resources: Resources, upper: float = 1.0) -> int:
        self.used.append(resources)
        self.objective.append(self.problem.share(resources))
        self.upper.append(upper)
        return len(self.upper) - 1

    def _add_edge(self, number: int) -> None:
        edge = self.problem.edges[number]
        by_writes: dict[int, Columns] = {}
        by_reads: dict[int, Columns] = {}
        for k, (_, option) in enumerate(self.kept[edge.writer]):
            by_writes.setdefault(option.writes, {})[self.first[edge.writer] + k] = -1.0
        for k, (_, option) in enumerate(self.kept[edge.reader]):
            by_reads.setdefault(option.reads, {})[self.first[edge.reader] + k] = -1.0
        for a in by_writes:
            for b in by_reads:
                price = edge.price(a, b)
                if price.cycles <= self.frame_cycles:
                    column = self._column(price.resources)
                    by_writes[a][column] = by_reads[b][column] = 1.0
        self.rows += [(columns, 0.0, 0.0) for columns in (*by_writes.values(), *by_reads.values())]

    def _add_budget(self) -> None:
        left = self.problem.budget - self.problem.fixed
        for kind, most in zip(KINDS, left.counts, strict=True):
            scale = max(most, 1)
            columns = {
                column: getattr(used, kind) / scale for column, used in enumerate(self.used) if getattr(used, kind)
            }
            self.rows.append((columns, -np.inf, most / scale - self.margin))

    def _add_latency(self, latency: int) -> None:
        """Times in units of the limit."""
        count = len(self.problem.options)
        starts = [self._column(Resources()) for _ in range(count)]
        ends = [self._column(Resources(), 1.0 - self.margin) for _ in range(count)]
        if self.least_latency:
            last = self._column(Resources(), 1.0)
            self.objective = [0.0] * last + [1.0]
            self.rows += [({last: 1.0, end: -1.0}, 0.0, np.inf) for end in ends]
        for v in range(count):
            before = [edge.writer for edge in self.problem.edges if edge.reader == v]
            for u in before:
                self._at_least(starts[v], {starts[u]: 1.0}, v, "first", latency)
                self._at_least(ends[v], {starts[u]: 1.0}, v, "cycles", latency)
                self._at_least(ends[v], {ends[u]: 1.0}, v, "tail", latency)
                for _, (_, option) in self.of(v)[:1]:  # what a layer needs is the same for all of its options
                    shares = {starts[u]: 1.0 - option.needs, ends[u]: option.needs}
                    self._at_least(starts[v], shares, v, "", latency)
            if not before:
                self._at_least(starts[v], {}, v, "first", latency)
                self._at_least(ends[v], {}, v, "cycles", latency)
                self._at_least(ends[v], {}, v, "tail", latency, self.problem.least_cycles)

    def _at_least(self, later: int, sooner: Columns, layer: int, what: str, latency: int, constant: int = 0) -> None:
        """later >= sooner + what of the layer's option + constant."""
        of_options = self.of(layer) if what else []
        columns = {self.first[layer] + k: -getattr(option, what) / latency for k, (_, option) in of_options}
        columns[later] = 1.0
        for column, share in sooner.items():
            columns[column] = -share
        self.rows.append((columns, constant / latency, np.inf))

    def of(self, layer: int) -> list[tuple[int, tuple[int, Option]]]:
        return list(enumerate(self.kept[layer]))

    def solve(self, gap: float) -> tuple[int, ...] | None:
        from scipy import optimize

        whole = np.zeros(len(self.upper))
        whole[: self.binaries] = 1
        found = optimize.milp(
            np.array(self.objective),
            integrality=whole,
            bounds=optimize.Bounds(0, np.array(self.upper)),
            constraints=[self._constraints()],
            options={"mip_rel_gap": gap, "node_limit": MOST_NODES},
        )
        # All columns are bounded, so "infeasible or unbounded", as presolve may put it, is infeasible.
        if found.status == 2 or (found.x is None and "infeasible" in found.message.lower()):
            return None
        if found.x is None:
            raise ToolchainError(
                f"HiGHS found no folding within {MOST_NODES} nodes: {found.message}; give a folding file instead"
            )
        x: NDArray[np.float64] = found.x
        choice = []
        for start, kept in zip(self.first, self.kept, strict=True):
            choice.append(kept[int(x[start : start + len(kept)].argmax())][0])
        return tuple(choice)

    def _constraints(self) -> Any:
        from scipy import optimize, sparse

        entries = [
            (row, column, value) for row, (columns, _, _) in enumerate(self.rows) for column, value in columns.items()
        ]
        at_rows, at_columns, values = (np.array(part) for part in zip(*entries, strict=True))
        matrix = sparse.csr_array((values, (at_rows, at_columns)), shape=(len(self.rows), len(self.upper)))
        low, high = (np.array([row[side] for row in self.rows]) for side in (1, 2))
        return optimize.LinearConstraint(matrix, low, high)
