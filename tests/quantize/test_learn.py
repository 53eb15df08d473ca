"""compiler/quantize/learn.py: learned codes answer more like the float network than those they start from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT8, DType
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.plan import ActivationGrid, Plan, QuantizedWeights
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.quantize.learn import Learned, learn
from subbyte.passes.bias_correction.corrected import with_biases

pytest.importorskip("torch", reason="learned rounding is torch's")
RANDOM = np.random.default_rng(1)
SAMPLES = (RANDOM.standard_normal((96, 3)) @ RANDOM.standard_normal((3, 12))).astype(
    np.float32
)  # as images, correlated


def network() -> Graph:
    """Two dense layers with a Relu between them, and five classes."""
    random = np.random.default_rng(0)
    x = Input("x", TensorType(FLOAT32, (1, 12)))

    def dense(of: Any, inputs: int, outputs: int, name: str) -> ops.Gemm:
        w = Constant.of(random.standard_normal((outputs, inputs)).astype(np.float32) / np.float32(inputs**0.5))
        b = Constant.of(random.standard_normal(outputs).astype(np.float32))
        return ops.Gemm(of, w.out, b.out, 1.0, 1.0, False, True, sources=(name,), tensor=f"{name}_y")

    hidden = ops.Unary(dense(x.out, 12, 24, "first").out, "Relu", tensor="hidden")
    logits = dense(hidden.out, 24, 5, "second")
    return Graph("dense", (x,), (Output("logits", logits.out),))


def start(graph: Graph, bits: int) -> Plan:
    """Nearest codes, scales per output channel; 8-bit activations."""
    weights = {}
    for layer in layers(graph):
        largest = np.abs(layer.weights).max(axis=1)
        low, high = (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        scale = np.abs(layer.weights).mean(axis=1) if bits == 1 else largest / (2 ** (bits - 1))
        codes = np.clip(np.rint(layer.weights / scale[:, np.newaxis]), low, high)
        codes = np.where(layer.weights >= 0, 1, -1) if bits == 1 else codes
        quant = QuantParams(scale.astype(np.float32), np.zeros(len(scale), np.int64), low, high, axis=0)
        weights[layer.name] = QuantizedWeights(codes, BIPOLAR if bits == 1 else DType("int", bits), quant)
    eight = ActivationGrid(INT8, QuantParams(np.float32(0.03), np.int64(0), -128, 127))
    return Plan(weights, {"x": eight, "hidden": eight})


def divergence(graph: Graph, plan: Plan, biases: Any) -> float:
    """Mean Kullback-Leibler divergence of the classes with the weights of `plan` from those of `graph`."""
    weights = {layer.w: Constant.of(plan.weights[layer.name].values().astype(np.float32)) for layer in layers(graph)}
    rounded = rewrite(graph, lambda node, _: weights.get(node.out) if isinstance(node, Constant) else None)
    logits = [
        np.concatenate([evaluate(g, {"x": x[np.newaxis]})["logits"] for x in SAMPLES])
        for g in (graph, with_biases(rounded, biases))
    ]
    expected, found = (np.exp(y) / np.exp(y).sum(axis=1, keepdims=True) for y in logits)
    return float(np.mean(np.sum(expected * np.log(expected / found), axis=1)))


def learned(bits: int, seed: int = 0, steps: int = 150) -> Learned:
    graph = network()
    return learn(graph, start(graph, bits), {"x": SAMPLES}, steps=steps, seed=seed)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_learning_lowers_the_error(bits: int) -> None:
    graph, result = network(), learned(bits)
    assert divergence(graph, result.plan, result.biases) < 0.5 * divergence(graph, start(graph, bits), {})
    assert result.after < 0.7 * result.before
    assert set(result.biases) == {"first", "second"}


def test_what_is_not_better_is_not_kept() -> None:
    """One step at 8 bits only adds the noise of the gradients."""
    graph = network()
    plan = start(graph, 8)
    result = learn(graph, plan, {"x": SAMPLES}, steps=1, seed=0)
    assert result.after <= result.before
    assert (result.plan is plan) == (result.after == result.before)


def test_codes_stay_in_their_range_and_scales_above_zero() -> None:
    for weights in learned(2).plan.weights.values():  # QuantizedWeights and QuantParams refuse others
        assert weights.codes.min() >= -2
        assert weights.codes.max() <= 1
        assert (weights.quant.static()[0] > 0).all()


def test_the_same_seed_learns_the_same() -> None:
    one, two, other = learned(2, steps=5), learned(2, steps=5), learned(2, seed=1, steps=5)
    assert one.losses == two.losses != other.losses
    for name, weights in one.plan.weights.items():
        assert np.array_equal(weights.codes, two.plan.weights[name].codes)


def test_progress_counts_the_steps() -> None:
    graph, seen = network(), []
    learn(graph, start(graph, 4), {"x": SAMPLES}, steps=3, seed=0, progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_one_sample_is_enough_to_learn_from() -> None:
    graph = network()
    result = learn(graph, start(graph, 4), {"x": SAMPLES[:1]}, steps=5, seed=0)
    assert np.isfinite(result.losses).all()


def test_blocks_are_refused() -> None:
    graph = network()
    plan = start(graph, 4)
    scale = np.full((24, 3), 0.1, np.float32)
    codes = plan.weights["first"].codes
    blocks = QuantParams(scale, np.zeros((24, 3), np.int64), -8, 7, axis=1, block=4)
    changed = Plan({"first": QuantizedWeights(codes, DType("int", 4), blocks)}, {})
    with pytest.raises(UnsupportedError, match="the weights of 'first' are in blocks"):
        learn(graph, changed, {"x": SAMPLES}, steps=1, seed=0)
