"""The choice of folds: as good as trying all, within budgets, honest where goals cannot be met."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import replace

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError, ToolchainError, UnsupportedError
from subbyte.targets.hls import registry  # noqa: F401 - registers the traces of actors
from subbyte.targets.hls.estimate import estimate
from subbyte.targets.hls.expand import expand
from subbyte.targets.hls.folding import Goal, Measured, choose_folding
from subbyte.targets.hls.folding.choose import fastest, solve
from subbyte.targets.hls.folding.options import folds, reduced, useful_lanes
from subbyte.targets.hls.folding.problem import Edge, Option, Price, Problem
from subbyte.targets.hls.folding.program import minimize
from subbyte.targets.hls.folding.read import folding_from, folding_text
from subbyte.targets.hls.layers import Fold
from subbyte.targets.hls.parts import DEFAULT_SHARE, budget_of, find_part
from subbyte.targets.hls.resources import Resources
from tests.hls.networks import mlp, residual

PART = find_part("xc7z020")
WEIGHTS = Resources(1000, 2000, 20, 20, 0)


def random_problem(seed: int, layers: int = 4) -> Problem:
    """A chain with a skip from the first layer to the last; every number is drawn."""
    random = np.random.default_rng(seed)
    options = tuple(
        tuple(
            Option(
                Fold(int(reads), int(writes)),
                int(random.integers(5, 60)),
                Resources(*(int(count) for count in random.integers(0, (200, 300, 6, 5, 1)))),
                int(reads),
                int(writes),
                int(random.integers(1, 5)),
                int(random.integers(1, 5)),
                needs,
            )
            for reads, writes in random.integers(1, 4, (5, 2))
        )
        for needs in random.random(layers).tolist()
    )
    prices = random.integers(0, (70, 60, 30), (layers, 4, 4, 3))

    def edge(number: int, writer: int, reader: int) -> Edge:
        def price(a: int, b: int) -> Price:
            cycles, lut, ff = (int(value) for value in prices[number, a, b])
            return Price(0, Resources(ff=ff)) if a == b else Price(cycles, Resources(lut, ff))

        return Edge(writer, reader, price)

    edges = [edge(number, number, number + 1) for number in range(layers - 1)] + [edge(layers - 1, 0, layers - 1)]
    budget = Resources(*(int(count) for count in random.integers((350, 400, 8, 7, 1), (800, 900, 18, 16, 2))))
    names = tuple(f"layer{number}" for number in range(layers))
    return Problem(names, options, tuple(edges), budget, WEIGHTS, Resources(lut=10), least_cycles=8)


def every_choice(problem: Problem) -> list[tuple[int, ...]]:
    choices = itertools.product(*(range(len(options)) for options in problem.options))
    return [choice for choice in choices if problem.resources(choice).within(problem.budget)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("latency", [None, 60])
def test_the_program_finds_the_least_share_of_all_choices(seed: int, latency: int | None) -> None:
    problem, cycles = random_problem(seed), 45
    fitting = [choice for choice in every_choice(problem) if problem.cycles(choice) <= cycles]
    if latency is not None:
        fitting = [choice for choice in fitting if problem.latency(choice) <= latency]
    found = minimize(problem, cycles, latency, gap=0.0)
    assert (found is None) == (not fitting)
    if found is not None:
        assert problem.cycles(found) <= cycles
        least = min(problem.share(problem.resources(choice)) for choice in fitting)
        assert problem.share(problem.resources(found)) == pytest.approx(least, abs=1e-9)


def test_some_of_the_random_problems_have_an_answer_and_some_have_none() -> None:
    answers = {minimize(random_problem(seed), 45) is None for seed in range(12)}
    assert answers == {True, False}


@pytest.mark.parametrize("seed", range(6))
def test_the_least_latency_is_that_of_all_choices(seed: int) -> None:
    problem = random_problem(seed)
    fitting = every_choice(problem)
    found = minimize(problem, 1000, 1000, gap=0.0, least_latency=True)
    assert (found is None) == (not fitting)
    if found is not None:
        assert problem.latency(found) == min(problem.latency(choice) for choice in fitting)


@pytest.mark.parametrize("seed", range(6))
def test_the_fastest_choice_is_that_of_all_choices(seed: int) -> None:
    """Without conversions, whose cycles are not among those that bisection tries."""
    problem = replace(random_problem(seed), edges=())
    assert problem.cycles(fastest(problem)) == min(problem.cycles(choice) for choice in every_choice(problem))


def test_a_reduced_choice_has_what_the_best_needs() -> None:
    """Of one layer without neighbours, the options that no other is as good as."""
    options = random_problem(3).options[0]
    kept = reduced(options, 60, WEIGHTS, delays=True)
    for option in options:
        assert any(
            all(a <= b for a, b in zip(options[k].resources.counts, option.resources.counts, strict=True))
            and (options[k].cycles, options[k].first, options[k].tail) <= (option.cycles, 60, 60)
            for k in kept
        )


@pytest.mark.parametrize("channels", [1, 2, 7, 12, 97, 490])
def test_useful_lanes_make_every_number_of_words_once(channels: int) -> None:
    words = [-(-channels // lanes) for lanes in useful_lanes(channels)]
    assert words == sorted({-(-channels // lanes) for lanes in range(1, channels + 1)}, reverse=True)


def test_a_goal_that_can_be_met_is_met_within_the_budget() -> None:
    found = choose_folding(mlp([40, 32, 10]), Goal(100, fps=1e6), PART)
    assert found.met
    assert found.frame_cycles <= 100
    assert found.resources.within(budget_of(PART))
    assert found.reasons == ()


def test_a_goal_that_cannot_be_met_gets_the_best_that_fits_and_the_reason() -> None:
    goal, budget = Goal(100, fps=1e7), Resources(6000, 20000, 20, 10, 0)
    found = choose_folding(mlp([64, 64, 64, 10]), goal, PART, budget)
    assert not found.met
    assert found.resources.within(budget)
    assert found.frame_cycles == choose_folding(mlp([64, 64, 64, 10]), Goal(100), PART, budget).frame_cycles
    assert "times the 10 asked for" in found.reasons[0]
    assert "lut would be needed, 6000 are in the budget" in found.reasons[1]


def test_a_bus_that_is_too_narrow_is_the_reason() -> None:
    found = choose_folding(mlp([64, 4]), Goal(100, fps=1e8), PART)
    assert not found.met
    assert any("the bus takes 8 cycles" in reason for reason in found.reasons)


def test_without_a_goal_what_stands_against_more_is_said() -> None:
    found = choose_folding(mlp([64, 64, 10]), Goal(100), PART)
    assert found.met
    (reason,) = found.reasons
    assert reason.startswith("faster than 12500000 frames/s does not fit: the bus takes 8 cycles to move a frame")


def test_a_frame_a_cycle_has_nothing_against_it() -> None:
    assert choose_folding(mlp([8, 4]), Goal(100), PART, bus_bits=1024).reasons == ()


def test_a_network_that_cannot_fit_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"does not fit: with one lane in every layer it needs at least .* lut"):
        choose_folding(mlp([64, 64, 10]), Goal(100), PART, Resources(100, 10000, 10, 10, 0))


def test_more_budget_is_never_slower() -> None:
    network = mlp([64, 64, 64, 10])
    cycles = [
        choose_folding(network, Goal(100), PART, Resources(lut, 20000, 0, 40, 0)).frame_cycles
        for lut in (2000, 6000, 16000)
    ]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1]


def test_a_choice_is_the_same_every_time() -> None:
    first, second = (choose_folding(residual(), Goal(100, fps=4e5), PART) for _ in range(2))
    assert first == second


def test_a_latency_is_kept() -> None:
    loose, tight = (choose_folding(mlp([64, 64, 64, 10]), Goal(100, latency=us * 1e-6), PART) for us in (20, 3))
    assert loose.met
    assert tight.met
    assert tight.latency_cycles <= 300 < loose.latency_cycles <= 2000
    assert loose.resources.lut < tight.resources.lut


def test_a_latency_that_cannot_be_had_is_answered_with_the_least() -> None:
    found = choose_folding(mlp([64, 64, 10]), Goal(100, latency=1e-7), PART, Resources(6000, 20000, 20, 10, 0))
    assert not found.met
    assert "us fits" in found.reasons[0]


def test_what_is_measured_is_taken_off_the_budget() -> None:
    """The measured design takes 3000 LUTs more than the formulas before expansion said."""
    network, budget = mlp([64, 64, 64, 10]), Resources(9000, 30000, 40, 20, 0)
    seen: list[dict[str, Fold]] = []

    def measure(folding: dict[str, Fold]) -> Measured:
        seen.append(folding)
        found = estimate(expand(network, folding), PART, 100)
        return Measured(found.resources + Resources(lut=3000), found.frame_cycles, found.latency_cycles)

    found = choose_folding(network, Goal(100), PART, budget, measure=measure)
    assert found.resources.within(budget)
    assert len(seen) > 1
    assert found.folding in seen


def test_folds_of_the_users_are_kept() -> None:
    given = {"gemm2": Fold(5, 3)}
    found = choose_folding(mlp([64, 64, 10]), Goal(100, fps=1e5), PART, given=given)
    assert found.folding["gemm2"] == Fold(5, 3)
    assert found.met


def test_a_folding_survives_its_file() -> None:
    found = choose_folding(residual(), Goal(100, fps=4e5), PART).folding
    assert folding_from(folding_text(found), "itself") == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "is a list; an object"),
        ("{", "is not JSON"),
        ('{"gemm1": 3}', "gives layer 'gemm1' 3; an object of simd, pe, taps, multiplier"),
        ('{"gemm1": {"lanes": 3}}', "gives layer 'gemm1' a 'lanes'; layers have simd"),
        ('{"gemm1": {"simd": 0}}', "simd 0; a whole number from 1 on"),
        ('{"gemm1": {"simd": true}}', "simd True; a whole number"),
        ('{"gemm1": {"multiplier": "lut"}}', "a multiplier 'lut'; auto, dsp, fabric are built"),
        ('{"conv9": {"simd": 1}}', "names layer 'conv9'; the layers are gemm1, gemm2"),
        ('{"gemm1": {"simd": 65}}', "simd 65; it has 64 at most"),
        ('{"gemm2": {"pe": 11}}', "pe 11; it has 10 at most"),
    ],
)
def test_a_folding_file_that_is_wrong_is_told_why(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        choose_folding(mlp([64, 64, 10]), Goal(100), PART, given=folding_from(text, "a file"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fps": 0.0}, "positive"),
        ({"fps": -1.0}, "positive"),
        ({"fps": 1.0, "latency": 1.0}, "not both"),
        ({"fps": 2e8}, "less than one cycle"),
        ({"latency": 1e-9}, "less than one cycle"),
    ],
)
def test_a_goal_that_means_nothing_is_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Goal(100, **given)


@pytest.mark.parametrize("sizes", [[1, 1], [1, 7, 1], [13, 1], [97, 89, 83]])
def test_networks_of_one_channel_and_of_prime_sizes_are_folded(sizes: list[int]) -> None:
    found = choose_folding(mlp(sizes), Goal(100), PART)
    assert found.met
    assert found.resources.within(budget_of(PART))


def test_every_fold_that_is_tried_can_be_built() -> None:
    network = residual()
    for layer in network.layers:
        for fold in folds(layer)[:: max(len(folds(layer)) // 4, 1)]:
            expand(network, {layer.name: fold})


def test_solve_without_options_left_has_no_answer() -> None:
    assert solve(random_problem(0), 4) is None


def test_without_scipy_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match=r"pip install 'subbyte\[hls\]'"):
        choose_folding(mlp([4, 2]), Goal(100), PART)


def test_a_part_is_found_by_its_full_name() -> None:
    assert find_part("xc7z020clg400-1").name == "xc7z020"
    assert find_part("xc7z020clg400-1").full_name == "xc7z020clg400-1"
    assert find_part("XCK26-sfvc784-2LV-c").name == "xck26"
    assert find_part("xc7a100t").full_name == "xc7a100tcsg324-1"


@pytest.mark.parametrize(("name", "nearest"), [("xc7z010", "xc7z020"), ("xczu3cg", "xczu3eg"), ("", "xc")])
def test_a_part_that_is_not_known_is_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnsupportedError, match=f"the nearest that is known is {nearest}"):
        find_part(name)


def test_a_budget_is_a_share_or_numbers() -> None:
    whole = PART.resources
    assert budget_of(PART).lut == int(DEFAULT_SHARE["lut"] * whole.lut)
    assert budget_of(PART, "0.5") == Resources(26600, 53200, 110, 140, 0)
    assert budget_of(PART, "1.0") == whole
    assert budget_of(PART, '{"lut": 1000, "dsp": 0.5}') == replace(budget_of(PART), lut=1000, dsp=110)


@pytest.mark.parametrize(
    "text", ["2.0", "7", "half", '{"luts": 1}', '{"lut": -1}', '{"lut": 1.5}', '{"lut": true}', "[]"]
)
def test_a_budget_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="budget"):
        budget_of(PART, text)
