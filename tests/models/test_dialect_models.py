"""Real models of the low-bit dialects: imported, in integers, compiled exactly, and as their recorded executor answers.

The models lie outside the repository; their README says what each is and which engine answered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import subbyte
from subbyte.compiler.explain import explain
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ops import DequantizeLinear
from subbyte.compiler.target import find_target
from subbyte.passes.fold_constants import fold_constants

FindModel = Callable[[str], Any]
GraphOf = Callable[[Path], Graph]
Record = Callable[[str, object], None]
Arrays = dict[str, NDArray[Any]]

SAMPLES = {"espcn_nn_resize": 2, "branched_w4a4": 2}
"""How many samples of the large models are run; of the others all."""
MODELS = (
    "TFC_2W2A",
    "TFC_2W2A_qcdq",
    "qkeras_jettagging",
    "qkeras_jettagging_qcdq",
    "qkeras_mnist_cnn",
    "bnn_fc_1layer",
    "branched_w4a4",
    "espcn_nn_resize",
    "resnet8_large_qdq_w4a8",
)
CLASSIFIERS = ("TFC_2W2A", "TFC_2W2A_qcdq", "qkeras_jettagging", "qkeras_jettagging_qcdq", "qkeras_mnist_cnn")
TARGETS = ("portable", "x86-64-v3", "x86-64-v4+avx512vnni")
FLOAT_LAYERS = {
    "qkeras_jettagging": ["MatMul_0"],
    "qkeras_jettagging_qcdq": ["MatMul_0"],
    "qkeras_mnist_cnn": ["#2 Conv"],
}
"""The layers whose operand is the graph's float input: QKeras does not quantize it, so no integer form exists."""


def feeds_of(model: Any, graph: Graph) -> list[Arrays]:
    """The samples to run, one by one."""
    names = [node.name for node in graph.inputs]
    count = SAMPLES.get(model.name, len(model.samples[names[0]]))
    return [{name: model.samples[name][index] for name in names} for index in range(count)]


@pytest.mark.parametrize("name", MODELS)
def test_every_multiply_accumulate_is_integer_or_reads_the_float_input(
    name: str, shared_model: FindModel, graph_of: GraphOf
) -> None:
    explanation = explain(graph_of(shared_model(name).path))
    floats = {island.node.sources[0]: island.reason for island in explanation.islands if island.macs}
    assert list(floats) == FLOAT_LAYERS.get(name, [])
    assert all("the model does not quantize" in reason and "float input" in reason for reason in floats.values())
    assert explanation.macs > 0
    assert (explanation.integer_macs == explanation.macs) == (name not in FLOAT_LAYERS)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_compiled_code_equals_the_interpreter(
    name: str, target: str, shared_model: FindModel, graph_of: GraphOf, optional_capability: Callable[[str, str], None]
) -> None:
    if not find_target(target).runs_here:
        optional_capability("instruction set", f"this processor cannot run {target}")
    model = shared_model(name)
    graph = graph_of(model.path)
    module = subbyte.compile(model.path, target=target)
    for feeds in feeds_of(model, graph):
        expected, found = evaluate(graph, feeds), module.run(feeds)
        for output, values in expected.items():
            np.testing.assert_array_equal(found[output].view(np.uint8), values.view(np.uint8))


def codes_read(graph: Graph) -> dict[str, Value]:
    """The codes that are dequantized, by the ONNX node that makes them."""
    read = (node.x for node in graph.nodes() if isinstance(node, DequantizeLinear))
    return {codes.node.sources[-1]: codes for codes in read if codes.constant is None and codes.node.sources}


def codes_made(graph: Graph) -> dict[str, Value]:
    """All codes with a scale, by the last ONNX node that they are made by."""
    made = (value for node in graph.nodes() for value in [Value(node, 0)] if value.type.quant is not None)
    return {value.node.sources[-1]: value for value in made if value.constant is None and value.node.sources}


@pytest.mark.parametrize("name", MODELS)
def test_inner_codes_are_those_of_the_float_simulation_but_for_ties(
    name: str, shared_model: FindModel, graph_of: GraphOf, record_property: Record
) -> None:
    """The imported graph computes with floats between its quantizations; both graphs run from the inputs on."""
    model = shared_model(name)
    imported, folded = fold_constants(import_model(model.path)), graph_of(model.path)
    simulated, made = codes_read(imported), codes_made(folded)
    both = [key for key in simulated if key in made and str(simulated[key].type) == str(made[key].type)]
    assert len(both) >= 0.8 * len(simulated)
    graphs = [
        g.with_outputs([Output(key, of[key]) for key in both]) for g, of in ((imported, simulated), (folded, made))
    ]
    count = different = 0
    begins: list[int] = []  # by how many steps the first tensor that differs does
    for feeds in feeds_of(model, imported)[:8]:
        expected, found = (evaluate(graph, feeds) for graph in graphs)
        steps = {key: np.abs(found[key].astype(np.int64) - expected[key]) for key in both}
        count += sum(each.size for each in steps.values())
        different += sum(int(np.count_nonzero(each)) for each in steps.values())
        begins += [int(each.max()) for each in steps.values() if each.any()][:1]
    row = {"model": name, "tensors": f"{len(both)}", "codes that differ": f"{different} of {count}"}
    record_property("table: inner codes beside the float simulation", row)
    assert different <= 2e-5 * count
    assert set(begins) <= {1}, "a difference begins with the one step of a tie"


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_top1_is_the_recorded_executors_on_every_sample(name: str, shared_model: FindModel, graph_of: GraphOf) -> None:
    model = shared_model(name)
    graph = graph_of(model.path)
    (output,) = (output.name for output in graph.outputs)
    recorded = model.samples[output]
    for index, feeds in enumerate(feeds_of(model, graph)):
        scores = evaluate(graph, feeds)[output]
        assert scores.argmax() == recorded[index].argmax()
        assert np.abs(scores - recorded[index]).max() <= 1e-6 * np.abs(recorded[index]).max()


@pytest.mark.parametrize("name", ["bnn_fc_1layer", "branched_w4a4", "qkeras_mnist_cnn"])
def test_answers_are_the_recorded_ones_bit_for_bit(name: str, shared_model: FindModel, graph_of: GraphOf) -> None:
    model = shared_model(name)
    graph = graph_of(model.path)
    (output,) = (output.name for output in graph.outputs)
    for index, feeds in enumerate(feeds_of(model, graph)):
        np.testing.assert_array_equal(evaluate(graph, feeds)[output], model.samples[output][index])


def test_super_resolution_differs_from_the_recorded_executor_at_ties_only(
    shared_model: FindModel, graph_of: GraphOf
) -> None:
    """Its executor sums floats in another order, so a tie of a 4-bit tensor may fall the other way there."""
    model = shared_model("espcn_nn_resize")
    graph = graph_of(model.path)
    for index, feeds in enumerate(feeds_of(model, graph)):
        steps = np.abs(evaluate(graph, feeds)["96"] - model.samples["96"][index]) * 255
        assert np.count_nonzero(steps > 0.5) <= 5e-3 * steps.size
        assert steps.max() <= 8.5


def test_w4a8_agrees_wherever_both_modes_of_onnxruntime_do(
    shared_model: FindModel, shared_models: Path, graph_of: GraphOf
) -> None:
    model = shared_model("resnet8_large_qdq_w4a8")
    graph = graph_of(model.path)
    (output,) = (output.name for output in graph.outputs)
    with np.load(shared_models / "resnet8_large_qdq_w4a8.side.npz") as archive:
        unoptimized = archive[f"ortnoopt/{output}"]
    for index, feeds in enumerate(feeds_of(model, graph)):
        theirs = {int(answers[index].argmax()) for answers in (model.samples[output], unoptimized)}
        assert int(evaluate(graph, feeds)[output].argmax()) in theirs
