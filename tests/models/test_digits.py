"""The shipped digit classifiers are what models/README.md says they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

NAMES = ("digits_mlp", "digits_mlp_int8", "digits_resnet", "digits_resnet_int8", "digits_cnn")
LARGEST_FILE = 500_000


def stated_accuracy(folder: Path, name: str) -> float:
    """Per cent, from the table of models/README.md."""
    row = re.search(rf"^\| `{name}\.onnx` .*\| ([0-9.]+) % \|$", (folder / "README.md").read_text(), re.MULTILINE)
    assert row is not None
    return float(row[1])


@pytest.mark.parametrize("name", NAMES)
def test_accuracy_is_what_the_readme_states(digits: Path, name: str) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(digits / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
    with np.load(digits / "digits_test.npz") as archive:
        images, labels = archive["input"], archive["label"]
    predicted = [int(np.argmax(session.run(None, {"input": image})[0])) for image in images]
    assert f"{100 * np.mean(predicted == labels):.2f}" == f"{stated_accuracy(digits, name):.2f}"


@pytest.mark.parametrize("name", NAMES)
def test_files_are_sound_and_small(digits: Path, name: str) -> None:
    path = digits / f"{name}.onnx"
    onnx.checker.check_model(path, full_check=True)
    assert path.stat().st_size < LARGEST_FILE


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_int8")])
def test_quantized_models_hold_int8_weights_alone(digits: Path, name: str) -> None:
    graph = onnx.load(digits / f"{name}.onnx").graph
    weights = [tensor for tensor in graph.initializer if len(tensor.dims) > 1]
    assert weights
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.INT8}


def test_the_residual_network_is_quantized_per_channel(digits: Path) -> None:
    tensors = {tensor.name: tensor for tensor in onnx.load(digits / "digits_resnet_int8.onnx").graph.initializer}
    convolutions = {name: tensor for name, tensor in tensors.items() if len(tensor.dims) == 4}
    assert len(convolutions) == 8
    for name, weight in convolutions.items():
        scale = tensors[name.replace("_quantized", "_scale")]
        assert list(scale.dims) == [weight.dims[0]]


def test_held_images_are_distinct_pixel_counts_of_all_ten_digits(digits: Path) -> None:
    with np.load(digits / "digits_test.npz") as archive:
        images, labels = archive["input"], archive["label"]
    assert images.shape == (360, 1, 1, 8, 8)
    assert images.dtype == np.float32
    assert labels.shape == (360,)
    assert set(labels) == set(range(10))
    assert np.array_equal(images * 16, np.rint(images * 16))
    assert len({image.tobytes() for image in images}) == len(images)
