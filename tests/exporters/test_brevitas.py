"""What Brevitas exports today of three networks, as QCDQ and as QONNX, by either of torch's exporters."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8Bias,
    Int8BiasPerTensorFixedPointInternalScaling,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFixedPoint,
    Int16Bias,
    Int32Bias,
    ShiftedUint8ActPerTensorFloat,
    ShiftedUint8WeightPerTensorFloat,
    SignedBinaryActPerTensorConst,
    SignedBinaryWeightPerTensorConst,
    SignedTernaryActPerTensorConst,
    SignedTernaryWeightPerTensorConst,
    Uint8ActPerTensorFixedPoint,
)
from onnx import ModelProto

from subbyte.compiler.importer import import_model
from tests.exporters.brevitas_networks import Attention, Convolutional, Perceptron, Recipe, calibrated
from tests.exporters.compared import Array, Record, account, check_compiled, check_traced

MakeOnce = Callable[[str, Callable[[Path], None]], Path]
Lacking = Callable[[str, str], None]

NETWORKS: dict[str, type[Any]] = {"convolutional": Convolutional, "perceptron": Perceptron, "attention": Attention}
RECIPES = {
    "w8a8": Recipe(),
    "w8a8 int32 bias": Recipe(bias=Int32Bias),
    "w4a4 int16 bias": Recipe(4, 4, Int8WeightPerChannelFloat, bias=Int16Bias, per_channel=True),
    "w3a3 int8 bias": Recipe(3, 3, bias=Int8Bias),
    "w2a2": Recipe(2, 2),
    "ternary": Recipe(2, 2, SignedTernaryWeightPerTensorConst, SignedTernaryActPerTensorConst),
    "bipolar": Recipe(
        1, 1, SignedBinaryWeightPerTensorConst, SignedBinaryActPerTensorConst, SignedBinaryActPerTensorConst
    ),
    "fixed point": Recipe(
        8, 8, Int8WeightPerTensorFixedPoint, Int8ActPerTensorFixedPoint, Uint8ActPerTensorFixedPoint,
        Int8BiasPerTensorFixedPointInternalScaling,
    ),
    "asymmetric": Recipe(4, 8, ShiftedUint8WeightPerTensorFloat, ShiftedUint8ActPerTensorFloat),
}  # fmt: skip
MACS = {"convolutional": 12_752, "perceptron": 5_856, "attention": 13_440}
QCDQ, QONNX = "qcdq", "qonnx"
QCDQ_TRACED, QONNX_TRACED = "qcdq by torch.export", "qonnx by torch.export"
FORMS = {
    # Brevitas has no binary codes in QCDQ
    "w8a8": (QCDQ, QONNX),
    "w8a8 int32 bias": (QCDQ,),
    "w4a4 int16 bias": (QCDQ, QONNX),
    "w3a3 int8 bias": (QONNX,),
    "w2a2": (QCDQ, QONNX),
    "ternary": (QCDQ,),
    "bipolar": (QONNX,),
    "fixed point": (QCDQ,),
    "asymmetric": (QCDQ, QONNX),
}
TRACED = [
    # torch.export takes seconds a model; QCDQ of quantized biases it has not
    ("convolutional", "w8a8", QCDQ_TRACED),
    ("convolutional", "w8a8", QONNX_TRACED),
    ("attention", "w8a8", QCDQ_TRACED),
    ("attention", "bipolar", QONNX_TRACED),
]
CASES = [(network, recipe, form) for network in NETWORKS for recipe, forms in FORMS.items() for form in forms] + TRACED


def samples_of(network: str, model: ModelProto, count: int, seed: int) -> list[dict[str, Array]]:
    random = np.random.default_rng(seed)
    (name,) = (node.name for node in import_model(model).inputs)  # QCDQ lists initializers among the inputs, too
    return [{name: random.normal(size=NETWORKS[network].shape).astype(np.float32)} for _ in range(count)]


@cache
def trained(network: str, recipe: str) -> torch.nn.Module:
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return calibrated(NETWORKS[network], RECIPES[recipe])


@pytest.fixture
def exported(make_once: MakeOnce) -> Callable[[str, str, str], ModelProto]:
    """exported(network, recipe, form) is the model that Brevitas writes; each is made once for all tests."""

    def model(network: str, recipe: str, form: str) -> ModelProto:
        def make(path: Path) -> None:
            export = export_onnx_qcdq if "qcdq" in form else export_qonnx
            options: dict[str, Any] = {"dynamo": "torch.export" in form}
            if options["dynamo"]:
                options["optimize"] = True  # as Brevitas recommends
            x = torch.randn(NETWORKS[network].shape)
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                export(trained(network, recipe), args=x, export_path=str(path), **options)

        return onnx.load(make_once(f"{network}-{recipe}-{form}.onnx".replace(" ", "-"), make))

    return model


Exported = Callable[[str, str, str], ModelProto]


@pytest.mark.parametrize(("network", "recipe", "form"), CASES)
def test_all_sums_are_integer_and_none_is_computed_twice(
    network: str, recipe: str, form: str, exported: Exported
) -> None:
    found = account(exported(network, recipe, form))
    assert found.integer_macs == found.macs == MACS[network]


@pytest.mark.parametrize(("network", "recipe", "form"), CASES)
def test_compiled_code_equals_the_interpreter(
    network: str, recipe: str, form: str, exported: Exported, tmp_path: Path
) -> None:
    model = exported(network, recipe, form)
    check_compiled(model, samples_of(network, model, 2, 1), tmp_path)


@pytest.mark.parametrize(("network", "recipe", "form"), [case for case in CASES if "qcdq" in case[2]])
def test_differences_from_onnxruntime_are_ties(
    network: str, recipe: str, form: str, exported: Exported, record_property: Record
) -> None:
    model = exported(network, recipe, form)
    check_traced(
        model, samples_of(network, model, 4, 2), "onnxruntime", f"{network}, {recipe}, {form}", record_property
    )


class QonnxExecutor:
    """qonnx' own executor, all of whose tensors are shown."""

    def __init__(self, model: ModelProto) -> None:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.infer_shapes import InferShapes

        self._model = ModelWrapper(model).transform(InferShapes())
        self.shown: Collection[str] = {output for node in model.graph.node for output in node.output}

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        from qonnx.core.onnx_exec import execute_onnx

        found: dict[str, Array] = execute_onnx(self._model, dict(inputs), return_full_exec_context=True)
        return found


@pytest.mark.parametrize(("network", "recipe", "form"), [case for case in CASES if "qonnx" in case[2]])
def test_differences_from_qonnx_executor_are_ties(
    network: str,
    recipe: str,
    form: str,
    exported: Exported,
    record_property: Record,
    optional_capability: Lacking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if find_spec("qonnx") is None:
        optional_capability("qonnx", "the package qonnx is not installed")
    monkeypatch.setattr(onnx, "IR_VERSION", 10)  # it makes a model of each node; onnxruntime may lag behind onnx
    model = exported(network, recipe, form)
    samples = samples_of(network, model, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes that it does not infer
        check_traced(model, samples, QonnxExecutor(model), f"{network}, {recipe}, {form}", record_property)
