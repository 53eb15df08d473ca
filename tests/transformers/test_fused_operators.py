"""ONNX Runtime's fused operators of transformers: what it computes itself, within its rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from subbyte.compiler.errors import UnsupportedError

Array = NDArray[Any]
RANDOM = np.random.default_rng(29)
MICROSOFT = "com.microsoft"


def normal(*shape: int) -> Array:
    return RANDOM.normal(0.2, 1.5, shape).astype(np.float32)


X, ROW = normal(2, 5, 24), [normal(24) for _ in range(3)]
WORDS = RANDOM.integers(0, 30, (2, 5), np.int32)
CASES: dict[str, tuple[str, str, list[Array | None], int, dict[str, Any]]] = {
    # name: operator, domain, operands (the first two run-time, None: left out), outputs, attributes
    "skip": ("SkipLayerNormalization", MICROSOFT, [X, normal(2, 5, 24), *ROW], 1, {"epsilon": 1e-5}),
    "skip and its sum": ("SkipLayerNormalization", MICROSOFT, [X, normal(2, 5, 24), *ROW], 4, {"epsilon": 1e-5}),
    "skip without beta": ("SkipLayerNormalization", MICROSOFT, [X, normal(2, 5, 24), ROW[0]], 1, {}),
    "skip of a batch": ("SkipLayerNormalization", MICROSOFT, [X, normal(1, 5, 24), *ROW[:2]], 1, {"epsilon": 1e-3}),
    "simplified skip": ("SkipSimplifiedLayerNormalization", MICROSOFT, [X, normal(2, 5, 24), *ROW[:2]], 4, {}),
    "simplified": ("SimplifiedLayerNormalization", "", [X, ROW[0]], 1, {"axis": -1, "epsilon": 1e-6}),
    "embedding": (
        "EmbedLayerNormalization", MICROSOFT,
        [WORDS, WORDS % 2, normal(30, 24), normal(9, 24), normal(2, 24), *ROW[:2]], 2, {"epsilon": 1e-12},
    ),
    "embedding of places": (
        "EmbedLayerNormalization", MICROSOFT,
        [WORDS, None, normal(30, 24), normal(9, 24), None, *ROW[:2], None, RANDOM.integers(0, 9, (2, 5), np.int32)], 2,
        {},
    ),
    "embedding with a mask": (
        "EmbedLayerNormalization", MICROSOFT,
        [WORDS, WORDS % 2, normal(30, 24), normal(9, 24), normal(2, 24), *ROW[:2],
         (np.arange(5) < np.array([[3], [5]])).astype(np.int32)], 2, {},
    ),
    "embedding and its sum": (
        "EmbedLayerNormalization", MICROSOFT, [WORDS, None, normal(30, 24), normal(9, 24), None, *ROW[:2]], 3, {},
    ),
    "BiasGelu": ("BiasGelu", MICROSOFT, [X, ROW[0]], 1, {}),
    "FastGelu": ("FastGelu", MICROSOFT, [X], 1, {}),
    "FastGelu with a bias": ("FastGelu", MICROSOFT, [X, ROW[0]], 1, {}),
    "QuickGelu": ("QuickGelu", MICROSOFT, [X], 1, {"alpha": 1.5}),
    "FusedMatMul": ("FusedMatMul", MICROSOFT, [X, normal(2, 7, 24)], 1, {"transB": 1, "alpha": 0.25}),
    "FusedMatMul of a transpose": ("FusedMatMul", MICROSOFT, [X, normal(2, 5, 3)], 1, {"transA": 1}),
}  # fmt: skip


def model_of(make_model: Callable[..., ModelProto], case: str) -> tuple[ModelProto, dict[str, Array]]:
    operator, domain, operands, outputs, attributes = CASES[case]
    names = ["" if operand is None else f"x{k}" for k, operand in enumerate(operands)]
    given = {name: operand for name, operand in zip(names, operands, strict=True) if operand is not None}
    feeds = {name: array for name, array in given.items() if name in ("x0", "x1")}
    results = [f"y{k}" if k in (0, outputs - 1) else "" for k in range(outputs)]
    node = helper.make_node(operator, names, results, "fused", domain=domain, **attributes)
    constants = {name: array for name, array in given.items() if name not in feeds}
    model = make_model([node], feeds, constants, [name for name in results if name])
    for output in model.graph.output:
        output.type.tensor_type.elem_type = 6 if case.startswith("embedding") and output.name == "y1" else 1
    return model, feeds


@pytest.mark.parametrize("case", CASES)
def test_computes_what_onnxruntime_computes(
    case: str, make_model: Callable[..., ModelProto], values: Callable[..., list[Array]]
) -> None:
    model, feeds = model_of(make_model, case)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for found, expected in zip(values(model, feeds), session.run(None, feeds), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_a_batch_that_moves_is_refused(
    make_model: Callable[..., ModelProto], values: Callable[..., list[Array]]
) -> None:
    node = helper.make_node("FusedMatMul", ["a", "b"], ["y"], "fused", domain=MICROSOFT, transBatchA=1)
    feeds = {"a": normal(5, 2, 3), "b": normal(5, 3, 4)}
    with pytest.raises(UnsupportedError) as refused:
        values(make_model([node], feeds, {}), feeds)
    assert "FusedMatMul 'fused' moves the batch" in str(refused.value)
