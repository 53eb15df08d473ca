"""Enclosures hold: float32 results lie within them, whatever the order of their sums; and they are narrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.trace import rules, unary  # noqa: F401  (each registers the enclosures of its operations)
from subbyte.compiler.trace.enclosure import Enclosure, enclose

Array = npt.NDArray[Any]


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(0, scale, shape), np.float32)


def floats(array: Array) -> Value:
    return Constant.of(array, FLOAT32).out


def enclosed(node: Node) -> tuple[Enclosure, ...]:
    """Of constant operands, known exactly."""
    operands = [value.constant for value in node.operands]
    return enclose(node, [Enclosure.exact(o) if o is not None and o.dtype.kind == "f" else o for o in operands])


X, W = drawn(1, 6, 7, 7), drawn(4, 3, 3, 3, seed=1)
POSITIVE = np.abs(drawn(4, seed=2)) + np.float32(0.1)
NODES: dict[str, Node] = {
    "MatMul": ops.MatMul(floats(drawn(5, 60)), floats(drawn(60, 4, seed=1))),
    "Gemm": ops.Gemm(floats(drawn(9, 3)), floats(drawn(4, 9)), floats(drawn(4)), 0.3, 1.7, True, True),
    "Conv": ops.Conv(floats(X), floats(W), floats(drawn(4)), (2, 1), (1, 0, 1, 2), (1, 2), 2),
    "ConvTranspose": ops.ConvTranspose(
        floats(X), floats(drawn(6, 2, 3, 2)), floats(drawn(4)), (2, 3), (1, 0, 0, 1), (1, 2), 2, (0, 1)
    ),
    "Add": ops.Add(floats(drawn(3, 4)), floats(drawn(4, seed=1))),
    "Sub": ops.Sub(floats(drawn(3, 4)), floats(drawn(3, 1, seed=1))),
    "Mul": ops.Mul(floats(drawn(3, 4)), floats(drawn(4, seed=1))),
    "Div": ops.Div(floats(drawn(3, 4)), floats(POSITIVE)),
    "Minimum": ops.Minimum(floats(drawn(3, 4)), floats(drawn(4, seed=1))),
    "Maximum": ops.Maximum(floats(drawn(3, 4)), floats(drawn(4, seed=1))),
    "PRelu": ops.PRelu(floats(drawn(3, 4)), floats(drawn(4, seed=1))),
    "BatchNormalization": ops.BatchNormalization(
        floats(drawn(2, 4, 3)), *(floats(drawn(4, seed=i)) for i in range(3)), floats(POSITIVE), 1e-3
    ),
    "Softmax": ops.Softmax(floats(drawn(5, 12, scale=4)), 1),
    "AveragePool": ops.AveragePool(floats(X), (3, 2), (2, 1), (1, 0, 1, 1), (1, 1), False, False),
    "MaxPool": ops.MaxPool(floats(X), (3, 2), (2, 1), (1, 0, 1, 1), (1, 1), False),
    "ReduceMean": ops.ReduceMean(floats(X), (2, 3), True),
    "ReduceSum": ops.ReduceSum(floats(X), (1,), False),
    "ReduceMax": ops.ReduceMax(floats(X), (1,), False),
    "ReduceMin": ops.ReduceMin(floats(X), (2, 3), False),
    "ResizeLinear": ops.ResizeLinear(floats(X), (1, 6, 10, 14), (1.0, 1.0, 10 / 7, 2.0), "half_pixel"),
    "Transpose": ops.Transpose(floats(X), (0, 2, 3, 1)),
    "Pad": ops.Pad(floats(X), (0, 0, 1, 2, 0, 0, 0, 1), "constant", 0.25),
}
FUNCTIONS: dict[str, tuple[float, ...]] = {
    "Relu": (), "LeakyRelu": (0.1,), "Clip": (-0.5, 0.7), "Sigmoid": (), "HardSigmoid": (0.2, 0.5), "HardSwish": (),
    "Tanh": (), "Gelu": (), "GeluTanh": (), "Erf": (), "Exp": (), "Neg": (), "Abs": (), "Softplus": (), "Softsign": (),
    "Elu": (0.7,), "Celu": (0.7,), "Mish": (),
}  # fmt: skip


@pytest.mark.parametrize("name", NODES)
def test_the_interpreters_floats_lie_within(name: str) -> None:
    node = NODES[name]
    operands = [value.constant for value in node.operands]
    for found, bound in zip(evaluate_node(node, [o for o in operands if o is not None]), enclosed(node), strict=True):
        assert bound.real.shape == bound.error.shape == found.shape
        assert (np.abs(found.astype(np.float64) - bound.real) <= bound.error).all()
        assert bound.error.max() <= 1e-3, "a bound so wide says nothing"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_lie_within_also_of_operands_with_errors(name: str) -> None:
    x = drawn(4000, scale=3)
    node = ops.Unary(floats(x), name, FUNCTIONS[name])
    moved = np.float32(1e-4)
    operand = Enclosure(x.astype(np.float64), np.full(x.shape, 1.01e-4))
    (bound,) = enclose(node, [operand])
    for near in (x, x + moved, x - moved):
        (found,) = evaluate_node(node, [near])
        assert (np.abs(found.astype(np.float64) - bound.real) <= bound.error).all()


@pytest.mark.parametrize("name", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers_lie_within(name: str) -> None:
    x = np.abs(drawn(1000)) + np.float32(0.01)
    (bound,) = enclose(ops.Unary(floats(x), name), [Enclosure(x.astype(np.float64), np.full(x.shape, 1.01e-4))])
    for near in (x, x + np.float32(1e-4), x - np.float32(1e-4)):
        (found,) = evaluate_node(ops.Unary(floats(x), name), [near])
        assert (np.abs(found.astype(np.float64) - bound.real) <= bound.error).all()


def test_a_reciprocal_across_zero_has_no_bound() -> None:
    x = np.array([0.5, -0.25, 1e-5], np.float32)
    (bound,) = enclose(ops.Unary(floats(x), "Reciprocal"), [Enclosure(x.astype(np.float64), np.full(3, 1e-4))])
    assert np.isfinite(bound.error).tolist() == [True, True, False]


@pytest.mark.parametrize("terms", [1, 2, 30, 1000])
def test_any_order_of_a_sum_lies_within(terms: int) -> None:
    """Terms of both signs that nearly cancel: the order shows in many places of the result."""
    a, b = drawn(1, terms), drawn(terms, 1, seed=1)
    (bound,) = enclosed(ops.MatMul(floats(a), floats(b)))
    generator = np.random.default_rng(2)
    products = (a[0] * b[:, 0]).astype(np.float32)
    for _ in range(200):
        total = np.cumsum(generator.permutation(products), dtype=np.float32)[-1]
        assert abs(float(total) - bound.real[0, 0]) <= bound.error[0, 0]


def test_the_bound_of_a_sum_is_that_of_its_terms() -> None:
    """K + 8 roundings of each, no more than 1 % wider."""
    a, b = drawn(3, 64), drawn(64, 5, seed=1)
    (bound,) = enclosed(ops.MatMul(floats(a), floats(b)))
    least = 72 * 2.0**-24 * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))
    assert (bound.error >= least).all()
    assert (bound.error <= 1.01 * least).all()


@pytest.mark.parametrize("wide", [False, True], ids=["small errors", "large errors"])
def test_errors_of_both_factors_are_carried(wide: bool) -> None:
    """A factor anywhere within its error gives a product within the error of the product, to both sides."""
    relative = 2.0**-6 if wide else 2.0**-20
    a, b = np.float64(drawn(2, 40)), np.float64(drawn(40, 3, seed=1))
    factors = [Enclosure(each, relative * np.abs(each)) for each in (a, b)]
    (bound,) = enclose(ops.MatMul(floats(np.float32(a)), floats(np.float32(b))), factors)
    generator = np.random.default_rng(3)
    for _ in range(100):
        moved = [each * (1 + relative * generator.choice([-1, 1], each.shape)) for each in (a, b)]
        assert (np.abs(moved[0] @ moved[1] - bound.real) <= bound.error).all()
    magnitude = np.abs(a) @ np.abs(b)
    assert (bound.error >= 2 * relative * magnitude).all()
    assert (bound.error <= (2.1 * relative + 60 * 2.0**-24) * magnitude).all()


def test_codes_are_exact_but_for_one_product() -> None:
    quant = QuantParams(np.array([0.1, 0.7], np.float32), np.array([3, -2]), -128, 127, axis=0)
    codes = Constant.of(np.array([[-128, 0, 3], [127, -2, 5]]), INT8, quant=quant).out
    (bound,) = enclose(ops.DequantizeLinear(codes), [codes.constant])
    assert bound.real[0, 2] == bound.real[1, 1] == 0
    assert bound.real[0, 0] == -131 * float(np.float32(0.1))
    assert (bound.error <= 2.1 * 2.0**-24 * np.abs(bound.real) + 1e-40).all()


def test_an_operation_without_a_bound_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no known bound"):
        enclosed(ops.Unary(floats(drawn(3)), "Floor"))
    with pytest.raises(UnsupportedError, match="no known bound"):
        enclosed(ops.ReduceProd(floats(drawn(3)), (0,), True))
