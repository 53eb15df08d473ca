"""Sensitivities of networks of two matrix products, whose Hessians are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.ir.layers import layers
from subbyte.compiler.sensitivity import SENSITIVITIES, Network
from subbyte.compiler.sensitivity.hessian import METHODS, traces
from subbyte.compiler.sensitivity.orthogonality import orthogonality
from subbyte.compiler.sensitivity.reading import Kind, Reading
from subbyte.compiler.sensitivity.relevance import relevance
from tests.sensitivity.networks import chain, normal

Array = NDArray[Any]
W1, W2 = normal(6, 5, seed=1), normal(5, 4, seed=2)
X = normal(20, 6, seed=3)


def _real(choices: Any = ((4, 32),), **options: Any) -> Network:
    """y = x W1 W2 with real outputs: loss = ||dy||^2 / (2 variance), its Hessian the same everywhere."""
    return Network(chain(W1, W2, columns=False), {"x": X}, choices, **options)


def _variance() -> float:
    y = (X @ W1 @ W2).astype(np.float64)
    return float(((y - y.mean(0)) ** 2).mean())


def _squares(a: Array) -> float:
    return float((a.astype(np.float64) ** 2).sum())


@pytest.mark.parametrize("method", METHODS)
def test_the_trace_converges_to_that_of_the_known_hessian(method: str) -> None:
    """d2 loss: E[x x^T] (x) W2 W2^T by W1, E[h h^T] (x) I by W2; W2 W2^T by what the second layer reads."""
    network = _real([(4, 4)], backend="torch")
    found = traces(network, probes=400 if method != "differences" else 100, method=method)
    mean_x, mean_h, variance = _squares(X) / 20, _squares(X @ W1) / 20, _variance()
    assert found.weights["/layer1"] == pytest.approx(mean_x * _squares(W2) / variance, rel=0.1)
    assert found.weights["/layer2"] == pytest.approx(mean_h * 4 / variance, rel=0.1)
    assert found.inputs["/layer1"] == pytest.approx(_squares(W1 @ W2) / variance, rel=0.1)
    assert found.inputs["/layer2"] == pytest.approx(_squares(W2) / variance, rel=0.1)


def test_more_probes_come_closer() -> None:
    want = _squares(X) / 20 * _squares(W2) / _variance()

    def error(probes: int) -> float:
        found = [traces(_real(), probes=probes, seed=seed, method="products").weights["/layer1"] for seed in range(16)]
        return float(np.mean(np.abs(np.array(found) - want)))

    assert error(32) < 0.5 * error(1)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "interpreter"])
def test_differences_are_the_products_of_the_same_probes(backend: str) -> None:
    """Classes behind a ReLU, so that the loss is no parabola: within 2 %."""
    graph = chain(W1, W2, relu=True)
    network = Network(graph, {"x": X[:6]}, [(4, 4)], backend=backend)
    by_products = traces(network, probes=4, seed=5, method="products")
    by_differences = traces(network, probes=4, seed=5, method="differences")
    for name in ("/layer1", "/layer2"):
        assert by_differences.weights[name] == pytest.approx(by_products.weights[name], rel=0.02)
        assert by_differences.inputs[name] == pytest.approx(by_products.inputs[name], rel=0.02)


def test_the_last_layers_fisher_information_is_the_variance_of_its_input_times_that_of_the_answer() -> None:
    """Logits z = h W: F of W_kc is E[h_k^2 p_c (1 - p_c)]."""
    network = Network(chain(W1, W2), {"x": X}, [(3, 32)])
    h = (X @ W1).astype(np.float64)
    p = np.exp(h @ W2) / np.exp(h @ W2).sum(1, keepdims=True)
    diagonal = np.einsum("nk,nc->kc", h**2, p * (1 - p)) / 20
    moved = network.weight_change(network.layers[1], 3)
    found = SENSITIVITIES["fisher"](network, draws=400)
    assert found["/layer2"][3, 32] == pytest.approx(0.5 * (diagonal * moved**2).sum(), rel=0.1)


def test_kl_of_the_last_layer_is_that_of_the_two_softmaxes() -> None:
    network = Network(chain(W1, W2), {"x": X}, [(2, 32)])
    h = (X @ W1).astype(np.float64)
    logits = [h @ W2, h @ (W2 + network.weight_change(network.layers[1], 2))]
    p, q = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in logits)
    want = (p * np.log(p / q)).sum() / 20
    assert SENSITIVITIES["kl"](network)["/layer2"][2, 32] == pytest.approx(want, rel=1e-4)


def test_mse_is_of_the_outputs_as_they_are() -> None:
    network = _real([(2, 32)])
    difference = X.astype(np.float64) @ W1 @ network.weight_change(network.layers[1], 2)
    assert SENSITIVITIES["mse"](network)["/layer2"][2, 32] == pytest.approx((difference**2).mean(), rel=1e-4)


def test_probabilities_are_read_as_the_logits_before_them() -> None:
    """A network that ends in Softmax is as sensitive as without it."""
    bare, behind = (Network(chain(W1, W2, softmax=s), {"x": X}, [(3, 4)]) for s in (False, True))
    for kind in ("kl", "fisher", "hessian", "pairs", "relevance"):
        a, b = SENSITIVITIES[kind](bare), SENSITIVITIES[kind](behind)
        for layer in a:
            assert a[layer][3, 4] == pytest.approx(b[layer][3, 4], rel=2e-3)


def test_pairs_are_the_off_diagonal_blocks_of_the_hessian() -> None:
    """dW_1^T H_12 dW_2 = E[(x dW_1 W_2) . (x W_1 dW_2)] / variance."""
    network = _real([(3, 32), (4, 32)])
    found = SENSITIVITIES["pairs"](network)
    first, second = layers(network.graph)
    for c in ((3, 32), (4, 32)):
        for d in ((3, 32), (4, 32)):
            a = X @ network.weight_change(first, c[0]) @ W2
            b = X @ W1 @ network.weight_change(second, d[0])
            want = float((a * b).sum()) / (20 * _variance())
            assert found.pairs["/layer1", "/layer2"][c, d] == pytest.approx(want, rel=1e-3, abs=1e-7)


def test_pairs_by_products_are_close_to_measured_pairs() -> None:
    """With 8 bits the outputs move little, and the loss is nearly a parabola."""
    graph = chain(W1, W2, relu=True)
    network = Network(graph, {"x": X}, [(8, 32), (7, 32)])
    by_outputs = SENSITIVITIES["pairs"](network)
    measured = SENSITIVITIES["pairs"](network, method="measured")
    assert by_outputs.losses == measured.losses
    scale = max(loss[7, 32] for loss in measured.losses.values())
    for key, want in measured.pairs["/layer1", "/layer2"].items():
        assert by_outputs.pairs["/layer1", "/layer2"][key] == pytest.approx(want, abs=0.05 * scale)


def test_orthogonality_is_linear_cka_without_centring() -> None:
    features = [X.astype(np.float64) @ W1, X.astype(np.float64) @ W1 @ W2]
    cross = np.linalg.norm(features[1].T @ features[0]) ** 2
    own = [np.linalg.norm(f.T @ f) for f in features]
    found = orthogonality(_real())
    assert found[0, 1] == pytest.approx(cross / (own[0] * own[1]), rel=1e-5)
    assert found[0, 0] == found[1, 1] == 1


def test_relevance_without_epsilon_is_gradient_times_input() -> None:
    """Of the largest logit z = sum_k h_k W_kc: its gradient by W_kc is h_k, so rounding displaces h_k dW_kc."""
    network = Network(chain(W1, W2, relu=True), {"x": X}, [(3, 32)])
    h = np.maximum(X @ W1, 0).astype(np.float64)
    best = (h @ W2).argmax(1)
    moved = network.weight_change(network.layers[1], 3)
    want = 0.5 * sum((h[n] ** 2 * moved[:, best[n]] ** 2).sum() for n in range(20)) / 20
    found = relevance(network, epsilon=0.0, draws=400)
    assert found["/layer2"][3, 32] == pytest.approx(want, rel=0.1)
    first = network.weight_change(network.layers[0], 3)
    gradients = [np.outer(X[n], (h[n] > 0) * W2[:, best[n]]) for n in range(20)]
    want = 0.5 * sum((g**2 * first**2).sum() for g in gradients) / 20
    assert found["/layer1"][3, 32] == pytest.approx(want, rel=0.1)


def test_relevance_by_alpha_beta_with_no_negative_term_is_the_epsilon_rule() -> None:
    graph = chain(np.abs(W1), np.abs(W2), relu=True)
    network = Network(graph, {"x": np.abs(X)}, [(3, 4)])
    by_epsilon = relevance(network, epsilon=0.0)
    by_alpha = relevance(network, rule="alpha_beta", alpha=1.0)
    for layer in by_epsilon:
        assert by_alpha[layer][3, 4] == pytest.approx(by_epsilon[layer][3, 4], rel=1e-4)


def test_readings_agree_on_what_small_changes_cost() -> None:
    """divergence ~ product / 2, for every kind of output."""
    random = np.random.default_rng(0)
    logits, step = random.normal(size=(7, 5)), 1e-3 * random.normal(size=(7, 5))

    def softmax(z: Array) -> Array:
        return np.asarray(np.exp(z) / np.exp(z).sum(1, keepdims=True))

    kinds = {
        Kind.LOGITS: lambda z: z,
        Kind.PROBABILITIES: softmax,
        Kind.LOG_PROBABILITIES: lambda z: np.log(softmax(z)),
        Kind.REAL: lambda z: z,
    }
    for kind, shown in kinds.items():
        reading = Reading(kind, variance=0.7)
        a, b = shown(logits), shown(logits + step)
        assert reading.divergence(a, b, 7) == pytest.approx(reading.product(a, b - a, b - a, 7) / 2, rel=1e-2)
