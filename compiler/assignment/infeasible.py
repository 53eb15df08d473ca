"""Why budgets cannot be met: which, by how much, and which of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations

from subbyte.compiler.assignment.problem import Assignment, Infeasible, Problem

Optimum = Callable[[Problem], Assignment | None]


def explained(problem: Problem, optimum: Optimum) -> Infeasible:
    """The error that says what is possible.

    optimum: the best assignment of a problem, None where there is none. Budgets that are too small by themselves are
    named with the smallest possible; else the fewest that cannot be met together, with what one can be under the rest.
    """
    if optimum(replace(problem, budgets={})) is None:
        tied = sorted({problem.layers[i] for tie in problem.ties for i in tie.layers})
        return Infeasible(
            f"No assignment fits the ties of the layers {', '.join(map(repr, tied))}, whatever the budgets: their "
            "choices have no bits in common along the ties.",
            {},
            (),
        )
    smallest = {name: least(problem, name, (), optimum) for name in problem.budgets}
    alone = [name for name in problem.budgets if optimum(_minimizing(problem, name, (name,))) is None]
    if alone:
        sentences = [
            f"the budget for '{name}' is {_shown(problem.budgets[name])}, and {_shown(smallest[name])} is the least "
            f"that is possible, {_excess(smallest[name], problem.budgets[name])}"
            for name in alone
        ]
        return Infeasible(f"No assignment meets the budgets: {'; '.join(sentences)}.", smallest, (alone[0],))
    for names in _subsets(problem.budgets):
        *rest, last = names
        if optimum(_minimizing(problem, last, names)) is not None:
            continue
        best = least(problem, last, rest, optimum)
        others = " and ".join(f"'{name}' at most {_shown(problem.budgets[name])}" for name in rest)
        return Infeasible(
            f"No assignment meets the budgets for {' and '.join(map(repr, names))} together, though each can be met "
            f"alone: with {others}, '{last}' is at least {_shown(best)}, {_excess(best, problem.budgets[last])} of "
            f"{_shown(problem.budgets[last])}.",
            smallest,
            names,
        )
    raise AssertionError("the budgets can be met, by each set of them")


def least(problem: Problem, cost: str, budgets: Iterable[str], optimum: Optimum) -> float:
    """The least of `cost` within some of the budgets.  Raises ValueError: these cannot be met."""
    found = optimum(_minimizing(problem, cost, budgets))
    if found is None:
        raise ValueError(f"the budgets for {list(budgets)} cannot be met")
    return found.costs[cost]


def _minimizing(problem: Problem, cost: str, budgets: Iterable[str]) -> Problem:
    """`problem` with a cost as its loss, and some of the budgets."""
    kept = {name: budget for name, budget in problem.budgets.items() if name in set(budgets)}
    costs = {name: problem.costs[name] for name in (*kept, cost)}
    fixed = {name: value for name, value in problem.fixed.items() if name in costs}
    return replace(problem, loss=problem.costs[cost], pairs={}, costs=costs, budgets=kept, fixed=fixed)


def _subsets(names: Iterable[str]) -> Iterable[tuple[str, ...]]:
    """Two and more of the names, the fewest first."""
    known = tuple(names)
    return (subset for count in range(2, len(known) + 1) for subset in combinations(known, count))


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _excess(value: float, budget: float) -> str:
    over = f"{_shown(value - budget)} more"
    return over if budget <= 0 or value == float("inf") else f"{over} ({100 * (value / budget - 1):.3g} %)"
