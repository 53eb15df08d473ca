"""What onnxruntime's own quantizers write of a small network: dynamic, and weights alone in 4 and 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

from subbyte.compiler.explain import explain
from tests.dynamic.conftest import as_bits, build_model, generator, meaning_of, onnxruntime_values, values_of

X = generator(40).normal(size=(1, 3, 8, 8)).astype(np.float32)
CONV_MACS, DENSE_MACS = 8 * 64 * 27, 512 * 10


def network() -> ModelProto:
    """Conv, Relu, Flatten, MatMul, Add; one block of the dense weights is all zeros."""
    random = generator(41)
    dense = random.normal(0, 0.05, (512, 10)).astype(np.float32)
    dense[32:64, 3] = 0
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["sums"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["sums"], ["positive"], "relu"),
        helper.make_node("Flatten", ["positive"], ["flat"], "flatten"),
        helper.make_node("MatMul", ["flat", "dense"], ["product"], "product"),
        helper.make_node("Add", ["product", "bias"], ["y"], "add"),
    ]
    constants = {
        "w": random.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "dense": dense,
        "bias": random.normal(size=10).astype(np.float32),
    }
    model = build_model(nodes, {"x": X}, constants, ["y"])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 10)))
    return model


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_dynamic_network_is_integer_and_equals_onnxruntime(per_channel: bool, tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "float.onnx")
    quantize_dynamic(
        tmp_path / "float.onnx", tmp_path / "dynamic.onnx", weight_type=QuantType.QUInt8, per_channel=per_channel
    )
    model = onnx.load(tmp_path / "dynamic.onnx")
    account = explain(meaning_of(model)).as_dict()
    assert account["integer_macs"] == account["macs"] == CONV_MACS + DENSE_MACS
    found, theirs = values_of(model, {"x": X})["y"], onnxruntime_values(model, {"x": X})["y"]
    assert np.array_equal(as_bits(found), as_bits(theirs))


def weight_only(**settings: Any) -> ModelProto:
    config = DefaultWeightOnlyQuantConfig(block_size=32, **settings)
    quantizer = MatMulNBitsQuantizer(network(), algo_config=config)
    quantizer.process()
    return quantizer.model.model


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(
    ("bits", "form", "level"),
    [
        (4, QuantFormat.QOperator, None),
        (4, QuantFormat.QOperator, 4),
        (4, QuantFormat.QDQ, None),
        (8, QuantFormat.QOperator, None),
        (8, QuantFormat.QOperator, 4),
    ],
)
def test_weights_in_blocks_are_onnxruntimes(bits: int, form: Any, level: int | None, symmetric: bool) -> None:
    """Symmetric blocks have negative scales, and blocks of zeros the scale 0."""
    model = weight_only(bits=bits, quant_format=form, accuracy_level=level, is_symmetric=symmetric)
    account = explain(meaning_of(model)).as_dict()
    assert account["integer_macs"] == (DENSE_MACS if level == 4 else 0)
    found, theirs = values_of(model, {"x": X})["y"], onnxruntime_values(model, {"x": X})["y"]
    np.testing.assert_allclose(found, theirs, atol=1e-4)
