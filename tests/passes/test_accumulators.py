"""What is proved about the accumulator of an operation holds for its worst operands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import INT8, INT32, INT64, UINT8, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.explain import layer_of
from subbyte.compiler.ir import qops
from subbyte.compiler.ir.accumulators import accumulator_of, accumulator_range_of
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import TensorType
from tests.passes.builders import codes_input, quant

GENERATOR = np.random.default_rng(9)


def constant(shape: tuple[int, ...], zero_point: Any = 0, dtype: DType = INT8, axis: int | None = None) -> Value:
    scale = np.ones(np.shape(zero_point), np.float32)
    values = GENERATOR.integers(dtype.min, dtype.max + 1, shape)
    return Constant.of(values, dtype, quant=quant(scale, zero_point, dtype, axis)).out


def bias(count: int) -> Value:
    return Constant.of(GENERATOR.integers(-(10**5), 10**5, count), INT32).out


X = codes_input("x", (2, 4, 5, 5), 1.0, 37, UINT8)
A = codes_input("a", (3, 6), 1.0, -5)
B = codes_input("b", (6, 4), 1.0, 9)
NONE: Any = (None, INT64, None)

OPERATIONS: dict[str, Node] = {
    "QConv": qops.QConv(X, constant((6, 2, 3, 3), 3), bias(6), *NONE, (1, 1), (1, 1, 1, 1), (1, 1), 2),
    "QConv of uint8 weights per axis": qops.QConv(
        X, constant((2, 4, 1, 1), [7, 200], UINT8, 0), None, *NONE, (1, 1), (0, 0, 0, 0), (1, 1), 1
    ),
    "QConvTranspose": qops.QConvTranspose(
        X, constant((4, 3, 2, 2), 1), bias(6), *NONE, (1, 1), (0, 0, 0, 0), (1, 1), 2, (0, 0)
    ),
    "QGemm": qops.QGemm(A, constant((6, 4), [1, 2, 3, 4], INT8, 1), bias(4), *NONE),
    "QGemm of batches": qops.QGemm(codes_input("a", (2, 3, 6), 1.0, -5), constant((2, 6, 4)), bias(4), *NONE),
    "QGemm of constant rows": qops.QGemm(constant((3, 6), 8), B, bias(4), *NONE),
    "QGemm of two activations": qops.QGemm(A, B, bias(4), *NONE),
}


def worst(op: Node) -> Any:
    """Sums of random and extreme codes."""
    sums = []
    for trial in range(40):
        arrays = []
        for value in op.operands:
            known = value.constant
            low, high = value.type.code_range()
            choices = GENERATOR.integers(low, high + 1, value.type.shape)
            extreme = np.where(GENERATOR.random(value.type.shape) < 0.5, low, high)
            signs = np.where((trial + np.arange(value.type.elements).reshape(value.type.shape)) % 2, low, high)
            made = (choices, extreme, signs, np.full_like(choices, low), np.full_like(choices, high))[trial % 5]
            arrays.append(known if known is not None else made.astype(value.type.dtype.numpy))
        sums.append(evaluate_node(op, arrays)[0])
    return np.stack(sums)


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_sum_leaves_the_proved_range(name: str) -> None:
    op = OPERATIONS[name]
    low, high = accumulator_range_of(op)
    sums = np.moveaxis(worst(op), 2 if isinstance(op, (qops.QConv, qops.QConvTranspose)) else -1, -1)
    assert (sums >= low).all()
    assert (sums <= high).all()
    assert accumulator_of(op) == INT32


def test_the_range_is_reached_up_to_the_zero_point_terms() -> None:
    """A bound that is never near would be no proof but a guess."""
    weights = Constant.of(np.full((64, 1), 127), INT8, quant=quant(1.0)).out
    x = codes_input("x", (1, 64), 1.0, 0, UINT8)
    low, high = accumulator_range_of(qops.QGemm(x, weights, None, *NONE))
    assert (int(low[0]), int(high[0])) == (0, 64 * 127 * 255)


@pytest.mark.parametrize(("products", "expected"), [(66311, INT32), (66313, INT64)])
def test_int32_ends_where_the_sum_may_leave_it(products: int, expected: DType) -> None:
    weights = Constant.of(np.full((products, 1), 127), INT8, quant=quant(1.0)).out
    op = qops.QGemm(codes_input("x", (1, products), 1.0, 0, UINT8), weights, None, *NONE)
    assert accumulator_of(op) == expected


def test_a_bias_of_the_run_allows_anything() -> None:
    b = Input("b", TensorType(INT32, (4,))).out
    assert accumulator_of(qops.QGemm(A, constant((6, 4)), b, *NONE)) == INT64


def test_other_operations_have_no_accumulator() -> None:
    with pytest.raises(NumericsError, match="Clamp is no sum of products"):
        accumulator_of(qops.Clamp(X, 0, 5))


@pytest.mark.parametrize(
    ("products", "weight", "bits", "accumulator"),
    [(64, 127, 22, "s32"), (1, 1, 9, "s32"), (1, -128, 16, "s32"), (66311, 127, 32, "s32"), (66313, 127, 33, "s64")],
)
def test_explain_says_how_many_bits_the_sums_need_and_get(
    products: int, weight: int, bits: int, accumulator: str
) -> None:
    """255 * 127 * 64 is below 2^21: 22 bits with the sign; -128 * 255 is above -2^15."""
    weights = Constant.of(np.full((products, 1), weight), INT8, quant=quant(1.0)).out
    op = qops.QGemm(codes_input("x", (1, products), 1.0, 0, UINT8), weights, None, *NONE)
    layer = layer_of(op)
    assert (layer.sum_bits, layer.accumulator) == (bits, accumulator)
