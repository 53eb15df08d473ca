"""Builds a topology in a precision: int8 by onnxruntime's quantizer, fewer bits as QCDQ."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.topologies.builder import Builder
from benchmarks.topologies.layers import LAYERS
from benchmarks.topologies.networks import TOPOLOGIES
from benchmarks.topologies.precision import PRECISIONS

ALL = TOPOLOGIES | LAYERS
_SEED = 20


@dataclass(frozen=True)
class Built:
    """A model, and the input that its scales were measured on."""

    model: ModelProto
    inputs: dict[str, NDArray[Any]]


def build(topology: str, precision: str, resolution: int | None = None) -> Built:
    """The same bytes for the same arguments and versions. Every output varies with its input.

    Raises: KeyError: an unknown name. ValueError: a network whose outputs are constant, which times nothing.
    """
    one = ALL[topology]
    by_quantizer = precision == "w8a8"
    builder = Builder(topology, PRECISIONS["float" if by_quantizer else precision], _SEED)
    one.write(builder, resolution or one.resolution)
    for name in builder.outputs:
        values = builder.values[name]
        if not np.isfinite(values).all() or not values.std() > 1e-3:
            raise ValueError(f"output '{name}' of {topology} in {precision} has deviation {values.std():g}")
    inputs = {name: builder.values[name] for name in builder.inputs}
    return Built(_quantized(builder.model(), inputs) if by_quantizer else builder.model(), inputs)


class _Once(CalibrationDataReader):  # type: ignore[misc]
    """The one input that there is."""

    def __init__(self, inputs: dict[str, NDArray[Any]]) -> None:
        self._left = [inputs]

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return self._left.pop() if self._left else None


def _quantized(model: ModelProto, inputs: dict[str, NDArray[Any]]) -> ModelProto:
    """uint8 activations, int8 weights for each channel, QDQ; BatchNormalization is folded before."""
    with tempfile.TemporaryDirectory() as folder:
        float_model, folded, written = (Path(folder) / f"{name}.onnx" for name in ("float", "folded", "int8"))
        onnx.save(model, float_model)
        quant_pre_process(float_model, folded, skip_symbolic_shape=True)
        quantize_static(
            folded, written, _Once(inputs), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(written)
