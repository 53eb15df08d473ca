"""Codes get the type of the bits that they use; whatever only moves them follows, and nothing that is seen changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT8, INT16, UINT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.softmax import softmax_table
from subbyte.passes.narrow_dtypes import narrow_dtypes
from tests.passes.builders import codes_input, graph_of, largest_step, only, operations, quant, random_inputs

GENERATOR = np.random.default_rng(8)


def clipped(low: int, high: int, dtype: DType = INT8, zero_point: int = 0) -> QuantParams:
    return QuantParams(np.float32(0.1), np.int64(zero_point), low, high)


def gemm(low: int, high: int, dtype: DType = INT8, zero_point: int = 0, name: str = "a") -> Value:
    a = codes_input(name, (3, 8), 0.1)
    b = Constant.of(GENERATOR.integers(-8, 8, (8, 4)), INT8, quant=quant(0.1)).out
    r = Requantization(np.float32(0.003), None, zero_point, low, high)
    return qops.QGemm(a, b, None, r, dtype, clipped(low, high, dtype, zero_point)).out


def real(x: Value) -> Value:
    return ops.DequantizeLinear(x, FLOAT32).out


def quantized(*values: Value) -> Graph:
    return graph_of(*values, stage=Stage.QUANTIZED)


def assert_equal(before: Graph, after: Graph) -> None:
    assert [output.value.type for output in before.outputs] == [output.value.type for output in after.outputs]
    for _ in range(4):
        assert largest_step(before, after, random_inputs(before, GENERATOR)) == 0


@pytest.mark.parametrize(
    ("dtype", "low", "high", "zero_point", "expected"),
    [
        (INT8, -8, 7, 0, "int4"),
        (INT8, -7, 7, 0, "int4"),
        (INT8, -2, 1, 0, "int2"),
        (INT8, -1, 0, 0, "int1"),
        (INT8, 0, 7, 0, "int4"),
        (INT8, -9, 7, 0, "int5"),
        (INT8, -8, 7, 9, "int5"),
        (INT8, -128, 127, 0, "int8"),
        (UINT8, 0, 3, 0, "uint2"),
        (UINT8, 0, 1, 0, "uint1"),
        (UINT8, 0, 15, 8, "uint4"),
        (UINT8, 0, 15, 16, "uint5"),
        (UINT8, 0, 128, 0, "uint8"),
        (INT16, -8, 7, 0, "int16"),
    ],
)
def test_codes_get_the_bits_that_they_and_the_zero_point_need(
    dtype: DType, low: int, high: int, zero_point: int, expected: str
) -> None:
    graph = quantized(real(gemm(low, high, dtype, zero_point)))
    after = narrow_dtypes(graph)
    assert only(after, qops.QGemm).dtype.name == expected
    assert (after is graph) == (expected == dtype.name)
    assert_equal(graph, after)


def test_tables_are_cut_to_the_codes_that_are_left() -> None:
    table = GENERATOR.integers(-4, 4, 256).astype(np.int8)
    graph = quantized(real(qops.Lookup(gemm(-8, 7), table, INT8, clipped(-4, 3)).out))
    after = narrow_dtypes(graph)
    node = only(after, qops.Lookup)
    assert node.dtype.name == "int3"
    assert node.table.tolist() == table[120:136].tolist()
    assert_equal(graph, after)


def test_tables_of_exponentials_are_cut() -> None:
    x = gemm(0, 15, UINT8)
    table = softmax_table(0.1)
    graph = quantized(real(qops.QSoftmax(x, table, UINT8, quant(1 / 256, 0, UINT8), 1).out))
    after = narrow_dtypes(graph)
    assert only(after, qops.QSoftmax).table.shape == (16,)
    assert_equal(graph, after)


def test_what_moves_together_changes_together() -> None:
    both = ops.Concat((gemm(-8, 7), qops.Clamp(gemm(-8, 7, name="x"), -2, 1).out), 0).out
    moved = ops.Transpose(ops.Reshape(both, (2, 12)).out, (1, 0)).out
    graph = quantized(real(moved))
    after = narrow_dtypes(graph)
    assert {node.dtype.name for node in after.operations() if isinstance(node, qops.QGemm)} == {"int4"}
    assert only(after, ops.Transpose).type.dtype.name == "int4"
    assert_equal(graph, after)


def test_padding_counts() -> None:
    padded = ops.Pad(gemm(-2, 1), (1, 1, 1, 1), "constant", -7).out
    graph = quantized(real(padded))
    assert only(narrow_dtypes(graph), qops.QGemm).dtype.name == "int4"
    assert_equal(graph, narrow_dtypes(graph))


def concatenated_with(other: Value) -> Graph:
    return quantized(real(ops.Concat((gemm(-8, 7), other), 0).out))


UNCHANGED: dict[str, Any] = {
    "an output": lambda: quantized(gemm(-8, 7)),
    "a view of an output": lambda: quantized(ops.Reshape(gemm(-8, 7), (12,)).out),
    "beside an input": lambda: concatenated_with(codes_input("x", (2, 4), 0.1)),
    "beside a constant": lambda: concatenated_with(Constant.of(np.ones((2, 4)), INT8, quant=clipped(-8, 7)).out),
    "beside wide codes": lambda: concatenated_with(gemm(-128, 7, name="x")),
    "read by an operation whose meaning has the type in it": lambda: quantized(real(qops.OffsetCodes(gemm(-8, 7)).out)),
}


@pytest.mark.parametrize("what", UNCHANGED)
def test_what_is_seen_keeps_its_type(what: str) -> None:
    graph = UNCHANGED[what]()
    assert narrow_dtypes(graph) is graph


def test_operations_stay_the_same() -> None:
    graph = quantized(real(gemm(-8, 7)))
    assert operations(narrow_dtypes(graph)) == ["QGemm", "DequantizeLinear"]


def test_signs_that_are_padded_stay_signs() -> None:
    x = codes_input("x", (3, 4), 0.1)
    signs = np.where(np.arange(-128, 128) < 0, -1, 1).astype(np.int8)
    y = qops.Lookup(x, signs, BIPOLAR, QuantParams(np.float32(0.5), np.int64(0), -1, 1)).out
    before = quantized(real(ops.Pad(y, (0, 1, 0, 0), "constant", 1).out))
    assert narrow_dtypes(before) is before
