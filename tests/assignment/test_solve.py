"""The solver's assignment is the one that exhaustive search finds; where there is none, the error says why."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from subbyte.compiler.assignment.exhaustive import exhaustive
from subbyte.compiler.assignment.problem import Choice, Infeasible, Problem, Tie, problem_of
from subbyte.compiler.assignment.search import Overflow, Search
from subbyte.compiler.assignment.solve import solve
from subbyte.compiler.errors import ModelError, ToolchainError, UnsupportedError
from tests.assignment.problems import ALL, CHOICES, network, random_problem, simple

BYTES = [[8, 6, 4, 2], [80, 60, 40, 20], [16, 12, 8, 4]]
LOSS = [[0.0, 0.1, 0.5, 2.0], [0.0, 0.2, 0.9, 3.0], [0.0, 0.0, 0.7, 4.0]]


@pytest.mark.parametrize("first", range(0, 300, 20))
def test_equals_exhaustive_search(first: int) -> None:
    """Losses over 12 orders of magnitude, whole ones with many ties, negative ones; costs in units of 1e9 and 1e-6."""
    for seed in range(first, first + 20):
        problem = random_problem(seed)
        expected = exhaustive(problem)
        try:
            found = solve(problem)
        except Infeasible:
            assert expected is None, f"problem {seed}"
        else:
            assert found == expected, f"problem {seed}"


def test_exhaustive_search_is_what_the_sums_say() -> None:
    """Against a few lines without arrays, so that the reference has one too."""
    for seed in range(12):
        problem = random_problem(seed)
        best = None
        for x in itertools.product(*(range(len(of)) for of in problem.choices)):
            if len(x) > 7 or any(
                tie.key(problem.choices[a][x[a]]) != tie.key(problem.choices[b][x[b]])
                for tie in problem.ties
                for a, b in itertools.combinations(tie.layers, 2)
            ):
                continue
            found = problem.assignment(x)
            if all(found.costs[name] <= budget for name, budget in problem.budgets.items()):
                key = (found.loss, *(found.costs[name] for name in problem.cost_order()), x)
                best = key if best is None else min(best, key)
        if len(problem.layers) <= 7:
            expected = exhaustive(problem)
            assert (expected and expected.indices) == (best and best[-1])


@pytest.mark.parametrize(
    ("budgets", "ties"),
    [(("bytes",), 0), (("bytes",), 8), (("bytes", "seconds"), 0), (("bytes", "seconds", "bops"), 8)],
)
def test_sixty_layers_are_proven(budgets: tuple[str, ...], ties: int) -> None:
    problem = network(1, 60, budgets, ties)
    found = solve(problem)
    assert found.slack == 0
    assert all(found.costs[name] <= budget for name, budget in problem.budgets.items())
    for tie in problem.ties:
        assert len({found.indices[i] for i in tie.layers}) == 1


@pytest.mark.timing
@pytest.mark.parametrize("ties", [0, 8])
def test_sixty_layers_take_less_than_a_second(ties: int) -> None:
    solve(network(0, 8, ("bytes",)))  # imports SciPy
    problem = network(2, 60, ("bytes",), ties)
    start = time.perf_counter()
    solve(problem)
    assert time.perf_counter() - start < 1


def test_hawq_v3() -> None:
    """The program of HAWQ-V3's notebook: 4 or 8 bits, three limits between all-4 and all-8, tied downsampling layers.

    minimize sum_i (x_i - 1) trace_i (|dW8_i|^2 - |dW4_i|^2), x_i = 1 for 4 bits and 2 for 8, subject to
    sum_i x_i params_i / 2 <= size and sum_i b4_i + (x_i - 1) (b8_i - b4_i) <= BOPS, b8 = macs / 16, b4 = macs / 64, and
    the latencies likewise. Here the layers are those of a ResNet18 but its first and last.
    """
    generator = np.random.default_rng(3)
    widths = [64, 64, 64, 64, 64, 128, 64, 128, 128, 128, 256, 128]
    params = [int(a * b * 9) for a, b in itertools.pairwise([64, *widths])]
    macs = [p * (56 * 64 // width) ** 2 for p, width in zip(params, widths, strict=True)]
    trace = (10 ** generator.uniform(-3, 0, 12)).tolist()
    error4 = [float(0.02 * p * generator.uniform(0.5, 2)) for p in params]
    error8 = [e / 256 for e in error4]
    milliseconds = [(m * 1e-8 * 0.6, m * 1e-8) for m in macs]
    tied = ((4, 6), (8, 10))
    size = [(p / 2, float(p)) for p in params]
    bops = [(m / 64, m / 16) for m in macs]
    four, eight = Choice(4, 4), Choice(8, 8)

    for alpha in (0.25, 0.5, 0.75):
        tables = {"size": size, "bops": bops, "latency": milliseconds}
        limits = {
            name: sum(a for a, _ in table) + alpha * (sum(b for _, b in table) - sum(a for a, _ in table))
            for name, table in tables.items()
        }
        least, best = np.inf, None
        for x in itertools.product((1, 2), repeat=12):
            if any(x[a] != x[b] for a, b in tied):
                continue
            if all(sum(row[k - 1] for row, k in zip(tables[n], x, strict=True)) <= limits[n] for n in tables):
                value = sum((k - 1) * t * (e8 - e4) for k, t, e8, e4 in zip(x, trace, error8, error4, strict=True))
                if value < least:
                    least, best = value, x
        names = [f"conv{i}" for i in range(12)]
        problem = problem_of(
            {n: {four: t * e4, eight: t * e8} for n, t, e4, e8 in zip(names, trace, error4, error8, strict=True)},
            {
                cost: {n: {four: row[0], eight: row[1]} for n, row in zip(names, table, strict=True)}
                for cost, table in tables.items()
            },
            limits,
            together=[([names[a], names[b]], "both") for a, b in tied],
        )
        found = solve(problem)
        assert best is not None
        assert tuple(choice.weight_bits // 4 for choice in found.choices.values()) == best
        assert found == exhaustive(problem)
        assert {1, 2} == set(best)


def test_equal_losses_fall_to_the_cheaper_then_to_the_first_choices() -> None:
    problem = simple([[1, 1, 1], [2, 2, 2]], {"bytes": [[8, 6, 6], [5, 5, 9]]}, {})
    assert solve(problem).indices == (1, 0)


def test_a_budget_of_exactly_what_is_needed_is_met() -> None:
    problem = simple(LOSS, {"bytes": BYTES}, {"bytes": 104})
    assert solve(problem).costs == {"bytes": 100}  # the third layer loses nothing with 6 bits
    assert solve(replace(problem, budgets={"bytes": 26})).indices == (3, 3, 3)


def test_sums_of_floats_meet_the_budget_that_they_round_to() -> None:
    problem = simple([[0, 1], [0, 1]], {"seconds": [[0.1, 0.0], [0.2, 0.0]]}, {"seconds": 0.3})
    assert solve(problem).indices == (0, 0)  # 0.1 + 0.2 is 0.30000000000000004


def test_costs_keep_their_unit() -> None:
    found = solve(simple(LOSS, {"bytes": BYTES}, {"bytes": 60}))
    assert found.costs == {"bytes": 60}
    assert isinstance(found.costs["bytes"], int)
    assert found.loss == 0.9


def test_budgets_hold_for_the_sum_with_the_fixed_part() -> None:
    problem = simple(LOSS, {"bytes": BYTES, "seconds": [[0.4, 0.3, 0.2, 0.1]] * 3}, {"bytes": 104, "seconds": 1.0})
    fixed = replace(problem, fixed={"bytes": 44, "seconds": 0.1})
    found = solve(fixed)
    assert found.costs == {"bytes": 104, "seconds": 1.0}
    assert found.indices == solve(replace(problem, budgets={"bytes": 60, "seconds": 0.9})).indices
    assert found == exhaustive(fixed)
    with pytest.raises(Infeasible, match="for 'bytes' is 60, and 70 is the least"):
        solve(replace(fixed, budgets={"bytes": 60}))


def test_a_layer_of_one_choice_is_pinned() -> None:
    problem = Problem(("first", "second"), ((ALL[0],), CHOICES), ((9.0,), (0.0, 1.0, 2.0, 3.0)))
    assert solve(problem).choices == {"first": Choice(8, 8), "second": Choice(8, 8)}


def test_ties_of_activations_leave_the_weights_free() -> None:
    choices = (Choice(8, 8), Choice(4, 8), Choice(8, 4), Choice(4, 4))
    problem = Problem(("a", "b"), (choices, choices), ((3, 0, 9, 9), (3, 9, 1, 2)), ties=(Tie((0, 1), "activations"),))
    assert solve(problem).choices == {"a": Choice(4, 8), "b": Choice(8, 8)}
    assert solve(replace(problem, ties=())).choices == {"a": Choice(4, 8), "b": Choice(8, 4)}


def test_pairs_count() -> None:
    """Each layer alone prefers few bits; together they would lose more than they save."""
    problem = Problem(
        ("a", "b"), (CHOICES[:2],) * 2, ((1.0, 0.0), (1.0, 0.5)), pairs={(0, 1): ((0.0, 0.0), (0.0, 5.0))}
    )
    found = solve(problem)
    assert found.indices == (1, 0)
    assert found.loss == 1.0


def test_tables_by_name_swap_pairs_into_order() -> None:
    a, b = Choice(8, 8), Choice(4, 8)
    pairs = {("second", "first"): {(c, d): float(10 * c.weight_bits + d.weight_bits) for c in (a, b) for d in (a, b)}}
    problem = problem_of({"first": {a: 0.0, b: 0.0}, "second": {a: 0.0, b: 0.0}}, {}, {}, pairs=pairs)
    assert problem.pairs == {(0, 1): ((88.0, 48.0), (84.0, 44.0))}


# Infeasible -----------------------------------------------------------------------------------------------------------


def test_a_budget_below_what_is_possible_says_by_how_much() -> None:
    with pytest.raises(Infeasible) as caught:
        solve(simple(LOSS, {"bytes": BYTES}, {"bytes": 20}))
    assert str(caught.value) == (
        "No assignment meets the budgets: the budget for 'bytes' is 20, and 26 is the least that is possible, "
        "6 more (30 %)."
    )
    assert caught.value.smallest == {"bytes": 26}
    assert caught.value.together == ("bytes",)


def test_budgets_that_exclude_each_other_are_named() -> None:
    """Few bits save bytes, many save seconds (they need no unpacking); the third budget has nothing to do with it."""
    seconds = [[1.0, 2.0, 3.0, 4.0]] * 3
    problem = simple(
        LOSS, {"free": BYTES, "bytes": BYTES, "seconds": seconds}, {"free": 1000, "bytes": 30, "seconds": 9}
    )
    with pytest.raises(Infeasible) as caught:
        solve(problem)
    assert str(caught.value) == (
        "No assignment meets the budgets for 'bytes' and 'seconds' together, though each can be met alone: "
        "with 'bytes' at most 30, 'seconds' is at least 10, 1 more (11.1 %) of 9."
    )
    assert caught.value.smallest == {"free": 26, "bytes": 26, "seconds": 3.0}
    assert caught.value.together == ("bytes", "seconds")


def test_three_budgets_may_exclude_each_other_together_alone() -> None:
    """One of three ways each: any two budgets leave one, all three leave none."""
    tables = {name: [[int(k == column) for k in range(3)]] for column, name in enumerate(("a", "b", "c"))}
    problem = simple([[0, 0, 0]], tables, dict.fromkeys(tables, 0))  # type: ignore[arg-type]
    with pytest.raises(Infeasible, match="'a' and 'b' and 'c' together") as caught:
        solve(problem)
    assert caught.value.together == ("a", "b", "c")


def test_ties_that_exclude_each_other() -> None:
    problem = Problem(
        ("a", "b", "c"),
        ((ALL[0], ALL[1]), (ALL[1], ALL[2]), (ALL[0], ALL[2])),
        ((0, 0), (0, 0), (0, 0)),
        ties=(Tie((0, 1)), Tie((1, 2)), Tie((0, 2))),
    )
    with pytest.raises(Infeasible, match="No assignment fits the ties of the layers 'a', 'b', 'c'"):
        solve(problem)
    assert exhaustive(problem) is None


# What cannot be solved ------------------------------------------------------------------------------------------------


def test_without_a_proof_the_answer_says_how_far_it_may_be() -> None:
    problem = network(4, 20, ("bytes",))
    best = solve(problem)
    with mock.patch.object(Search, "first_best", side_effect=Overflow):
        found = solve(problem)
    assert 0 < found.slack < 1e-4 * best.loss
    assert found.loss - found.slack <= best.loss <= found.loss


def test_without_scipy_the_error_says_what_brings_it() -> None:
    with (
        mock.patch("importlib.util.find_spec", return_value=None),
        pytest.raises(ToolchainError, match=r"pip install 'subbyte\[quantize\]'` brings it"),
    ):
        solve(simple(LOSS, {}, {}))


def test_exhaustive_search_refuses_large_networks() -> None:
    with pytest.raises(UnsupportedError, match="67,108,864 assignments are too many"):
        exhaustive(network(0, 13, ()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ()}, "at least one is needed"),
        ({"layers": ("a", "a")}, "each once"),
        ({"choices": ((ALL[0],),)}, "choices for 1 layers, and 2"),
        ({"choices": ((), (ALL[0],))}, "choices of layer 'a' are none"),
        ({"loss": ((1.0,),)}, "table of loss has 1 rows; there are 2"),
        ({"loss": ((1.0, 2.0), (1.0,))}, r"loss of layer 'a' is \[1.0, 2.0\]; its choices are W8A8"),
        ({"loss": ((float("nan"),), (1.0,))}, "loss of layer 'a' with W8A8 is nan"),
        ({"costs": {"bytes": ((1,), (float("inf"),))}}, "cost 'bytes' of layer 'b' with W8A8 is inf"),
        ({"budgets": {"bytes": 1}}, "budget for 'bytes' but no such cost; costs are none"),
        ({"costs": {"c": ((1,), (1,))}, "budgets": {"c": float("nan")}}, "budget for 'c' is NaN"),
        ({"fixed": {"bytes": 1}}, "fixed part of 'bytes' is 1; it is a finite number, of one of none"),
        ({"ties": (Tie((0, 2)),)}, r"between the layers \[0, 2\]"),
        ({"choices": ((ALL[0],), (ALL[1],)), "ties": (Tie((0, 1)),)}, "'a' may get W8A8; 'b' may get W4A8"),
        ({"pairs": {(1, 0): ((0.0,),)}}, "pair is of the layers 1 and 0"),
        ({"pairs": {(0, 1): ((0.0, 1.0),)}}, r"matrix of shape \(1, 2\); \(1, 1\) finite"),
    ],
)
def test_a_problem_that_makes_no_sense_says_so(changes: dict[str, object], message: str) -> None:
    sound = Problem(("a", "b"), ((ALL[0],), (ALL[0],)), ((0.0,), (0.0,)))
    with pytest.raises(ModelError, match=message):
        replace(sound, **changes)  # type: ignore[arg-type]


def test_tables_by_name_must_say_everything() -> None:
    a, b = Choice(8, 8), Choice(4, 8)
    loss = {"first": {a: 0.0, b: 1.0}}
    with pytest.raises(ModelError, match="cost 'bytes' says nothing of layer 'first' with W4A8"):
        problem_of(loss, {"bytes": {"first": {a: 1}}}, {})
    with pytest.raises(ModelError, match="'second' is tied or paired, but it is no layer; layers are first"):
        problem_of(loss, {}, {}, together=[(["first", "second"], "both")])
