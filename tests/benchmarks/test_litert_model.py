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

from benchmarks.litert_model import ConversionError, convert, image_inputs, window
from benchmarks.peers.litert_peer import litert_engine
from benchmarks.topologies.build import build

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


NETWORKS = [
    ("resnet18", 64, 3),  # its additions round elsewhere, as onnxruntime's optimized ones do
    ("mobilenet_v1", 64, 0),
    ("mobilenet_v2", 96, 0),
    ("vgg16", 32, 0),
    ("autoencoder", 640, 0),
    ("conv3x3_256", 7, 0),
    ("gemm_256", 5, 0),
]


@pytest.mark.parametrize(("topology", "resolution", "steps"), NETWORKS)
def test_networks_with_uint8_activations_are_within_so_many_steps_of_onnxruntime(
    topology: str, resolution: int, steps: int, tmp_path: Path
) -> None:
    built = build(topology, "w8a8", resolution)
    path = tmp_path / "model.onnx"
    onnx.save(built.model, path)
    found = litert_engine(path, threads=1).run(built.inputs)
    for name, expected in exact_answers(path, built.inputs).items():
        scale = scale_of(built.model, name)
        assert expected.std() > 10 * scale
        assert np.rint(np.abs(found[name] - expected) / scale).max() <= steps


def exact_answers(path: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    """onnxruntime's, node by node as ONNX says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return dict(zip([value.name for value in session.get_outputs()], session.run(None, inputs), strict=True))


def scale_of(model: onnx.ModelProto, name: str) -> float:
    """Of the DequantizeLinear that writes the output `name`."""
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    (last,) = (node for node in model.graph.node if name in node.output)
    return float(constants[last.input[1]])


def pooled_convolution(zero_point: int, pool_scale: float) -> onnx.ModelProto:
    """uint8 codes in and out; Conv with int8 weights, its codes around `zero_point`; MaxPool with a border."""
    generator = np.random.default_rng(3)
    low, high = {0: (-60, 127), 255: (-127, 60)}.get(zero_point, (-127, 127))
    constants = {
        "s_x": np.float32(0.02), "z_x": np.uint8(0), "s_y": np.float32(0.2), "z_y": np.uint8(zero_point),
        "w": generator.integers(low, high + 1, (4, 3, 3, 3)).astype(np.int8), "s_w": np.full(4, 0.01, np.float32),
        "z_w": np.zeros(4, np.int8), "s_p": np.float32(pool_scale),
    }  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s_x", "z_x"], ["x_real"]),
        helper.make_node("DequantizeLinear", ["w", "s_w", "z_w"], ["w_real"], axis=0),
        helper.make_node("Conv", ["x_real", "w_real"], ["c"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        helper.make_node("QuantizeLinear", ["c", "s_y", "z_y"], ["c_codes"]),
        helper.make_node("DequantizeLinear", ["c_codes", "s_y", "z_y"], ["c_real"]),
        helper.make_node("MaxPool", ["c_real"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        helper.make_node("QuantizeLinear", ["p", "s_p", "z_y"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 3, 13, 13])
    y = helper.make_tensor_value_info("y", TensorProto.UINT8, [1, 4, 4, 4])
    held = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "pooled", [x], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize(("zero_point", "pool_scale"), [(0, 0.2), (128, 0.2), (255, 0.2), (140, 0.25)])
def test_borders_of_maxima_and_codes_at_inputs_and_outputs(zero_point: int, pool_scale: float, tmp_path: Path) -> None:
    path = tmp_path / "pooled.onnx"
    onnx.save(pooled_convolution(zero_point, pool_scale), path)
    codes = np.random.default_rng(4).integers(0, 256, (1, 3, 13, 13)).astype(np.uint8)
    found = litert_engine(path, threads=1).run({"x": codes})["y"]
    expected = exact_answers(path, {"x": codes})["y"]
    assert found.dtype == expected.dtype == np.uint8
    assert len(np.unique(expected)) > 5
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_an_image_is_what_only_windows_read() -> None:
    assert image_inputs(pooled_convolution(0, 0.2).graph) == {"x"}
    assert image_inputs(build("autoencoder", "w8a8").model.graph) == set()


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
