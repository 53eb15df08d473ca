"""What is known of sums of products before they run: their accumulator, and how much work they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT8, INT32, INT64, UINT8
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.accumulators import accumulator_of, accumulator_range_of
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType

Grid = Callable[..., QuantParams]


def codes(quant: QuantParams, *shape: int, signed: bool = True) -> Value:
    return Input("x", TensorType(INT8 if signed else UINT8, shape, quant)).out


def weights(array: NDArray[np.int8], quant: QuantParams | None = None) -> Value:
    return Constant(array, TensorType(INT8, array.shape, quant)).out


def extreme_inputs(w: NDArray[np.int64], low: int, high: int) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """The codes that make sum(code * w) largest, and smallest."""
    return np.where(w > 0, high, low).astype(np.int8), np.where(w > 0, low, high).astype(np.int8)


def test_the_range_holds_the_extreme_sums_of_a_matrix_product(grid: Grid, rng: np.random.Generator) -> None:
    w = rng.integers(-128, 128, (50, 3)).astype(np.int8)
    quant = grid(zero_point=5, qmin=-100, qmax=90)
    bias = Constant.of(rng.integers(-(10**6), 10**6, 3).astype(np.int32))
    node = qops.QGemm(codes(quant, 1, 50), weights(w, grid(zero_point=-3)), bias.out, None, INT64, None)
    low, high = accumulator_range_of(node)
    for column in range(3):
        for a in extreme_inputs(w[:, column].astype(np.int64) + 3, -100, 90):
            total = evaluate_node(node, [a[None], w, bias.value])[0][0, column]
            assert low[column] <= total <= high[column]


@pytest.mark.parametrize("group", [1, 3])
def test_the_range_holds_the_extreme_sums_of_convolutions(group: int, grid: Grid, rng: np.random.Generator) -> None:
    quant = grid(zero_point=-7)
    for operation, shape in ((qops.QConv, (6, 6 // group, 3)), (qops.QConvTranspose, (6, 6 // group, 3))):
        w = rng.integers(-128, 128, shape).astype(np.int8)
        geometry = ((1,), (1, 1), (1,), group) + (((0,),) if operation is qops.QConvTranspose else ())
        node = operation(codes(quant, 64, 6, 5), weights(w), None, None, INT64, None, *geometry)
        low, high = accumulator_range_of(node)
        x = rng.choice(np.array([-128, 127], np.int8), (64, 6, 5))
        (found,) = evaluate_node(node, [x, w])
        assert (found >= low[:, None]).all()
        assert (found <= high[:, None]).all()


def test_a_sum_that_may_leave_int32_takes_int64(grid: Grid) -> None:
    products = 2**31 // (127 * 255) + 1
    long, short = (np.full((count, 1), 127, np.int8) for count in (products, products // 2))
    quant = grid(qmin=0, qmax=255)
    accumulators = [
        accumulator_of(qops.QGemm(codes(quant, 1, len(w), signed=False), weights(w), None, None, INT64, None))
        for w in (short, long)
    ]
    assert accumulators == [INT32, INT64]


def test_an_unknown_bias_takes_int64(grid: Grid) -> None:
    bias = Input("bias", TensorType(INT32, (1,))).out
    node = qops.QGemm(codes(grid(), 1, 2), weights(np.ones((2, 1), np.int8)), bias, None, INT64, None)
    assert accumulator_of(node) == INT64


def test_only_sums_of_products_have_an_accumulator(grid: Grid) -> None:
    with pytest.raises(NumericsError, match="Clamp '/clip' is no sum of products"):
        accumulator_of(qops.Clamp(codes(grid(), 2), 0, 1, sources=("/clip",)))


def test_multiply_accumulates_are_counted(variable: Callable[..., Value]) -> None:
    x, w = variable((2, 8, 5, 5)), variable((4, 2, 3, 3))
    grouped = ops.Conv(x, w, None, (1, 1), (1, 1, 1, 1), (1, 1), 4)
    transposed = ops.ConvTranspose(x, variable((8, 3, 3, 3)), None, (2, 2), (0, 0, 0, 0), (1, 1), 1, (0, 0))
    counts: list[tuple[Node, int]] = [
        (grouped, 2 * 4 * 25 * 2 * 9),
        (KernelCall(grouped, kernel="conv", target="portable"), 2 * 4 * 25 * 2 * 9),
        (transposed, 2 * 8 * 25 * 3 * 9),
        (ops.MatMul(variable((6, 3, 7)), variable((7, 5))), 6 * 3 * 5 * 7),
        (ops.Gemm(variable((7, 3)), variable((7, 5)), None, 1.0, 1.0, True, False), 3 * 5 * 7),
        (ops.Unary(x, "Relu"), 0),
    ]
    assert [multiply_accumulates(node) for node, _ in counts] == [count for _, count in counts]
