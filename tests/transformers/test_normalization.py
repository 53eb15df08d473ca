"""LayerNormalization and RMSNormalization: one operation with the numbers of the float operations in ONNX's body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, RMSNormalization
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]
RANDOM = np.random.default_rng(5)


def normal(*shape: int, dtype: Any = np.float32) -> Array:
    return RANDOM.normal(0.3, 2.0, shape).astype(dtype)


def input_of(*shape: int) -> Value:
    return Input("x", TensorType(FLOAT32, shape)).out


def written_out(x: Array, scale: Array, bias: Array | None, axis: int, *, centred: bool = True) -> Array:
    """The float32 operations of ONNX's function body, one NumPy operation each; sums in float64, so within rounding."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = x.astype(np.float64)
    d = wide - wide.mean(axes, keepdims=True) if centred else wide
    normalized = (d / np.sqrt((d * d).mean(axes, keepdims=True) + 1e-5)).astype(x.dtype)
    return normalized * scale if bias is None else normalized * scale + bias


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    ("axis", "rows", "parts"),
    [
        (-1, (7,), LayerNormalization),
        (1, (5, 7), LayerNormalization),
        (1, (7,), LayerNormalization),  # a constant is broadcast to the row
        (-1, (1, 1, 7), LayerNormalization),
        (2, (3, 5, 7), ops.Add),  # differs from row to row: an operation of its own
    ],
)
def test_is_one_operation_where_its_rows_are(
    axis: int,
    rows: tuple[int, ...],
    parts: type,
    dtype: Any,
    make_model: Callable[..., ModelProto],
    meaning: Callable[[ModelProto], Graph],
    values: Callable[..., list[Array]],
) -> None:
    x, scale, bias = normal(3, 5, 7, dtype=dtype), normal(*rows, dtype=dtype), normal(*rows, dtype=dtype)
    node = helper.make_node("LayerNormalization", ["x", "s", "b"], ["y"], "norm", axis=axis)
    model = make_model([node], {"x": x}, {"s": scale, "b": bias})
    (output,) = meaning(model).outputs
    assert type(output.value.node) is parts
    (found,) = values(model, {"x": x})
    tolerance = 1e-5 if dtype == np.float32 else 1e-2
    np.testing.assert_allclose(found, written_out(x, scale, bias, axis), rtol=tolerance, atol=tolerance)


def test_rms_does_not_subtract_the_mean(
    make_model: Callable[..., ModelProto],
    meaning: Callable[[ModelProto], Graph],
    values: Callable[..., list[Array]],
) -> None:
    x, scale = normal(4, 9), normal(9)
    model = make_model([helper.make_node("RMSNormalization", ["x", "s"], ["y"])], {"x": x}, {"s": scale}, opset=23)
    assert isinstance(meaning(model).outputs[0].value.node, RMSNormalization)
    (found,) = values(model, {"x": x})
    np.testing.assert_allclose(found, written_out(x, scale, None, -1, centred=False), rtol=1e-5, atol=1e-6)


def test_mean_and_inverse_deviation_are_outputs_too(
    make_model: Callable[..., ModelProto], values: Callable[..., list[Array]]
) -> None:
    x = normal(4, 9)
    node = helper.make_node("LayerNormalization", ["x", "s", "b"], ["y", "m", "i"])
    y, mean, inverse = values(make_model([node], {"x": x}, {"s": normal(9), "b": normal(9)}), {"x": x})
    np.testing.assert_allclose(mean, x.mean(-1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(inverse, 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5), rtol=1e-5)
    assert y.shape == x.shape


@pytest.mark.parametrize("centred", [True, False])
def test_equals_the_operations_one_by_one(centred: bool) -> None:
    shape = (3, 5, 77)
    x, scale, bias = input_of(*shape), Constant.of(normal(77)).out, Constant.of(normal(77)).out
    d = ops.Sub(x, ops.ReduceMean(x, (2,), True).out).out if centred else x
    variance = ops.ReduceMean(ops.Mul(d, d).out, (2,), True).out
    root = ops.Unary(ops.Add(variance, Constant.of(np.float32(1e-5)).out).out, "Sqrt").out
    normalized = ops.Mul(d, ops.Unary(root, "Reciprocal").out).out
    apart = ops.Add(ops.Mul(normalized, scale).out, bias).out
    kind = LayerNormalization if centred else RMSNormalization
    one = kind(x, scale, bias, 2, 1e-5).out
    graph = Graph("g", (x.node,), (Output("apart", apart), Output("one", one)), Stage.QUANTIZED)
    found = evaluate(graph, {"x": normal(*shape)})
    np.testing.assert_array_equal(found["one"].view(np.uint32), found["apart"].view(np.uint32))


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda x: LayerNormalization(x, input_of(5), None, 1, 1e-5), "a row, [4], is needed"),
        (lambda x: LayerNormalization(x, None, input_of(4), 1, 1e-5), "a bias without a scale"),
        (lambda x: RMSNormalization(x, None, None, 2, 1e-5), "axis 2"),
    ],
)
def test_ill_typed_ones_are_refused(build: Callable[[Value], Any], says: str) -> None:
    with pytest.raises(GraphError) as refused:
        build(input_of(3, 4))
    assert says in str(refused.value)
