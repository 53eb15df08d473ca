"""Every assignment, one by one: the reference for `solve` on small networks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.assignment.problem import Assignment, Problem
from subbyte.compiler.assignment.units import Quantity, cost_of, loss_of
from subbyte.compiler.errors import UnsupportedError

_MOST = 4**12
_AT_ONCE = 2**18


def exhaustive(problem: Problem) -> Assignment | None:
    """What `solve` returns, by looking at every assignment; None where none is within the budgets.

    Raises: UnsupportedError: there are more than 4^12 of them.
    """
    shape = tuple(len(choices) for choices in problem.choices)
    count = math.prod(shape)
    if count > _MOST:
        raise UnsupportedError(f"{count:,} assignments are too many to look at all; at most {_MOST:,} are")
    loss = loss_of(problem)
    costs = {name: cost_of(problem, name) for name in problem.cost_order()}
    limits = {name: costs[name].limit(budget) for name, budget in problem.budgets.items()}
    best: tuple[int, ...] | None = None
    for start in range(0, count, _AT_ONCE):
        x = np.stack(np.unravel_index(np.arange(start, min(start + _AT_ONCE, count)), shape), axis=1)
        for tie in problem.ties:
            keys = sorted({tie.key(choice) for layer in tie.layers for choice in problem.choices[layer]})
            of = [np.array([keys.index(tie.key(c)) for c in problem.choices[i]])[x[:, i]] for i in tie.layers]
            x = x[np.all([each == of[0] for each in of], axis=0)] if of else x
        for name, limit in limits.items():
            x = x[_sums(costs[name], x) <= limit]
        if not len(x):
            continue
        totals = [_sums(loss, x), *(_sums(cost, x) for cost in costs.values())]
        first = int(np.lexsort(totals[::-1])[0])
        found = (*(int(total[first]) for total in totals), *x[first].tolist())
        best = found if best is None else min(best, found)
    return None if best is None else problem.assignment(best[len(costs) + 1 :])


def _sums(quantity: Quantity, x: NDArray[np.intp]) -> NDArray[np.int64]:
    """[assignments] of assignments [n, layers]."""
    total = np.zeros(len(x), np.int64)
    for i, row in enumerate(quantity.rows):
        total += row[x[:, i]]
    for (i, j), matrix in quantity.pairs.items():
        total += matrix[x[:, i], x[:, j]]
    return total
