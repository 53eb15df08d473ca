"""Functions of sums become thresholds: leaky and other activations, several scales in a row, normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT4, INT8, INT32, UINT4, UINT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.types import Layout, TensorType
from subbyte.compiler.target import find_target
from subbyte.passes.choose_requantization import choose_requantization
from subbyte.passes.lower_to_kernels import lower_to_kernels
from subbyte.passes.merge_functions import merge_functions
from subbyte.passes.merge_requantizations import merge_requantizations
from tests.passes.builders import (
    codes_input,
    floats,
    graph_of,
    largest_step,
    only,
    operations,
    quant,
    random_inputs,
    unary,
)

PORTABLE = find_target("portable")
LAST = Layout((0, 2, 3, 1))
GENERATOR = np.random.default_rng(6)


def gemm(scale: Any = 0.01, bias: bool = True) -> Value:
    a = codes_input("a", (5, 8), 0.1, 1, INT4)
    w = Constant.of(GENERATOR.integers(-8, 8, (8, 4)), INT4, quant=quant(0.1, dtype=INT4)).out
    b = Constant.of(GENERATOR.integers(-40, 40, 4), INT32).out if bias else None
    axis = None if np.ndim(scale) == 0 else 1
    return qops.QGemm(a, w, b, None, INT32, quant(scale, 0, INT32, axis), sources=("fc",)).out


def conv(scale: Any = 0.01) -> Value:
    x = Input("x", TensorType(INT4, (2, 6, 5, 5), quant(0.1, -3, INT4), LAST)).out
    w = Constant.of(GENERATOR.integers(-8, 8, (4, 6, 3, 3)), INT4, quant=quant(0.1, dtype=INT4)).out
    axis = None if np.ndim(scale) == 0 else 1
    return qops.QConv(
        x, w, None, None, INT32, quant(scale, 0, INT32, axis), (1, 1), (1, 1, 1, 1), (1, 1), 1,
        sources=("conv",), layout=LAST,
    ).out  # fmt: skip


def stored(value: Value) -> Value:
    """The same, stored as its operand is."""
    return value.node.replace(layout=value.node.operands[0].node.layout).out


def real(x: Value) -> Value:
    return stored(ops.DequantizeLinear(x, FLOAT32).out)


def quantize(x: Value, dtype: DType = UINT4, scale: Any = 0.35, zero_point: int = 5, **more: Any) -> Value:
    axis = None if np.ndim(scale) == 0 else 1
    node = ops.QuantizeLinear(x, dtype, quant(scale, zero_point, dtype, axis), sources=("q",), tensor="q", **more)
    return stored(node.out)


def swish(x: Value) -> Value:
    return stored(ops.Mul(x, stored(unary(x, "Sigmoid"))).out)


def normalized(x: Value) -> Value:
    shape = (4,) if x.type.rank == 2 else (4, 1, 1)
    scaled = stored(ops.Mul(x, floats(np.reshape([1.5, -0.5, 0.25, 2.0], shape))).out)
    return stored(ops.Add(scaled, floats(np.reshape([0.1, -0.3, 0.7, 0.0], shape))).out)


FUNCTIONS = {
    "leaky relu": lambda x: stored(unary(x, "LeakyRelu", 0.1)),
    "hard swish": lambda x: stored(unary(x, "HardSwish")),
    "swish of two operations": swish,
    "normalization of each channel": normalized,
    "normalization, then swish": lambda x: swish(normalized(x)),
    "two scales": lambda x: real(quantize(x, INT8, 0.05, 0)),
    "tanh": lambda x: stored(unary(x, "Tanh")),
}


def quantized(*values: Value) -> Graph:
    return graph_of(*values, stage=Stage.QUANTIZED)


def assert_equal(before: Graph, after: Graph) -> None:
    for _ in range(8):
        assert largest_step(before, after, random_inputs(before, GENERATOR)) == 0


@pytest.mark.parametrize("scale", [0.01, [0.01, 0.02, 0.005, 0.03]])
@pytest.mark.parametrize("make", [gemm, conv])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_a_sum_becomes_thresholds(function: str, make: Any, scale: Any) -> None:
    graph = quantized(quantize(FUNCTIONS[function](real(make(scale)))))
    after = merge_functions(graph, PORTABLE)
    assert len(operations(after)) == 1
    (node,) = after.operations()
    assert node.requantization.staircase is not None
    assert node.tensor == "q"
    assert node.type == graph.outputs[0].value.type
    assert_equal(graph, after)
    assert_equal(graph, choose_requantization(after, PORTABLE))
    (call,) = (n for n in lower_to_kernels(after, PORTABLE).operations())
    assert "thresholds" in PORTABLE.kernel(type(call.op), call.kernel).call(call.op).proof  # type: ignore[attr-defined]


@pytest.mark.parametrize("rounding", ["HALF_EVEN", "FLOOR", "CEIL"])
@pytest.mark.parametrize("zero_point_first", [False, True])
def test_every_way_to_round_is_merged(rounding: str, zero_point_first: bool) -> None:
    x = stored(unary(real(conv()), "LeakyRelu", 0.1))
    graph = quantized(quantize(x, rounding=rounding, zero_point_first=zero_point_first))
    after = merge_functions(graph, PORTABLE)
    assert operations(after) == ["QConv"]
    assert_equal(graph, after)


def test_a_table_behind_a_merged_function_is_merged_too() -> None:
    codes = quantize(stored(unary(real(gemm()), "HardSwish")))
    table = GENERATOR.integers(-128, 128, 16).astype(np.int8)
    graph = quantized(qops.Lookup(codes, table, INT8, quant(0.1), None).out)
    after = choose_requantization(merge_requantizations(merge_functions(graph, PORTABLE), PORTABLE), PORTABLE)
    assert operations(after) == ["QGemm"]
    assert only(after, qops.QGemm).requantization.staircase is not None
    assert_equal(graph, after)


def elementwise(x: Value) -> Value:
    """An addition that differs from element to element."""
    return stored(ops.Add(x, floats(GENERATOR.normal(size=x.type.shape))).out)


def of_two(x: Value) -> Value:
    return stored(ops.Add(x, real(codes_input("other", x.type.shape, 0.1))).out)


KEPT = {
    "differs from element to element": lambda: quantize(elementwise(real(gemm()))),
    "depends on another tensor": lambda: quantize(of_two(real(gemm()))),
    "has too many steps": lambda: quantize(stored(unary(real(gemm()), "LeakyRelu", 0.1)), UINT8, 0.001),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_is_no_step_function_of_one_sum_is_kept(what: str) -> None:
    graph = quantized(KEPT[what]())
    assert merge_functions(graph, PORTABLE) is graph


def test_what_somebody_else_reads_is_kept() -> None:
    x = real(gemm())
    y = stored(unary(x, "LeakyRelu", 0.1))
    for shown in (x, y, x.node.operands[0]):
        graph = quantized(quantize(y), shown)
        assert merge_functions(graph, PORTABLE) is graph


def test_targets_that_want_no_thresholds_keep_floats() -> None:
    graph = quantized(quantize(stored(unary(real(gemm()), "LeakyRelu", 0.1))))
    assert merge_functions(graph, find_target("x86-64-v3")) is graph


def test_sums_of_many_values_are_kept() -> None:
    """2^26 sums could be reached: too many to try."""
    a = codes_input("a", (1, 2048), 0.1, 0, INT8)
    w = Constant.of(np.full((2048, 1), 127), INT8, quant=quant(0.1)).out
    made = qops.QGemm(a, w, None, None, INT32, quant(0.01, 0, INT32)).out
    graph = quantized(quantize(unary(real(made), "LeakyRelu", 0.1)))
    assert merge_functions(graph, PORTABLE) is graph
