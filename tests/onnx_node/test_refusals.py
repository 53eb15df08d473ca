"""Operands that no result belongs to: the interpreter raises, compiled code returns an error; neither invents one."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import lowered, quantized
from tests.onnx_node.compiled import PORTABLE, build_library, call_compiled, printed

REFUSED = -4  # SUBBYTE_ERROR_STEP of subbyte_model.h


def _longs(*numbers: Any) -> Any:
    return np.array(numbers, np.int64)


CASES: dict[str, tuple[str, Mapping[str, Any], dict[str, Any]]] = {
    "division": ("Div", {"a": _longs(7, 8), "b": _longs(1, 0)}, {}),
    "modulo": ("Mod", {"a": _longs(7, 8), "b": _longs(0, 3)}, {}),
    "remainder": ("Mod", {"a": _longs(7, 8), "b": _longs(0, 3)}, {"fmod": 1}),
    "power": ("Pow", {"a": _longs(7, 8), "b": _longs(2, -1)}, {}),
    "gather_elements": ("GatherElements", {"a": _longs(7, 8), "b": _longs(1, 2)}, {}),
    "gather_parts": ("GatherND", {"a": _longs(7, 8), "b": _longs([1], [-3])}, {}),
    "scatter_elements": ("ScatterElements", {"a": _longs(7, 8), "b": _longs(0, 2), "c": _longs(1, 1)}, {}),
    "scatter_parts": ("ScatterND", {"a": _longs(7, 8), "b": _longs([0], [-3]), "c": _longs(1, 1)}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_operands_without_a_result_are_refused(name: str, tmp_path: Path) -> None:
    operator, inputs, attributes = CASES[name]
    infos = [
        helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for key, array in inputs.items()
    ]
    node = helper.make_node(operator, list(inputs), ["y"], **attributes)
    made = helper.make_graph([node], name, infos, [helper.make_empty_tensor_value_info("y")])
    graph = quantized(helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    with pytest.raises(ModelError):
        evaluate(graph, inputs)
    calls = lowered(graph, PORTABLE)
    build_library({name: printed(name, calls)}, tmp_path / "refusal.so", tmp_path)
    status, _ = call_compiled(ctypes.CDLL(str(tmp_path / "refusal.so")), name, calls, inputs)
    assert status == REFUSED
