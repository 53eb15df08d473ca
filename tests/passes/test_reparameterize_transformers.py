"""Factors moved between normalizations, layers and their readers: the float function stays, rounding loses less."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.float_networks import Network
from benchmarks.float_transformers import decoder, deit
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.observers import MinMax
from subbyte.compiler.calibration.ranges import activation_grid
from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate, evaluate_values
from subbyte.compiler.ir.layers import layers, value_names
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.ir.plan import Plan
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.pass_manager import Pass
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.types import Grid
from subbyte.passes.features.flow import flows
from subbyte.passes.features.parameters import Parameters
from subbyte.passes.fold_normalization_scale import fold_normalization_scale
from subbyte.passes.insert_quantizers import insert_quantizers
from subbyte.passes.precision.points import quantization_points
from subbyte.passes.precision.weights import quantized_weights
from subbyte.passes.quantization.islands import float_islands
from subbyte.passes.quantize_softmax import quantize_softmax
from subbyte.passes.rotate_features import rotate_features
from subbyte.passes.scale_salient_weights import scale_salient_weights, scale_salient_weights_for
from subbyte.passes.smooth_activations import smooth_activations, smooth_activations_by
from subbyte.passes.split_logarithms_by_parity import split_logarithms_by_parity
from subbyte.passes.unify_normalization_scales import (
    channel_grids,
    unify_normalization_scales,
    unify_normalization_scales_for,
)
from tests.passes.builders import floats, graph_of, only, operations, unary

Array = NDArray[Any]
PASSES: dict[str, Pass] = {
    "fold": fold_normalization_scale,
    "smooth": smooth_activations,
    "smooth by 1": smooth_activations_by(1.0),
    "salient": scale_salient_weights,
    "salient per tensor": scale_salient_weights_for(Grid(4, per="tensor")),
    "unify": unify_normalization_scales,
    "unify for 4 bits": unify_normalization_scales_for(4),
    "rotate": rotate_features,
}
FUNCTIONS = tuple(name for name in PASSES if name not in ("fold", "rotate"))


NETWORKS: dict[str, Callable[[], Network]] = {
    "deit": partial(deit, width=48, heads=2, blocks=2),
    "decoder": partial(decoder, width=32, heads=2, blocks=1),
}


@cache
def transformer(name: str) -> Network:
    return NETWORKS[name]()


@cache
def reparameterized(name: str, network: str) -> Graph:
    made = transformer(network)
    return run(PASSES[name], made.graph, made.calibration)


def data_of(inputs: dict[str, Array]) -> Data:
    return Data({name: array[np.newaxis] for name, array in inputs.items()}, executor="interpreter")


def run(one: Pass, graph: Graph, inputs: dict[str, Array]) -> Graph:
    return one(graph, None, data_of(inputs) if "data" in one.asks else None)


def distance(a: Array, b: Array) -> float:
    """Relative to the largest magnitude of b."""
    return float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max())


def real(name: str, *shape: int) -> Value:
    return Input(name, TensorType(FLOAT32, shape)).out


def product(x: Value, weights: Array, bias: Array | None = None) -> Value:
    y = ops.MatMul(x, floats(weights), sources=(f"matmul{weights.shape}",)).out
    return y if bias is None else ops.Add(y, floats(bias)).out


# The float function ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", PASSES)
def test_the_float_function_is_kept(name: str, network: str) -> None:
    made = transformer(network)
    after = reparameterized(name, network)
    assert after is not made.graph
    (expected,), (found,) = (evaluate(graph, made.judging).values() for graph in (made.graph, after))
    assert distance(found, expected) <= 1e-5


def test_all_passes_together_keep_the_float_function() -> None:
    made = transformer("deit")
    graph = made.graph
    for name in ("unify for 4 bits", "smooth", "salient", "rotate"):
        graph = run(PASSES[name], graph, made.calibration)
    (expected,), (found,) = (evaluate(g, made.judging).values() for g in (made.graph, graph))
    assert distance(found, expected) <= 1e-5


@pytest.mark.parametrize("name", PASSES)
def test_layers_keep_their_names(name: str) -> None:
    found = layers(reparameterized(name, "decoder"))
    assert [layer.name for layer in found] == [layer.name for layer in layers(transformer("decoder").graph)]


def test_nothing_is_computed_at_run_time() -> None:
    before = operations(transformer("deit").graph)
    for name in ("fold", "smooth", "salient", "unify"):
        assert operations(reparameterized(name, "deit")) == before


# Places ---------------------------------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(0, 1, (2, 5, 6)).astype(np.float32) * np.float32([1, 1, 30, 1, 1, 0.1])
GAMMA, BETA = RANDOM.uniform(0.5, 2, 6) * [1, 1, 40, 1, 1, 1], RANDOM.normal(0, 1, 6)
W, V = RANDOM.normal(0, 1, (6, 4)), RANDOM.normal(0, 1, (4, 6))
KERNEL, GROUPED = RANDOM.normal(0, 1, (4, 5, 1, 1)), RANDOM.normal(0, 1, (6, 2, 3, 3))


def normalized(x: Value, scale: Array | None = GAMMA, bias: Array | None = BETA) -> Value:
    scales, biases = (None if row is None else floats(row) for row in (scale, bias))
    return LayerNormalization(x, scales, biases, x.type.rank - 1, 1e-5, sources=("norm",), tensor="norm").out


def built(make: Callable[[Value], Value | tuple[Value, ...]]) -> Graph:
    made = make(real("x", *X.shape))
    return graph_of(*made) if isinstance(made, tuple) else graph_of(made)


def through_relu(x: Value) -> Value:
    return product(unary(product(normalized(x), W, BETA[:4]), "Relu"), V)


def through_gate(x: Value) -> Value:
    read = normalized(x)
    gate = unary(product(read, W), "Sigmoid")
    return product(ops.Mul(gate, product(read, W[::-1])).out, V)


def through_gemm(x: Value) -> Value:
    flat = ops.Reshape(normalized(x), (10, 6)).out
    return ops.Gemm(flat, floats(W.T), floats([0.5]), 0.25, 3.0, False, True, sources=("gemm",)).out


def through_mean(x: Value) -> Value:
    return ops.Gemm(
        ops.ReduceMean(normalized(x), (1,), False).out, floats(W), None, 1.0, 1.0, False, False, sources=("head",)
    ).out


def through_convolutions(x: Value) -> Value:
    first = ops.Conv(
        ops.Reshape(x, (2, 5, 2, 3)).out, floats(KERNEL), floats(BETA[:4]),
        (1, 1), (0,) * 4, (1, 1), 1, sources=("first",),
    ).out  # fmt: skip
    pooled = ops.MaxPool(unary(first, "Relu"), (2, 2), (1, 1), (0,) * 4, (1, 1), False).out
    return ops.Conv(pooled, floats(GROUPED), None, (1, 1), (1,) * 4, (1, 1), 2, sources=("second",)).out


@pytest.mark.parametrize("make", [through_relu, through_gate, through_gemm, through_mean, through_convolutions])
@pytest.mark.parametrize("name", PASSES)
def test_small_graphs_keep_their_function(make: Callable[[Value], Value], name: str) -> None:
    graph = built(make)
    after = run(PASSES[name], graph, {"x": X})
    assert distance(evaluate(after, {"x": X})["y"], evaluate(graph, {"x": X})["y"]) <= 1e-5


def test_a_gate_is_not_scaled_and_the_other_factor_is() -> None:
    found = {flow.source: flow for flow in flows(built(through_gate))}
    sources = [getattr(source, "name", "norm") for source in found]
    assert sources == ["norm", "matmul(6, 4)#2"]


@pytest.mark.parametrize("name", [*FUNCTIONS, "fold", "rotate"])
@pytest.mark.parametrize("reader", ["a sum", "an output", "a function", "a product with itself"])
def test_what_is_read_otherwise_stays(name: str, reader: str) -> None:
    def make(x: Value) -> Value | tuple[Value, ...]:
        read = normalized(x)
        made = product(read, W)
        match reader:
            case "a sum":
                return made, ops.Add(read, x).out
            case "an output":
                return made, read
            case "a function":
                return made, unary(read, "Gelu")
        return made, ops.Mul(read, read).out

    graph = built(make)
    assert run(PASSES[name], graph, {"x": X}) is graph


def test_only_features_that_layers_alone_read_are_scaled() -> None:
    def make(x: Value) -> tuple[Value, Value]:
        read = normalized(x)
        part = ops.Slice(read, (0, 0, 0), (2, 5, 2), (1, 1, 1)).out  # features 0 and 1 are an output too
        return product(read, W), part

    graph = built(make)
    (flow,) = flows(graph)
    assert flow.open.tolist() == [False, False, True, True, True, True]
    after = run(smooth_activations, graph, {"x": X})
    before, now = (evaluate(g, {"x": X}) for g in (graph, after))
    assert distance(now["y"], before["y"]) <= 1e-5
    assert (now["y1"] == before["y1"]).all()


def test_rows_that_hold_other_features_at_other_places_are_no_readers() -> None:
    """A transpose of tokens and features gives every channel of the product all features."""

    def make(x: Value) -> Value:
        return product(ops.Reshape(ops.Transpose(normalized(x), (0, 2, 1)).out, (2, 5, 6)).out, W)

    assert flows(built(make)) == ()


def test_a_bias_at_run_time_is_none_that_can_be_scaled() -> None:
    def make(x: Value) -> Value:
        row = ops.Reshape(ops.Slice(x, (0, 0, 0), (1, 1, 4), (1, 1, 1)).out, (4,)).out
        flat = ops.Gemm(ops.Reshape(x, (10, 6)).out, floats(W), row, 1.0, 1.0, False, False).out
        return product(flat, V)

    assert flows(built(make)) == ()


def test_features_that_part_from_their_neighbours_are_scaled_and_not_mixed() -> None:
    """A temporal shift: half of the features come from the token before; mixing them with the others would show."""

    def make(x: Value) -> Value:
        made = product(x, W)
        left, right = (Value(ops.Split(made, 2, (2, 2)), i) for i in range(2))
        late = ops.Slice(left, (0, 0, 0), (2, 4, 2), (1, 1, 1)).out
        early = ops.Slice(right, (0, 1, 0), (2, 5, 2), (1, 1, 1)).out
        return product(ops.Concat((late, early), 2).out, V)

    graph = built(make)
    (flow,) = flows(graph)
    assert flow.open.all()
    assert (flow.blocks == -1).all()


@pytest.mark.parametrize("operation", [ops.Add, ops.Mul])
def test_features_that_are_treated_otherwise_than_their_neighbours_are_not_mixed(operation: type[ops.Binary]) -> None:
    def make(x: Value) -> Value:
        parts = ops.Split(product(x, W), 2, (2, 2))
        left, right = (Value(parts, i) for i in range(2))
        return product(ops.Concat((operation(left, floats(3.0)).out, right), 2).out, V)

    graph = built(make)
    (flow,) = flows(graph)
    assert flow.open.all()
    assert (flow.blocks == -1).all()
    after = run(smooth_activations, graph, {"x": X})
    assert distance(evaluate(after, {"x": X})["y"], evaluate(graph, {"x": X})["y"]) <= 1e-5


# SmoothQuant ----------------------------------------------------------------------------------------------------------


def test_smoothing_meets_half_way() -> None:
    """With alpha = 0.5, what the layer reads and its weights have equal maxima in every channel (SmoothQuant, 4.1)."""
    after = run(smooth_activations, built(lambda x: product(normalized(x), W)), {"x": X})
    (layer,) = layers(after)
    found = evaluate_values(after, {"x": X})[layer.x]
    np.testing.assert_allclose(np.abs(found).max(axis=(0, 1)), np.abs(layer.weights).max(axis=1), rtol=1e-5)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_alpha_lies_between_0_and_1(alpha: float) -> None:
    with pytest.raises(NumericsError, match="alpha of smooth_activations is"):
        smooth_activations_by(alpha)


def test_dead_channels_have_the_factor_1() -> None:
    gamma = GAMMA * [0, 1, 1, 1, 1, 1]
    weights = W * np.array([1, 0, 1, 1, 1, 1])[:, np.newaxis]
    graph = built(lambda x: product(normalized(x, gamma, None), weights))
    after = run(smooth_activations, graph, {"x": X})
    scale = only(after, LayerNormalization).scale.constant
    assert (scale[:2] == gamma[:2].astype(np.float32)).all()
    assert distance(evaluate(after, {"x": X})["y"], evaluate(graph, {"x": X})["y"]) <= 1e-5


def test_a_layer_before_keeps_the_range_of_its_weights() -> None:
    graph = built(through_relu)
    after = run(smooth_activations, graph, {"x": X})
    (first, second), (smoothed, _) = layers(graph), layers(after)
    assert first.name == smoothed.name
    read = flows(graph)[0].source
    assert isinstance(read, Normalization)  # whose s is in the columns, and taken out of them here
    columns = only(graph, LayerNormalization).scale.constant / only(after, LayerNormalization).scale.constant
    before, now = np.abs(first.weights * columns[:, np.newaxis]).max(), np.abs(smoothed.weights).max()
    np.testing.assert_allclose(now, before, rtol=1e-5)
    assert second.name != first.name


# AWQ ------------------------------------------------------------------------------------------------------------------


def output_error(graph: Graph, grid: Grid, inputs: dict[str, Array]) -> float:
    """The mean squared error of the first output with the weights of all layers rounded, activations float."""
    parameters = Parameters(graph)
    for layer in layers(graph):
        parameters.set_matrix(layer, nearest(parameters.matrix(layer), grid).values().astype(np.float64))
    rounded, exact = (next(iter(evaluate(g, inputs).values())) for g in (parameters.finish(), graph))
    return float(np.square(rounded.astype(np.float64) - exact).mean())


@pytest.mark.parametrize("per", ["channel", "tensor"])
def test_salient_weights_lose_less(per: Any) -> None:
    grid = Grid(3, per=per)
    graph = built(lambda x: product(normalized(x), W))
    after = run(scale_salient_weights_for(grid), graph, {"x": X})
    assert output_error(after, grid, {"x": X}) < 0.5 * output_error(graph, grid, {"x": X})


def test_one_scale_for_a_tensor_leaves_layers_before_alone() -> None:
    """Between two products, s would widen the range of the first one's weights."""
    graph = built(lambda x: product(product(x, W), V))
    assert run(scale_salient_weights_for(Grid(4, per="tensor")), graph, {"x": X}) is graph
    assert run(scale_salient_weights, graph, {"x": X}) is not graph


# RepQuant -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LayerNormalization, RMSNormalization])
@pytest.mark.parametrize("bits", [4, 8])
def test_one_grid_gives_the_codes_of_a_grid_for_each_channel(kind: type[Normalization], bits: int) -> None:
    beta = floats(BETA) if kind is LayerNormalization else None
    graph = built(lambda x: product(kind(x, floats(GAMMA), beta, 2, 1e-5).out, W, BETA[:4]))
    after = run(unify_normalization_scales_for(bits), graph, {"x": X})
    (before_layer,), (after_layer,) = layers(graph), layers(after)
    before = evaluate_values(graph, {"x": X})[before_layer.x].astype(np.float64)
    now = evaluate_values(after, {"x": X})[after_layer.x].astype(np.float64)
    low, high = before.min(axis=(0, 1)), before.max(axis=(0, 1))
    scales, zeros, scale, zero = channel_grids(low.astype(np.float32), high.astype(np.float32), bits)
    for_each, for_all = before / scales + zeros, now / scale + zero
    np.testing.assert_allclose(for_all, for_each, atol=2e-3)  # in steps; so codes differ at ties only
    clear = np.abs(for_each % 1 - 0.5) > 4e-3
    assert (np.rint(for_all) == np.rint(for_each))[clear].all()
    assert clear.mean() > 0.95
    assert for_all.min() >= -0.51
    assert for_all.max() <= (1 << bits) - 0.49
    assert distance(evaluate(after, {"x": X})["y"], evaluate(graph, {"x": X})["y"]) <= 1e-5


def test_the_bias_goes_into_the_add_behind_or_a_new_one() -> None:
    with_bias = built(lambda x: product(normalized(x), W, BETA[:4]))
    without = built(lambda x: product(normalized(x), W))
    assert operations(run(unify_normalization_scales, with_bias, {"x": X})) == operations(with_bias)
    assert operations(run(unify_normalization_scales, without, {"x": X})) == [*operations(without), "Add"]


def test_a_bias_behind_the_layer_of_an_output_is_a_new_add() -> None:
    """The product itself is an output, so that it must keep its value: the Add behind it cannot take the shift."""

    def make(x: Value) -> tuple[Value, Value]:
        made = product(normalized(x), W)
        return ops.Add(made, floats(BETA[:4])).out, made

    graph = built(make)
    after = run(unify_normalization_scales, graph, {"x": X})
    before, now = (evaluate(g, {"x": X}) for g in (graph, after))
    assert all(distance(now[name], before[name]) <= 1e-5 for name in ("y", "y1"))


def test_a_constant_channel_far_from_zero_is_kept() -> None:
    gamma, beta = GAMMA * [1, 0, 1, 1, 1, 1], BETA + np.array([0, 500, 0, 0, 0, 0])
    graph = built(lambda x: product(normalized(x, gamma, beta), W))
    after = run(unify_normalization_scales, graph, {"x": X})
    assert distance(evaluate(after, {"x": X})["y"], evaluate(graph, {"x": X})["y"]) <= 1e-5


def test_padding_takes_no_addend() -> None:
    def make(x: Value, pad: int) -> Value:
        picture = ops.Reshape(ops.Transpose(normalized(x), (0, 2, 1)).out, (2, 6, 5, 1)).out
        weights = W.T[:, :, np.newaxis, np.newaxis]
        return ops.Conv(picture, floats(weights), None, (1, 1), (pad,) * 4, (1, 1), 1, sources=("conv",)).out

    for pad in (0, 1):
        graph = built(lambda x, pad=pad: make(x, pad))  # type: ignore[misc]
        assert (run(unify_normalization_scales, graph, {"x": X}) is graph) == bool(pad)
        assert run(smooth_activations, graph, {"x": X}) is not graph


def test_bits_are_those_of_codes() -> None:
    with pytest.raises(NumericsError, match="was asked for 0 bits"):
        unify_normalization_scales_for(0)


# All the way to integers ----------------------------------------------------------------------------------------------


def compiled(graph: Graph, made: Network, *, logarithms: bool = False) -> Graph:
    """What the compiler makes of `graph` with 8 bits everywhere, ranges from the calibration samples."""
    data = data_of(made.calibration)
    points, names = quantization_points(graph), value_names(graph)
    seen = {value: MinMax() for value in points}
    data.observe(graph, seen)
    weights = {
        layer.name: quantized_weights(layer, nearest(layer.matrix().astype(np.float64), Grid(8)))
        for layer in layers(graph)
    }
    plan = Plan(weights, {names[value]: activation_grid(seen[value], 8) for value in points})
    quantizers = insert_quantizers(plan)(graph)
    if logarithms:
        quantizers = split_logarithms_by_parity(quantize_softmax(quantizers, None, data))
    return quantized(quantizers)


def test_rotated_networks_compile_to_integers_and_lose_less() -> None:
    made = transformer("deit")
    exact = evaluate(made.graph, made.judging)["output"]
    graphs = {
        "as it is": compiled(made.graph, made),
        "rotated": compiled(rotate_features(made.graph), made),
        "with logarithms": compiled(rotate_features(made.graph), made, logarithms=True),
    }
    errors = {
        name: float(np.square(evaluate(graph, made.judging)["output"] - exact).sum() / np.square(exact).sum())
        for name, graph in graphs.items()
    }
    assert errors["rotated"] < 0.2 * errors["as it is"]
    assert errors["with logarithms"] < 2 * errors["rotated"]
    islands = {name: [type(one.node) for one in float_islands(graph)] for name, graph in graphs.items()}
    assert set(islands["rotated"]) == {RMSNormalization}
    assert islands["with logarithms"].count(ops.Add) == 2
    assert set(islands["with logarithms"]) == {RMSNormalization, ops.Add}
