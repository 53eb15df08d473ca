"""What onnxruntime's static quantizer writes today of three networks, in every type and form that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from subbyte.compiler.compare import compare, output_scales
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.oracle import OnnxRuntime
from subbyte.compiler.pipeline import quantized
from tests.exporters.compared import Array, Record, account, check_compiled, check_traced
from tests.exporters.networks import NETWORKS, Network

MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@dataclass(frozen=True)
class Recipe:
    """What quantize_static is asked for."""

    activation: str
    weight: str
    per_channel: bool = True
    form: QuantFormat = QuantFormat.QDQ
    options: Mapping[str, Any] = field(default_factory=dict)


QOPERATOR = QuantFormat.QOperator
RECIPES = {
    "u8s8 per tensor": Recipe("QUInt8", "QInt8", per_channel=False),
    "u8s8": Recipe("QUInt8", "QInt8"),
    "u8u8": Recipe("QUInt8", "QUInt8", options={"WeightSymmetric": False}),
    "s8s8": Recipe("QInt8", "QInt8"),
    "s8s8 symmetric": Recipe("QInt8", "QInt8", options={"ActivationSymmetric": True}),
    "u8s8 restricted": Recipe("QUInt8", "QInt8", options={"ActivationRestrictedAsymmetric": True}),
    "u8s8 activations kept": Recipe("QUInt8", "QInt8", options={"QDQKeepRemovableActivations": True}),
    "u8s8 weights in float": Recipe("QUInt8", "QInt8", options={"AddQDQPairToWeight": True, "DedicatedQDQPair": True}),
    "s16s8": Recipe("QInt16", "QInt8"),
    "u16u8 com.microsoft": Recipe("QUInt16", "QUInt8", options={"UseQDQContribOps": True}),
    "s16s16 symmetric": Recipe("QInt16", "QInt16", options={"ActivationSymmetric": True}),
    "u8s4": Recipe("QUInt8", "QInt4"),
    "u8u4 per tensor": Recipe("QUInt8", "QUInt4", per_channel=False),
    "s16s4": Recipe("QInt16", "QInt4"),
    "operators u8s8 per tensor": Recipe("QUInt8", "QInt8", False, QOPERATOR),
    "operators u8s8": Recipe("QUInt8", "QInt8", True, QOPERATOR),
    "operators u8u8": Recipe("QUInt8", "QUInt8", True, QOPERATOR, {"WeightSymmetric": False}),
    "operators s8s8 symmetric": Recipe("QInt8", "QInt8", True, QOPERATOR, {"ActivationSymmetric": True}),
}
CASES = [(network, recipe) for network in NETWORKS for recipe in RECIPES]
FLOATS = {
    # what stays in float32, where the types are narrow (8 bits) and where they are wide (16)
    ("convolutional", 8): set(),
    ("convolutional", 16): {"BatchNormalization", "LeakyRelu"},
    ("perceptron", 8): set(),
    ("perceptron", 16): {"Sigmoid", "Tanh"},
    ("attention", 8): {"LayerNormalization"},
    ("attention", 16): {"LayerNormalization", "Softmax", "Div", "Erf"},
}
"""None of these has multiply-accumulates: functions of 8-bit codes are tables (N7), those of 16-bit codes islands."""


class Samples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: list[dict[str, Array]]) -> None:
        self._samples: Iterator[dict[str, Array]] = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)


@cache
def network_of(name: str) -> Network:
    return NETWORKS[name]()


@pytest.fixture
def exported(make_once: MakeOnce) -> Callable[[str, str], ModelProto]:
    """exported(network, recipe) is the quantized model; each is made once for all tests."""

    def model(name: str, recipe: str) -> ModelProto:
        def make(path: Path) -> None:
            network, asked = network_of(name), RECIPES[recipe]
            given = path.with_suffix(".float.onnx")
            onnx.save(network.model, given)
            quantize_static(
                given,
                path,
                Samples(network.samples(8, 11)),
                quant_format=asked.form,
                activation_type=QuantType[asked.activation],
                weight_type=QuantType[asked.weight],
                per_channel=asked.per_channel,
                extra_options=dict(asked.options),
            )

        return onnx.load(make_once(f"{name}-{recipe.replace(' ', '-')}.onnx", make))

    return model


Exported = Callable[[str, str], ModelProto]


@pytest.mark.parametrize(("network", "recipe"), CASES)
def test_all_sums_are_integer_and_none_is_computed_twice(network: str, recipe: str, exported: Exported) -> None:
    found = account(exported(network, recipe))
    assert found.integer_macs == found.macs == network_of(network).macs
    islands = {str(getattr(island.node, "function", type(island.node).__name__)) for island in found.islands}
    assert islands == FLOATS[network, 16 if "16" in RECIPES[recipe].activation else 8]


@pytest.mark.parametrize(("network", "recipe"), CASES)
def test_compiled_code_equals_the_interpreter(network: str, recipe: str, exported: Exported, tmp_path: Path) -> None:
    check_compiled(exported(network, recipe), network_of(network).samples(2, 12), tmp_path)


@pytest.mark.parametrize(("network", "recipe"), CASES)
def test_differences_from_onnxruntime_are_ties(
    network: str, recipe: str, exported: Exported, record_property: Record
) -> None:
    samples = network_of(network).samples(4, 13)
    check_traced(exported(network, recipe), samples, "onnxruntime", f"{network}, {recipe}", record_property)


@pytest.mark.parametrize("weight", ["QInt8", "QInt4"])
def test_weights_in_blocks_are_summed_block_by_block(weight: str, tmp_path: Path, record_property: Record) -> None:
    """N10. The exporter takes MatMul alone, of matrices whose blocks are whole."""
    network = network_of("perceptron")
    onnx.save(network.model, tmp_path / "float.onnx")
    quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "blocks.onnx",
        Samples(network.samples(8, 11)),
        op_types_to_quantize=["MatMul"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType[weight],
        extra_options={"BlockSize": 8},
    )
    model = onnx.load(tmp_path / "blocks.onnx")
    found = account(model)
    assert (found.macs, found.integer_macs) == (network.macs, 4 * (32 * 16 + 16 * 5))
    check_compiled(model, network.samples(2, 12), tmp_path)
    check_traced(model, network.samples(4, 13), "onnxruntime", f"perceptron, blocks of {weight}", record_property)


@pytest.mark.parametrize("recipe", ["u8s8", "s8s8", "operators u8s8"])
@pytest.mark.parametrize("network", NETWORKS)
def test_onnxruntime_as_it_runs_by_default_is_a_few_steps_away(
    network: str, recipe: str, exported: Exported, record_property: Record
) -> None:
    """Its fused operators add the zero point before they round, and have a softmax of their own (docs/semantics.md)."""
    model = exported(network, recipe)
    graph, session = quantized(model), OnnxRuntime(model, fused=True)
    samples = network_of(network).samples(8, 14)
    ours, theirs = (
        np.stack([run(sample)["y"] for sample in samples]) for run in (lambda x: evaluate(graph, x), session.run)
    )
    found = compare(theirs, ours, output_scales(graph)["y"])
    row = {"model": f"{network}, {recipe}", "differ": f"{found.different} of {found.count}"}
    row["largest step"] = f"{found.max_steps:g}"
    record_property("table: outputs beside onnxruntime's default mode", row)
    assert found.max_steps <= 4
