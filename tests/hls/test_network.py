"""Layers and actors of real models compute, by their NumPy meanings, what the interpreter says of every tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.hls.golden import golden_of
from subbyte.compiler.hls.partition import partition
from subbyte.compiler.pipeline import Options, lowered, quantized
from subbyte.compiler.samples import random_samples
from subbyte.compiler.target import find_target
from subbyte.targets.hls import registry  # noqa: F401 - registers what actors compute
from subbyte.targets.hls.expand import expand
from subbyte.targets.hls.layers import Fold, Network
from subbyte.targets.hls.network import build_network
from subbyte.targets.hls.project.golden import Golden, frames_of
from subbyte.targets.hls.support import reason_against

MODELS = Path(__file__).parents[2] / "models"
OWN = (
    "digits_mlp_w2a2.qonnx.onnx",
    "digits_mlp_w1a1.qonnx.onnx",
    "digits_resnet_w2a2_qcdq.onnx",
    "digits_resnet_w1a1.qonnx.onnx",
    "digits_resnet_int8.onnx",
)
SHARED = (
    "TFC_2W2A",
    "qkeras_mnist_cnn",
    "bnn_fc_1layer",
    "kws_int8",
    "resnet8_int8",
    "tinymaix_mnist_int8",
    "mltk_image_example1_int8",
)


def equal_everywhere(path: Path, folds: Callable[[Network], dict[str, Fold]], samples: int = 1) -> int:
    """Compare each actor's meaning with the interpreter; the number of streams compared."""
    graph = quantized(path)
    parts = partition(graph, reason_against)
    low = lowered(parts.core, find_target("hls"), Options())
    network = build_network(low)
    design = expand(network, folds(network))
    given = random_samples({node.name: node.type for node in graph.inputs}, samples)
    golden = golden_of(low, design, [parts.core_inputs(sample) for sample in given])
    inputs = Golden(golden.samples, {stream.name: golden.frames[stream.name] for stream in design.inputs})
    compared = 0
    for sample in range(samples):
        for stream, frame in frames_of(design, inputs, sample).items():
            if stream.value is not None:
                np.testing.assert_array_equal(frame, golden.frame(stream, sample), err_msg=stream.name)
                compared += 1
    return compared


def uneven(network: Network) -> dict[str, Fold]:
    """Lanes that divide nothing."""
    return {layer.name: Fold(3, 5) for layer in network.layers}


@pytest.mark.parametrize("name", OWN)
def test_every_tensor_of_a_model_of_ours(name: str) -> None:
    assert equal_everywhere(MODELS / name, uneven) > 3


@pytest.mark.parametrize("name", SHARED)
def test_every_tensor_of_a_shared_model(name: str, shared_model: Callable[[str], Any]) -> None:
    assert equal_everywhere(shared_model(name).path, uneven) >= 2
