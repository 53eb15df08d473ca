"""Evaluating graphs: what comes in is checked, what comes out is the caller's, what is used up is freed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT8, UINT4, DType
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate, evaluate_node, evaluate_values
from subbyte.compiler.ir.interpret_registry import interpreted_operations
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.text_parse import OPERATIONS
from subbyte.compiler.ir.types import QuantParams, TensorType


def test_every_operation_has_a_meaning() -> None:
    assert set(OPERATIONS.values()) - {Input, Constant, KernelCall, View} == interpreted_operations()


def graph_of(of_type: TensorType) -> Graph:
    x = Input("x", of_type)
    return Graph("net", (x,), (Output("y", ops.Reshape(x.out, (of_type.elements,)).out),))


NARROW = QuantParams(np.float32(1), np.int64(0), -127, 127)
WRONG_INPUTS: dict[str, tuple[TensorType, dict[str, Any], str]] = {
    "missing": (TensorType(FLOAT32, (2,)), {}, r"'x' is missing; its inputs are 'x' float32\[2\]"),
    "unknown": (
        TensorType(FLOAT32, (2,)),
        {"x": np.zeros(2, np.float32), "z": np.zeros(1)},
        "'z' is not one of them",
    ),
    "shape": (TensorType(FLOAT32, (2, 1)), {"x": np.zeros(2, np.float32)}, r"has shape \[2\]; float32\[2, 1\]"),
    "dtype": (TensorType(FLOAT32, (2,)), {"x": np.zeros(2)}, r"holds float64; float32\[2\]"),
    "byte order": (TensorType(FLOAT32, (2,)), {"x": np.zeros(2, ">f4")}, "holds >f4"),
    "list": (TensorType(INT8, (2,)), {"x": [1, 2]}, "holds int64; int8"),
    "sub-byte code": (TensorType(UINT4, (2,)), {"x": np.array([3, 16], np.uint8)}, r"code 16; .* lie in 0\.\.15"),
    "bipolar zero": (TensorType(BIPOLAR, (2,)), {"x": np.array([1, 0], np.int8)}, r"-1\.\.1, without 0"),
    "narrow range": (TensorType(INT8, (2,), NARROW), {"x": np.array([-128, 0], np.int8)}, r"lie in -127\.\.127"),
}


@pytest.mark.parametrize(("of_type", "inputs", "expected"), WRONG_INPUTS.values(), ids=WRONG_INPUTS)
def test_wrong_inputs_are_refused_in_one_paragraph(of_type: TensorType, inputs: dict[str, Any], expected: str) -> None:
    with pytest.raises(ModelError, match=expected) as raised:
        evaluate(graph_of(of_type), inputs)
    assert "net" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nan_is_an_ordinary_input() -> None:
    found = evaluate(graph_of(TensorType(FLOAT32, (2,))), {"x": np.array([np.nan, np.inf], np.float32)})
    np.testing.assert_array_equal(found["y"], [np.nan, np.inf])


def test_outputs_are_the_callers_own() -> None:
    x = Input("x", TensorType(FLOAT32, (2,)))
    constant = Constant.of(np.ones(2, np.float32))
    column = ops.Reshape(x.out, (2, 1))
    graph = Graph("g", (x,), (Output("a", x.out), Output("b", constant.out), Output("c", column.out)))
    given = np.zeros(2, np.float32)
    found = evaluate(graph, {"x": given})
    assert list(found) == ["a", "b", "c"]
    for array in found.values():
        array += 5
    assert given.tolist() == [0, 0]
    assert constant.value.tolist() == [1, 1]


def test_one_value_may_be_several_outputs_and_an_input_unused() -> None:
    x, unused = Input("x", TensorType(FLOAT32, (1,))), Input("unused", TensorType(INT8, (1,)))
    double = ops.Add(x.out, x.out)
    graph = Graph("g", (x, unused), (Output("a", double.out), Output("b", double.out)))
    found = evaluate(graph, {"x": np.ones(1, np.float32), "unused": np.zeros(1, np.int8)})
    assert found == {"a": 2, "b": 2}


def test_inner_values_are_kept_on_request() -> None:
    x = Input("x", TensorType(FLOAT32, (4,)))
    halves = ops.Split(x.out, 0, (1, 3))
    absolute = ops.Unary(Value(halves, 1), "Abs")
    graph = Graph("g", (x,), (Output("y", absolute.out),))
    inputs = {"x": np.arange(4, dtype=np.float32) - 9}
    every = evaluate_values(graph, inputs)
    assert set(every) == {x.out, Value(halves, 0), Value(halves, 1), absolute.out}
    some = evaluate_values(graph, inputs, keep=[Value(halves, 0)])
    assert set(some) == {Value(halves, 0)}
    assert some[Value(halves, 0)].tolist() == [-9]


def test_values_are_freed_after_their_last_use() -> None:
    x = Input("x", TensorType(FLOAT32, (1 << 18,)))
    value = x.out
    for _ in range(50):
        value = ops.Unary(value, "Neg").out
    graph = Graph("g", (x,), (Output("y", value),))
    given = np.zeros(1 << 18, np.float32)
    tracemalloc.start()
    try:
        evaluate(graph, {"x": given})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * given.nbytes


def test_a_kernel_call_and_a_view_mean_their_operation() -> None:
    x = Input("x", TensorType(FLOAT32, (2,)))
    call = KernelCall(ops.Unary(x.out, "Relu"), kernel="relu_f32", target="portable")
    view = View(ops.Reshape(call.out, (2, 1)))
    graph = Graph("g", (x,), (Output("y", view.out),), Stage.LOWERED)
    assert evaluate(graph, {"x": np.array([-1, 2], np.float32)})["y"].tolist() == [[0], [2]]


def test_a_node_alone_checks_its_operands() -> None:
    x = Input("x", TensorType(FLOAT32, (2,)))
    node = ops.Unary(x.out, "Relu", sources=("/relu",))
    with pytest.raises(ModelError, match="Unary '/relu' was given 2 operands; it has 1"):
        evaluate_node(node, [np.zeros(2, np.float32)] * 2)
    with pytest.raises(ModelError, match="operand 0 of Unary '/relu' holds int8"):
        evaluate_node(node, [np.zeros(2, np.int8)])
    with pytest.raises(ModelError, match="operand 0 of Unary '/relu' is a list"):
        evaluate_node(node, [[1.0, 2.0]])  # type: ignore[list-item]


def test_an_operation_without_meaning_is_named() -> None:
    class Unheard(Node):
        """An operation of nobody."""

        def infer_type(self) -> TensorType:
            return TensorType(FLOAT32, ())

    with pytest.raises(UnsupportedError, match="Unheard '/a' has no interpretation"):
        evaluate_node(Unheard(sources=("/a",)), [])


@pytest.mark.parametrize("dtype", ["int4", "uint2", "int8", "int16", "int32", "uint64", "bool", "float16", "float64"])
def test_results_stand_in_the_container_of_their_dtype(dtype: str, variable: Callable[..., Value]) -> None:
    node = ops.Cast(variable((3,)), DType.parse(dtype))
    (found,) = evaluate_node(node, [np.array([0, 1, 1], np.float32)])
    assert found.dtype == DType.parse(dtype).numpy


def test_codes_come_back_in_their_container(grid: Callable[..., QuantParams], variable: Callable[..., Value]) -> None:
    node = qops.Clamp(variable((1,), "int8", grid()), 0, 3)
    assert evaluate_node(node, [np.array([9], np.int8)])[0].dtype == np.int8
