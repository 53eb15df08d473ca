"""Float operations are near ONNX's reference, and are float32 in the written order to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, DType
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Node, Value

Array = NDArray[Any]
Variable = Callable[..., Value]
f32 = np.float32


@dataclass(frozen=True)
class Case:
    """Our node, and ONNX's: its operator, its further operands and its attributes."""

    shapes: tuple[tuple[int, ...], ...]
    build: Callable[..., Node]
    operator: str
    operands: tuple[Array, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    positive: bool = False


def unary(function: str, *parameters: float, operator: str = "", positive: bool = False, **attributes: Any) -> Case:
    return Case(
        ((3, 50),), lambda x: ops.Unary(x, function, parameters), operator or function, (), attributes, positive
    )


CASES = {
    "conv": Case(
        ((2, 4, 9, 8), (6, 2, 3, 2), (6,)),
        lambda x, w, b: ops.Conv(x, w, b, (2, 1), (1, 0, 2, 1), (1, 2), 2),
        "Conv",
        (),
        {"strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2], "group": 2},
    ),
    "conv, one axis, no bias": Case(
        ((1, 3, 9), (4, 3, 3)), lambda x, w: ops.Conv(x, w, None, (1,), (1, 1), (1,), 1), "Conv", (), {"pads": [1, 1]}
    ),
    "depthwise conv": Case(
        ((1, 5, 6, 6), (5, 1, 3, 3), (5,)),
        lambda x, w, b: ops.Conv(x, w, b, (1, 1), (1, 1, 1, 1), (1, 1), 5),
        "Conv",
        (),
        {"pads": [1, 1, 1, 1], "group": 5},
    ),
    "transposed conv": Case(
        ((2, 3, 4, 5), (3, 4, 3, 2), (4,)),
        lambda x, w, b: ops.ConvTranspose(x, w, b, (2, 3), (1, 0, 0, 1), (1, 1), 1, (1, 0)),
        "ConvTranspose",
        (),
        {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 0]},
    ),
    "matmul": Case(((2, 1, 3, 20), (4, 20, 5)), ops.MatMul, "MatMul"),
    "gemm": Case(
        ((20, 3), (5, 20), (5,)),
        lambda a, b, c: ops.Gemm(a, b, c, 0.5, 2.0, True, True),
        "Gemm",
        (),
        {"alpha": 0.5, "beta": 2.0, "transA": 1, "transB": 1},
    ),
    "gemm without c": Case(((3, 20), (20, 5)), lambda a, b: ops.Gemm(a, b, None, 1.0, 1.0, False, False), "Gemm"),
    "add": Case(((3, 1, 5), (4, 1)), ops.Add, "Add"),
    "sub": Case(((3, 1, 5), (4, 1)), ops.Sub, "Sub"),
    "mul": Case(((3, 1, 5), (4, 1)), ops.Mul, "Mul"),
    "div": Case(((3, 1, 5), (4, 1)), ops.Div, "Div"),
    "pow": Case(((3, 1, 5), (4, 1)), ops.Pow, "Pow", positive=True),
    "minimum": Case(((3, 1, 5), (4, 1)), ops.Minimum, "Min"),
    "maximum": Case(((3, 1, 5), (4, 1)), ops.Maximum, "Max"),
    "prelu": Case(((2, 3, 5), (3, 1)), ops.PRelu, "PRelu"),
    "softmax": Case(((3, 20, 4),), lambda x: ops.Softmax(x, 1), "Softmax", (), {"axis": 1}),
    "log softmax": Case(((3, 20),), lambda x: ops.LogSoftmax(x, 1), "LogSoftmax", (), {"axis": 1}),
    "batch normalization": Case(
        ((2, 3, 4), (3,), (3,), (3,), (3,)),
        lambda x, s, b, m, v: ops.BatchNormalization(x, s, b, m, v, 1e-3),
        "BatchNormalization",
        (),
        {"epsilon": 1e-3},
        positive=True,
    ),
    "average pool": Case(
        ((2, 3, 7, 6),),
        lambda x: ops.AveragePool(x, (3, 2), (2, 1), (1, 0, 1, 1), (1, 1), False, False),
        "AveragePool",
        (),
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]},
    ),
    "average pool that counts its pads": Case(
        ((2, 3, 7, 6),),
        lambda x: ops.AveragePool(x, (3, 2), (2, 1), (1, 0, 1, 1), (1, 1), False, True),
        "AveragePool",
        (),
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "count_include_pad": 1},
    ),
    "average pool, ceil mode": Case(
        ((1, 2, 6, 7),),
        lambda x: ops.AveragePool(x, (3, 3), (2, 2), (0, 0, 0, 0), (1, 1), True, False),
        "AveragePool",
        (),
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    ),
    "sum": Case(
        ((2, 30, 4),), lambda x: ops.ReduceSum(x, (0, 1), False), "ReduceSum", (np.array([0, 1]),), {"keepdims": 0}
    ),
    "mean": Case(((2, 30, 4),), lambda x: ops.ReduceMean(x, (1,), True), "ReduceMean", (np.array([1]),)),
    "resize linearly": Case(
        ((1, 2, 3, 4),),
        lambda x: ops.ResizeLinear(x, (1, 2, 6, 6), (1.0, 1.0, 2.0, 1.5), "half_pixel"),
        "Resize",
        (np.array([], np.float32), np.array([1, 1, 2, 1.5], np.float32)),
        {"mode": "linear"},
    ),
    "relu": unary("Relu"),
    "leaky relu": unary("LeakyRelu", 0.1, alpha=0.1),
    "sigmoid": unary("Sigmoid"),
    "hard sigmoid": unary("HardSigmoid", 0.3, 0.4, alpha=0.3, beta=0.4),
    "hard swish": unary("HardSwish"),
    "tanh": unary("Tanh"),
    "gelu": unary("Gelu"),
    "gelu by tanh": unary("GeluTanh", operator="Gelu", approximate="tanh"),
    "erf": unary("Erf"),
    "exp": unary("Exp"),
    "log": unary("Log", positive=True),
    "sqrt": unary("Sqrt", positive=True),
    "reciprocal": unary("Reciprocal"),
    "neg": unary("Neg"),
    "abs": unary("Abs"),
    "floor": unary("Floor"),
    "ceil": unary("Ceil"),
    "round": unary("Round"),
    "sign": unary("Sign"),
    "softplus": unary("Softplus"),
    "softsign": unary("Softsign"),
    "elu": unary("Elu", 0.7, alpha=0.7),
    "selu": unary("Selu", 1.6, 1.1, alpha=1.6, gamma=1.1),
    "celu": unary("Celu", 0.7, alpha=0.7),
    "thresholded relu": unary("ThresholdedRelu", 0.6, alpha=0.6),
    "mish": unary("Mish"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_floats_are_near_onnxs(
    case: Case, variable: Variable, onnx_reference: Callable[..., list[Array]], rng: np.random.Generator
) -> None:
    arrays = [rng.normal(0, 2, shape).astype(np.float32) for shape in case.shapes]
    arrays = [np.abs(array) + f32(0.1) for array in arrays] if case.positive else arrays
    node = case.build(*(variable(shape) for shape in case.shapes))
    (found,) = evaluate_node(node, arrays)
    (expected,) = onnx_reference(case.operator, [*arrays, *case.operands], **case.attributes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=3e-6)


def test_every_unary_function_is_compared_with_onnx() -> None:
    operand = Constant.of(np.zeros((3, 50), np.float32)).out
    nodes = [case.build(operand) for case in CASES.values() if case.shapes == ((3, 50),)]
    assert {node.function for node in nodes if isinstance(node, ops.Unary)} | {"Clip"} == set(ops.UNARY_FUNCTIONS)


def test_clip_is_near_onnxs(variable: Variable, onnx_reference: Callable[..., list[Array]]) -> None:
    x = np.array([-3, -0.5, 0, 0.5, 3], np.float32)
    (found,) = evaluate_node(ops.Unary(variable(x.shape), "Clip", (-1.0, 2.0)), [x])
    np.testing.assert_array_equal(found, onnx_reference("Clip", [x, f32(-1), f32(2)])[0])


# The written order ----------------------------------------------------------------------------------------------------


def tree(terms: Iterable[tuple[int, np.float32]]) -> np.float32:
    """design.md N8, read word for word: (k, term) in ascending k."""
    lanes = [f32(0)] * 8
    for k, term in terms:
        lanes[k % 8] = f32(lanes[k % 8] + term)
    a, b, c, d = (f32(lanes[i] + lanes[i + 4]) for i in (0, 2, 1, 3))
    return f32(f32(a + b) + f32(c + d))


@pytest.mark.parametrize("group", [1, 2, 4])
def test_a_convolution_sums_channels_last_in_the_tree(group: int, variable: Variable, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 4, 5, 4)).astype(np.float32)
    w = rng.normal(size=(8, 4 // group, 3, 2)).astype(np.float32)
    b = rng.normal(size=8).astype(np.float32)
    node = ops.Conv(variable(x.shape), variable(w.shape), variable(b.shape), (2, 1), (1, 1, 0, 1), (1, 2), group)
    (found,) = evaluate_node(node, [x, w, b])
    for n, o, i, j in np.ndindex(*node.type.shape):
        terms = []
        positions = itertools.product(range(3), range(2), range(4 // group))
        for k, (p, q, c) in enumerate(positions):
            row, column = 2 * i - 1 + p, j - 1 + 2 * q
            if 0 <= row < 5 and 0 <= column < 4:
                channel = o // (8 // group) * (4 // group) + c
                terms.append((k, f32(x[n, channel, row, column] * w[o, c, p, q])))
        assert found[n, o, i, j] == f32(tree(terms) + b[o])


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 0, 1, 1), (3, 0, 0, 2)])
def test_a_transposed_convolution_gathers_in_the_tree(
    pads: tuple[int, ...], variable: Variable, rng: np.random.Generator
) -> None:
    x = rng.normal(size=(1, 4, 3, 4)).astype(np.float32)
    w = rng.normal(size=(4, 3, 2, 3)).astype(np.float32)
    node = ops.ConvTranspose(variable(x.shape), variable(w.shape), None, (2, 1), pads, (2, 1), 2, (1, 0))
    (found,) = evaluate_node(node, [x, w])
    for n, o, i, j in np.ndindex(*node.type.shape):
        terms = []
        for k, (p, q, c) in enumerate(itertools.product(range(2), range(3), range(2))):
            row, column = i + pads[0] - 2 * p, j + pads[1] - q
            channel = o // 3 * 2 + c
            if row % 2 == 0 and 0 <= row // 2 < 3 and 0 <= column < 4:
                terms.append((k, f32(x[n, channel, row // 2, column] * w[channel, o % 3, p, q])))
        assert found[n, o, i, j] == tree(terms)


def test_a_matrix_product_sums_in_the_tree(variable: Variable, rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 3, 21)).astype(np.float32), rng.normal(size=(21, 4)).astype(np.float32)
    (found,) = evaluate_node(ops.MatMul(variable(a.shape), variable(b.shape)), [a, b])
    for n, i, j in np.ndindex(2, 3, 4):
        assert found[n, i, j] == tree((k, f32(a[n, i, k] * b[k, j])) for k in range(21))


def test_gemm_scales_then_adds(variable: Variable, rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(3, 9)).astype(np.float32), rng.normal(size=(9, 4)).astype(np.float32)
    c = rng.normal(size=(3, 1)).astype(np.float32)
    node = ops.Gemm(variable(a.shape), variable(b.shape), variable(c.shape), 0.1, 0.7, False, False)
    (found,) = evaluate_node(node, [a, b, c])
    for i, j in np.ndindex(3, 4):
        product = f32(f32(0.1) * tree((k, f32(a[i, k] * b[k, j])) for k in range(9)))
        assert found[i, j] == f32(product + f32(f32(0.7) * c[i, 0]))


def test_an_average_divides_the_tree_by_the_count(variable: Variable, rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 1, 5, 6)).astype(np.float32)
    for include, ceil in itertools.product((False, True), repeat=2):
        node = ops.AveragePool(variable(x.shape), (4, 3), (3, 2), (1, 0, 0, 1), (1, 1), ceil, include)
        (found,) = evaluate_node(node, [x])
        for _, _, i, j in np.ndindex(*node.type.shape):
            at = [(3 * i - 1 + p, 2 * j + q) for p in range(4) for q in range(3)]
            inside = [(k, x[0, 0, r, s]) for k, (r, s) in enumerate(at) if 0 <= r < 5 and 0 <= s < 6]
            count = sum(-1 <= r < 5 and 0 <= s < 7 for r, s in at) if include else len(inside)
            assert found[0, 0, i, j] == f32(tree(inside) / f32(count))


def test_reductions_number_their_elements_row_major(variable: Variable, rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 2, 5)).astype(np.float32)
    (total,) = evaluate_node(ops.ReduceSum(variable(x.shape), (0, 2), False), [x])
    (mean,) = evaluate_node(ops.ReduceMean(variable(x.shape), (0, 2), True), [x])
    for i in range(2):
        expected = tree(enumerate(x[:, i, :].reshape(-1)))
        assert total[i] == expected
        assert mean[0, i, 0] == f32(expected / f32(15))


def test_padding_is_left_out_even_beside_weights_that_are_not_finite(variable: Variable) -> None:
    x, w = np.ones((1, 1, 3), np.float32), np.array([[[np.inf, 1, np.nan]]], np.float32)
    node = ops.Conv(variable(x.shape), variable(w.shape), None, (1,), (1, 1), (1,), 1)
    (found,) = evaluate_node(node, [x, w])
    np.testing.assert_array_equal(found, np.array([[[np.nan, np.nan, np.inf]]], np.float32))
    left = ops.Conv(variable(x.shape), variable((1, 1, 2)), None, (1,), (1, 0), (1,), 1)
    np.testing.assert_array_equal(evaluate_node(left, [x, w[..., :2]])[0], [[[1, np.inf, np.inf]]])


# NaN, infinities, zeros and other types -------------------------------------------------------------------------------


def test_extremes_keep_nan_and_the_first_of_two_zeros(variable: Variable) -> None:
    nan = np.nan
    a, b = np.array([nan, 1, 0.0, -0.0, 1], np.float32), np.array([1, nan, -0.0, 0.0, 2], np.float32)
    for operation, last in ((ops.Minimum, 1), (ops.Maximum, 2)):
        (found,) = evaluate_node(operation(variable(a.shape), variable(b.shape)), [a, b])
        np.testing.assert_array_equal(found, np.array([nan, nan, 0, 0, last], np.float32))
        assert np.signbit(found[2:4]).tolist() == [False, True]


@pytest.mark.parametrize("function", [("Relu",), ("Clip", -1.0, 1.0), ("LeakyRelu", 0.5)])
def test_activations_keep_nan_and_negative_zero(function: tuple[Any, ...], variable: Variable) -> None:
    x = np.array([np.nan, -0.0], np.float32)
    (found,) = evaluate_node(ops.Unary(variable(x.shape), function[0], function[1:]), [x])
    assert np.isnan(found[0])
    assert np.signbit(found[1])


def test_softmax_of_what_has_no_largest_number_is_nan(variable: Variable) -> None:
    x = np.array([[np.inf, 0], [-np.inf, -np.inf], [np.nan, 0], [-np.inf, 0]], np.float32)
    (found,) = evaluate_node(ops.Softmax(variable(x.shape), 1), [x])
    np.testing.assert_array_equal(found, np.array([[np.nan] * 2, [np.nan] * 2, [np.nan] * 2, [0, 1]], np.float32))


def test_float16_is_computed_in_float32_and_rounded_once(variable: Variable, rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(3, 40)).astype(np.float16), rng.normal(size=(40, 3)).astype(np.float16)
    half = ops.MatMul(variable(a.shape, "float16"), variable(b.shape, "float16"))
    single = ops.MatMul(variable(a.shape), variable(b.shape))
    (expected,) = evaluate_node(single, [a.astype(np.float32), b.astype(np.float32)])
    (found,) = evaluate_node(half, [a, b])
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, expected.astype(np.float16))


def test_float64_is_added_in_float64(variable: Variable) -> None:
    a, b = np.array([1e-300]), np.array([1.0 + 2**-52])
    (found,) = evaluate_node(ops.Mul(variable((1,), "float64"), variable((1,), "float64")), [a, b])
    assert found[0] == a[0] * b[0]
    assert found.dtype == np.float64


INTEGERS = [
    (ops.Add, INT8, 127, 1, -128),
    (ops.Sub, UINT8, 0, 1, 255),
    (ops.Mul, INT32, 2**30, 4, 0),
    (ops.Add, INT64, 2**63 - 1, 1, -(2**63)),
    (ops.Mul, DType("int", 4), 7, 3, 5),
    (ops.Mul, DType("uint", 64), 2**63, 2, 0),
    (ops.Div, INT32, -7, 2, -3),
    (ops.Div, INT32, 7, -2, -3),
    (ops.Div, INT32, -(2**31), -1, -(2**31)),
    (ops.Div, INT64, -(2**63), -1, -(2**63)),
    (ops.Div, DType("uint", 64), 2**64 - 1, 2, 2**63 - 1),
    (ops.Pow, INT32, -3, 3, -27),
    (ops.Maximum, INT64, -5, 3, 3),
    (ops.Minimum, UINT8, 5, 3, 3),
]


@pytest.mark.parametrize(("operation", "dtype", "a", "b", "expected"), INTEGERS)
def test_integers_wrap_and_divide_toward_zero(
    operation: type[ops.Binary], dtype: DType, a: int, b: int, expected: int, variable: Variable
) -> None:
    node = operation(variable((1,), str(dtype)), variable((1,), str(dtype)))
    (found,) = evaluate_node(node, [np.array([a], dtype.numpy), np.array([b], dtype.numpy)])
    assert found.dtype == dtype.numpy
    assert int(found[0]) == expected


@pytest.mark.parametrize("operation", [ops.Div, ops.Pow])
def test_integers_are_not_divided_by_zero(operation: type[ops.Binary], variable: Variable) -> None:
    node = operation(variable((1,), "int32"), variable((1,), "int32"))
    operands = [np.ones(1, np.int32), np.array([0 if operation is ops.Div else -1], np.int32)]
    with pytest.raises(ModelError, match="integers"):
        evaluate_node(node, operands)


def test_sums_and_means_of_integers_are_exact(variable: Variable) -> None:
    x = np.array([[2**31 - 1, 2**31 - 1], [-3, -4]], np.int32)
    total = ops.ReduceSum(variable(x.shape, "int32"), (1,), False)
    mean = ops.ReduceMean(variable(x.shape, "int32"), (1,), False)
    assert evaluate_node(total, [x])[0].tolist() == [-2, -7]
    assert evaluate_node(mean, [x])[0].tolist() == [2**31 - 1, -3]


CASTS = [
    (FLOAT32, INT8, [1.9, -1.9, 200, -200, np.nan, np.inf, -np.inf, -0.5], [1, -1, 127, -128, 0, 127, -128, 0]),
    (FLOAT32, UINT8, [255.9, -0.9, 256, -1], [255, 0, 255, 0]),
    (FLOAT32, INT64, [2.0**62, 2.0**63, -(2.0**63), -(2.0**70)], [2**62, 2**63 - 1, -(2**63), -(2**63)]),
    (FLOAT32, DType("uint", 64), [2.0**63, 2.0**64, -1], [2**63, 2**64 - 1, 0]),
    (FLOAT32, DType("int", 4), [7.9, 8, -9], [7, 7, -8]),
    (FLOAT16, INT32, [np.inf, 65504], [2**31 - 1, 65504]),
    (FLOAT32, BOOL, [0.0, -0.0, 1e-45, np.nan], [False, False, True, True]),
    (FLOAT64, FLOAT32, [1 + 2**-24, 1 + 3 * 2**-24, 1e300], [1, 1 + 2**-22, np.inf]),
    (FLOAT32, FLOAT16, [65519.0, 65520.0], [65504.0, np.inf]),
    (INT32, FLOAT32, [2**24 + 1, 2**24 + 3], [2**24, 2**24 + 4]),
    (INT32, INT8, [128, -129, 5], [-128, 127, 5]),
    (INT32, DType("uint", 4), [17, -1], [1, 15]),
    (INT8, UINT8, [-1], [255]),
    (INT8, BOOL, [0, -5], [False, True]),
    (BOOL, INT64, [True, False], [1, 0]),
    (BOOL, FLOAT32, [True, False], [1, 0]),
]


@pytest.mark.parametrize(("source", "target", "given", "expected"), CASTS)
def test_casts_truncate_saturate_and_wrap(
    source: DType, target: DType, given: list[Any], expected: list[Any], variable: Variable
) -> None:
    x = np.array(given, source.numpy)
    (found,) = evaluate_node(ops.Cast(variable(x.shape, str(source)), target), [x])
    assert found.dtype == target.numpy
    assert found.tolist() == expected
