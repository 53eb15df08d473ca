"""The networks that benchmarks build: integer throughout, the same bytes each time, and no constant outputs."""

from __future__ import annotations

import numpy as np
import pytest

import subbyte
from benchmarks.topologies.build import build
from benchmarks.topologies.precision import PRECISIONS, weight_codes, weight_grid
from subbyte.compiler.explain import explain
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import quantized

SMALL = [
    ("mobilenet_v2", "w4a4", 32),
    ("mobilenet_v1", "w8a8", 32),
    ("tiny_yolo", "w2a2", 32),
    ("mini_lm", "w4a8", 8),
    ("autoencoder", "w1a1", 640),
    ("autoencoder", "w8a8", 640),
]


@pytest.mark.parametrize(("topology", "precision", "resolution"), SMALL)
def test_a_network_is_integer_and_varies(topology: str, precision: str, resolution: int) -> None:
    built = build(topology, precision, resolution)
    graph = quantized(built.model)
    account = explain(graph).as_dict()
    assert account["integer_macs"] == account["macs"] > 0
    assert all(array.std() > 1e-3 for array in evaluate(graph, built.inputs).values())


@pytest.mark.parametrize("target", ["portable", "native"])
@pytest.mark.parametrize(("topology", "precision", "resolution"), SMALL[:2] + SMALL[3:5])
def test_compiled_code_equals_the_interpreter(topology: str, precision: str, resolution: int, target: str) -> None:
    built = build(topology, precision, resolution)
    found = subbyte.compile(built.model, target=target).run(built.inputs)
    for name, expected in subbyte.evaluate(built.model, built.inputs).items():
        assert found[name].tobytes() == expected.tobytes()


def test_the_same_arguments_give_the_same_bytes() -> None:
    first, second = (build("autoencoder", "w3a3").model.SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("bits", sorted({p.weight_bits for p in PRECISIONS.values() if p.weight_bits}))
def test_weights_use_the_codes_that_they_have(bits: int) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 500)).astype(np.float32)
    grid = weight_grid(weights, bits)
    codes = weight_codes(weights, grid, bits)
    expected = {1: [-1, 1], 2: [-1, 0, 1]}.get(bits, list(range(grid.low, grid.high + 1)))
    assert set(np.unique(codes).tolist()) <= set(expected)
    assert np.abs(codes.astype(int)).max() == expected[-1]
    assert np.abs(codes * grid.scale[:, None] - weights).mean() < np.abs(weights).mean()
