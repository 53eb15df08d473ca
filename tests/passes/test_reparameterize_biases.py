"""Biases that are absorbed leave the samples' results; corrected ones take the mean error of rounded weights away."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.errors import GraphError, NumericsError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate, evaluate_values
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.node import Value
from subbyte.passes.absorb_biases import absorb_biases
from subbyte.passes.absorb_normal_biases import absorb_normal_biases
from subbyte.passes.bias_correction.corrected import corrected_biases, with_biases
from subbyte.passes.bias_correction.means import RowMeans, input_means, normal_input_means
from subbyte.passes.bias_correction.normal import Normal, clipped
from subbyte.passes.bias_correction.sequential import sequential_biases
from subbyte.passes.equalize_layers import equalize_layers
from subbyte.passes.fold_batch_norm import fold_batch_norm
from tests.passes.builders import floats, graph_of, operations
from tests.passes.float_builders import Array, Floats, disturbed, normal_inputs, relative_difference, rounded


def data_of(graph: Graph, count: int = 4) -> Data:
    samples = [normal_inputs(graph, seed) for seed in range(count)]
    return Data({name: np.stack([sample[name] for sample in samples]) for name in samples[0]}, executor="interpreter")


def lifted(b: Floats, x: Value, by: float = 12.0) -> Value:
    """The layer with biases that keep half of its channels above zero."""
    node = x.node
    assert isinstance(node, (ops.Conv, ops.Gemm))
    bias = node.b if isinstance(node, ops.Conv) else node.c
    assert bias is not None
    values = np.asarray(bias.constant) + by * (np.arange(len(np.asarray(bias.constant))) % 2)
    changed = {"b" if isinstance(node, ops.Conv) else "c": floats(values)}
    return node.replace(**changed).out


# Absorption -----------------------------------------------------------------------------------------------------------


def pointwise() -> Graph:
    b = Floats(1)
    return graph_of(b.conv(b.relu(lifted(b, b.conv(b.input(1, 3, 6, 6), 8))), 4))


def read_by_two() -> Graph:
    b = Floats(2)
    x = b.relu(lifted(b, b.conv(b.input(1, 3, 6, 6), 8)))
    return graph_of(b.conv(x, 4, 3, pad=0), b.conv(x, 4, group=2))


def behind_pools() -> Graph:
    b = Floats(3)
    x = b.relu(lifted(b, b.conv(b.input(1, 3, 6, 6), 8)))
    x = b.named(ops.MaxPool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False))
    x = b.named(ops.AveragePool(x, (3, 3), (3, 3), (0, 0, 0, 0), (1, 1), False, False))
    x = b.named(ops.Reshape(x, (1, 32)))
    return graph_of(b.gemm(b.relu(lifted(b, b.gemm(x, 6), 500.0)), 4))


def averaged() -> Graph:
    b = Floats(4)
    x = b.relu(lifted(b, b.conv(b.input(1, 3, 6, 6), 8)))
    return graph_of(b.gemm(b.named(ops.ReduceMean(x, (2, 3), False)), 4))


ABSORBING = [pointwise, read_by_two, behind_pools, averaged]


@pytest.mark.parametrize("make", ABSORBING, ids=lambda make: make.__name__)
def test_absorbing_keeps_the_results_of_the_samples(make: Callable[[], Graph]) -> None:
    graph = make()
    absorbed = absorb_biases(graph, None, data_of(graph))
    assert absorbed is not graph
    assert operations(absorbed) == operations(graph)
    for seed in range(4):
        assert relative_difference(graph, absorbed, normal_inputs(graph, seed)) < 1e-5


def test_what_is_absorbed_narrows_the_range() -> None:
    graph = pointwise()
    absorbed = absorb_biases(graph, None, data_of(graph))
    before, after = (largest_activation(one) for one in (graph, absorbed))
    assert (after <= before + 1e-4).all()
    assert (after[1::2] < before[1::2] - 1).all()
    np.testing.assert_allclose(after[0::2], before[0::2], rtol=1e-5)


def largest_activation(graph: Graph) -> Array:
    """[channels] over the samples, of what the last layer reads."""
    x = layers(graph)[-1].x
    values = [evaluate_values(graph, normal_inputs(graph, seed))[x] for seed in range(4)]
    return np.asarray(np.max(values, axis=(0, 1, 3, 4)))


def before_pads() -> Graph:
    b = Floats(5)
    return graph_of(b.conv(b.relu(lifted(b, b.conv(b.input(1, 3, 6, 6), 8))), 4, 3))


def shown() -> Graph:
    b = Floats(6)
    x = b.relu(lifted(b, b.conv(b.input(1, 3, 6, 6), 8)))
    return graph_of(x, b.conv(x, 4))


def added_elsewhere() -> Graph:
    b = Floats(7)
    x = b.relu(lifted(b, b.conv(b.input(1, 3, 6, 6), 8)))
    return graph_of(b.add(x, b.conv(x, 8)))


def never_high() -> Graph:
    b = Floats(8)
    return graph_of(b.conv(b.relu(lifted(b, b.conv(b.input(1, 3, 6, 6), 8), -12.0)), 4))


@pytest.mark.parametrize("make", [before_pads, shown, added_elsewhere, never_high], ids=lambda make: make.__name__)
def test_what_cannot_be_absorbed_stays(make: Callable[[], Graph]) -> None:
    graph = make()
    assert absorb_biases(graph, None, data_of(graph)) is graph


def normalized(shift: tuple[float, ...]) -> Graph:
    """BatchNormalization of scale 1 with these shifts, Relu, and a layer; inputs are N(0, 1) in each channel."""
    b = Floats(9)
    count = len(shift)
    x = b.input(1, count, 16, 16)
    ones, zeros = floats(np.ones(count)), floats(np.zeros(count))
    x = b.named(ops.BatchNormalization(x, ones, floats(shift), zeros, ones, 0.0))
    return graph_of(b.conv(b.relu(x), 3))


def test_normal_biases_leave_three_deviations() -> None:
    graph = normalized((0.0, 5.0, 2.0))
    absorbed = absorb_normal_biases(graph)
    (node,) = (node for node in absorbed.operations() if isinstance(node, ops.BatchNormalization))
    np.testing.assert_array_equal(np.asarray(node.bias.constant), np.float32([0, 3, 2]))
    assert 0 < relative_difference(graph, absorbed) < 0.3  # 0.13 % of the second channel are cut off
    quiet = {"x": np.clip(normal_inputs(graph)["x"], -1.9, 1.9)}
    assert relative_difference(graph, absorbed, quiet) < 1e-5


def test_normal_biases_within_three_deviations_stay() -> None:
    graph = normalized((0.0, 2.9, -5.0))
    assert absorb_normal_biases(graph) is graph


# Correction -----------------------------------------------------------------------------------------------------------


def network() -> Graph:
    b = Floats(20)
    x = b.relu(b.batch_norm(b.conv(b.input(1, 3, 8, 8), 8, 3)))
    x = b.relu(b.batch_norm(b.conv(x, 8, 3, group=8)))
    x = b.named(ops.AveragePool(x, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False, False))
    return graph_of(b.gemm(b.named(ops.Reshape(x, (1, 8 * 16))), 5))


def weights_of(graph: Graph) -> dict[str, Array]:
    return {layer.name: layer.weights for layer in layers(rounded(graph, 3))}


def test_corrected_biases_keep_the_mean_of_each_layer() -> None:
    """With the rows' own mean, borders included, the mean of W' x + b' over the samples is that of W x + b."""
    graph = fold_batch_norm(network())
    data, weights = data_of(graph), weights_of(graph)
    biases = corrected_biases(graph, weights, input_means(graph, data))
    assert set(biases) == {layer.name for layer in layers(graph)}
    for layer in layers(graph):
        rows = np.concatenate(
            [layer.rows(evaluate_values(graph, normal_inputs(graph, seed))[layer.x]) for seed in range(4)], axis=1
        ).astype(np.float64)
        mean, rounded_mean = (
            np.einsum("grk,gok->go", rows, layer.matrix(w)).reshape(-1) / rows.shape[1]
            for w in (layer.weights, weights[layer.name])
        )
        assert layer.bias is not None
        expected = mean + np.asarray(layer.bias.constant)
        np.testing.assert_allclose(rounded_mean + biases[layer.name], expected, rtol=1e-4, atol=1e-4)


def test_correction_lowers_the_error() -> None:
    graph = fold_batch_norm(network())
    plain = rounded(graph, 3)
    biases = corrected_biases(graph, weights_of(graph), input_means(graph, data_of(graph)))
    fixed = with_biases(plain, {layer.name: biases[one.name] for layer, one in zip(layers(plain), layers(graph))})  # noqa: B905

    def errors(one: Graph) -> float:
        inputs = [normal_inputs(graph, seed) for seed in range(10, 20)]
        return float(np.mean([np.square(evaluate(one, x)["y"] - evaluate(graph, x)["y"]).sum() for x in inputs]))

    assert errors(fixed) < 0.7 * errors(plain)


def test_sequential_correction_keeps_the_mean_of_the_rounded_network() -> None:
    """Every layer of the rounded network, fed by the rounded ones before it, has the mean of the float layer."""
    b = Floats(24)
    x = b.relu(b.conv(b.input(1, 3, 6, 6), 6, 3))
    y = b.add(b.conv(b.relu(b.conv(x, 6, 3, group=6)), 6), b.conv(x, 6))
    graph = graph_of(b.conv(b.relu(y), 4))
    plain = rounded(graph, 3)
    biases = sequential_biases(graph, weights_of(graph), data_of(graph))
    assert set(biases) == {layer.name for layer in layers(graph)}
    fixed = with_biases(plain, biases)
    expected, found, before = (layer_means(one) for one in (graph, fixed, plain))
    for name, mean in expected.items():
        np.testing.assert_allclose(found[name], mean, rtol=1e-3, atol=1e-3)
    assert max(float(np.abs(before[name] - mean).max()) for name, mean in expected.items()) > 0.05


def layer_means(graph: Graph) -> dict[str, Array]:
    """[channels] the mean of what each layer makes of the samples."""
    values = [evaluate_values(graph, normal_inputs(graph, seed)) for seed in range(4)]
    return {
        layer.name: np.mean([found[layer.node.out] for found in values], axis=(0, 1, 3, 4)) for layer in layers(graph)
    }


def test_biases_behind_products_of_higher_rank_are_added() -> None:
    b = Floats(21)
    x = b.named(ops.MatMul(b.input(2, 3, 4), b.weights(4, 6)))
    x = b.relu(b.add(x, b.vector(6)))
    graph = graph_of(b.named(ops.MatMul(x, b.weights(6, 5))))
    first, second = layers(graph)
    found = with_biases(graph, {first.name: np.float32([1, 2, 3, 4, 5, 6]), second.name: np.ones(5, np.float32)})
    assert operations(found) == ["MatMul", "Add", "Unary", "MatMul", "Add"]
    inputs = normal_inputs(graph)
    before, after = evaluate_values(graph, inputs), evaluate_values(found, inputs)
    sums = [one.operations()[1].out for one in (graph, found)]
    np.testing.assert_allclose(after[sums[1]], before[sums[0]] + np.float32([1, 2, 3, 4, 5, 6]), rtol=1e-5, atol=1e-5)


def test_a_gemm_keeps_its_factors() -> None:
    b = Floats(22)
    node = ops.Gemm(b.input(3, 4), b.weights(4, 5), b.vector(5), 0.5, 2.0, False, False, sources=("gemm",))
    graph = graph_of(node.out)
    weights = {"gemm": np.zeros((4, 5), np.float32)}
    data = data_of(graph)
    biases = corrected_biases(graph, weights, input_means(graph, data))
    outputs = [evaluate(graph, normal_inputs(graph, seed))["y"] for seed in range(4)]
    np.testing.assert_allclose(biases["gemm"], np.mean(outputs, axis=(0, 1)), rtol=1e-5, atol=1e-5)


def test_names_and_shapes_that_do_not_fit_are_refused() -> None:
    graph = fold_batch_norm(network())
    name = layers(graph)[0].name
    means = input_means(graph, data_of(graph))
    with pytest.raises(GraphError, match="no layer 'conv9'; its layers are conv1"):
        corrected_biases(graph, {"conv9": np.zeros(1)}, means)
    with pytest.raises(GraphError, match=r"rounded weights of 'conv1 \+ batch.*' are \(1,\)"):
        corrected_biases(graph, {name: np.zeros(1)}, means)
    with pytest.raises(GraphError, match=r"input mean of .* is \(2, 2\); \(1, 27\)"):
        corrected_biases(graph, {name: layers(graph)[0].weights}, {name: np.zeros((2, 2))})


def test_row_means_do_not_depend_on_who_saw_what() -> None:
    graph = fold_batch_norm(network())
    layer = layers(graph)[1]
    arrays = [np.random.default_rng(seed).normal(size=layer.x.type.shape).astype(np.float32) for seed in range(5)]
    alone, first, second = (RowMeans(layer) for _ in range(3))
    for k, array in enumerate(arrays):
        alone.update(array)
        (first if k < 2 else second).update(array)
    kept = second.fresh()
    kept.restore(second.state())
    first.merge(kept)
    np.testing.assert_allclose(first.mean, alone.mean, rtol=1e-12)
    with pytest.raises(NumericsError, match="no samples reached the layer 'conv4"):
        second.fresh().mean  # noqa: B018
    with pytest.raises(NumericsError, match="NaN or infinite"):
        second.update(np.full(layer.x.type.shape, np.nan, np.float32))


# Means without samples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(0.0, math.inf), (0.0, 6.0), (-1.0, 1.0), (-math.inf, 0.5)])
def test_moments_of_clipped_normal_variables(low: float, high: float) -> None:
    mean, deviation = np.array([0.0, 1.5, -2.0, 7.0]), np.array([1.0, 0.5, 3.0, 2.0])
    samples = np.clip(np.random.default_rng(0).normal(mean, deviation, (400_000, 4)), low, high)
    found = clipped(Normal(mean, deviation**2), low, high)
    np.testing.assert_allclose(found.mean, samples.mean(0), atol=0.02)
    np.testing.assert_allclose(found.variance, samples.var(0), atol=0.03)


def test_a_constant_channel_is_cut_off_where_it_lies() -> None:
    found = clipped(Normal(np.array([-1.0, 2.0]), np.zeros(2)), 0.0, np.inf)
    np.testing.assert_allclose(found.mean, [0, 2], atol=1e-9)
    np.testing.assert_allclose(found.variance, [0, 0], atol=1e-9)


def test_normal_means_are_near_those_of_normal_samples() -> None:
    b = Floats(23)
    x = b.input(1, 6, 32, 32)
    ones, zeros = floats(np.ones(6)), floats(np.zeros(6))
    shift = b.vector(6, -1, 2)
    x = b.named(ops.BatchNormalization(x, b.vector(6, 0.5, 2), shift, zeros, ones, 0.0))
    x = b.concat(b.relu(x), b.clip(x, 0.0, 1.0))
    graph = graph_of(b.conv(x, 4))
    expected = input_means(graph, data_of(graph))
    found = normal_input_means(graph)
    assert expected.keys() == found.keys()
    for name, mean in expected.items():
        np.testing.assert_allclose(found[name], mean, atol=0.05)


def test_normal_means_follow_the_scales_of_an_equalized_network() -> None:
    graph = network()
    folded = fold_batch_norm(graph)
    equal = equalize_layers(disturbed(folded))
    plain, scaled = normal_input_means(graph, folded), normal_input_means(graph, equal)
    assert plain.keys() == scaled.keys()
    assert len(plain) == 1  # what the first reads is not known, nor what the last does: 4x4 places are not one
    for layer, other in zip(layers(folded), layers(equal), strict=True):
        if layer.name in plain:
            sums = [
                np.einsum("gok,gk->go", one.matrix().astype(np.float64), means[one.name]).reshape(-1)
                for one, means in ((layer, plain), (other, scaled))
            ]
            shares = sums[0] / sums[1]
            assert layer.bias is not None
            assert other.bias is not None
            np.testing.assert_allclose(
                shares, np.asarray(layer.bias.constant) / np.asarray(other.bias.constant), rtol=1e-3
            )
