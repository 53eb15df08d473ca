"""Real 8-bit models: compiled code equals the interpreter, the interpreter agrees with the engines that the field uses.

The models lie outside the repository; their README says what each is, and how far a second well-kept engine lies from
the recorded oracle.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import subbyte
from subbyte.compiler.compare import compare, output_scales
from subbyte.compiler.explain import explain
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.oracle import compare_per_node
from subbyte.compiler.samples import stack_samples
from subbyte.compiler.target import find_target
from tests.models.traced import assert_ties

MODELS = (
    "resnet8_int8",
    "kws_int8",
    "micro_speech_int8",
    "hello_world_int8",
    "tinymaix_mnist_int8",
    "tinymaix_cifar10_int8",
    "tinymaix_mbnet96_025_int8",
    "coral_mobilenet_v1_025_128_uint8",
    "lenet300_mnist_int8",
    "mcunet_detection_int8",
    "mltk_image_example1_int8",
    "kws_qoperator_u8s8",
)
TARGETS = ("portable", "x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4+avx512vnni")

GraphOf = Callable[[Path], Graph]
Interpret = Callable[..., dict[str, NDArray[Any]]]
FindModel = Callable[[str], Any]
Lacking = Callable[[str, str], None]
Record = Callable[[str, object], None]


def different_bits(found: NDArray[Any], expected: NDArray[Any]) -> int:
    """How many values differ in any bit; -0.0 and 0.0 do."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    as_bits = f"u{found.dtype.itemsize}"
    return int(np.count_nonzero(found.view(as_bits) != expected.view(as_bits)))


def top1(scores: NDArray[Any]) -> NDArray[np.bool_]:
    """[samples, classes]: True at each sample's largest score, at several where they tie."""
    flat = scores.reshape(len(scores), -1)
    largest: NDArray[np.bool_] = flat == flat.max(axis=1, keepdims=True)
    return largest


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_compiled_code_equals_the_interpreter(
    name: str,
    target: str,
    shared_model: FindModel,
    interpret: Interpret,
    optional_capability: Lacking,
) -> None:
    if not find_target(target).runs_here:
        optional_capability("instruction set", f"this processor cannot run {target}")
    model = shared_model(name)
    expected = interpret(model.path, model.samples)
    module = subbyte.compile(model.path, target=target)
    for index in range(len(next(iter(expected.values())))):
        found = module.run({tensor.name: model.samples[tensor.name][index] for tensor in module.inputs})
        assert {output: different_bits(found[output], expected[output][index]) for output in expected} == dict.fromkeys(
            expected, 0
        )


@pytest.mark.parametrize("name", MODELS)
def test_each_node_is_within_a_step_of_onnxruntime(name: str, shared_model: FindModel, graph_of: GraphOf) -> None:
    """Each node, fed onnxruntime's own inner tensors, its optimizations off."""
    model = shared_model(name)
    graph = graph_of(model.path)
    samples = stack_samples(model.samples, {node.name: node.type for node in graph.inputs})
    found = compare_per_node(graph, model.path, samples)
    compared = {source for node in graph.operations() if node.tensor in found for source in node.sources}
    quantizing = quantizing_nodes(model.path)
    left_out = [name for name, tensor in quantizing.items() if name not in compared and tensor not in found]
    assert left_out == [], "what these nodes quantize was compared neither by itself nor as part of another"
    assert {tensor: each.max_steps for tensor, each in found.items() if _is_far(each.max_steps, each.max_abs)} == {}


def _is_far(steps: float | None, distance: float) -> bool:
    """More than one step; for a float without a scale, more than what a few roundings of float32 explain."""
    return distance > 1e-5 if steps is None else steps > 1


def quantizing_nodes(path: Path) -> dict[str, str]:
    """Name to result of the nodes that make codes of what is no constant."""
    graph = onnx.load(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    return {
        node.name: node.output[0]
        for node in graph.node
        if node.op_type == "QuantizeLinear" or node.op_type.startswith("QLinear")
        if node.input[0] not in constants
    }


@pytest.mark.parametrize("name", MODELS)
def test_inner_codes_that_differ_are_rounding_ties(
    name: str, shared_model: FindModel, graph_of: GraphOf, record_property: Record
) -> None:
    """Beside onnxruntime, its optimizations off."""
    model = shared_model(name)
    samples = stack_samples(model.samples, {node.name: node.type for node in graph_of(model.path).inputs})
    assert_ties(model.path, list(samples)[:4], "onnxruntime", record_property)


@pytest.mark.parametrize("name", MODELS)
def test_top1_is_the_oracles_wherever_a_second_engine_has_it(
    name: str,
    shared_model: FindModel,
    shared_models: Path,
    graph_of: GraphOf,
    interpret: Interpret,
    record_property: Record,
) -> None:
    model = shared_model(name)
    found = interpret(model.path, model.samples)
    second = second_engine(shared_models, name)
    scales = output_scales(graph_of(model.path))
    for output, ours in found.items():
        oracle = model.samples[output]
        scores = oracle.reshape(len(oracle), -1).shape[1]
        comparison = compare(oracle, ours.reshape(oracle.shape), scales[output])
        theirs = compare(oracle, second[output].reshape(oracle.shape), scales[output])
        record_property(
            "table: distance to the recorded oracles, in steps of each output's scale",
            {
                "model": name,
                "output": output,
                "largest step": _shown(comparison.max_steps),
                "the second's largest": _shown(theirs.max_steps),
                "values that differ": f"{comparison.different} of {comparison.count}",
                "the second's": f"{theirs.different}",
                "same top-1": _shown(comparison.top1_agreement),
                "the second's top-1": _shown(theirs.top1_agreement),
            },
        )
        if scores > 1:
            same = (top1(ours) & top1(oracle)).any(axis=1)
            second_same = (top1(second[output]) & top1(oracle)).any(axis=1)
            assert np.flatnonzero(second_same & ~same).tolist() == []


def second_engine(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    """The recorded answers of a second engine: onnxruntime, its optimizations off."""
    with np.load(folder / f"{name}.side.npz") as archive:
        named = [key.partition("/") for key in archive.files]
        return {output: archive[f"{kind}/{output}"] for kind, _, output in named if kind in ("ortspec", "ortnoopt")}


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:g}"


@pytest.mark.parametrize("name", MODELS)
def test_every_multiply_accumulate_is_integer(name: str, shared_model: FindModel, graph_of: GraphOf) -> None:
    explanation = explain(graph_of(shared_model(name).path)).as_dict()
    assert explanation["macs"] > 0
    assert explanation["integer_macs"] == explanation["macs"], json.dumps(explanation["float_islands"])
