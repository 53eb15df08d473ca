"""Real models without the work that the range analysis saves: the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.explain import explain
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.pass_manager import run_passes
from subbyte.compiler.pipeline import Options, work_passes

SAVED = {
    # thousandths of the multiply-accumulates that go
    "resnet8_int8": 0,
    "kws_int8": 0,
    "micro_speech_int8": 0,
    "hello_world_int8": 236,
    "tinymaix_mnist_int8": 0,
    "tinymaix_cifar10_int8": 0,
    "tinymaix_mbnet96_025_int8": 0,
    "coral_mobilenet_v1_025_128_uint8": 51,
    "lenet300_mnist_int8": 0,
    "mcunet_detection_int8": 5,
    "mltk_image_example1_int8": 0,
    "kws_qoperator_u8s8": 0,
    "resnet8_large_qdq_w4a8": 53,
    "TFC_2W2A": 0,
    "TFC_2W2A_qcdq": 0,
    "qkeras_jettagging": 17,
    "qkeras_jettagging_qcdq": 17,
    "qkeras_mnist_cnn": 0,
    "espcn_nn_resize": 0,
    "branched_w4a4": 0,
    "bnn_fc_1layer": 0,
}


MODELS = Path(__file__).parents[2] / "models"


def macs(graph: Graph) -> int:
    return sum(multiply_accumulates(node) for node in graph.operations())


@pytest.mark.parametrize("name", SAVED)
def test_a_model_without_its_constant_channels_computes_the_same(
    name: str,
    shared_model: Callable[[str], Any],
    graph_of: Callable[[Path], Graph],
    record_property: Callable[[str, object], None],
) -> None:
    model = shared_model(name)
    graph = graph_of(model.path)
    less = run_passes(graph, work_passes(Options()))
    for index in range(4):
        sample = {node.name: model.samples[node.name][index] for node in graph.inputs}
        expected, found = evaluate(graph, sample), evaluate(less, sample)
        for output, array in expected.items():
            np.testing.assert_array_equal(found[output], array)
    before, after = macs(graph), macs(less)
    assert explain(graph, reduced=less).as_dict()["saved"]["macs"] == before - after
    row = {"model": name, "MACs": f"{before:,}", "left": f"{after:,}"}
    record_property("table: constant channels and zero weights", row)
    assert 1000 * (before - after) // before == SAVED[name]


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.onnx")), ids=lambda path: path.name)
def test_our_own_models_compute_the_same_too(path: Path, graph_of: Callable[[Path], Graph], digits: Path) -> None:
    graph = graph_of(path)
    less = run_passes(graph, work_passes(Options()))
    with np.load(digits / "digits_test.npz") as archive:
        images = archive["input"][:8]
    for image in images:
        expected, found = (evaluate(one, {"input": image}) for one in (graph, less))
        np.testing.assert_array_equal(found["logits"], expected["logits"])
    assert explain(graph, reduced=less).as_dict()["saved"]["macs"] == macs(graph) - macs(less)
