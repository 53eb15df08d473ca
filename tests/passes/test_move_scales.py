"""Scales move across Relu and MaxPool to the sums that they belong to, exactly, and nothing else moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Value
from subbyte.passes.fold_qdq import fold_qdq
from subbyte.passes.move_scales import move_scales
from tests.passes.builders import (
    conv,
    floats,
    graph_of,
    largest_step,
    only,
    operations,
    quantize,
    random_inputs,
    real_input,
    unary,
    weights,
)

GENERATOR = np.random.default_rng(0)
CHANNELS = np.float32([0.3, 2.0, 0.7, 1.5]).reshape(1, 4, 1, 1)


def summed() -> Value:
    w = GENERATOR.integers(-8, 8, (4, 3, 3, 3))
    return conv(real_input("x", (1, 3, 8, 8), 0.1), weights(w, 0.05))


def pool(x: Value) -> Value:
    return ops.MaxPool(x, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False, sources=("pool",)).out


def normalize(x: Value, gamma: list[float]) -> Value:
    shift, mean, variance = (floats(GENERATOR.uniform(0.5, 2, 4)) for _ in range(3))
    return ops.BatchNormalization(x, floats(gamma), shift, mean, variance, 1e-5, sources=("normalize",)).out


POSITIVE = [0.5, 1.0, 2.0, 0.1]
MOVES: dict[str, tuple[Callable[[], Value], list[str]]] = {
    "factor, relu": (lambda: ops.Mul(unary(summed(), "Relu"), floats(CHANNELS)).out, ["Mul", "Unary"]),
    "divisor, relu": (lambda: ops.Div(unary(summed(), "Relu"), floats(0.3)).out, ["Div", "Unary"]),
    "factor, pool": (lambda: ops.Mul(floats(CHANNELS), pool(summed())).out, ["Mul", "MaxPool"]),
    "both": (lambda: ops.Mul(pool(unary(summed(), "Relu")), floats(0.3)).out, ["Mul", "Unary", "MaxPool"]),
    "normalization, pool": (lambda: normalize(pool(summed()), POSITIVE), ["BatchNormalization", "MaxPool"]),
}
STAYS: dict[str, Callable[[], Value]] = {
    "a negative factor": lambda: ops.Mul(unary(summed(), "Relu"), floats(-CHANNELS)).out,
    "a factor of zero": lambda: ops.Mul(unary(summed(), "Relu"), floats(0.0)).out,
    "a negative gamma": lambda: normalize(pool(summed()), [0.5, -1.0, 2.0, 0.1]),
    "a shift behind a relu": lambda: normalize(unary(summed(), "Relu"), POSITIVE),
    "a factor for each place": lambda: ops.Mul(pool(summed()), floats(GENERATOR.uniform(1, 2, (1, 4, 3, 3)))).out,
    "another function": lambda: ops.Mul(unary(summed(), "Tanh"), floats(CHANNELS)).out,
    "no sum": lambda: ops.Mul(unary(real_input("x", (1, 4, 6, 6), 0.1), "Relu"), floats(CHANNELS)).out,
}


@pytest.mark.parametrize("name", MOVES)
def test_a_scale_moves_to_its_sum(name: str) -> None:
    build, expected = MOVES[name]
    before = graph_of(build())
    after = move_scales(before)
    assert operations(after)[-len(expected) :] == expected
    assert largest_step(before, after, random_inputs(before, GENERATOR)) == 0


@pytest.mark.parametrize("name", STAYS)
def test_what_is_not_exact_stays(name: str) -> None:
    before = graph_of(STAYS[name]())
    assert move_scales(before) is before


def test_what_another_node_reads_stays() -> None:
    inner = unary(summed(), "Relu")
    before = graph_of(ops.Mul(inner, floats(CHANNELS)).out, inner)
    assert move_scales(before) is before


@pytest.mark.parametrize("name", MOVES)
def test_the_scale_becomes_part_of_the_requantization(name: str) -> None:
    before = graph_of(quantize(MOVES[name][0](), 0.25))
    after = fold_qdq(move_scales(before))
    assert set(operations(after)) <= {"QConv", "MaxPool", "Clamp"}
    assert only(after, qops.QConv).requantization is not None
    assert largest_step(before, after, random_inputs(before, GENERATOR)) <= 1
