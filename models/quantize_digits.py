"""Quantize the float digit classifiers to W8A8 QDQ: digits_mlp_int8.onnx and digits_resnet_int8.onnx.

    pip install '.[train]' && python models/quantize_digits.py

Static quantization by onnxruntime's quantizer: int8 activations per tensor, asymmetric; int8 weights, symmetric, per
output channel for the residual network and per tensor for the dense one; int32 biases. The ranges come from the
smallest and largest values over all training images.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from digits_data import FOLDER, Array, Digits, read_test_digits, split_digits


class Images(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Feeds the calibration one image at a time, as the models have batch 1."""

    def __init__(self, digits: Digits) -> None:
        self._images = iter(digits.images[:, np.newaxis])

    def get_next(self) -> dict[str, Array] | None:
        image = next(self._images, None)
        return None if image is None else {"input": image}


def quantize(name: str, calibration: Digits, per_channel: bool) -> None:
    """Fold the batch normalizations of NAME.onnx, calibrate it, and write NAME_int8.onnx."""
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / f"{name}.onnx"
        quant_pre_process(FOLDER / f"{name}.onnx", folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            FOLDER / f"{name}_int8.onnx",
            Images(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            calibrate_method=CalibrationMethod.MinMax,
        )
    model = onnx.load(FOLDER / f"{name}_int8.onnx")
    model.producer_name = "subbyte models/quantize_digits.py"
    del model.metadata_props[:]
    used = {node.domain for node in model.graph.node}  # the optimizer imports every domain that it knows
    imports = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, FOLDER / f"{name}_int8.onnx")


def accuracy(name: str, digits: Digits) -> float:
    """The share of images that onnxruntime, with its own graph optimizations off, classifies as labelled."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(FOLDER / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
    predicted = [np.argmax(session.run(None, {"input": image[np.newaxis]})[0]) for image in digits.images]
    return float(np.mean(predicted == digits.labels))


def main() -> None:
    training, _ = split_digits()
    test = read_test_digits()
    for name, per_channel in (("digits_mlp", False), ("digits_resnet", True)):
        quantize(name, training, per_channel)
        for variant in (name, f"{name}_int8"):
            share, kib = accuracy(variant, test), (FOLDER / f"{variant}.onnx").stat().st_size / 1024
            print(f"{variant}: {share:.2%} of {len(test.labels)} held images, {kib:.1f} KiB")


if __name__ == "__main__":
    main()
