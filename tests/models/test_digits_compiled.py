"""The shipped digit classifiers through subbyte, float ones too: the same bits on every target, the stated accuracy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import subbyte
from subbyte.compiler.explain import explain
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.oracle import compare_per_node
from subbyte.compiler.samples import stack_samples
from subbyte.compiler.target import find_target

NAMES = ("digits_mlp", "digits_mlp_int8", "digits_resnet", "digits_resnet_int8")
QUANTIZED = tuple(name for name in NAMES if name.endswith("_int8"))
TARGETS = ("portable", "x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+avx512vnni")
INTERPRETED = 48  # images; the whole test set is run where accuracy is counted

Interpret = Callable[..., dict[str, NDArray[Any]]]
GraphOf = Callable[[Path], Graph]
Lacking = Callable[[str, str], None]


@pytest.fixture(scope="module")
def test_set(digits: Path) -> dict[str, NDArray[Any]]:
    with np.load(digits / "digits_test.npz") as archive:
        return dict(archive)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_compiled_code_equals_the_interpreter(
    name: str,
    target: str,
    digits: Path,
    test_set: dict[str, NDArray[Any]],
    interpret: Interpret,
    optional_capability: Lacking,
) -> None:
    if not find_target(target).runs_here:
        optional_capability("instruction set", f"this processor cannot run {target}")
    path = digits / f"{name}.onnx"
    images = test_set["input"][:INTERPRETED]
    expected = interpret(path, {"input": images})["logits"]
    module = subbyte.compile(path, target=target)
    found = np.stack([module.run({"input": image})["logits"] for image in images])
    assert np.count_nonzero(found.view(np.uint32) != expected.view(np.uint32)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_accuracy_is_what_the_readme_states(name: str, digits: Path, test_set: dict[str, NDArray[Any]]) -> None:
    row = re.search(rf"^\| `{name}\.onnx` .*\| ([0-9.]+) % \|$", (digits / "README.md").read_text(), re.MULTILINE)
    assert row is not None
    module = subbyte.compile(digits / f"{name}.onnx")
    predicted = [int(module.run({"input": image})["logits"].argmax()) for image in test_set["input"]]
    assert f"{100 * np.mean(predicted == test_set['label']):.2f}" == row[1]


@pytest.mark.parametrize("name", NAMES)
def test_each_node_is_within_a_step_of_onnxruntime(
    name: str, digits: Path, test_set: dict[str, NDArray[Any]], graph_of: GraphOf
) -> None:
    """Floats have no step: there a few roundings of float32 are the bound."""
    path = digits / f"{name}.onnx"
    graph = graph_of(path)
    images = {"input": test_set["input"][:16]}
    found = compare_per_node(graph, path, stack_samples(images, {node.name: node.type for node in graph.inputs}))
    assert len(found) >= 4
    far = {
        tensor: (each.max_steps, each.max_abs)
        for tensor, each in found.items()
        if (each.max_abs > 1e-4 if each.max_steps is None else each.max_steps > 1)
    }
    assert far == {}


@pytest.mark.parametrize("name", QUANTIZED)
def test_every_multiply_accumulate_is_integer(name: str, digits: Path, graph_of: GraphOf) -> None:
    explanation = explain(graph_of(digits / f"{name}.onnx")).as_dict()
    assert explanation["integer_macs"] == explanation["macs"] > 0
    assert explanation["float_islands"] == []
