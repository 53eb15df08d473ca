"""The dynamically quantized keyword network of ../shared/models: onnxruntime's own quantizer wrote it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

import subbyte
from subbyte.compiler.explain import explain
from subbyte.compiler.ir.interpret import evaluate, evaluate_values
from subbyte.compiler.pipeline import quantized
from tests.dynamic.conftest import as_bits, onnxruntime_values

NAME = "kws_dynamic_u8"
FindModel = Callable[[str], Any]
Record = Callable[[str, object], None]


def test_compiled_code_equals_the_interpreter_and_keeps_every_answer(shared_model: FindModel) -> None:
    model = shared_model(NAME)
    graph = quantized(model.path)
    module = subbyte.compile(model.path, target="portable")
    for x, recorded in zip(model.samples["input_1"], model.samples["Identity"], strict=True):
        (expected,) = evaluate(graph, {"input_1": x}).values()
        found = module.run({"input_1": x})["Identity"]
        assert np.array_equal(as_bits(found), as_bits(expected))
        assert found.argmax() == recorded.argmax()
        assert np.abs(found - recorded).max() < 1e-6


def test_every_multiply_accumulate_is_integer(shared_model: FindModel) -> None:
    account = explain(quantized(shared_model(NAME).path)).as_dict()
    assert account["integer_macs"] == account["macs"] > 2_000_000


def test_inner_codes_are_onnxruntimes(shared_model: FindModel, record_property: Record) -> None:
    """All of them but those at rounding ties: a ulp of the average pool before the last quantization may move one."""
    model = shared_model(NAME)
    proto = onnx.load(model.path)
    names = [node.output[0] for node in proto.graph.node if node.op_type == "DynamicQuantizeLinear"]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    graph = quantized(model.path)
    different = dict.fromkeys(names, 0)
    total = 0
    for x in model.samples["input_1"][:16]:
        values = evaluate_values(graph, {"input_1": x})
        ours = {value.node.tensor: array for value, array in values.items() if value.index == 0}
        theirs = onnxruntime_values(proto, {"input_1": x})
        for name in names:
            total += theirs[name].size
            distance = np.abs(ours[name].astype(int) - theirs[name].astype(int))
            assert distance.max() <= 1
            different[name] += int(np.count_nonzero(distance))
    record_property(
        "table: inner codes of the dynamic keyword network that differ from onnxruntime's",
        {"codes": str(total), "different": str(sum(different.values()))},
    )
    assert sum(different.values()) <= total // 10_000
