"""Models written as .tflite answer under LiteRT what they answered before they became ONNX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from benchmarks.litert_model import ConversionError, convert, window
from benchmarks.peers.litert_peer import litert_engine

BORN_AS_TFLITE = (
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
)


@pytest.mark.parametrize("name", BORN_AS_TFLITE)
def test_litert_answers_what_it_answered_on_the_original(name: str, shared_model: Callable[[str], Any]) -> None:
    model = shared_model(name)
    engine = litert_engine(model.path, threads=1)
    graph = onnx.load(model.path).graph
    for index in range(len(model.samples[graph.input[0].name])):
        found = engine.run({value.name: model.samples[value.name][index] for value in graph.input})
        for value in graph.output:
            assert np.array_equal(found[value.name], model.samples[value.name][index])


@pytest.mark.parametrize("name", ["digits_mlp_int8", "digits_resnet_int8"])
def test_a_model_that_was_never_tflite_is_within_a_few_steps_of_onnxruntime(name: str, digits: Path) -> None:
    path = digits / f"{name}.onnx"
    engine = litert_engine(path, threads=1)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    step = step_of_the_logits(path)
    with np.load(digits / "digits_test.npz") as archive:
        for image in archive["input"][:40]:
            found = engine.run({"input": image})["logits"]
            (expected,) = session.run(None, {"input": image})
            assert np.abs(found - expected).max() < 2.5 * step
            assert found.argmax() == expected.argmax()


def step_of_the_logits(path: Path) -> float:
    model = onnx.load(path)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    (last,) = (node for node in model.graph.node if node.output[0] == "logits")
    return float(constants[last.input[1]])


def test_an_operator_without_a_counterpart_is_refused() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"], name="bell")], "g", [value], [result])
    with pytest.raises(ConversionError, match="Erf 'bell'"):
        convert(helper.make_model(graph))


@pytest.mark.parametrize(
    ("extents", "kernel", "strides", "pads", "expected"),
    [
        ((8, 8), (3, 3), (1, 1), (0, 0, 0, 0), ("VALID", (6, 6))),
        ((8, 8), (3, 3), (1, 1), (1, 1, 1, 1), ("SAME", (8, 8))),
        ((8, 8), (3, 3), (2, 2), (0, 0, 1, 1), ("SAME", (4, 4))),
        ((8, 8), (3, 3), (2, 2), (1, 1, 1, 1), (None, (4, 4))),
        ((49, 10), (10, 4), (2, 2), (4, 1, 5, 1), ("SAME", (25, 5))),
    ],
)
def test_paddings(
    extents: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    expected: tuple[str | None, tuple[int, ...]],
) -> None:
    names = {0: "SAME", 1: "VALID", None: None}
    padding, result = window(extents, kernel, {"strides": strides, "pads": pads})
    assert (names[padding], result) == expected
