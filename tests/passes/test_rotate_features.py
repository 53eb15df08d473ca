"""Hadamard matrices, the streams that may be rotated and those that may not, and what rotation is good for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.float_transformers import decoder, deit
from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate, evaluate_values
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.ir.types import TensorType
from subbyte.passes.features.flow import flows
from subbyte.passes.rotate_features import rotate_features, rotate_features_by
from subbyte.passes.rotation.hadamard import hadamard, has_hadamard, randomized_hadamard
from subbyte.passes.rotation.stream import streams
from tests.passes.builders import floats, graph_of, unary

Array = NDArray[Any]
ORDERS = [n for n in range(1, 257) if has_hadamard(n)]
NAMED = [base << k for base in (1, 12, 20, 28, 36, 44, 60, 68) for k in range(4)]

# Hadamard matrices ----------------------------------------------------------------------------------------------------


def test_the_orders_that_are_named_exist() -> None:
    assert all(has_hadamard(order) for order in (*NAMED, 64, 96, 192, 384, 768, 1024, 4096, 5120, 11008, 14336))
    assert not any(has_hadamard(order) for order in (92, 100, 116, 172))  # of which one exists, by other means


@pytest.mark.parametrize("order", sorted({*ORDERS, *NAMED}))
def test_rows_are_orthogonal_and_made_of_ones(order: int) -> None:
    matrix = hadamard(order)
    assert (np.abs(matrix) == 1).all()
    assert (matrix @ matrix.T == order * np.eye(order, dtype=np.int64)).all()


@pytest.mark.parametrize("order", [n for n in range(-1, 100) if n not in ORDERS])
def test_other_orders_are_refused(order: int) -> None:
    assert not has_hadamard(order)
    with pytest.raises(NumericsError, match=f"Hadamard matrix of order {order};"):
        hadamard(order)


def test_random_signs_keep_it_orthogonal_and_depend_on_the_seed_alone() -> None:
    first, again, other = (randomized_hadamard(96, seed) for seed in (1, 1, 2))
    np.testing.assert_allclose(first @ first.T, np.eye(96), atol=1e-12)
    assert (first == again).all()
    assert (first != other).any()


# Streams --------------------------------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(11)
X = RANDOM.normal(0, 1, (2, 3, 5)).astype(np.float32)
INTO, WITHIN, OUT = RANDOM.normal(0, 1, (5, 8)), RANDOM.normal(0, 1, (8, 8)), RANDOM.normal(0, 1, (8, 4))
GAMMA, BETA = RANDOM.uniform(0.5, 2, 8), RANDOM.normal(0, 1, 8)


def real(name: str, *shape: int) -> Value:
    return Input(name, TensorType(FLOAT32, shape)).out


def norm(x: Value, kind: type[Normalization], *, bare: bool = False) -> Value:
    scale = None if bare else floats(GAMMA)
    bias = floats(BETA) if kind is LayerNormalization and not bare else None
    return kind(x, scale, bias, x.type.rank - 1, 1e-5).out


def linear(x: Value, weights: Array, name: str) -> Value:
    return ops.MatMul(x, floats(weights), sources=(name,), tensor=name).out


def block(x: Value, kind: type[Normalization]) -> Value:
    """x + f(norm(x))."""
    hidden = unary(linear(norm(x, kind), WITHIN, "up"), "Gelu")
    return ops.Add(x, ops.Add(linear(hidden, WITHIN.T, "down"), floats(BETA)).out).out


def whole(x: Value, kind: type[Normalization]) -> Value:
    into = ops.Add(linear(x, INTO, "into"), floats(RANDOM_PLACES)).out
    token = ops.Concat((floats(np.full((2, 1, 8), 0.3)), into), 1).out
    return linear(norm(block(token, kind), kind), OUT, "out")


RANDOM_PLACES = RANDOM.normal(0, 1, (3, 1))  # one number for all features of a place


def graph_with(make: Callable[[Value], Value | tuple[Value, ...]]) -> Graph:
    made = make(real("x", *X.shape))
    return graph_of(*made) if isinstance(made, tuple) else graph_of(made)


def reason(graph: Graph) -> str:
    every: dict[Node, Layer] = {layer.node: layer for layer in layers(graph)}
    bare = [node for node in graph.nodes() if isinstance(node, Normalization)]
    return " ".join(stream.why_not for stream in streams(graph, every, bare))


def distance(a: Graph, b: Graph, inputs: dict[str, Array]) -> float:
    before, after = evaluate(a, inputs), evaluate(b, inputs)
    return max(
        float(np.abs(after[name].astype(np.float64) - array).max() / np.abs(array).max())
        for name, array in before.items()
    )


@pytest.mark.parametrize("kind", [LayerNormalization, RMSNormalization])
def test_a_stream_is_rotated_and_its_function_kept(kind: type[Normalization]) -> None:
    graph = graph_with(lambda x: whole(x, kind))
    assert reason(graph) == ""
    for seed in range(3):
        after = rotate_features_by(seed)(graph)
        kinds = [type(node) for node in after.nodes() if isinstance(node, Normalization)]
        assert kinds == [RMSNormalization] * 2
        assert distance(graph, after, {"x": X}) <= 1e-5
        changed = [a.name for a, b in zip(layers(graph), layers(after), strict=True) if (a.weights != b.weights).any()]
        assert changed == ["into", "up", "down", "out"]


def test_embeddings_are_rotated() -> None:
    table = floats(RANDOM.normal(0, 1, (7, 8)))
    ids = Input("ids", TensorType(Constant.of(np.int64(0)).type.dtype, (2, 3))).out
    graph = graph_of(linear(norm(block(ops.Gather(table, ids, 0).out, RMSNormalization), RMSNormalization), OUT, "out"))
    after = rotate_features(graph)
    assert distance(graph, after, {"ids": np.int64([[0, 3, 6], [1, 1, 2]])}) <= 1e-5
    (gather,) = (node for node in after.operations() if isinstance(node, ops.Gather))
    assert (gather.x.constant != table.constant).any()


@pytest.mark.parametrize("kind", [LayerNormalization, RMSNormalization])
@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("given", "is given from outside"),
        ("shown", "makes the output 'y1'"),
        ("function", "is neither a sum nor movement"),
        ("gated", "is neither a sum nor movement"),
        ("scaled sum", "normalizes over other axes"),
        ("read raw", "sees the mean of a row"),
    ],
)
def test_other_streams_are_left_alone(case: str, why: str, kind: type[Normalization]) -> None:
    def make(x: Value) -> Value | tuple[Value, ...]:
        into = linear(x, INTO, "into")
        end = linear(norm(block(into, kind), kind), OUT, "out")
        match case:
            case "given":
                return linear(norm(block(real("z", 2, 3, 8), kind), kind), OUT, "out")
            case "shown":
                return end, into
            case "function":
                return end, unary(into, "Relu")
            case "gated":
                return end, ops.Mul(into, floats(BETA)).out
            case "scaled sum":
                return end, kind(into, None, None, 1, 1e-5).out
        return end, linear(into, OUT, "raw")

    graph = graph_with(make)
    if case == "read raw" and kind is RMSNormalization:
        assert reason(graph) == ""
        assert distance(graph, rotate_features(graph), {"x": X}) <= 1e-5
        return
    assert why in reason(graph)
    assert rotate_features(graph) is graph


def test_a_scale_that_the_stream_itself_reads_leaves_it_alone() -> None:
    """Post-norm: the sum behind reads the scaled row, as in BERT."""

    def make(x: Value) -> Value:
        y = norm(linear(x, INTO, "into"), LayerNormalization)
        return linear(norm(ops.Add(y, linear(y, WITHIN, "up")).out, LayerNormalization), OUT, "out")

    graph = graph_with(make)
    after = rotate_features(graph)
    assert after is graph


def test_a_width_without_a_matrix_is_left_alone() -> None:
    gamma = floats(np.ones(6))
    graph = graph_with(
        lambda x: linear(RMSNormalization(linear(x, INTO[:, :6], "into"), gamma, None, 2, 1e-5).out, OUT[:6], "out")
    )
    assert not has_hadamard(6)
    assert rotate_features(graph) is graph


# Pairs ----------------------------------------------------------------------------------------------------------------


def test_values_of_attention_are_rotated_head_by_head() -> None:
    made = deit(width=48, heads=2, blocks=1)
    found = [flow for flow in flows(made.graph) if isinstance(flow.source, Layer) and (flow.blocks >= 0).any()]
    (flow,) = found
    heads = [np.flatnonzero(flow.blocks == block).tolist() for block in np.unique(flow.blocks[flow.blocks >= 0])]
    assert sorted(heads) == [list(range(96, 120)), list(range(120, 144))]
    assert distance(made.graph, rotate_features(made.graph), made.judging) <= 1e-5


@pytest.mark.parametrize("function", [None, "Relu", "Gelu"])
def test_a_pair_is_rotated_only_without_a_function_between(function: str | None) -> None:
    def make(x: Value) -> Value:
        y = ops.Add(linear(x, INTO, "first"), floats(BETA)).out
        return linear(unary(y, function) if function else y, OUT, "second")

    graph = graph_with(make)
    after = rotate_features(graph)
    assert (after is graph) == (function is not None)
    assert distance(graph, after, {"x": X}) <= 1e-5


def test_products_with_factors_and_convolutions_are_pairs_too() -> None:
    def make(x: Value) -> tuple[Value, Value]:
        flat = ops.Reshape(x, (6, 5)).out
        first = ops.Gemm(flat, floats(INTO.T), floats([[0.5]]), 0.5, 2.0, False, True, sources=("gemm",)).out
        second = ops.Gemm(first, floats(OUT), floats(BETA[:4]), 1.0, 1.0, False, False, sources=("next",)).out
        picture = ops.Reshape(x, (2, 3, 5, 1)).out
        weights = floats(RANDOM_KERNEL)
        conv = ops.Conv(picture, weights, floats(BETA), (1, 1), (0,) * 4, (1, 1), 1, sources=("conv",)).out
        final = ops.Conv(
            conv, floats(RANDOM_KERNEL.transpose(1, 0, 2, 3)), None, (1, 1), (1, 0, 1, 0), (1, 1), 1, sources=("last",)
        ).out
        return second, final

    graph = graph_with(make)
    after = rotate_features(graph)
    changed = [a.name for a, b in zip(layers(graph), layers(after), strict=True) if (a.weights != b.weights).any()]
    assert changed == ["gemm", "next", "conv", "last"]
    assert distance(graph, after, {"x": X}) <= 1e-5


RANDOM_KERNEL = RANDOM.normal(0, 1, (8, 3, 3, 1))

# What it is good for --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [deit, decoder])
def test_outliers_of_what_layers_read_are_spread(network: Callable[..., Any]) -> None:
    """The largest magnitude over the deviation, of the activations behind the normalizations, falls."""
    made = network(width=64, heads=2, blocks=1)

    def peaks(graph: Graph) -> Array:
        read = [layer.x for layer in layers(graph) if isinstance(layer.x.node, Normalization)]
        found = evaluate_values(graph, made.judging, keep=read)
        return np.array([np.abs(found[value]).max() / found[value].std() for value in read])

    before, after = peaks(made.graph), peaks(rotate_features(made.graph))
    assert (after < before).all()
    assert after.max() < 5.5
