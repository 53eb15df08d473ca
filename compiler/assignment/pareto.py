"""The Pareto front: the least loss for every budget of one cost."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from subbyte.compiler.assignment.problem import Assignment, Infeasible, Problem
from subbyte.compiler.assignment.solve import solve
from subbyte.compiler.assignment.units import cost_of
from subbyte.compiler.errors import ModelError


def pareto(problem: Problem, cost: str, points: int | None = 16) -> tuple[Assignment, ...]:
    """Best assignments for falling budgets of `cost`, from the cheapest to that of the least loss.

    Each is on the front: no assignment within the other budgets has both a lower loss and no higher cost. Losses fall
    strictly as costs rise. points: budgets are spread evenly over the costs from end to end, and an assignment that is
    the best for several of them stands once; None: the whole front, each next budget just below the last cost.
    A budget of `cost` that the problem has is the largest.
    Raises: Infeasible: the budgets cannot be met. ModelError: no such cost, or fewer than 2 points.
    """
    if cost not in problem.costs:
        raise ModelError(f"there is no cost '{cost}' to sweep; costs are {', '.join(problem.costs) or 'none'}")
    if points is not None and points < 2:
        raise ModelError(f"a front of {points} points has no ends; at least 2 are needed")
    whole = cost_of(problem, cost)
    others = {name: budget for name, budget in problem.budgets.items() if name != cost}

    def best(limit: float) -> Assignment:
        return solve(replace(problem, budgets={cost: limit, **others}))

    last = best(problem.budgets.get(cost, math.inf))
    found = [last]
    if points is None:
        while (below := _just_below(last.costs[cost], whole.exponent)) is not None:
            try:
                last = best(below)
            except Infeasible:
                break
            found.append(last)
        return tuple(reversed(found))
    cheapest = solve(replace(problem, loss=problem.costs[cost], pairs={}, budgets=problem.budgets)).costs[cost]
    for limit in np.linspace(last.costs[cost], cheapest, points)[1:].tolist():
        budget = cheapest if limit <= cheapest else limit
        if budget < last.costs[cost]:
            last = best(budget)
            if last.indices != found[-1].indices:
                found.append(last)
    return tuple(reversed(found))


def _just_below(value: float, exponent: int) -> float | None:
    """The next lower cost that `solve` tells from `value`: one less of whole numbers, else by one part in 10^9."""
    if exponent == 0:
        return value - 1
    return value - abs(value) * 1e-9 if value else None
