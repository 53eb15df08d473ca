"""What needs no table on codes of 16 bits: squares and changes of sign are products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.qops import Lookup, QMul

Array = NDArray[Any]
RANDOM = np.random.default_rng(31)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16])
@pytest.mark.parametrize("operator", ["Neg", "Pow"])
def test_squares_and_signs_are_integer(
    operator: str,
    dtype: Any,
    make_model: Callable[..., ModelProto],
    meaning: Callable[[ModelProto], Graph],
    values: Callable[..., list[Array]],
) -> None:
    info = np.iinfo(dtype)
    constants = {"s": np.float32(0.013), "z": dtype(3), "t": np.float32(0.7 if operator == "Pow" else 0.02),
                 "y0": dtype(info.min // 2 + 9)}  # fmt: skip
    inputs = ["r", "two"] if operator == "Pow" else ["r"]
    constants |= {"two": np.float32(2)} if operator == "Pow" else {}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["r"], "dq"),
        helper.make_node(operator, inputs, ["v"], "op"),
        helper.make_node("QuantizeLinear", ["v", "t", "y0"], ["y"], "q"),
    ]
    x = RANDOM.integers(info.min, info.max, (7, 300), dtype, endpoint=True)
    x[0, :3] = info.min, info.max, 3
    model = make_model(nodes, {"x": x}, constants)
    assert [type(node) for node in meaning(model).operations()] == [Lookup if dtype == np.int8 else QMul]
    (found,) = values(model, {"x": x})
    real = ((x.astype(np.int32) - 3).astype(np.float32) * np.float32(0.013)).astype(np.float32)
    result = real * real if operator == "Pow" else -real
    steps = np.rint(result / constants["t"]).astype(np.int64) + int(constants["y0"])
    np.testing.assert_array_equal(found, np.clip(steps, info.min, info.max).astype(dtype))
