"""Scaling channels keeps the float network and evens out the ranges of weights; what cannot be scaled stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.dtype import INT4, UINT8
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate, evaluate_values
from subbyte.compiler.ir.layers import Layer, layers, value_names
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.plan import ActivationGrid, Plan, QuantizedWeights
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.pipeline import quantized
from subbyte.passes.equalization.scaled import channel_scales
from subbyte.passes.equalize_concat import equalize_concat
from subbyte.passes.equalize_layers import equalize_layers
from subbyte.passes.fold_batch_norm import fold_batch_norm
from subbyte.passes.insert_quantizers import insert_quantizers
from subbyte.passes.precision.points import quantization_points
from subbyte.passes.relax_clips import relax_clips
from subbyte.passes.split_clips import split_clips
from tests.passes.builders import floats, graph_of, operations
from tests.passes.float_builders import (
    Floats,
    disturbed,
    normal_inputs,
    random_network,
    relative_difference,
    rounding_error,
    tolerance,
)


def chain() -> Graph:
    b = Floats(1)
    x = b.relu(b.conv(b.input(1, 3, 8, 8), 8, 3))
    return graph_of(b.conv(x, 4))


def depthwise() -> Graph:
    b = Floats(2)
    x = b.relu(b.conv(b.input(1, 3, 8, 8), 8))
    x = b.relu(b.conv(x, 16, 3, group=8, stride=2))
    return graph_of(b.conv(x, 4))


def residual() -> Graph:
    b = Floats(3)
    x = b.relu(b.conv(b.input(1, 3, 8, 8), 8, 3))
    for _ in range(2):
        x = b.relu(b.add(x, b.conv(b.relu(b.conv(x, 8, 3)), 8, 3)))
    return graph_of(b.conv(x, 4))


def concat() -> Graph:
    b = Floats(4)
    x = b.relu(b.conv(b.input(1, 3, 8, 8), 6))
    y = b.concat(b.relu(b.conv(x, 4, 3)), x, b.conv(x, 5))
    return graph_of(b.conv(b.relu(y), 4))


def flattened() -> Graph:
    b = Floats(5)
    x = b.relu(b.conv(b.input(2, 3, 8, 8), 6, 3))
    x = b.named(ops.MaxPool(x, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False))
    x = b.named(ops.Reshape(x, (2, 6 * 16)))
    return graph_of(b.gemm(b.relu(b.gemm(x, 7)), 4))


def pooled() -> Graph:
    b = Floats(6)
    x = b.named(ops.Unary(b.conv(b.input(2, 3, 8, 8), 6, 3), "LeakyRelu", (0.1,)))
    x = b.named(ops.AveragePool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False, True))
    x = b.named(ops.PRelu(b.conv(x, 6, 3), floats(b.random.uniform(0, 1, (6, 1, 1)))))
    x = b.named(ops.ReduceMean(x, (2, 3), False))
    return graph_of(b.gemm(x, 4))


def shuffled() -> Graph:
    """ShuffleNet's: channels of groups change places, half of them are split off, padded and resized."""
    b = Floats(7)
    x = b.relu(b.conv(b.input(1, 4, 6, 6), 8, 3, group=2))
    x = b.named(ops.Reshape(x, (1, 2, 4, 6, 6)))
    x = b.named(ops.Reshape(b.named(ops.Transpose(x, (0, 2, 1, 3, 4))), (1, 8, 6, 6)))
    pieces = ops.Split(x, 1, (3, 5), sources=("split",))
    left = b.named(ops.Pad(Value(pieces, 0), (0, 2, 1, 1, 0, 0, 0, 0), "constant", 0.0))
    right = b.named(ops.ResizeNearest(Value(pieces, 1), (1, 5, 7, 7), (1.0, 1.0, 7 / 6, 7 / 6), "asymmetric", "floor"))
    return graph_of(b.conv(b.concat(left, right), 6, group=2))


def transposed() -> Graph:
    b = Floats(8)
    x = b.relu(b.conv(b.input(1, 4, 5, 5), 6))
    w = b.weights(6, 2, 2, 2)
    x = b.named(ops.ConvTranspose(x, w, b.vector(4), (2, 2), (0, 0, 0, 0), (1, 1), 2, (0, 0)))
    return graph_of(b.conv(b.relu(x), 3))


def excited() -> Graph:
    """Squeeze and excite: features times a Sigmoid, which keeps its scale; the products inside are equalized."""
    b = Floats(9)
    x = b.relu(b.conv(b.input(1, 4, 5, 5), 6))
    gate = b.conv(b.relu(b.conv(b.named(ops.ReduceMean(x, (2, 3), True)), 3)), 6)
    x = b.named(ops.Mul(x, b.named(ops.Unary(gate, "Sigmoid"))))
    return graph_of(b.conv(x, 3))


def with_constants() -> Graph:
    b = Floats(10)
    x = b.named(ops.Mul(b.conv(b.input(1, 4, 5, 5), 6), floats(b.random.uniform(0.5, 2, (6, 1, 1)))))
    x = b.named(ops.Sub(floats(0.7), x))
    x = b.named(ops.Minimum(b.relu(x), floats(np.full((6, 1, 1), 1.5))))
    return graph_of(b.conv(x, 3))


def matrices() -> Graph:
    b = Floats(11)
    x = b.named(ops.MatMul(b.input(2, 5, 6), b.weights(6, 8)))
    x = b.relu(b.add(x, b.vector(8)))
    return graph_of(b.named(ops.MatMul(x, b.weights(8, 4))))


GRAPHS = [
    chain, depthwise, residual, concat, flattened, pooled, shuffled, transposed, excited, with_constants, matrices,
]  # fmt: skip


@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
def test_equalizing_keeps_the_function(make: Callable[[], Graph]) -> None:
    graph = disturbed(make())
    equal = equalize_layers(graph)
    assert equal is not graph
    assert operations(equal) == operations(graph)
    assert [node.sources for node in equal.operations()] == [node.sources for node in graph.operations()]
    assert relative_difference(graph, equal) < 1e-5
    assert equalize_layers(equal) is equal


@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
def test_equalizing_lowers_the_error_of_rounded_weights(make: Callable[[], Graph]) -> None:
    graph = disturbed(make())
    equal = equalize_layers(graph)
    errors = [[rounding_error(one, 4, seed) for seed in range(3)] for one in (graph, equal)]
    assert np.mean(errors[1]) < 0.5 * np.mean(errors[0])


def test_two_layers_get_the_geometric_mean_of_their_ranges() -> None:
    """Nagel et al. 2019, eq. 11: both ranges of a channel become sqrt(r1 * r2), but for a common factor."""
    graph = disturbed(chain())
    (first, second), (a, b) = layers(graph), layers(equalize_layers(graph))
    before = np.abs(first.weights).max(axis=(1, 2, 3)) * np.abs(second.weights).max(axis=(0, 2, 3))
    rows, columns = np.abs(a.weights).max(axis=(1, 2, 3)), np.abs(b.weights).max(axis=(0, 2, 3))
    np.testing.assert_allclose(rows * columns, before, rtol=1e-5)
    np.testing.assert_allclose(rows / columns, rows[0] / columns[0], rtol=1e-3)


def test_scales_are_told_from_the_weights() -> None:
    graph = residual()
    equal = disturbed(graph)
    inputs = normal_inputs(graph)
    plain, divided = evaluate_values(graph, inputs), evaluate_values(equal, inputs)
    scales = channel_scales(graph, equal)
    for one, other in zip(layers(graph), layers(equal), strict=True):
        scale = scales[one.name].reshape(1, -1, 1, 1)
        tolerance = 1e-5 * float(np.abs(plain[one.x]).max())
        np.testing.assert_allclose(divided[other.x] * scale, plain[one.x], rtol=0, atol=tolerance)


def test_zero_weights_and_single_channels_have_no_say() -> None:
    b = Floats(12)
    x = b.conv(b.input(1, 3, 4, 4), 4, bias=True)
    weights = np.array(x.node.operands[1].constant)
    weights[1] = 0
    x = b.relu(x.node.replace(w=floats(weights)).out)
    y = b.conv(x, 3)
    weights = np.array(y.node.operands[1].constant)
    weights[:, 2] = 0
    graph = graph_of(b.conv(b.relu(b.conv(y.node.replace(w=floats(weights)).out, 1)), 1))
    equal = equalize_layers(graph)
    assert all(np.isfinite(layer.weights).all() for layer in layers(equal))
    assert relative_difference(graph, equal) < 1e-5


def shared_weights() -> Graph:
    b = Floats(13)
    w = b.weights(4, 4, 1, 1)
    x = b.input(1, 4, 4, 4)
    for _ in range(2):
        x = b.relu(b.named(ops.Conv(x, w, None, (1, 1), (0, 0, 0, 0), (1, 1), 1)))
    return graph_of(x)


def shown_between() -> Graph:
    b = Floats(14)
    x = b.relu(b.conv(b.input(1, 3, 4, 4), 4))
    return graph_of(b.conv(x, 3), shown=x)


def limited() -> Graph:
    b = Floats(15)
    return graph_of(b.conv(b.clip(b.conv(b.input(1, 3, 4, 4), 4), 0.0, 2.0), 3))


def unfolded() -> Graph:
    b = Floats(16)
    return graph_of(b.conv(b.relu(b.batch_norm(b.conv(b.input(1, 3, 4, 4), 4))), 3))


def beside_the_input() -> Graph:
    b = Floats(17)
    x = b.input(1, 4, 4, 4)
    return graph_of(b.conv(b.add(x, b.conv(x, 4)), 3))


def curved() -> Graph:
    b = Floats(18)
    return graph_of(b.conv(b.named(ops.Unary(b.conv(b.input(1, 3, 4, 4), 4), "Sigmoid")), 3))


def one_limit() -> Graph:
    b = Floats(19)
    x = b.named(ops.Minimum(b.conv(b.input(1, 3, 4, 4), 4), floats(1.5)))
    return graph_of(b.conv(x, 3))


def padded_with_ones() -> Graph:
    b = Floats(20)
    x = b.named(ops.Pad(b.conv(b.input(1, 3, 4, 4), 4), (0, 0, 1, 1, 0, 0, 1, 1), "constant", 1.0))
    return graph_of(b.conv(x, 3))


@pytest.mark.parametrize(
    "make",
    [shared_weights, shown_between, limited, unfolded, beside_the_input, curved, one_limit, padded_with_ones],
    ids=lambda make: make.__name__,
)
def test_what_cannot_be_scaled_stays(make: Callable[[], Graph]) -> None:
    graph = make()
    assert equalize_layers(graph) is graph


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_keep_their_function(seed: int) -> None:
    graph = disturbed(split_clips(random_network(seed)), seed)
    assert relative_difference(graph, equalize_layers(graph)) < tolerance(graph)


# Real models ----------------------------------------------------------------------------------------------------------


def test_the_digits_network_keeps_its_function(digits: Path) -> None:
    graph = fold_batch_norm(import_model(str(digits / "digits_resnet.onnx")))
    equal = equalize_layers(graph)
    assert relative_difference(graph, equal) < 1e-5
    assert unevenness(equal) < unevenness(graph)


def test_keyword_spotting_keeps_its_function(shared_models: Path) -> None:
    graph = fold_batch_norm(import_model(str(shared_models / "kws_float.onnx"), dims={"batch": 4}))
    equal = equalize_layers(graph)
    assert relative_difference(graph, equal) < 1e-5
    assert unevenness(equal) < 0.6 * unevenness(graph)


def unevenness(graph: Graph) -> float:
    """The mean over layers of log (largest / median range of an output channel)."""
    ranges = [np.abs(layer.matrix()).max(axis=2).reshape(-1) for layer in layers(graph)]
    return float(np.mean([np.log(r.max() / np.median(r)) for r in ranges]))


# Limits ---------------------------------------------------------------------------------------------------------------


def relu6() -> Graph:
    """Channels of different size, and weights that meet the small ones large."""
    b = Floats(21)
    x = b.conv(b.input(1, 3, 8, 8), 8, 3)
    sizes = np.exp(np.linspace(-3, 0, 8)).reshape(-1, 1, 1, 1)
    x = b.clip(x.node.replace(w=floats(np.asarray(x.node.operands[1].constant) * sizes)).out, 0.0, 6.0)
    y = b.conv(x, 4)
    return graph_of(y.node.replace(w=floats(np.asarray(y.node.operands[1].constant) / sizes.reshape(1, -1, 1, 1))).out)


def data_of(graph: Graph, count: int = 3) -> Data:
    samples = [normal_inputs(graph, seed) for seed in range(count)]
    return Data({name: np.stack([sample[name] for sample in samples]) for name in samples[0]}, executor="interpreter")


def test_split_clips_is_exact_and_lets_scales_pass() -> None:
    graph = relu6()
    split = split_clips(graph)
    assert operations(split) == ["Conv", "Unary", "Minimum", "Conv"]
    assert relative_difference(graph, split) == 0
    equal = equalize_layers(split)
    assert relative_difference(graph, equal) < 1e-5
    assert rounding_error(equal) < rounding_error(graph)


def test_what_splitting_and_equalizing_makes_compiles_to_integers() -> None:
    graph = equalize_layers(split_clips(relu6()))
    points, inputs = quantization_points(graph), normal_inputs(graph)
    seen, names = evaluate_values(graph, inputs, keep=points), value_names(graph)
    weights = {}
    for layer in layers(graph):
        scale = np.float32(np.abs(layer.weights).max() / 7)
        codes = np.rint(layer.weights / scale).astype(np.int8)
        weights[layer.name] = QuantizedWeights(codes, INT4, QuantParams(scale, np.int64(0), -7, 7))
    grids = {}
    for value in points:
        low, high = min(float(seen[value].min()), 0.0), float(seen[value].max())
        scale = np.float32((high - low) / 255)
        grids[names[value]] = ActivationGrid(UINT8, QuantParams(scale, np.int64(round(-low / float(scale))), 0, 255))
    compiled = quantized(insert_quantizers(Plan(weights, grids))(graph))
    assert operations(compiled) == ["QuantizeLinear", "QConv", "Lookup", "QConv", "DequantizeLinear"]
    expected = evaluate(graph, inputs)["y"]
    assert np.square(evaluate(compiled, inputs)["y"] - expected).sum() < 0.1 * np.square(expected).sum()


def test_a_clip_without_a_layer_before_it_is_not_split() -> None:
    b = Floats()
    graph = graph_of(b.clip(b.input(1, 3)))
    assert split_clips(graph) is graph


def test_relax_clips_takes_limits_away_that_no_sample_reaches() -> None:
    b = Floats(22)
    x = b.input(1, 3, 8, 8)
    values = [b.clip(x, 0.0, 100.0), b.clip(x, -100.0, 100.0), b.clip(x, -100.0, 0.5), b.clip(x, 0.0, 0.5)]
    graph = graph_of(*values)
    relaxed = relax_clips(graph, None, data_of(graph))
    found = [(output.value.node, output.value) for output in relaxed.outputs]
    assert isinstance(found[0][0], ops.Unary)
    assert found[0][0].function == "Relu"
    assert found[1][1] == x
    assert isinstance(found[2][0], ops.Unary)
    assert found[2][0].parameters == (-np.inf, 0.5)
    assert found[3][0] is values[3].node
    assert relative_difference(graph, relaxed, normal_inputs(graph, 1)) == 0


def test_no_clips_need_no_samples() -> None:
    graph = chain()
    assert relax_clips.function(graph, None) is graph


# Concat ---------------------------------------------------------------------------------------------------------------


def branches(factors: tuple[float, ...]) -> Graph:
    b = Floats(23)
    x = b.input(1, 3, 8, 8)
    values = []
    for factor in factors:
        y = b.conv(x, 4, 3)
        values.append(b.relu(Layer("", y.node).with_parameters(np.asarray(y.node.operands[1].constant) * factor).out))  # type: ignore[arg-type]
    return graph_of(b.conv(b.concat(*values), 5))


def test_operands_of_concat_get_one_range() -> None:
    graph = branches((1.0, 0.01, 30.0))
    data = data_of(graph)
    equal = equalize_concat(graph, None, data)
    assert relative_difference(graph, equal) < 1e-5
    (node,) = (node for node in equal.operations() if isinstance(node, ops.Concat))
    seen = [evaluate_values(equal, normal_inputs(graph, seed)) for seed in range(3)]
    largest = [max(float(np.abs(values[value]).max()) for values in seen) for value in node.values]
    np.testing.assert_allclose(largest, largest[0], rtol=1e-3)
    assert equalize_concat(equal, None, data) is equal


def test_operands_that_cannot_be_scaled_set_the_range() -> None:
    b = Floats(24)
    x = b.input(1, 3, 8, 8)
    small = b.conv(x, 4)
    y = b.concat(b.relu(small), x)
    graph = graph_of(b.conv(y, 5))
    equal = equalize_concat(graph, None, data_of(graph))
    assert relative_difference(graph, equal) < 1e-5
    (node,) = (node for node in equal.operations() if isinstance(node, ops.Concat))
    seen = [evaluate_values(equal, normal_inputs(graph, seed)) for seed in range(3)]
    largest = [max(float(np.abs(values[value]).max()) for values in seen) for value in node.values]
    assert largest[0] == pytest.approx(largest[1], rel=1e-3)


def test_concats_of_inputs_stay() -> None:
    b = Floats(25)
    graph = graph_of(b.conv(b.concat(b.input(1, 3, 4, 4), b.input(1, 2, 4, 4, name="z")), 4))
    assert equalize_concat.function(graph, None) is graph
