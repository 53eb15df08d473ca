"""Problems of assignment for tests: random ones of every kind, and such as networks make."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from subbyte.compiler.assignment.problem import Choice, Problem, Table, Tie
from subbyte.compiler.errors import ModelError

BITS = (8, 6, 4, 2)
CHOICES = tuple(Choice(bits, 8) for bits in BITS)
ALL = tuple(Choice(w, a) for a in (8, 4) for w in (8, 4, 3, 2))


def simple(loss: list[list[float]], costs: dict[str, list[list[float]]], budgets: dict[str, float]) -> Problem:
    """As many of CHOICES as the rows are long."""
    return Problem(
        tuple(f"layer{i}" for i in range(len(loss))),
        tuple(CHOICES[: len(row)] for row in loss),
        tuple(map(tuple, loss)),
        {name: tuple(map(tuple, table)) for name, table in costs.items()},
        budgets,
    )


def random_problem(seed: int) -> Problem:
    """1 to 12 layers with up to 4 choices, up to 3 costs, ties and pairs; numbers of all kinds, also equal ones."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 13))
    sizes = generator.integers(1, 5 if count < 8 else 4, count)
    mixed = generator.random() < 0.5
    choices = tuple(
        tuple(ALL[k] for k in sorted(generator.choice(8, size, replace=False))) if mixed else ALL[:size]
        for size in sizes
    )
    kinds: list[Callable[[], float]] = [
        lambda: float(10 ** generator.uniform(-12, 0)),
        lambda: int(generator.integers(0, 4)),
        lambda: float(generator.normal()),
    ]
    value = kinds[generator.integers(3)]
    loss = _table(choices, value)
    costs: dict[str, Table] = {}
    budgets: dict[str, float] = {}
    for k in range(int(generator.integers(0, 4))):
        cost = (
            lambda: int(generator.integers(1, 10**9)),
            lambda: float(generator.random() * 1e-6),
            lambda: int(generator.integers(0, 5)),
        )[generator.integers(3)]
        table = costs[f"cost{k}"] = _table(choices, cost)
        if generator.random() < 0.8:
            low, high = sum(map(min, table)), sum(map(max, table))
            budget = low + generator.uniform(-0.02, 0.8) * (high - low)
            budgets[f"cost{k}"] = int(budget) if isinstance(low, int) else float(budget)
    ties = [tie for _ in range(int(generator.integers(0, 3))) if count > 2 and (tie := _tie(generator, choices, loss))]
    pairs = {
        (i, j): tuple(tuple(value() for _ in choices[j]) for _ in choices[i])
        for i in range(count)
        for j in range(i + 1, count)
        if seed % 3 == 0 and generator.random() < 0.4
    }
    return Problem(tuple(map(str, range(count))), choices, loss, costs, budgets, tuple(ties), pairs)


def network(seed: int, layers: int, budgets: tuple[str, ...], ties: int = 0) -> Problem:
    """Layers of 4 choices: losses fall fourfold with each bit and spread over 8 orders of magnitude between layers."""
    generator = np.random.default_rng(seed)
    sizes = (10 ** generator.uniform(3, 6.5, layers)).astype(int).tolist()
    macs = (10 ** generator.uniform(5, 8.5, layers)).astype(int).tolist()
    scale = 10 ** generator.uniform(-8, 0, layers)
    costs: dict[str, Table] = {
        "bytes": tuple(tuple(size * bits // 8 for bits in BITS) for size in sizes),
        "seconds": tuple(
            tuple(float(n * 1e-11 * (0.3 + bits / 8) * generator.uniform(0.9, 1.1)) for bits in BITS) for n in macs
        ),
        "bops": tuple(tuple(n * bits * 8 for bits in BITS) for n in macs),
    }
    return Problem(
        tuple(f"layer{i}" for i in range(layers)),
        (CHOICES,) * layers,
        tuple(tuple(float(s * 4.0**-bits * generator.uniform(0.7, 1.4)) for bits in BITS) for s in scale),
        {name: costs[name] for name in budgets},
        {name: _between(costs[name], 0.45) for name in budgets},
        tuple(Tie((5 * i, 5 * i + 2, 5 * i + 4)) for i in range(ties)),
    )


def _between(table: Table, share: float) -> float:
    low, high = sum(map(min, table)), sum(map(max, table))
    return low + share * (high - low)


def _table(choices: tuple[tuple[Choice, ...], ...], value: Callable[[], float]) -> Table:
    return tuple(tuple(value() for _ in of) for of in choices)


def _tie(generator: np.random.Generator, choices: tuple[tuple[Choice, ...], ...], loss: Table) -> Tie | None:
    """A tie of 2 or 3 layers that have something in common; None where those that were drawn have not."""
    size = int(generator.integers(2, 4))
    layers = tuple(sorted(generator.choice(len(choices), min(size, len(choices)), replace=False).tolist()))
    of = ("both", "weights", "activations")[generator.integers(3)]
    tie = Tie(layers, of)  # type: ignore[arg-type]
    try:
        Problem(tuple(map(str, range(len(choices)))), choices, loss, ties=(tie,))
    except ModelError:
        return None
    return tie
