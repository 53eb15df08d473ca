"""A quantized encoder layer: integer matrix products, few float islands, the same bits on every level of processors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import subbyte
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.pipeline import quantized
from subbyte.passes.quantization.islands import float_islands
from tests.transformers.encoder import encoder, samples

Array = NDArray[Any]

QUANTIZATIONS: dict[str, dict[str, Any]] = {
    "u8s8": {"per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8},
    "s8s8": {"per_channel": True, "activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8},
    "u8u8": {"per_channel": False, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8},
    "s16s8": {"per_channel": True, "activation_type": QuantType.QInt16, "weight_type": QuantType.QInt8},
    "u16u8": {"per_channel": False, "activation_type": QuantType.QUInt16, "weight_type": QuantType.QUInt8},
    "u8s4": {"per_channel": False, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt4},
}
FORMS = [("Add", "Erf"), ("Where", "Gelu"), ("Add", "Tanh")]
OUTPUT_STEPS = 2  # of the logits' scale: a LayerNormalization sums in another order, which may move a code behind it


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no stubs
    def __init__(self) -> None:
        self._rest: Iterator[dict[str, Array]] = iter(samples(16))

    def get_next(self) -> dict[str, Array] | None:
        return next(self._rest, None)


@cache
def quantized_encoder(quantization: str, mask: str = "Add", gelu: str = "Erf") -> ModelProto:
    """The encoder as onnxruntime.quantization writes it in QDQ."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        onnx.save(encoder(mask=mask, gelu=gelu), source)
        quantize_static(source, target, _Reader(), quant_format=QuantFormat.QDQ, **QUANTIZATIONS[quantization])
        return onnx.load(target)


def by_onnxruntime(model: ModelProto, feeds: dict[str, Array]) -> Array:
    """The logits, each operator by itself."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


def float_macs(graph: Graph) -> int:
    return sum(island.macs for island in float_islands(graph))


@pytest.mark.parametrize(("mask", "gelu"), FORMS)
@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_every_product_is_integer_and_the_answers_are_those_of_onnxruntime(
    quantization: str, mask: str, gelu: str
) -> None:
    model = quantized_encoder(quantization, mask, gelu)
    graph = quantized(model)
    assert float_macs(graph) == 0
    assert sum(map(multiply_accumulates, graph.operations())) > 50_000
    scale = next(node for node in reversed(model.graph.node) if node.op_type == "DequantizeLinear").input[1]
    step = next(float(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer if t.name == scale)
    for feeds in samples(4, seed=7):
        found, expected = evaluate(graph, feeds)["logits"], by_onnxruntime(model, feeds)
        assert np.abs(found - expected).max() <= OUTPUT_STEPS * step
        np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("quantization", ["u8s8", "s8s8", "u8u8", "u8s4"])
def test_only_normalizations_and_what_is_not_quantized_stay_in_float(quantization: str) -> None:
    """Softmax, GELU in five operators, the mask and all sums are integer; the mask itself is an int64 input."""
    islands = {island.node.label: island.reason for island in float_islands(quantized(quantized_encoder(quantization)))}
    assert set(islands) == {
        *(f"LayerNormalization '/norm_{number}'" for number in range(3)),
        "Cast '/keep_real'",
        "Sub '/off'",
    }
    reason = "it is a LayerNormalization of codes, which is integer only where integers alone are asked for"
    assert islands["LayerNormalization '/norm_1'"] == reason


def test_functions_of_16_bits_stay_in_float_and_say_so() -> None:
    islands = {island.node.label: island.reason for island in float_islands(quantized(quantized_encoder("s16s8")))}
    assert islands["Softmax '/chances'"] == "it is a softmax of int16 codes; one of at most 8 bits becomes integer"
    assert "Unary '/gelu_erf'" in islands
    assert not any(label.startswith(("MatMul", "Gemm", "Gather")) for label in islands)


@pytest.mark.parametrize(
    ("quantization", "mask", "gelu"),
    [*(("u8s8", *form) for form in FORMS), *((name, "Add", "Erf") for name in QUANTIZATIONS if name != "u8s8")],
)
def test_compiled_code_equals_the_interpreter_at_every_level(
    quantization: str, mask: str, gelu: str, level: str
) -> None:
    model = quantized_encoder(quantization, mask, gelu)
    graph, module = quantized(model), subbyte.compile(model, target=level)
    for feeds in samples(2, seed=3):
        expected, found = evaluate(graph, feeds)["logits"], module.run(dict(feeds))["logits"]
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
