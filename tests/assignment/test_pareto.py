"""The front: every point on it is the best for its cost, and none is missing."""

from __future__ import annotations

import itertools

import pytest

from subbyte.compiler.assignment.pareto import pareto
from subbyte.compiler.assignment.problem import Assignment, Infeasible, Problem
from subbyte.compiler.errors import ModelError
from tests.assignment.problems import network, simple


def all_points(problem: Problem, cost: str) -> list[tuple[float, float]]:
    """(cost, loss) of the front by looking at every assignment."""
    found = [problem.assignment(x) for x in itertools.product(*(range(len(of)) for of in problem.choices))]
    best: list[tuple[float, float]] = []
    for value, loss in sorted((each.costs[cost], each.loss) for each in found):
        if not best or loss < best[-1][1]:
            best.append((value, loss))
    return best


def points(front: tuple[Assignment, ...], cost: str) -> list[tuple[float, float]]:
    return [(each.costs[cost], each.loss) for each in front]


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_front_is_what_exhaustive_search_finds(seed: int) -> None:
    problem = network(seed, 4, ("bytes",))
    assert (
        points(pareto(problem, "bytes", points=None)[:-1], "bytes")
        == [point for point in all_points(problem, "bytes") if point[0] <= problem.budgets["bytes"]][:-1]
    )


def test_a_sweep_is_a_part_of_the_front_with_both_ends() -> None:
    problem = simple(
        [[0, 1, 4, 9], [0, 2, 5, 8], [0, 1, 1, 7]], {"bytes": [[8, 6, 4, 2], [80, 60, 40, 20], [16, 12, 8, 4]]}, {}
    )
    whole, some = points(pareto(problem, "bytes", None), "bytes"), points(pareto(problem, "bytes", 6), "bytes")
    assert whole == all_points(problem, "bytes")
    assert set(some) < set(whole)
    assert (some[0], some[-1]) == (whole[0], whole[-1])


def test_a_front_rises_in_cost_and_falls_in_loss() -> None:
    front = points(pareto(network(5, 24, ("seconds",), ties=2), "seconds", 12), "seconds")
    assert 2 < len(front) <= 12
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in itertools.pairwise(front))


def test_other_budgets_hold_all_along_the_front() -> None:
    problem = network(6, 12, ("bytes", "seconds"))
    front = pareto(problem, "seconds", 8)
    assert len(front) > 2
    assert all(each.costs["bytes"] <= problem.budgets["bytes"] for each in front)


def test_one_assignment_is_a_front_of_one_point() -> None:
    assert len(pareto(simple([[1.0]], {"bytes": [[5]]}, {}), "bytes", 9)) == 1
    assert len(pareto(simple([[1.0]], {"bytes": [[0.0]]}, {}), "bytes", None)) == 1


def test_what_cannot_be_swept_says_so() -> None:
    problem = simple([[1.0]], {"bytes": [[5]]}, {"bytes": 4})
    with pytest.raises(ModelError, match="no cost 'seconds' to sweep; costs are bytes"):
        pareto(problem, "seconds")
    with pytest.raises(ModelError, match="at least 2"):
        pareto(problem, "bytes", 1)
    with pytest.raises(Infeasible, match="the budget for 'bytes' is 4, and 5"):
        pareto(problem, "bytes")
