"""The repacks that choose_layout leaves are the fewest bytes; orders that are the same bytes are views."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.types import Layout, TensorType
from subbyte.passes.layout.cut import Cut
from subbyte.passes.layout.orders import channels_last, reshaped, row_major, same_bytes, transposed

GENERATOR = np.random.default_rng(5)


def cost(cut: Cut, labels: tuple[int, ...]) -> float:
    alone = sum(costs[label] for costs, label in zip(cut.alone, labels, strict=True))
    return alone + sum(paid for (a, b), paid in cut.edges.items() if labels[a] == 0 and labels[b] == 1)


@pytest.mark.parametrize("seed", range(60))
def test_a_cut_is_as_cheap_as_the_best_of_all_labels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    cut = Cut()
    count = int(generator.integers(2, 7))
    variables = [cut.variable() for _ in range(count)]
    for variable in variables:
        if generator.random() < 0.5:
            cut.add_alone(variable, [float(n) for n in generator.integers(0, 9, 2)])
    for a, b in itertools.combinations(variables, 2):
        if generator.random() < 0.4:
            same = float(generator.integers(0, 4))
            table = generator.integers(4, 9, 2)
            assert cut.add_pair(a, b, ((same, float(table[0])), (float(table[1]), 0.0)))
    others = [int(n) for n in generator.choice(variables[1:], min(3, count - 1), replace=False)]
    cut.add_shared(variables[0], others, float(generator.integers(1, 9)))
    labels = tuple(cut.solve())
    assert cost(cut, labels) == min(cost(cut, tried) for tried in itertools.product((0, 1), repeat=len(cut.alone)))


def test_a_repack_that_several_share_costs_once() -> None:
    cut = Cut()
    producer, readers = cut.variable(), [cut.variable() for _ in range(3)]
    cut.add_alone(producer, (0.0, float("inf")))
    for reader in readers:
        cut.add_alone(reader, (4.0, 0.0))
    cut.add_shared(producer, readers, 10.0)
    assert [cut.solve()[reader] for reader in readers] == [1, 1, 1]


def test_costs_that_are_no_cut_are_refused() -> None:
    cut = Cut()
    a, b = cut.variable(), cut.variable()
    assert not cut.add_pair(a, b, ((5.0, 0.0), (0.0, 5.0)))
    assert cut.edges == {}


def stored(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]], order: tuple[int, ...]) -> list[int]:
    return [int(v) for v in np.transpose(values, order).ravel()]


@pytest.mark.parametrize("seed", range(200))
def test_a_reshape_is_a_view_exactly_where_some_order_is_the_same_bytes(seed: int) -> None:
    generator = np.random.default_rng(seed)
    extents = [int(n) for n in generator.choice([1, 1, 2, 3, 4, 6], generator.integers(1, 5))]
    factors = [f for extent in extents for f in ([2, 2] if extent == 4 and generator.random() < 0.5 else [extent])]
    shape: list[int] = []
    for factor in factors:
        if shape and generator.random() < 0.4:
            shape[-1] *= factor
        else:
            shape.append(factor)
    order = tuple(int(n) for n in generator.permutation(len(extents)))
    values = np.arange(int(np.prod(extents))).reshape(extents)
    found = reshaped(extents, order, shape)
    orders = itertools.permutations(range(len(shape)))
    possible = [o for o in orders if stored(values.reshape(shape), o) == stored(values, order)]
    assert (found is not None) == bool(possible)
    if found is not None:
        assert found in possible


def test_a_transpose_is_the_same_bytes_in_its_order() -> None:
    values = np.arange(120).reshape(2, 3, 4, 5)
    for order in itertools.permutations(range(4)):
        for perm in itertools.permutations(range(4)):
            moved = transposed(order, perm)
            assert stored(np.transpose(values, perm), moved) == stored(values, order)


def test_axes_of_extent_1_stand_anywhere() -> None:
    assert same_bytes((1, 8, 1, 1), channels_last(4), row_major(4))
    assert not same_bytes((1, 8, 2, 1), channels_last(4), row_major(4))
    assert TensorType(ops.FLOAT32, (1, 2), layout=Layout((0, 1))).layout is None


@pytest.mark.timing
def test_a_long_chain_is_settled_in_seconds() -> None:
    cut = Cut()
    variables = [cut.variable() for _ in range(20000)]
    cut.add_alone(variables[0], (0.0, 7.0))
    cut.add_alone(variables[-1], (3.0, 0.0))
    for a, b in itertools.pairwise(variables):
        cut.add_shared(a, [b], float(5 + a % 3))
    start = time.perf_counter()
    labels = cut.solve()
    assert time.perf_counter() - start < 10
    assert cost(cut, tuple(labels)) == 3.0
