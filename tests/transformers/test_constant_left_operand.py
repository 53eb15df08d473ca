"""Matrix products whose left operand is constant, with a scale for each of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.qops import QGemm
from subbyte.passes.quantization.islands import float_islands

Array = NDArray[Any]
RANDOM = np.random.default_rng(41)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize(
    ("left", "right"), [((5, 19), (19, 7)), ((5, 19), (2, 3, 19, 7)), ((3, 5, 19), (3, 19, 7)), ((3, 5, 19), (19, 7))]
)
def test_a_scale_for_each_row_is_one_for_each_column_of_the_transpose(
    left: tuple[int, ...],
    right: tuple[int, ...],
    added: bool,
    make_model: Callable[..., ModelProto],
    meaning: Callable[[ModelProto], Graph],
    values: Callable[..., list[Array]],
) -> None:
    weights = RANDOM.integers(-127, 128, left).astype(np.int8)
    scales = RANDOM.uniform(0.001, 0.01, left[-2]).astype(np.float32)
    bias = RANDOM.normal(0, 1, (left[-2], 1)).astype(np.float32)
    x = RANDOM.integers(0, 256, right).astype(np.uint8)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["rw"], "rw", axis=len(left) - 2),
        helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["rx"], "rx"),
        helper.make_node("MatMul", ["rw", "rx"], ["p"], "product"),
        *([helper.make_node("Add", ["p", "bias"], ["s"], "sum")] if added else []),
        helper.make_node("QuantizeLinear", ["s" if added else "p", "ys", "yz"], ["y"], "y"),
    ]
    constants = {
        "w": weights, "ws": scales, "wz": np.zeros(left[-2], np.int8), "xs": np.float32(0.02), "xz": np.uint8(120),
        "ys": np.float32(0.11), "yz": np.int8(5), **({"bias": bias} if added else {}),
    }  # fmt: skip
    model = make_model(nodes, {"x": x}, constants)
    graph = meaning(model)
    assert not float_islands(graph)
    assert sum(isinstance(node, QGemm) for node in graph.operations()) == 1
    (found,) = values(model, {"x": x})
    total = np.matmul(weights.astype(np.float64) * scales[:, None], (x.astype(np.float64) - 120) * np.float32(0.02))
    expected = np.clip(np.rint((total + (bias if added else 0)) / np.float32(0.11)) + 5, -128, 127)
    assert np.abs(found - expected).max() <= 1  # float64 beside N4's float32: a step where they round apart
    assert np.mean(found != expected) < 0.02
