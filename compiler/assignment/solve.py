"""The best assignment: HiGHS finds it, whole numbers prove it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.assignment.infeasible import explained
from subbyte.compiler.assignment.problem import Assignment, Problem
from subbyte.compiler.assignment.program import Program, program_of
from subbyte.compiler.assignment.search import Bound, Overflow, Search
from subbyte.compiler.assignment.units import Quantity, cost_of, loss_of
from subbyte.compiler.errors import UnsupportedError

_ROUNDS = 4
_ROUNDING = 2.0**-44  # of sums of floats that are at most about 1
_TOLERANCE = 1e-6  # HiGHS's own, of the objective and of rows
_MARGINS = (0.0, 10 * _TOLERANCE)  # below the budgets, where an answer exceeds one by what HiGHS tolerates

Floats = NDArray[np.float64]


def solve(problem: Problem) -> Assignment:
    """The assignment of least loss within all budgets; of equal ones the cheapest, then the first by its choices.

    1. HiGHS solves the integer program in floats; its answer counts if it meets the budgets in whole numbers.
    2. The duals of its relaxation price budgets, ties and pairs. With any prices, right or rounded, the sum of an
       assignment's reduced losses bounds its loss from below, so that choices whose reduced loss alone exceeds the gap
       to the known assignment are out. Both steps are repeated on what is left, scaled to it: so losses of all orders
       of magnitude count.
    3. All assignments whose sum of reduced losses is within the gap are compared in whole numbers (`search`).

    Where 3. has too many to look at, the answer of 1. is returned with what is known of its distance in `slack`.
    Raises: Infeasible: which budget cannot be met, and by how much. ToolchainError: SciPy is not installed.
    Source: reduced-cost fixing and cores of multiple-choice knapsacks, Kellerer, Pferschy, Pisinger 2004, chapter 11.
    """
    found = _optimum(problem)
    if found is None:
        raise explained(problem, _optimum)
    return found


def _optimum(problem: Problem) -> Assignment | None:
    loss = loss_of(problem)
    costs = [cost_of(problem, name) for name in problem.budgets]
    others = [cost_of(problem, name) for name in problem.cost_order()[len(costs) :]]
    limits = [
        min(cost.limit(budget), sum(int(row.max()) for row in cost.rows))
        for cost, budget in zip(costs, problem.budgets.values(), strict=True)
    ]
    if any(sum(int(row.min()) for row in c.rows) > limit for c, limit in zip(costs, limits, strict=True)):
        return None
    program = program_of(problem, costs, limits)
    bounding = _Bounding(program, loss, costs, limits)
    for _ in range(_ROUNDS):
        before = bounding.gap
        if not bounding.improve():
            return None
        if not bounding.gap < 0.5 * before:
            break
    try:
        x = Search(problem, loss, costs, limits, others, bounding.bound(problem)).first_best()
    except Overflow:
        if bounding.best is None:
            raise UnsupportedError(
                f"the budgets for {', '.join(problem.budgets)} leave so little room that no assignment of "
                f"{len(problem.layers)} layers was found within them, nor shown to be impossible; raise one by 0.01 %"
            ) from None
        return problem.assignment(bounding.best, slack=bounding.slack)
    return None if x is None else problem.assignment(x)


class _Bounding:
    """Reduced losses of all columns, never negative, a bound below all losses, and the best assignment so far.

    loss(x) / total = base + sum of `reduced` over the columns that x takes + sum over budgets of `reduced` of its last
    column times what x leaves of it.
    """

    def __init__(self, program: Program, loss: Quantity, costs: Sequence[Quantity], limits: Sequence[int]) -> None:
        self.program, self.loss, self.costs, self.limits = program, loss, costs, limits
        terms = [*loss.rows, *(matrix.ravel() for matrix in loss.pairs.values())]
        self.total = sum(int(np.abs(row).max()) for row in terms) or 1
        self.reduced: Floats = np.concatenate([*terms, np.zeros(len(costs))]) / self.total
        self.allowed = np.ones(len(self.reduced), bool)
        self.base = 0.0
        self.margin = _ROUNDING
        self.proven = -np.inf  # by HiGHS: no loss is lower, by more than its tolerance
        self.best: list[int] | None = None
        self._shift()

    @property
    def gap(self) -> float:
        """How much lower than the best one a loss may still be, in the unit of `reduced`."""
        return np.inf if self.best is None else self._value(self.best) - self.base + self.margin

    @property
    def slack(self) -> float:
        """The gap as a loss, as far as HiGHS or the relaxation have closed it."""
        assert self.best is not None  # before that there is nothing to be distant from
        return self.loss.real(1) * self.total * max(min(self.gap, self._value(self.best) - self.proven), 0.0)

    def improve(self) -> bool:
        """One more round of integer program and relaxation; False: HiGHS says that nothing is within the budgets."""
        columns = slice(0, self.program.left.start)
        scale = float(self.reduced[columns][self.allowed[columns]].max()) or 1.0
        objective = np.where(self.allowed, self.reduced / scale, 0.0)
        for margin in _MARGINS:
            x, least = self.program.minimize(objective, self.allowed, margin)
            if margin == 0.0:
                if x is None and self.best is None:
                    return False
                self.proven = max(self.proven, self.base + scale * (least - _TOLERANCE))
            if x is not None and self._within(x):
                if self.best is None or self._value(x) < self._value(self.best):
                    self.best = x
                break
        duals = self.program.duals(objective, self.allowed)
        if duals is not None:
            self._reduce(scale * duals)
        self.allowed[columns] &= self.reduced[columns] <= self.gap
        return True

    def _reduce(self, duals: Floats) -> None:
        """Add multiples of the rows; what is left of a budget never gets a price below 0."""
        budgets = len(duals) - len(self.costs)
        duals[budgets:] = np.minimum(duals[budgets:], self.reduced[self.program.left])
        self.reduced = self.reduced - self.program.rows.T @ duals
        constants = self.program.equal_to * duals
        self.base += float(constants.sum())
        self.margin += _ROUNDING * float(np.abs(constants).sum() + np.abs(duals).sum())
        self._shift()

    def bound(self, problem: Problem) -> Bound:
        """What `search` goes by."""
        reduced = np.where(self.allowed, self.reduced, np.inf)
        parts = [reduced[block] for block in self.program.blocks]
        count = self.program.layers
        matrices = {
            (i, j): part.reshape(len(problem.choices[i]), len(problem.choices[j]))
            for (i, j), part in zip(problem.pairs, parts[count:], strict=True)
        }
        prices = self.reduced[self.program.left] / self.program.scales
        return Bound(tuple(parts[:count]), matrices, prices, min(self.gap, float(np.finfo(np.float64).max)))

    def _shift(self) -> None:
        """Move what every choice of a block has at least into the base."""
        for block in self.program.blocks:
            least = float(self.reduced[block][self.allowed[block]].min())
            self.reduced[block] -= least
            self.base += least

    def _value(self, x: Sequence[int]) -> float:
        total = sum(int(row[c]) for row, c in zip(self.loss.rows, x, strict=True))
        return (total + sum(int(matrix[x[i], x[j]]) for (i, j), matrix in self.loss.pairs.items())) / self.total

    def _within(self, x: Sequence[int]) -> bool:
        return all(
            sum(int(row[c]) for row, c in zip(cost.rows, x, strict=True)) <= limit
            for cost, limit in zip(self.costs, self.limits, strict=True)
        )
