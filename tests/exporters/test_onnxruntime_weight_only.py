"""What onnxruntime's weight-only quantizer writes today: 2, 4 and 8 bits in blocks, as operators and as QDQ."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto
from onnxruntime.quantization import QuantFormat
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.oracle import OnnxRuntime
from subbyte.compiler.pipeline import Options, quantized
from tests.exporters.compared import account, check_compiled
from tests.exporters.networks import NETWORKS, Network

NAMES = ("perceptron", "attention")  # the products of the convolutional network are no MatMuls, which alone are taken
RECIPES: dict[str, dict[str, Any]] = {
    "4 bits": {"bits": 4},
    "4 bits symmetric": {"bits": 4, "is_symmetric": True},
    "4 bits QDQ": {"bits": 4, "quant_format": QuantFormat.QDQ},
    "4 bits QDQ symmetric": {"bits": 4, "quant_format": QuantFormat.QDQ, "is_symmetric": True},
    "4 bits QDQ by channel": {"bits": 4, "quant_format": QuantFormat.QDQ, "channel_wised_quantize": True},
    "8 bits": {"bits": 8},
    "2 bits": {"bits": 2},
    "2 bits symmetric": {"bits": 2, "is_symmetric": True},
}
ALLOWED = {
    # accuracy_level 4 allows codes of 8 bits for the activations
    "4 bits": {"bits": 4, "accuracy_level": 4},
    "8 bits symmetric": {"bits": 8, "accuracy_level": 4, "is_symmetric": True},
    "2 bits": {"bits": 2, "accuracy_level": 4},
}
WEIGHT_MACS = {"perceptron": 4 * (32 * 16 + 16 * 5), "attention": 12_288}


@cache
def exported(name: str, allowed: bool, recipe: str) -> tuple[Network, ModelProto]:
    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.ERROR)
    network = NETWORKS[name]()
    config = DefaultWeightOnlyQuantConfig(block_size=16, **(ALLOWED if allowed else RECIPES)[recipe])
    quantizer = MatMulNBitsQuantizer(network.model, algo_config=config)
    quantizer.process()
    return network, quantizer.model.model


def largest_difference(network: Network, model: ModelProto) -> float:
    """Between what the model means and what onnxruntime answers; the answers are near 1."""
    graph, session = quantized(model), OnnxRuntime(model)
    answers = ((evaluate(graph, sample)["y"], session.run(sample)["y"]) for sample in network.samples(4, 13))
    return max(float(np.abs(ours - theirs).max()) for ours, theirs in answers)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NAMES)
def test_floats_times_packed_weights_are_onnxruntimes_but_for_the_order_of_sums(name: str, recipe: str) -> None:
    """N11: activations that the model leaves in float are multiplied as floats, and explain says so."""
    network, model = exported(name, False, recipe)
    found = account(model)
    assert (found.macs, found.integer_macs) == (network.macs, 0)
    assert sum(bool(island.macs and "float" in island.reason) for island in found.islands) >= 2
    assert largest_difference(network, model) <= 1e-5


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NAMES)
def test_compiled_code_equals_the_interpreter(name: str, recipe: str, tmp_path: Path) -> None:
    network, model = exported(name, False, recipe)
    check_compiled(model, network.samples(2, 12), tmp_path)


@pytest.mark.parametrize("recipe", ALLOWED)
@pytest.mark.parametrize("name", NAMES)
def test_where_the_model_allows_it_sums_with_weights_are_integer(name: str, recipe: str, tmp_path: Path) -> None:
    """With 2 bits onnxruntime does not use the permission: its activations stay floats, so ours are rounded more."""
    network, model = exported(name, True, recipe)
    found = account(model)
    assert (found.macs, found.integer_macs) == (network.macs, WEIGHT_MACS[name])
    check_compiled(model, network.samples(2, 12), tmp_path)
    assert largest_difference(network, model) <= (0.2 if recipe == "2 bits" else 2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_user_may_allow_it(name: str) -> None:
    network, model = exported(name, False, "4 bits")
    found = account(model, Options(activation_bits=8))
    assert (found.macs, found.integer_macs) == (network.macs, WEIGHT_MACS[name])
