"""The table of reparameterizations: float results stay, and rounded ones get nearer to them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.float_networks import NETWORKS
from benchmarks.reparameterization import ROWS, Row, measure, rounded_weights, table, with_rounded_activations
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.pipeline import find_pass
from subbyte.passes.fold_batch_norm import fold_batch_norm


def test_every_row_names_a_network_and_passes() -> None:
    assert {row.network for row in ROWS} <= set(NETWORKS)
    assert all(find_pass(name) for row in ROWS for name in (*row.before, *row.passes))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_the_same_each_time(name: str) -> None:
    one, other = NETWORKS[name](), NETWORKS[name]()
    assert [str(node) for node in one.graph.nodes()] == [str(node) for node in other.graph.nodes()]
    for a, b in zip(layers(one.graph), layers(other.graph), strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
    expected, found = (evaluate(network.graph, network.judging) for network in (one, other))
    assert all(np.isfinite(expected[key]).all() and (expected[key] == found[key]).all() for key in expected)


def test_folded_mobilenets_are_uneven() -> None:
    graph = fold_batch_norm(NETWORKS["mobilenet_v2"]().graph)
    spread = [np.ptp(np.log10(np.abs(layer.matrix()).max(axis=2))) for layer in layers(graph)[:-1]]
    assert 1.0 < np.median(spread) < 3.0


@pytest.mark.parametrize(
    ("row", "least"),
    [
        (Row("mobilenet_v2", ("equalize_layers",)), 2.0),
        (Row("mobilenet_v2", (), ("fold_batch_norm", "equalize_layers"), bias="samples"), 2.0),
        (Row("mobilenet_v2", (), ("fold_batch_norm", "equalize_layers"), bias="normal"), 2.0),
        (Row("high_biases", ("absorb_biases",), weight_bits=8, activation_bits=4), 2.0),
        (Row("inception", ("equalize_concat",), weight_bits=8, activation_bits=4), 5.0),
    ],
    ids=lambda value: f"{value.network} {' '.join(value.passes)}{value.bias}" if isinstance(value, Row) else "",
)
def test_rounded_networks_lose_less(row: Row, least: float) -> None:
    result = measure(row, NETWORKS[row.network]())
    assert result.float_difference[0] < 1e-5
    assert result.without > least * result.with_passes
    assert table([result]).count("\n") == 2


def test_rounding_is_to_the_nearest_code() -> None:
    graph = fold_batch_norm(NETWORKS["linear_pairs"]().graph)
    for layer in layers(graph):
        w = rounded_weights(graph, 4)[layer.name]
        step = np.abs(layer.weights).max() / 7
        assert len(np.unique(w)) <= 15
        assert np.abs(w - layer.weights).max() <= step / 2 * 1.001


def test_rounded_activations_are_near_with_many_bits() -> None:
    network = NETWORKS["linear_pairs"]()
    graph = fold_batch_norm(network.graph)
    expected = evaluate(graph, network.calibration)["output"]
    errors = []
    for bits in (4, 8):
        rounded = with_rounded_activations(graph, network.calibration, bits)
        found = evaluate(rounded, network.calibration)["output"]
        errors.append(float(np.abs(found - expected).max()))
    assert errors[1] < errors[0] / 4 < np.abs(expected).max()
