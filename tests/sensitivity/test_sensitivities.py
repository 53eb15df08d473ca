"""Every sensitivity on real networks and on odd ones: rank order, seeds, back ends, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.sensitivity import SENSITIVITIES, Network, measure
from subbyte.compiler.sensitivity.agreement import spearman
from tests.sensitivity.networks import chain, constant, digits_network, normal

W1, W2 = normal(6, 5, seed=1), normal(5, 4, seed=2)
X = normal(8, 6, seed=3)
NEED_TORCH = ("fisher", "relevance")
# Of ranks of digits_resnet's layers at 2 and at 4 bits, 48 samples; ompq does not see what rounding does.
AT_LEAST = {"mse": 0.75, "hessian": 0.6, "fisher": 0.6, "relevance": 0.6, "pairs": 1.0}


class Bits(NamedTuple):
    weight_bits: int
    activation_bits: int


@pytest.mark.parametrize("bits", [2, 4])
def test_rank_order_of_layers_is_that_of_the_measured_loss(bits: int, digits: Path, record_property: Any) -> None:
    network = digits_network(digits, "digits_resnet", [(bits, 32)])
    measured = SENSITIVITIES["kl"](network)
    row = {"bits": str(bits)}
    for kind in SENSITIVITIES:
        found = SENSITIVITIES[kind](network)
        rho = spearman([of[bits, 32] for of in found.values()], [of[bits, 32] for of in measured.values()])
        row[kind] = f"{rho:.2f}"
        assert rho >= AT_LEAST.get(kind, -1.0), kind
    record_property("table: rank correlation with the measured loss, digits_resnet", row)


@pytest.mark.parametrize("kind", ["kl", "mse", "hessian", "fisher", "relevance", "pairs"])
def test_fewer_bits_cost_more(kind: str, digits: Path) -> None:
    network = digits_network(digits, "digits_mlp", [(2, 32), (4, 32), (8, 32), (32, 2), (32, 4), (32, 8)], samples=16)
    for losses in SENSITIVITIES[kind](network).values():
        assert losses[2, 32] > losses[4, 32] > losses[8, 32] >= 0
        assert losses[32, 2] > losses[32, 4] > losses[32, 8] >= 0


@pytest.mark.parametrize("kind", SENSITIVITIES)
def test_one_seed_gives_one_answer(kind: str) -> None:
    network = Network(chain(W1, W2, relu=True), {"x": X}, [(3, 4)])
    assert dict(SENSITIVITIES[kind](network, seed=7)) == dict(SENSITIVITIES[kind](network, seed=7))


@pytest.mark.parametrize("kind", ["hessian", "fisher", "relevance"])
def test_seeds_differ_by_sampling_alone(kind: str) -> None:
    network = Network(chain(W1, W2, relu=True), {"x": X}, [(3, 4)])
    first, second = (SENSITIVITIES[kind](network, seed=seed)["/layer1"][3, 4] for seed in (0, 1))
    assert first != second
    assert first == pytest.approx(second, rel=0.6)


@pytest.mark.parametrize("kind", ["kl", "mse", "ompq", "pairs"])
def test_back_ends_agree(kind: str) -> None:
    found = [
        SENSITIVITIES[kind](Network(chain(W1, W2, relu=True), {"x": X}, [(3, 4), (1, 1)], backend=backend))
        for backend in ("torch", "onnxruntime", "interpreter")
    ]
    for layer, losses in found[0].items():
        for choice, loss in losses.items():
            assert [other[layer][choice] for other in found[1:]] == pytest.approx([loss, loss], rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("kind", SENSITIVITIES)
def test_one_sample_is_enough(kind: str) -> None:
    network = Network(chain(W1, W2, relu=True), {"x": X[:1]}, [(3, 4), (32, 32)])
    for losses in SENSITIVITIES[kind](network).values():
        assert np.isfinite(losses[3, 4])
        assert losses[3, 4] >= 0
        if kind != "ompq":
            assert losses[32, 32] == 0


@pytest.mark.parametrize("kind", [kind for kind in SENSITIVITIES if kind != "ompq"])
def test_a_layer_of_zeros_loses_nothing(kind: str) -> None:
    """Rounding keeps 0; what stands before it reaches no output."""
    network = Network(chain(W1, W2 * 0, normal(4, 3), columns=True), {"x": X}, [(3, 32)])
    found = SENSITIVITIES[kind](network)
    assert found["/layer1"][3, 32] == pytest.approx(0, abs=1e-9)
    assert found["/layer2"][3, 32] == 0


def test_orthogonality_of_a_layer_of_zeros_is_finite() -> None:
    found = SENSITIVITIES["ompq"](Network(chain(W1, W2 * 0), {"x": X}, [(3, 32)]))
    assert all(np.isfinite(losses[3, 32]) for losses in found.values())


@pytest.mark.parametrize("kind", [kind for kind in SENSITIVITIES if kind != "ompq"])
def test_a_layer_that_no_output_depends_on_loses_nothing(kind: str) -> None:
    """Its product is multiplied by 0."""
    graph = chain(W1, W2)
    (x,), (output,) = graph.inputs, graph.outputs
    idle = ops.MatMul(x.out, constant(normal(6, 4)), sources=("/idle",))
    y = ops.Add(output.value, ops.Mul(idle.out, constant(0.0)).out)
    network = Network(Graph("idle", (x,), (Output("y", y.out),)), {"x": X}, [(3, 4)])
    found = SENSITIVITIES[kind](network)
    assert found["/idle"][3, 4] == pytest.approx(0, abs=1e-9)
    assert found["/layer1"][3, 4] > 0


@pytest.mark.parametrize("kind", ["kl", "mse", "pairs"])
def test_around_a_choice_losses_are_what_a_layers_own_choice_adds(kind: str) -> None:
    network = Network(chain(W1, W2, relu=True), {"x": X}, [(2, 4), (3, 4), (8, 32)])
    found = SENSITIVITIES[kind](network, around=(3, 4))
    base = dict.fromkeys(found, (3, 4))
    for layer, losses in found.items():
        assert losses[3, 4] == 0
        assert losses[8, 32] < 0 < losses[2, 4]
        assert losses == SENSITIVITIES[kind](network, around=base)[layer]
        if kind != "mse":
            whole = network.divergence(network.run(network.quantized({**base, layer: (2, 4)})))
            before = network.divergence(network.run(network.quantized(base)))
            assert losses[2, 4] == pytest.approx(whole - before)


def test_pairs_around_a_choice_foretell_the_loss_of_both_layers() -> None:
    """With real outputs the loss is a parabola, so that nothing is left but the product of both weights' changes."""
    network = Network(chain(W1, W2, columns=False), {"x": X}, [(4, 32), (5, 32)])
    found = SENSITIVITIES["pairs"](network, around=(4, 32))
    both = {"/layer1": (5, 32), "/layer2": (5, 32)}
    base = network.divergence(network.run(network.quantized(dict.fromkeys(both, (4, 32)))))
    alone = sum(found[layer][5, 32] for layer in both)
    together = alone + found.pairs["/layer1", "/layer2"][(5, 32), (5, 32)]
    measured = network.divergence(network.run(network.quantized(both))) - base
    assert abs(together - measured) < 0.3 * abs(alone - measured)


def test_activations_are_rounded_for_the_layer_alone() -> None:
    """Two layers read x: to round it for one leaves what the other computes."""
    graph = chain(W1)
    (x,) = graph.inputs
    other = ops.MatMul(x.out, constant(normal(6, 3, seed=9)), sources=("/other",))
    graph = Graph("two", (x,), (*graph.outputs, Output("z", other.out)))
    network = Network(graph, {"x": X}, [(32, 2)])
    y, z = network.run(network.quantized({"/other": (32, 2)}))
    assert np.array_equal(y, network.reference[0])
    assert not np.allclose(z, network.reference[1])


def test_the_caller_says_how_weights_and_activations_are_rounded() -> None:
    asked = []

    def round_weights(layer: Layer, bits: int) -> Any:
        asked.append((layer.name, bits))
        return layer.weights

    network = Network(chain(W1, W2), {"x": X}, {"/layer2": [(2, 32), (3, 32)]}, round_weights)
    found = SENSITIVITIES["kl"](network)
    assert asked == [("/layer2", 2), ("/layer2", 3)]
    assert {layer: dict(losses) for layer, losses in found.items()} == {"/layer2": {(2, 32): 0.0, (3, 32): 0.0}}


def test_choices_come_back_as_they_were_given() -> None:
    choices = [Bits(2, 8), Bits(4, 8)]
    for kind in SENSITIVITIES:
        found = SENSITIVITIES[kind](Network(chain(W1, W2), {"x": X}, choices))
        assert [list(losses) for losses in found.values()] == [choices, choices]
        assert all(type(choice) is Bits for choice in found["/layer1"])


def test_progress_ends_at_its_total() -> None:
    for kind in SENSITIVITIES:
        seen: list[tuple[int, int]] = []
        SENSITIVITIES[kind](
            Network(chain(W1, W2), {"x": X}, [(2, 8)], progress=lambda done, of, seen=seen: seen.append((done, of)))
        )
        assert seen[-1][0] == seen[-1][1], kind


def test_measure_takes_the_first_samples_of_the_data() -> None:
    graph = chain(W1, W2)
    found = measure(graph, Data({"x": X[:, np.newaxis]}), [(2, 8)], "kl", samples=3)
    assert found["/layer1"] == SENSITIVITIES["kl"](Network(graph, {"x": X[:3]}, [(2, 8)]))["/layer1"]


@pytest.mark.parametrize("kind", NEED_TORCH)
def test_without_torch_the_package_to_install_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(chain(W1, W2), {"x": X}, [(2, 8)], backend="interpreter")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match=r"torch is not installed, and this sensitivity needs gradients; `pip"):
        SENSITIVITIES[kind](network)


def test_without_torch_the_hessian_is_of_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    want = SENSITIVITIES["hessian"](Network(chain(W1, W2), {"x": X}, [(3, 8)]), method="differences")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    network = Network(chain(W1, W2), {"x": X}, [(3, 8)])
    assert network.runs_on == "interpreter"
    assert SENSITIVITIES["hessian"](network)["/layer1"][3, 8] == pytest.approx(want["/layer1"][3, 8], rel=1e-2)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"choices": [(0, 8)]}, r"choice \(0, 8\) has bits that are neither 1 to 16 nor 32"),
    ({"choices": ["W4A8"]}, "'W4A8' is no choice of bits"),
    ({"choices": []}, "there is no choice of bits for layer '/layer1'"),
    ({"choices": {}}, "there is no choice of bits for any layer"),
    ({"choices": {"/layer3": [(2, 8)]}}, "'/layer3' is no layer of graph 'chain'; layers are /layer1, /layer2"),
    ({"samples": {}}, r"input 'x' float32\[1, 6\] of graph 'chain' has no samples"),
    ({"samples": {"x": X[:0]}}, "there are no samples"),
    ({"samples": {"x": X[:, :5]}}, r"have shape \[8, 5\]; \[n \* extent, ...\] of float32\[1, 6\] is needed"),
    ({"backend": "tpu"}, "no back end 'tpu'; there are torch, onnxruntime, interpreter"),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Network(**{"graph": chain(W1, W2), "samples": {"x": X}, "choices": [(2, 8)], **changes})


def test_a_quantized_model_is_refused(digits: Path) -> None:
    with pytest.raises(ModelError, match="it is quantized already"):
        Network(import_model(digits / "digits_mlp_int8.onnx"), {}, [(2, 8)])


def test_outputs_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ModelError, match="output 'y' of the float network is NaN or infinite"):
        SENSITIVITIES["kl"](Network(chain(W1 * 1e30, W2 * 1e30), {"x": X * 1e5}, [(2, 32)]))


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("hessian", {"probes": 0}, "0 probes were asked for"),
        ("hessian", {"method": "guessing"}, "no method 'guessing'"),
        ("fisher", {"draws": 0}, "0 draws were asked for"),
        ("relevance", {"rule": "gamma"}, "no rule 'gamma'"),
        ("relevance", {"alpha": 0.5}, "alpha 1 or more"),
        ("relevance", {"draws": 0}, "0 draws were asked for"),
        ("pairs", {"method": "guessing"}, "no method 'guessing'"),
        ("pairs", {"method": "measured", "around": (4, 8)}, "leave out method='measured', or `around`"),
        ("kl", {"around": "W4"}, "'W4' is no choice of bits"),
        ("kl", {"around": {"/layer1": (4, 8)}}, "layer '/layer2' has no choice around which"),
    ],
)
def test_options_that_do_not_exist_are_refused(kind: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        SENSITIVITIES[kind](Network(chain(W1, W2), {"x": X}, [(2, 8)]), **options)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="there is no sensitivity 'guess'; there are kl, mse, hessian"):
        measure(chain(W1, W2), Data({"x": X[:, np.newaxis]}), [(2, 8)], "guess")


def test_spearman_of_ranks() -> None:
    assert spearman([1, 2, 3], [10, 20, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9486833)
    assert spearman([1, 1], [1, 2]) == 0
    with pytest.raises(ModelError, match="two or more pairs are needed"):
        spearman([1], [1])
