"""What is said of features holds: on random graphs, open ones are scaled, movable ones moved and blocks mixed, and the
outputs stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization
from subbyte.compiler.ir.types import TensorType
from subbyte.passes.features.flow import Flow, flows
from subbyte.passes.features.parameters import Parameters
from subbyte.passes.rotate_features import rotate_pairs
from tests.passes.builders import graph_of

Array = NDArray[Any]
Random = np.random.Generator
SHAPE = (2, 4, 8)
SEEDS = range(150)


def constant(random: Random, *shape: int) -> Value:
    return Constant.of(random.normal(0, 1, shape), FLOAT32).out


def layer(x: Value, random: Random) -> Value:
    return ops.MatMul(x, constant(random, x.type.shape[-1], 8)).out


def step(x: Value, others: list[Value], random: Random) -> Value:
    """One random operation on x, of whatever rank; some keep features apart, some do not."""
    shape = x.type.shape
    rank = len(shape)
    axis = int(random.integers(rank))
    begin = [0] * rank
    begin[axis] = int(random.integers(shape[axis] + 1) // 2)
    extents = tuple(int(random.choice([1, n])) for n in shape)
    permutation = tuple(int(i) for i in random.permutation(rank))
    half = max(shape[axis] // 2, 1)
    choices: list[Callable[[], Value]] = [
        lambda: ops.Unary(x, "Relu").out,
        lambda: ops.Unary(x, "Tanh").out,
        lambda: ops.Add(x, constant(random, *extents)).out,
        lambda: ops.Sub(constant(random, *extents), x).out,
        lambda: ops.Mul(x, constant(random, *extents)).out,
        lambda: ops.Mul(x, constant(random)).out,
        lambda: ops.Div(x, Constant.of(np.abs(random.normal(2, 0.1, extents)), FLOAT32).out).out,
        lambda: ops.Transpose(x, permutation).out,
        lambda: ops.Reshape(x, (shape[0], -1 if rank < 2 else int(np.prod(shape[1:])))).out,
        lambda: ops.Reshape(x, (*shape[:-1], shape[-1] // 2, 2) if shape[-1] % 2 == 0 else shape).out,
        lambda: ops.Slice(x, tuple(begin), shape, (1,) * rank).out,
        lambda: Value(ops.Split(x, axis, (half, shape[axis] - half) if shape[axis] > 1 else (1,)), 0),
        lambda: ops.Gather(x, Constant.of(random.permutation(shape[axis])).out, axis).out,
        lambda: ops.ReduceMean(x, (axis,), True).out,
        lambda: ops.Concat((x, *(y for y in others if y.type.shape == shape)), axis).out,
        lambda: ops.Add(x, next((y for y in others if y.type.shape == shape), x)).out,
        lambda: ops.Mul(x, next((y for y in others if y.type.shape == shape), x)).out,
        lambda: (
            ops.MatMul(Constant.of(random.normal(0, 1, (*shape[:-2], 3, shape[-2])), FLOAT32).out, x).out
            if rank > 1
            else x
        ),
        lambda: layer(x, random),
    ]
    return choices[int(random.integers(len(choices)))]()


def random_graph(seed: int) -> Graph:
    """A normalization and a layer, some random steps on each, and layers behind what is left."""
    random = np.random.default_rng(seed)
    x = Input("x", TensorType(FLOAT32, SHAPE)).out
    norm = LayerNormalization(x, constant(random, 8), constant(random, 8), 2, 1e-5).out
    values = [norm, layer(norm, random), layer(x, random)]
    for _ in range(int(random.integers(2, 7))):
        index = int(random.integers(len(values)))
        made = step(values[index], values, random)
        if random.random() < 0.7:
            values[index] = made
        else:
            values.append(made)
    outputs = [layer(value, random) if value.type.rank > 1 else value for value in values]
    return graph_of(*dict.fromkeys(outputs))


def changed(graph: Graph, flow: Flow, kind: str, random: Random) -> Graph:
    parameters = Parameters(graph)
    match kind:
        case "scaled":
            parameters.scale_features(flow, np.where(flow.open, random.uniform(0.5, 2, flow.open.size), 1.0))
        case "moved":
            row = np.where(flow.movable, random.normal(0, 1, flow.open.size), 0.0)
            source = flow.source
            assert isinstance(source, Normalization)
            bias = parameters[source, "bias"]
            assert bias is not None
            parameters[source, "bias"] = bias + row
            parameters.add_through_readers(flow, -row)
        case _:
            assert isinstance(flow.source, Layer)
            rotate_pairs(flow, flow.source, [1], parameters)
    return parameters.finish()


@pytest.mark.parametrize("kind", ["scaled", "moved", "mixed"])
def test_the_outputs_stay(kind: str) -> None:
    happened = 0
    for seed in SEEDS:
        graph = random_graph(seed)
        random = np.random.default_rng(seed)
        inputs = {"x": random.normal(0, 1, SHAPE).astype(np.float32)}
        before = evaluate(graph, inputs)
        for flow in flows(graph):
            if (kind == "moved") > isinstance(flow.source, Normalization):
                continue
            if (kind == "mixed") > isinstance(flow.source, Layer):
                continue
            made = changed(graph, flow, kind, random)
            happened += made is not graph and {"scaled": True, "moved": flow.movable.any()}.get(kind, True)
            for name, array in evaluate(made, inputs).items():
                largest = np.abs(before[name]).max()
                assert np.abs(array.astype(np.float64) - before[name]).max() <= 2e-5 * largest + 1e-6, (seed, kind)
    assert happened >= 30
