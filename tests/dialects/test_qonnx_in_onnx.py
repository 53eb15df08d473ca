"""QONNX's Trunc written out in ONNX's own operators, for onnxruntime: the numbers of qonnx' own functions."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from subbyte.compiler.errors import ModelError
from subbyte.compiler.oracle_qonnx import in_standard_operators

Array = NDArray[Any]
DOMAIN = "qonnx.custom_op.general"
X = (np.arange(-600, 600) / 4).astype(np.float32)  # codes, and ties between them


def trunc(operands: dict[str, float], version: int, **attributes: Any) -> ModelProto:
    """A model of one Trunc of x [1200] with constant operands, in QONNX's order."""
    node = helper.make_node("Trunc", ["x", *operands], ["y"], "trunc", domain=DOMAIN, **attributes)
    graph = helper.make_graph(
        [node],
        "trunc",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, X.shape)],
        [numpy_helper.from_array(np.float32(value), name) for name, value in operands.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def run(model: ModelProto) -> Array:
    in_standard_operators(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {"x": X})[0]
    return found


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", None])
@pytest.mark.parametrize(("signed", "narrow"), [(0, 0), (1, 0), (1, 1)])
def test_trunc_of_version_2(
    mode: str | None, signed: int, narrow: int, optional_capability: Callable[[str, str], None]
) -> None:
    if find_spec("qonnx") is None:
        optional_capability("qonnx", "it is not installed")
    from qonnx.custom_op.general.trunc import trunc_v2

    operands = {"scale": 0.25, "zeropt": 0.0, "in_bits": 9.0, "out_scale": 1.0, "out_bits": 5.0}
    attributes: dict[str, Any] = {} if mode is None else {"rounding_mode": mode}
    found = run(trunc(operands, 2, signed=signed, narrow=narrow, **attributes))
    scale, zeropt, in_bits, out_scale, out_bits = (np.float32(value) for value in operands.values())
    expected = trunc_v2(X, scale, zeropt, in_bits, narrow, signed, out_scale, out_bits, mode or "FLOOR")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("zeropt", [0.0, 3.0])
def test_trunc_of_version_1(zeropt: float, optional_capability: Callable[[str, str], None]) -> None:
    if find_spec("qonnx") is None:
        optional_capability("qonnx", "it is not installed")
    from qonnx.custom_op.general.trunc import trunc_v1

    operands = {"scale": 0.5, "zeropt": zeropt, "in_bits": 8.0, "out_bits": 6.0}
    found = run(trunc(operands, 1, rounding_mode="FLOOR"))
    np.testing.assert_array_equal(found, trunc_v1(X, *(np.float32(value) for value in operands.values()), "FLOOR"))


def test_a_scale_that_is_computed_is_refused() -> None:
    model = trunc({"scale": 0.5, "zeropt": 0.0, "in_bits": 8.0, "out_scale": 1.0, "out_bits": 6.0}, 2)
    del model.graph.initializer[3]
    with pytest.raises(ModelError, match="Trunc 'trunc' has no constant number as its output scale"):
        in_standard_operators(model)
