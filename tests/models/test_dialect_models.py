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
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.target import find_target
from subbyte.compiler.trace import Tracer, trace
from tests.models.tie_choices import Choice, TieChoices
from tests.models.traced import assert_ties

FindModel = Callable[[str], Any]
GraphOf = Callable[[Path], Graph]
Record = Callable[[str, object], None]
Arrays = dict[str, NDArray[Any]]

SAMPLES = {"espcn_nn_resize": 2, "branched_w4a4": 2}
"""How many samples of the large models are run; of the others all."""
TRACED = {
    "espcn_nn_resize": {"onnxruntime": 1, "simulation": 1},
    "branched_w4a4": {"onnxruntime": 1, "simulation": 1},
    "resnet8_large_qdq_w4a8": {"onnxruntime": 4, "simulation": 2},
}
"""How many samples of the large models are traced, by engine."""
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
    "kws_qoperator_u8s8",
    "kws_dynamic_u8",
)
FLOAT_ANSWERS = ("TFC_2W2A", "TFC_2W2A_qcdq", "qkeras_jettagging", "qkeras_jettagging_qcdq", "qkeras_mnist_cnn")
CLASSIFIERS = (*FLOAT_ANSWERS, "resnet8_large_qdq_w4a8", "kws_qoperator_u8s8", "kws_dynamic_u8")
TARGETS = ("portable", "x86-64-v3", "x86-64-v4+avx512vnni")
FLOAT_LAYERS = {
    "qkeras_jettagging": ["MatMul_0"],
    "qkeras_jettagging_qcdq": ["MatMul_0"],
    "qkeras_mnist_cnn": ["#2 Conv"],
}
"""The layers whose operand is the graph's float input: QKeras does not quantize it, so no integer form exists."""


def feeds_of(model: Any, graph: Graph, *, every: bool = False) -> list[Arrays]:
    """The samples to run, one by one; of the large models a few, unless `every` one is needed."""
    names = [node.name for node in graph.inputs]
    recorded = len(model.samples[names[0]])
    count = recorded if every else SAMPLES.get(model.name, recorded)
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


@pytest.mark.parametrize("engine", ["onnxruntime", "simulation"])
@pytest.mark.parametrize("name", MODELS)
def test_inner_codes_that_differ_are_rounding_ties(
    name: str, engine: str, shared_model: FindModel, graph_of: GraphOf, record_property: Record
) -> None:
    """The engines: onnxruntime, its optimizations off, and the imported float graph in our own interpreter."""
    model = shared_model(name)
    samples = feeds_of(model, graph_of(model.path))[: TRACED.get(name, {}).get(engine, 64)]
    assert_ties(model.path, samples, engine, record_property)


@pytest.mark.parametrize("name", MODELS)
def test_the_traced_regions_together_are_the_model(name: str, shared_model: FindModel, graph_of: GraphOf) -> None:
    """So what the regions compute, from an engine's tensors, is what the folded model computes from its own."""
    model = shared_model(name)
    whole, joined = graph_of(model.path), Tracer(model.path, "simulation").joined()
    feeds = feeds_of(model, whole)[0]
    for output, values in evaluate(whole, feeds).items():
        np.testing.assert_array_equal(evaluate(joined, feeds)[output], values)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_top1_is_the_recorded_executors_on_every_sample(name: str, shared_model: FindModel, graph_of: GraphOf) -> None:
    """The recorded class has the largest of our scores, alone or together with another."""
    model = shared_model(name)
    graph = graph_of(model.path)
    (output,) = (output.name for output in graph.outputs)
    for index, feeds in enumerate(feeds_of(model, graph, every=True)):
        scores = evaluate(graph, feeds)[output].reshape(-1)
        assert scores[model.samples[output][index].argmax()] == scores.max(), f"sample {index}"


@pytest.mark.parametrize("name", FLOAT_ANSWERS)
def test_float_answers_are_the_recorded_ones_but_for_the_last_places(
    name: str, shared_model: FindModel, graph_of: GraphOf
) -> None:
    model = shared_model(name)
    graph = graph_of(model.path)
    (output,) = (output.name for output in graph.outputs)
    recorded = model.samples[output]
    for index, feeds in enumerate(feeds_of(model, graph)):
        distance = np.abs(evaluate(graph, feeds)[output] - recorded[index])
        assert distance.max() <= 1e-6 * np.abs(recorded[index]).max()


@pytest.mark.parametrize("name", ["bnn_fc_1layer", "branched_w4a4", "qkeras_mnist_cnn"])
def test_answers_are_the_recorded_ones_bit_for_bit(name: str, shared_model: FindModel, graph_of: GraphOf) -> None:
    model = shared_model(name)
    graph = graph_of(model.path)
    (output,) = (output.name for output in graph.outputs)
    for index, feeds in enumerate(feeds_of(model, graph)):
        np.testing.assert_array_equal(evaluate(graph, feeds)[output], model.samples[output][index])


def test_the_recorded_super_resolution_is_ours_but_for_ties(
    shared_model: FindModel, graph_of: GraphOf, record_property: Record
) -> None:
    """It was recorded where float sums go in another order. Each pixel that differs follows from codes at ties.

    Of all 32 samples, 2485 pixels differ, and 84 codes give them, none farther than 5.2e-5 of a step from its tie.
    """
    model = shared_model("espcn_nn_resize")
    graph = graph_of(model.path)
    choices = TieChoices(model.path)
    found: list[Choice] = []
    pixels = different = 0
    for index, feeds in enumerate(feeds_of(model, graph, every=True)[:8]):
        ours, recorded = (in_steps(pixels) for pixels in (evaluate(graph, feeds)["96"], model.samples["96"][index]))
        of_sample = choices.explain(feeds["onnx::Relu_0"], ours, recorded)
        assert (ours != recorded).any() == bool(of_sample)
        found += of_sample
        different, pixels = different + int(np.count_nonzero(ours != recorded)), pixels + ours.size
    row = {
        "pixels that differ": f"{different} of {pixels}",
        "codes at ties, taken the other way, that give them all": f"{len(found)}",
        "the farthest from its tie, in steps": f"{max(one.distance for one in found):.2g}",
    }
    record_property("table: the recorded super-resolution, pixel for pixel", row)
    assert len(found) < 50
    assert max(one.distance for one in found) < 1e-4


def in_steps(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """[1, 3, H, W] of multiples of 1 / 255 as codes [3, H, W]."""
    return np.asarray(np.rint(pixels[0].astype(np.float64) * 255), np.uint8)


def test_w4a8_is_recorded_by_fused_operators_and_differs_at_ties_and_in_its_softmax(
    shared_model: FindModel, graph_of: GraphOf, record_property: Record
) -> None:
    """onnxruntime fuses adds, the average pool and the softmax of this model by default, and so it was recorded."""
    model = shared_model("resnet8_large_qdq_w4a8")
    graph = graph_of(model.path)
    traces = trace(model.path, feeds_of(model, graph)[:4], "fused")
    last = "StatefulPartitionedCall:0_QuantizeLinear_Output"
    codes = [one for one in traces if one.is_codes and one.tensor != last]
    row = {
        "codes that differ": f"{sum(t.different for t in codes)} of {sum(t.count for t in codes)}",
        "at ties": f"{sum(t.at_ties for t in codes)}",
        "of the softmax": "".join(f"{t.different} of {t.count}" for t in traces if t.tensor == last),
    }
    record_property("table: inner codes of resnet8_large_qdq_w4a8 beside fused operators", row)
    assert len(codes) == 16
    assert {t.tensor: t for t in codes if t.untraced or t.stray} == {}


def test_the_recorded_w4a8_answers_follow_from_the_logits_by_the_fused_softmax(
    shared_model: FindModel, graph_of: GraphOf, record_property: Record
) -> None:
    """QLinearSoftmax scales its results by floor(1 / s_y) * s_y, here 254 / 255; ours are the exact ones, rounded."""
    model = shared_model("resnet8_large_qdq_w4a8")
    logits, answers = "Add__15148:0_QuantizeLinear_Output", "StatefulPartitionedCall:0"
    tracer = Tracer(model.path, "fused")
    quants = {point.tensor: point.value.type.quant for point in tracer.points}
    scales = {name: quant.scalar()[0] for name, quant in quants.items() if quant is not None}
    input_scale, output_scale = scales[logits], scales[f"{answers}_QuantizeLinear_Output"]
    as_recorded = 0
    samples = feeds_of(model, graph_of(model.path), every=True)
    for index, feeds in enumerate(samples):
        theirs = tracer.engine.run(feeds)
        steps = np.rint(theirs[answers].astype(np.float64) / output_scale)
        np.testing.assert_array_equal(fused_softmax(theirs[logits], input_scale, output_scale), steps)
        as_recorded += bool((theirs[answers] == model.samples[answers][index]).all())
    row = {"samples": f"{len(samples)}", "as recorded, bit for bit": f"{as_recorded}"}
    record_property("table: resnet8_large_qdq_w4a8 in onnxruntime's fused operators on this processor", row)
    assert as_recorded >= 0.8 * len(samples), "elsewhere a tie may fall the other way, but not in many samples"


def fused_softmax(codes: NDArray[np.uint8], input_scale: float, output_scale: float) -> NDArray[np.float64]:
    """ONNX Runtime's QLinearSoftmax of [1, D] uint8 codes, with output zero point 0.

    y = rne(f32(f32(T[x + 255 - max x] * floor(f32(1 / s_y))) / sum of the T)), the sum in float32, in order;
    T[i] = f32(exp((i - 255 + B) * s_x)), B = max(0, ln(FLT_MAX / D) - 5) / s_x.  Source: qlinear_softmax.cc.
    """
    shifted = codes[0].astype(np.int64) + 255 - int(codes.max())
    base = max(0.0, np.log(float(np.finfo(np.float32).max) / shifted.size) - 5) / input_scale
    powers = np.exp((np.arange(256) - 255 + base) * input_scale).astype(np.float32)[shifted]
    whole = np.floor(np.float32(1) / np.float32(output_scale))
    return np.rint((powers * whole) / np.cumsum(powers, dtype=np.float32)[-1]).astype(np.float64)[None]
