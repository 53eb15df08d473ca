"""Without data: ranges and inputs from what BatchNormalizations say."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.data_free import clipped, data_free_ranges, normal, spreads_of, unknown_values
from subbyte.compiler.calibration.distilled import distilled_inputs, statistics_distance
from subbyte.compiler.calibration.observers import MinMax
from subbyte.compiler.calibration.ranges import activation_grid
from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.layers import value_names
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]
BIAS, SCALE = np.array([1.0, -2.0, 0.5]), np.array([2.0, -0.5, 0.0])


def constant(values: Any) -> Value:
    return Constant.of(np.asarray(values), FLOAT32).out


def normalized(x: Value) -> Value:
    return ops.BatchNormalization(
        x, constant(SCALE), constant(BIAS), constant(np.zeros(3)), constant(np.ones(3)), 0.0
    ).out


def graph_of(build: Callable[[Value], Node], channels: int = 3) -> Graph:
    """What `build` makes of a batch normalization of the input."""
    x = Input("x", TensorType(FLOAT32, (1, channels, 4, 4)))
    return Graph("network", (x,), (Output("y", build(normalized(x.out)).out),))


def range_of(build: Callable[[Value], Node], deviations: float = 6.0) -> tuple[Array, Array]:
    graph = graph_of(build)
    found = data_free_ranges(graph, deviations=deviations)[graph.outputs[0].value]
    return found.low, found.high


@pytest.mark.parametrize("mean", [-3.0, -0.2, 0.0, 1.5])
@pytest.mark.parametrize("deviation", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("bounds", [(0.0, math.inf), (0.0, 6.0), (-1.0, 1.0), (-math.inf, 0.5)])
def test_moments_of_a_clipped_normal(mean: float, deviation: float, bounds: tuple[float, float]) -> None:
    """Against the same normal, clipped at 200,001 points of equal probability."""
    points = np.linspace(-8, 8, 200001)
    weights = np.exp(-0.5 * points**2)
    weights /= weights.sum()
    values = np.clip(mean + deviation * points, *bounds)
    expected = (values * weights).sum()
    found = clipped(normal(np.array([mean]), np.array([deviation])), *bounds)
    assert found.mean[0] == pytest.approx(expected, abs=1e-6)
    assert found.deviation[0] == pytest.approx(math.sqrt((np.square(values - expected) * weights).sum()), abs=1e-5)


def test_ranges_behind_a_normalization() -> None:
    low, high = range_of(lambda x: x.node)
    assert np.allclose(low, BIAS - 6 * np.abs(SCALE))
    assert np.allclose(high, BIAS + 6 * np.abs(SCALE))
    low, high = range_of(lambda x: ops.Unary(x, "Relu"), deviations=4)
    assert np.allclose(low, [0, 0, 0.5])
    assert np.allclose(high, [9, 0, 0.5])
    low, high = range_of(lambda x: ops.Unary(x, "Clip", (0.0, 6.0)))
    assert np.allclose(high, [6, 1, 0.5])


def test_ranges_pass_through_sums_pools_and_concatenation() -> None:
    low, high = range_of(lambda x: ops.Add(x, constant(np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1))))
    assert np.allclose(high, BIAS + [1, 2, 3] + 6 * np.abs(SCALE))
    low, high = range_of(lambda x: ops.Add(ops.Unary(x, "Relu").out, ops.Unary(x, "Relu").out))
    assert (low >= 0).all()
    assert high[0] > 6
    low, high = range_of(lambda x: ops.MaxPool(ops.Unary(x, "Relu").out, (2, 2), (2, 2), (0,) * 4, (1, 1), False))
    assert np.allclose(high, [13, 1, 0.5])
    low, high = range_of(lambda x: ops.Concat((x, ops.Unary(x, "Relu").out), 1))
    assert np.allclose(low, [*(BIAS - 6 * np.abs(SCALE)), 0, 0, 0.5])
    low, high = range_of(lambda x: ops.Reshape(x, (1, 48)))
    assert np.allclose(high, np.repeat(BIAS + 6 * np.abs(SCALE), 16))


def test_a_layer_sums_means_and_variances() -> None:
    weights = np.random.default_rng(0).normal(size=(2, 3, 3, 3))
    build = lambda x: ops.Conv(x, constant(weights), constant([5.0, 6.0]), (1, 1), (0,) * 4, (1, 1), 1)  # noqa: E731
    graph = graph_of(build)
    found = spreads_of(graph)[graph.outputs[0].value]
    assert np.allclose(found.mean, (weights.sum(axis=(2, 3)) * BIAS).sum(axis=1) + np.array([5, 6]), atol=1e-5)
    assert np.allclose(found.deviation**2, ((weights**2).sum(axis=(2, 3)) * SCALE**2).sum(axis=1), rtol=1e-5)


def test_what_passes_nothing_on_is_left_out() -> None:
    graph = graph_of(lambda x: ops.Unary(ops.Mul(x, x).out, "Relu"))
    found = data_free_ranges(graph)
    wanted = dict.fromkeys(value_names(graph))
    assert unknown_values(graph, found, wanted) == ["Mul", "Unary"]


def test_an_input_may_have_a_range() -> None:
    graph = graph_of(lambda x: ops.Unary(x, "Relu"))
    found = data_free_ranges(graph, inputs={"x": (-1.0, 3.0)})[graph.inputs[0].out]
    assert (float(found.low), float(found.high)) == (-1.0, 3.0)
    assert float(data_free_ranges(graph)[graph.inputs[0].out].high) == 6
    with pytest.raises(ModelError, match="no input 'z'"):
        data_free_ranges(graph, inputs={"z": (0.0, 1.0)})
    with pytest.raises(ModelError, match="the range 1 to 0 of an input is none"):
        data_free_ranges(graph, inputs={"x": (1.0, 0.0)})


def test_without_normalization_there_is_a_sentence(digits: Path) -> None:
    graph = import_model(digits / "digits_mlp.onnx")
    for ask in (lambda: data_free_ranges(graph), lambda: distilled_inputs(graph, 2)):
        with pytest.raises(ModelError, match=r"has no BatchNormalization.*give samples, or the model as it was before"):
            ask()


def test_distilled_inputs_are_for_one_input_of_one_sample() -> None:
    x = Input("x", TensorType(FLOAT32, (2, 3, 4, 4)))
    with pytest.raises(ModelError, match="distilled for one float32 input of one sample"):
        distilled_inputs(Graph("network", (x,), (Output("y", normalized(x.out)),)), 2)
    flat = Input("x", TensorType(FLOAT32, (1, 3)))
    with pytest.raises(UnsupportedError, match="a generator makes images"):
        distilled_inputs(Graph("network", (flat,), (Output("y", normalized(flat.out)),)), 2, latent=True)


def test_distilled_inputs_are_the_same_for_the_same_seed() -> None:
    graph = graph_of(lambda x: ops.Unary(x, "Relu"))
    one, again, other = (distilled_inputs(graph, 4, steps=5, seed=seed)["x"] for seed in (1, 1, 2))
    assert one.shape == (4, 3, 4, 4)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


# Keyword spotting: a real network with its normalizations -------------------------------------------------------------


def observed_ranges(graph: Graph, samples: Any, **options: Any) -> dict[Value, MinMax]:
    found = {value: MinMax() for value in value_names(graph) if not isinstance(value.node, Input)}
    Data(samples, **options).observe(graph, found)
    return found


def distance(found: dict[Value, MinMax], real: dict[Value, MinMax]) -> float:
    """How many octaves ranges are off, on average over the tensors."""
    octaves = [
        abs(math.log2(float(found[value].high.max() - found[value].low.min()) / float(one.high - one.low)))
        for value, one in real.items()
    ]
    return sum(octaves) / len(octaves)


@pytest.fixture(scope="module")
def keywords(shared_models: Path) -> tuple[Graph, dict[Value, MinMax]]:
    """The network, and the ranges that the samples to calibrate with have."""
    graph = import_model(shared_models / "kws_float.onnx", dims={"batch": 1})
    return graph, observed_ranges(graph, shared_models / "kws_float_labelled.npz", limit=200)


def noise(count: int) -> dict[str, Array]:
    return {"input": np.random.default_rng(0).normal(size=(count, 1, 49, 10)).astype(np.float32)}


def test_ranges_from_normalizations_are_nearer_than_those_of_noise(keywords: tuple[Graph, dict[Value, MinMax]]) -> None:
    graph, real = keywords
    free = data_free_ranges(graph)
    assert real.keys() <= free.keys()
    assert distance(free, real) < 1.0 < distance(observed_ranges(graph, noise(64)), real)
    for value in real:
        activation_grid(free[value], 8)


@pytest.mark.parametrize("latent", [False, True])
def test_distilled_inputs_are_nearer_than_noise(latent: bool, keywords: tuple[Graph, dict[Value, MinMax]]) -> None:
    graph, real = keywords
    distilled = distilled_inputs(graph, 16, steps=40, latent=latent)
    assert distilled["input"].shape == (16, 1, 49, 10)
    assert statistics_distance(graph, distilled) < 0.4 * statistics_distance(graph, noise(16))
    ranges = distance(observed_ranges(graph, distilled), real)
    assert ranges < 0.5 * distance(observed_ranges(graph, noise(16)), real)
