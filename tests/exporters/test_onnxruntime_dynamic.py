"""What onnxruntime's dynamic quantizer writes today: sums with weights are integer, their scales run-time values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from tests.exporters.compared import Record, account, check_compiled, check_traced
from tests.exporters.networks import NETWORKS, Network

RECIPES: dict[str, dict[str, Any]] = {
    "u8": {"weight_type": QuantType.QUInt8},
    "s8 per channel": {"weight_type": QuantType.QInt8, "per_channel": True},
    "u8 per channel, asymmetric, 7 bits": {
        "weight_type": QuantType.QUInt8,
        "per_channel": True,
        "reduce_range": True,
        "extra_options": {"WeightSymmetric": False},
    },
    "s8, activations too": {"weight_type": QuantType.QInt8, "extra_options": {"MatMulConstBOnly": False}},
}
CASES = [(network, recipe) for network in NETWORKS for recipe in RECIPES]

Quantized = Callable[[str, str], tuple[Network, ModelProto]]


@pytest.fixture
def exported(tmp_path: Path) -> Quantized:
    """exported(network, recipe) is the network and its quantized model."""

    def model(name: str, recipe: str) -> tuple[Network, ModelProto]:
        network = NETWORKS[name]()
        onnx.save(network.model, tmp_path / "float.onnx")
        quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx", **RECIPES[recipe])
        return network, onnx.load(tmp_path / "dynamic.onnx")

    return model


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_sums_with_weights_are_integer(name: str, recipe: str, exported: Quantized) -> None:
    """By default the exporter leaves products of two activations in float, and so do we (N9, N11)."""
    network, model = exported(name, recipe)
    found = account(model)
    left = 0 if "activations" in recipe else network.activation_macs
    assert (found.macs, found.integer_macs) == (network.macs, network.macs - left)


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_compiled_code_equals_the_interpreter(name: str, recipe: str, exported: Quantized, tmp_path: Path) -> None:
    network, model = exported(name, recipe)
    check_compiled(model, network.samples(2, 12), tmp_path)


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_differences_from_onnxruntime_are_ties(
    name: str, recipe: str, exported: Quantized, record_property: Record
) -> None:
    network, model = exported(name, recipe)
    check_traced(model, network.samples(4, 13), "onnxruntime", f"{name}, dynamic {recipe}", record_property)
