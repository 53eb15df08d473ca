"""Bipolar codes of sums, products and means of codes: integer operations, and the sign of the float result, always."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, INT8, INT16, UINT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.stages import verify
from subbyte.passes.fold_qdq import fold_qdq
from tests.passes.builders import floats, graph_of, operations, quant, real_input, unary

CODES = np.arange(-128, 128).astype(np.int8)
PAIRS = [
    (0.5, 0, 0.5, 0),
    (0.1, 0, 0.3, 0),  # 3 * 0.1 - 0.3 is not 0 in float32
    (0.1, 3, 0.7, -5),
    (1e-30, 0, 1e30, 0),
    (0.30000001192092896, 0, 0.3, 0),  # one unit in the last place apart
]


def sign(x: Value) -> Value:
    return ops.QuantizeLinear(x, BIPOLAR, quant(0.25, 0, BIPOLAR), "BIPOLAR", sources=("sign",), tensor="s").out


@pytest.mark.parametrize("kind", [ops.Add, ops.Sub, ops.Mul, ops.Div])
@pytest.mark.parametrize("grids", PAIRS, ids=str)
def test_of_two_tensors_for_all_pairs_of_codes(kind: type[ops.Binary], grids: tuple[float, int, float, int]) -> None:
    a, b = real_input("a", (256, 1), *grids[:2]), real_input("b", (256,), *grids[2:])
    graph = graph_of(sign(kind(a, b, sources=("binary",)).out))
    folded = fold_qdq(graph)
    verify(folded)
    assert operations(folded) == [f"Q{kind.__name__}", "Lookup"]
    feeds = {"a": CODES[:, None], "b": CODES}
    np.testing.assert_array_equal(evaluate(folded, feeds)["y"], evaluate(graph, feeds)["y"])


def test_of_a_tensor_and_a_constant_for_each_element() -> None:
    constant = floats(np.random.default_rng(1).normal(0, 20, (256, 15)))
    graph = graph_of(sign(ops.Add(real_input("a", (256, 1), 0.3), constant, sources=("add",)).out))
    folded = fold_qdq(graph)
    assert operations(folded) == ["QAdd", "Lookup"]
    feeds = {"a": CODES[:, None]}
    np.testing.assert_array_equal(evaluate(folded, feeds)["y"], evaluate(graph, feeds)["y"])


@pytest.mark.parametrize("dtype", [INT8, UINT8, DType("int", 4)], ids=str)
@pytest.mark.parametrize("kind", [qops.QAveragePool, qops.QReduceMean, qops.QReduceSum])
def test_of_means_and_sums(kind: type[Node], dtype: DType) -> None:
    """Their sums are exact in integers; a float sum may miss zero."""
    zero_point = 2
    x = real_input("x", (1, 64, 6, 6), 0.1, zero_point, dtype)
    if kind is qops.QAveragePool:
        result = ops.AveragePool(x, (3, 3), (3, 3), (0, 0, 0, 0), (1, 1), False, False, sources=("mean",)).out
    elif kind is qops.QReduceMean:
        result = ops.ReduceMean(x, (2, 3), True, sources=("mean",)).out
    else:
        result = ops.ReduceSum(x, (1,), False, sources=("sum",)).out
    folded = fold_qdq(graph_of(sign(result)))
    assert [type(node) for node in folded.operations()] == [kind, qops.Lookup]
    random = np.random.default_rng(5)
    for _ in range(4):
        centred = random.integers(-1, 2, (1, 64, 6, 6))
        sums = {
            qops.QAveragePool: centred.reshape(1, 64, 2, 3, 2, 3).sum(axis=(3, 5)),
            qops.QReduceMean: centred.sum(axis=(2, 3), keepdims=True),
            qops.QReduceSum: centred.sum(axis=1),
        }[kind]
        assert (sums == 0).any()
        assert (sums == -1).any()
        found = evaluate(folded, {"x": (centred + zero_point).astype(dtype.numpy)})["y"]
        np.testing.assert_array_equal(found, np.where(sums >= 0, 1, -1))


def test_a_relu_before_the_sign_makes_everything_one() -> None:
    a, b = real_input("a", (256, 1), 0.1), real_input("b", (256,), 0.3)
    graph = graph_of(sign(unary(ops.Add(a, b, sources=("add",)).out, "Relu")))
    assert (evaluate(fold_qdq(graph), {"a": CODES[:, None], "b": CODES})["y"] == 1).all()


def test_of_pairs_too_many_to_look_at_stays_float() -> None:
    a, b = real_input("a", (8, 1), 0.1, 0, INT16), real_input("b", (8,), 0.3, 0, INT16)
    folded = fold_qdq(graph_of(sign(ops.Add(a, b, sources=("add",)).out)))
    assert operations(folded) == ["DequantizeLinear", "DequantizeLinear", "Add", "QuantizeLinear"]


def test_of_products_too_small_for_a_scale_stays_float() -> None:
    a, b = real_input("a", (256, 1), 1e-21), real_input("b", (256,), 1e-21)
    folded = fold_qdq(graph_of(sign(ops.Mul(a, b, sources=("mul",)).out)))
    assert "Mul" in operations(folded)
