"""The folding that meets a goal within a budget, or the best that fits; and why it is no better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from subbyte.compiler.errors import UnsupportedError
from subbyte.targets.hls.expand import BUS_BITS
from subbyte.targets.hls.folding.goal import Goal
from subbyte.targets.hls.folding.network_problem import problem_of
from subbyte.targets.hls.folding.options import reduced
from subbyte.targets.hls.folding.problem import Problem
from subbyte.targets.hls.folding.program import GAP, minimize
from subbyte.targets.hls.folding.read import check_folding
from subbyte.targets.hls.layers import Fold, Network
from subbyte.targets.hls.parts import Part, budget_of
from subbyte.targets.hls.resources import KINDS, Resources

ROUNDS = 6
"""Of choosing and measuring: each takes off the budget what the formulas before expansion had left out."""
ANY = 1e9
"""A gap that every choice within the limits is in."""
LATENCY_GAP = 0.02
"""How far above the least latency that fits an answer may be, relatively, where the goal cannot be met."""


@dataclass(frozen=True)
class Measured:
    """A folding expanded and simulated: resources, FIFOs included, cycles between frames and of one frame."""

    resources: Resources
    frame_cycles: int
    latency_cycles: int


@dataclass(frozen=True)
class FoldingResult:
    """folding: by layer. met: whether the goal is, always true without one. resources, frame_cycles, latency_cycles:
    measured where `choose_folding` was given a measure, else predicted. reasons: sentences on what limits.
    """

    folding: dict[str, Fold]
    met: bool
    frame_cycles: int
    latency_cycles: int
    resources: Resources
    budget: Resources
    reasons: tuple[str, ...]


def choose_folding(
    network: Network,
    goal: Goal,
    part: Part,
    budget: Resources | None = None,
    given: Mapping[str, Fold] | None = None,
    bus_bits: int = BUS_BITS,
    measure: Callable[[dict[str, Fold]], Measured] | None = None,
) -> FoldingResult:
    """Folds for every layer of `network`: the least share of `part` that meets `goal`, or the best that fits.

    budget: of `part`; None for `budget_of(part)`. given: folds that are not chosen but asked for. measure: expands a
    folding and simulates it; the choice is repeated with what was learned until the measured design is within the
    budget and the goal.
    Raises: ModelError: `given` is not of this network; UnsupportedError: not even the smallest folding fits;
        ToolchainError: SciPy is not installed.
    """
    check_folding(network, given or {})
    budget = budget_of(part) if budget is None else budget
    whole = problem_of(network, budget, part.resources, given, bus_bits)
    frame_cycles, latency_cycles = goal.frame_cycles, goal.latency_cycles
    problem, latency_limit = whole, latency_cycles
    tried: list[tuple[tuple[int, ...], Measured]] = []
    for _ in range(ROUNDS):
        choice = _choice(problem, frame_cycles, latency_limit)
        measured = _predicted(whole, choice) if measure is None else measure(_folding(whole, choice))
        tried.append((choice, measured))
        fits = measured.resources.within(budget)
        late = 0 if latency_cycles is None else measured.latency_cycles - latency_cycles
        possible = latency_limit is None or problem.latency(choice) <= latency_limit
        if fits and (late <= 0 or not possible):
            break
        more = measured.resources - problem.resources(choice)
        problem = replace(problem, fixed=_at_least(problem.fixed, problem.fixed + more))
        if latency_limit is not None and late > 0 and possible:
            latency_limit = max(latency_limit - late, 1)
    best, found = min(tried, key=lambda one: _order(one[1], budget, goal))
    return _result(whole, problem, goal, best, found)


def _order(measured: Measured, budget: Resources, goal: Goal) -> tuple[float, ...]:
    """What is better comes first: what fits, then what meets the goal or comes nearest."""
    over = max(count / max(most, 1) for count, most in zip(measured.resources.counts, budget.counts, strict=True))
    if goal.latency_cycles is not None:
        return (max(over, 1.0), max(measured.latency_cycles, goal.latency_cycles))
    return (max(over, 1.0), max(measured.frame_cycles, goal.frame_cycles or 0))


def _at_least(a: Resources, b: Resources) -> Resources:
    return Resources(*(max(pair) for pair in zip(a.counts, b.counts, strict=True)))


def _predicted(problem: Problem, choice: tuple[int, ...]) -> Measured:
    return Measured(problem.resources(choice), problem.cycles(choice), problem.latency(choice))


def _folding(problem: Problem, choice: tuple[int, ...]) -> dict[str, Fold]:
    """Of the layers, the bus left out."""
    pairs = zip(problem.names, problem.chosen(choice), strict=True)
    return {name: option.fold for name, option in pairs if not name.startswith(("input ", "output "))}


def _choice(problem: Problem, frame_cycles: int | None, latency_cycles: int | None) -> tuple[int, ...]:
    """The least share that meets the limits, or the choice nearest to them that fits."""
    if latency_cycles is not None:
        found = solve(problem, latency_cycles, latency_cycles)
        return lowest_latency(problem) if found is None else found
    if frame_cycles is not None:
        found = solve(problem, frame_cycles)
        if found is not None:
            return found
    return fastest(problem)


def solve(
    problem: Problem,
    frame_cycles: int,
    latency_cycles: int | None = None,
    least_latency: bool = False,
    gap: float = GAP,
) -> tuple[int, ...] | None:
    """`minimize` over the options that a best choice may need (`options.reduced`)."""
    delays = latency_cycles is not None
    kept = [reduced(options, frame_cycles, problem.weights, delays) for options in problem.options]
    if not all(kept):
        return None
    options = tuple(tuple(of[i] for i in numbers) for of, numbers in zip(problem.options, kept, strict=True))
    choice = minimize(replace(problem, options=options), frame_cycles, latency_cycles, gap, least_latency)
    return None if choice is None else tuple(numbers[i] for numbers, i in zip(kept, choice, strict=True))


def fastest(problem: Problem) -> tuple[int, ...]:
    """The choice of the fewest cycles a frame within the budget: bisection over the cycles that layers can take.

    Raises: UnsupportedError: none fits.
    """
    counts = {max(option.cycles, problem.least_cycles) for options in problem.options for option in options}
    limits = sorted(counts)
    limits.append(limits[-1] * 4)  # conversions may take more than any layer
    low, high = 0, len(limits)
    while low < high:
        middle = (low + high) // 2
        if solve(problem, limits[middle], gap=ANY) is None:
            low = middle + 1
        else:
            high = middle
    best = solve(problem, limits[low]) if low < len(limits) else None
    if best is None:
        raise UnsupportedError(_too_large(problem))
    return best


def lowest_latency(problem: Problem) -> tuple[int, ...]:
    """The choice of the least latency within the budget, to `LATENCY_GAP`.

    Raises: UnsupportedError: none fits.
    """
    quick = fastest(problem)
    bound = problem.latency(quick)
    found = solve(problem, bound, bound, least_latency=True, gap=LATENCY_GAP)
    return quick if found is None else found


def _least(problem: Problem, frame_cycles: int) -> Resources:
    """Below what no choice with at most so many cycles gets, each resource by itself."""
    found = list(problem.fixed.counts)
    for options in problem.options:
        fitting = [option.resources.counts for option in options if option.cycles <= frame_cycles]
        for k in range(len(found)):
            found[k] += min((counts[k] for counts in fitting), default=0)
    return Resources(*found)


def _too_large(problem: Problem) -> str:
    slowest = max(option.cycles for options in problem.options for option in options)
    least = _least(problem, max(slowest, 1))
    over = [
        f"{count} of {most} {kind}"
        for kind, count, most in zip(KINDS, least.counts, problem.budget.counts, strict=True)
        if count > most
    ]
    needs = " and ".join(over) if over else "more of several resources together"
    return (
        f"the network does not fit: with one lane in every layer it needs at least {needs} of the budget. Take a "
        "larger part, give a larger budget, or narrow its weights."
    )


def _result(whole: Problem, problem: Problem, goal: Goal, choice: tuple[int, ...], found: Measured) -> FoldingResult:
    met, reasons = True, []
    clock = goal.clock_mhz * 1e6
    if not found.resources.within(whole.budget):
        met = False
        reasons.append("the FIFOs of this folding take it beyond the budget: give a larger budget or a lower goal")
    if goal.frame_cycles is not None and goal.fps is not None and found.frame_cycles > goal.frame_cycles:
        met = False
        reasons.append(
            f"{clock / found.frame_cycles:.0f} frames/s of {goal.fps:g} fit: a frame takes {found.frame_cycles} "
            f"cycles, {found.frame_cycles / goal.frame_cycles:.2f} times the {goal.frame_cycles} asked for"
        )
        reasons += limits(problem, goal.frame_cycles)
    elif goal.latency_cycles is not None and found.latency_cycles > goal.latency_cycles:
        met = False
        reasons.append(
            f"a latency of {found.latency_cycles / clock * 1e6:.2f} us fits: {found.latency_cycles} cycles, "
            f"{found.latency_cycles / goal.latency_cycles:.2f} times the {goal.latency_cycles} asked for"
        )
        reasons += limits(problem, goal.latency_cycles)
    elif goal.frame_cycles is None and goal.latency_cycles is None and found.frame_cycles > 1:
        sooner = limits(problem, found.frame_cycles - 1)
        reasons += [f"faster than {clock / found.frame_cycles:.0f} frames/s does not fit: {why}" for why in sooner]
    folding = _folding(whole, choice)
    return FoldingResult(
        folding, met, found.frame_cycles, found.latency_cycles, found.resources, whole.budget, tuple(reasons)
    )


def limits(problem: Problem, frame_cycles: int) -> list[str]:
    """Sentences on what stands against `frame_cycles` cycles a frame: the bus, single layers, single resources."""
    found = []
    if problem.least_cycles > frame_cycles:
        found.append(f"the bus takes {problem.least_cycles} cycles to move a frame; a wider bus moves it in fewer")
    for name, options in zip(problem.names, problem.options, strict=True):
        fewest = min(option.cycles for option in options)
        if fewest > frame_cycles:
            found.append(f"'{name}' takes {fewest} cycles at least, with any number of lanes that can be built")
    if found:
        return found
    least = _least(problem, frame_cycles)
    for kind, count, most in zip(KINDS, least.counts, problem.budget.counts, strict=True):
        if count > most:
            found.append(
                f"{count} {kind} would be needed, {most} are in the budget; {_largest(problem, frame_cycles, kind)}"
            )
    if not found:
        shares = {
            kind: count / most
            for kind, count, most in zip(KINDS, least.counts, problem.budget.counts, strict=True)
            if most
        }
        tightest = max(shares, key=lambda kind: shares[kind])
        found.append(
            f"no faster choice of folds keeps all resources within the budget; the tightest is {tightest}, of which "
            f"layers alone need {100 * shares[tightest]:.0f} %; {_largest(problem, frame_cycles, tightest)}"
        )
    return found


def _largest(problem: Problem, frame_cycles: int, kind: str) -> str:
    """The layer that takes the most of a resource even when it takes the least that it can."""
    needs = {
        name: min((getattr(option.resources, kind) for option in options if option.cycles <= frame_cycles), default=0)
        for name, options in zip(problem.names, problem.options, strict=True)
    }
    name = max(needs, key=lambda name: needs[name])
    return f"'{name}' alone takes {needs[name]}"
