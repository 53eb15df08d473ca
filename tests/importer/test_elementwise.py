"""Elementwise operators mean what ONNX says, in every opset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant

Check = Callable[..., None]
X = np.linspace(-4, 4, 60, dtype=np.float32).reshape(3, 4, 5)
POSITIVE = np.abs(X) + np.float32(0.1)


@pytest.mark.parametrize("opset", [10, 13, 14, 28])
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 1), (5,), (), (2, 1, 1, 1)])
def test_arithmetic_broadcasts(equals_reference: Check, op: str, shape: tuple[int, ...], opset: int) -> None:
    other = np.random.default_rng(1).uniform(0.5, 2, shape).astype(np.float32)
    equals_reference(op, [X, other], opset)
    equals_reference(op, [other, X], opset, constants=(0,))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
def test_arithmetic_on_integers(equals_reference: Check, op: str) -> None:
    a, b = np.array([[7, 9], [12, 5]], np.int64), np.array([2, 3], np.int64)
    equals_reference(op, [a, b], 13)


def test_integer_division_goes_toward_zero(equals_onnxruntime: Check) -> None:
    equals_onnxruntime("Div", [np.array([-7, 7, -6], np.int64), np.array([2, -2, 4], np.int64)], 13)


@pytest.mark.parametrize("exponent", [np.float32(2), np.float32(0.5), np.int64(3), np.int32(-1)])
def test_pow(equals_reference: Check, exponent: Any) -> None:
    equals_reference("Pow", [POSITIVE, np.array(exponent)], 13, constants=(1,), tolerance=1e-5)


@pytest.mark.parametrize("opset", [10, 12, 13, 28])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("op", ["Sum", "Min", "Max", "Mean"])
def test_variadic_operators(equals_reference: Check, op: str, count: int, opset: int) -> None:
    operands = [X, X[:, :1] * -2, X[0, 0], X + 1][:count]
    equals_reference(op, operands, opset)


UNARY: dict[str, tuple[tuple[int, ...], dict[str, float]]] = {
    # operator -> its opsets and some attributes
    "Relu": ((10, 13, 14), {}),
    "LeakyRelu": ((10, 16), {"alpha": 0.3}),
    "Sigmoid": ((10, 13), {}),
    "HardSigmoid": ((10, 22), {"alpha": 0.3, "beta": 0.4}),
    "HardSwish": ((14, 22), {}),
    "Tanh": ((10, 13), {}),
    "Erf": ((10, 13), {}),
    "Exp": ((10, 13), {}),
    "Neg": ((10, 13), {}),
    "Abs": ((10, 13), {}),
    "Floor": ((10, 13), {}),
    "Ceil": ((10, 13), {}),
    "Round": ((11, 22), {}),
    "Sign": ((10, 13), {}),
    "Softplus": ((10, 22), {}),
    "Softsign": ((10, 22), {}),
    "Elu": ((10, 22), {"alpha": 0.7}),
    "Selu": ((10, 22), {"alpha": 1.5, "gamma": 1.1}),
    "Celu": ((12, 28), {"alpha": 0.7}),
    "ThresholdedRelu": ((10, 22), {"alpha": 1.3}),
    "Mish": ((18, 22), {}),
    "Swish": ((24, 28), {"alpha": 1.7}),
}


@pytest.mark.parametrize(("op", "opset"), [(op, opset) for op, (opsets, _) in UNARY.items() for opset in opsets])
def test_functions_of_one_operand(equals_reference: Check, op: str, opset: int) -> None:
    equals_reference(op, [X], opset, tolerance=3e-6)
    equals_reference(op, [X], opset, tolerance=3e-6, **UNARY[op][1])


@pytest.mark.parametrize("op", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers(equals_reference: Check, op: str) -> None:
    equals_reference(op, [POSITIVE], 13)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(equals_reference: Check, approximate: str) -> None:
    equals_reference("Gelu", [X], 20, approximate=approximate)


@pytest.mark.parametrize("opset", [10, 16])
@pytest.mark.parametrize("shape", [(4, 1), (1,), (5,), (3, 4, 5)])
def test_prelu(equals_reference: Check, shape: tuple[int, ...], opset: int) -> None:
    slope = np.random.default_rng(2).uniform(0.1, 1, shape).astype(np.float32)
    equals_reference("PRelu", [X, slope], opset, constants=(1,))


def test_clip_by_attributes(equals_reference: Check) -> None:
    equals_reference("Clip", [X], 10, min=-1.0, max=2.0)
    equals_reference("Clip", [X], 10, min=-1.0)


@pytest.mark.parametrize("opset", [11, 12, 13, 28])
@pytest.mark.parametrize("constants", [(1, 2), ()])
@pytest.mark.parametrize("bounds", [(-1, 2), (None, 2), (-1, None), (2, -1)])
def test_clip_by_operands(
    equals_onnxruntime: Check, bounds: tuple[int | None, int | None], constants: tuple[int, ...], opset: int
) -> None:
    low, high = (None if bound is None else np.array(bound, np.float32) for bound in bounds)
    equals_onnxruntime("Clip", [X, low, high], min(opset, 21), constants=constants)


def test_clip_and_relu_of_integers(equals_reference: Check) -> None:
    x = np.arange(-8, 8, dtype=np.int8)
    equals_reference("Clip", [x, np.array(-3, np.int8), np.array(4, np.int8)], 13, constants=(1, 2))
    equals_reference("Relu", [x], 14)


@pytest.mark.parametrize("opset", [10, 13, 19, 28])
def test_cast(equals_reference: Check, opset: int) -> None:
    from onnx import TensorProto

    equals_reference("Cast", [X], opset, to=TensorProto.INT32)
    equals_reference("Cast", [X], opset, to=TensorProto.FLOAT16)
    equals_reference("Cast", [np.arange(-5, 5, dtype=np.int8)], opset, to=TensorProto.FLOAT)


def test_cast_like(equals_reference: Check) -> None:
    equals_reference("CastLike", [np.arange(4, dtype=np.int32), np.zeros(1, np.float32)], 15)


@pytest.mark.parametrize("opset", [10, 12, 13, 22])
def test_dropout_does_nothing(make_operator: Any, meaning: Any, opset: int) -> None:
    model, feeds = make_operator("Dropout", [X], opset)
    (y,) = meaning(model, feeds)
    np.testing.assert_array_equal(y, X)


def test_dropout_in_training_is_refused(make_operator: Any, imported: Any) -> None:
    model, _ = make_operator("Dropout", [X, np.float32(0.5).reshape(()), np.array(True)], 13, constants=(1, 2))
    with pytest.raises(UnsupportedError, match="Dropout 'node' is in training mode"):
        imported(model)


def test_a_mask_that_somebody_reads_is_all_true(equals_reference: Check) -> None:
    equals_reference("Dropout", [X], 13, outputs=2)


def test_an_identity_leaves_its_name_on_the_node_before(make_model: Any, imported: Any) -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "relu"),
        helper.make_node("Identity", ["a"], ["b"], "same"),
        helper.make_node("Sigmoid", ["b"], ["y"], "sigmoid"),
    ]
    graph: Graph = imported(make_model(nodes, {"x": X}, ["y"]))
    assert [node.sources for node in graph.operations()] == [("relu", "same"), ("sigmoid",)]
    assert [node.tensor for node in graph.operations()] == ["a", "y"]


def test_operands_of_two_types_are_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(ModelError, match=r"Add 'node'.*float32.*int32"):
        imported(make_operator("Add", [X, np.zeros((1,), np.int32)], 13)[0])


def test_constant_integers_divided_by_zero_are_refused(make_operator: Any, imported: Any) -> None:
    operands = [np.array([1], np.int64), np.array([0], np.int64)]
    with pytest.raises(ModelError, match="Div 'node' divides integers by zero"):
        imported(make_operator("Div", operands, 13, constants=(0, 1))[0])


@pytest.mark.parametrize("op", ["Add", "Mul", "Max", "Floor"])
def test_constants_fold_as_they_are_met(make_operator: Any, imported: Any, op: str) -> None:
    operands = [X] if op == "Floor" else [X, X[0]]
    graph = imported(make_operator(op, operands, 13, constants=(0, 1))[0])
    assert [type(node) for node in graph.nodes()] == [Constant]


def test_floats_wrap_into_few_bits_and_saturate_into_more(make_operator: Any, meaning: Any) -> None:
    x = np.array([-9.7, 7.2, 8.0, 300.0], np.float32)
    (few,) = meaning(*make_operator("Cast", [x], 21, to=TensorProto.INT4))
    (many,) = meaning(*make_operator("Cast", [x], 21, to=TensorProto.INT8))
    assert few.tolist() == [7, 7, -8, -4]
    assert many.tolist() == [-9, 7, 8, 127]


@pytest.mark.parametrize("exponent", [np.int32, np.int64])
@pytest.mark.parametrize("base", [np.int32, np.int64])
def test_integers_are_raised_to_integers(equals_reference: Check, base: Any, exponent: Any) -> None:
    equals_reference("Pow", [np.array([2, -3, 7], base), np.array([10, 3, 0], exponent)], 15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("flags", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_infinities_are_found(equals_reference: Check, flags: tuple[int, int], dtype: Any) -> None:
    x = np.array([1, np.inf, -np.inf, np.nan], dtype)
    equals_reference("IsInf", [x], 20, detect_positive=flags[0], detect_negative=flags[1])
    equals_reference("IsNaN", [x], 20)
