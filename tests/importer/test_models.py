"""Real models import whole, in less than a second, and mean nearly what their oracles answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.stages import verify

# Name -> the share of outputs that must equal the oracle, over the samples tried: float sums are ordered differently,
# ties go to another side, and a softmax enlarges one step in front of it.
MODELS = {
    "resnet8_int8": 0.5,
    "kws_int8": 0.95,
    "micro_speech_int8": 0.95,
    "hello_world_int8": 0.95,
    "tinymaix_mnist_int8": 0.95,
    "tinymaix_cifar10_int8": 0.95,
    "tinymaix_mbnet96_025_int8": 0.95,
    "coral_mobilenet_v1_025_128_uint8": 0.95,
    "lenet300_mnist_int8": 0.95,
    "mcunet_detection_int8": 0.75,
    "kws_qoperator_u8s8": 0.95,
    "TFC_2W2A_qcdq": 0.95,
    "resnet8_large_qdq_w4a8": 0.8,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_means_what_its_oracle_answered(shared_model: Callable[[str], Any], name: str) -> None:
    model = shared_model(name)
    graph = import_model(model.path)
    verify(graph)
    equal, count, steps = 0, 0, 0.0
    for sample in range(2):
        given = {node.name: model.samples[node.name][sample].reshape(node.type.shape) for node in graph.inputs}
        for output, found in evaluate(graph, given).items():
            expected = model.samples[output][sample].reshape(found.shape)
            assert found.dtype == expected.dtype
            equal += int(np.isclose(found, expected, rtol=1e-6, atol=1e-6).sum())
            count += found.size
            steps = max(steps, float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max()))
    assert equal >= MODELS[name] * count
    assert steps <= 12


def test_average_pool_ties_are_the_only_difference_of_one_model(shared_model: Callable[[str], Any]) -> None:
    """TFLite rounds them half away from zero; the best class is the same all the same."""
    model = shared_model("mltk_image_example1_int8")
    graph = import_model(model.path)
    (node,), (output,) = graph.inputs, graph.outputs
    for sample in range(4):
        found = evaluate(graph, {node.name: model.samples[node.name][sample].reshape(node.type.shape)})[output.name]
        assert found.argmax() == model.samples[output.name][sample].argmax()


@pytest.mark.timing
@pytest.mark.parametrize("name", [*MODELS, "mltk_image_example1_int8"])
def test_a_real_model_is_imported_in_less_than_a_second(shared_model: Callable[[str], Any], name: str) -> None:
    path = shared_model(name).path
    begin = time.perf_counter()
    import_model(path)
    assert time.perf_counter() - begin < 1


def test_the_float_keyword_model_needs_its_batch(shared_models: Path) -> None:
    with pytest.raises(ModelError, match="--dim batch=1"):
        import_model(shared_models / "kws_float.onnx")
    graph = import_model(shared_models / "kws_float.onnx", dims={"batch": 3})
    assert graph.outputs[0].value.type.shape == (3, 12)


@pytest.mark.parametrize("name", ["digits_mlp", "digits_mlp_int8", "digits_resnet", "digits_resnet_int8"])
def test_the_models_of_this_project_classify(digits: Path, name: str) -> None:
    graph = import_model(digits / f"{name}.onnx")
    with np.load(digits / "digits_test.npz") as archive:
        arrays = dict(archive)
    (node,) = graph.inputs
    right = 0
    for image, label in zip(arrays["input"][:20], arrays["label"][:20], strict=True):
        (scores,) = evaluate(graph, {node.name: image.reshape(node.type.shape)}).values()
        right += int(scores.argmax() == label)
    assert right >= 17
