"""Requantizations by thresholds, and tables behind sums that become part of them: the same numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import INT4, INT8, INT32, UINT4, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.explain import explain
from subbyte.compiler.ir import qops
from subbyte.compiler.ir.accumulators import accumulator_range_of, result_range_of
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.types import Layout, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.target import find_target
from subbyte.passes.choose_requantization import choose_requantization
from subbyte.passes.lower_to_kernels import lower_to_kernels
from subbyte.passes.merge_requantizations import merge_requantizations
from tests.passes.builders import codes_input, graph_of, largest_step, only, operations, quant, random_inputs

PORTABLE, X86 = find_target("portable"), find_target("x86-64-v3")
LAST = Layout((0, 2, 3, 1))
GENERATOR = np.random.default_rng(5)


def requantization(multiplier: Any, dtype: DType, zero_point: int = 0, shift: Any = None) -> Requantization:
    shift = None if shift is None else np.float32(shift)
    return Requantization(np.float32(multiplier), shift, zero_point, dtype.min, dtype.max)


def gemm(r: Requantization, dtype: DType, x: DType = INT8, scale: float = 0.5) -> qops.QGemm:
    a = codes_input("a", (3, 8), 0.1, 1, x)
    b = Constant.of(GENERATOR.integers(-8, 8, (8, 4)), INT4, quant=quant(0.1, dtype=INT4)).out
    bias = Constant.of(GENERATOR.integers(-300, 300, 4), INT32).out
    return qops.QGemm(a, b, bias, r, dtype, quant(scale, r.zero_point, dtype), sources=("fc",))


def conv(r: Requantization, dtype: DType, scale: float = 0.5) -> qops.QConv:
    of_type = TensorType(INT8, (2, 6, 5, 5), quant(0.1, -3, INT8), LAST)
    w = Constant.of(GENERATOR.integers(-8, 8, (4, 6, 3, 3)), INT4, quant=quant(0.1, dtype=INT4)).out
    return qops.QConv(
        Input("x", of_type).out, w, None, r, dtype, quant(scale, r.zero_point, dtype),
        (1, 1), (1, 1, 1, 1), (1, 1), 1, sources=("conv",), layout=LAST,
    )  # fmt: skip


def lookup(x: Value, table: Any, dtype: DType = INT8, axis: int | None = None, scale: float = 0.25) -> Value:
    array = np.asarray(table).astype(dtype.numpy)
    node = qops.Lookup(x, array, dtype, quant(scale, 2, dtype), axis, sources=("f",), tensor="f", layout=x.node.layout)
    return node.out


def quantized(*values: Value) -> Graph:
    return graph_of(*values, stage=Stage.QUANTIZED)


def assert_equal(before: Graph, after: Graph) -> None:
    for _ in range(8):
        assert largest_step(before, after, random_inputs(before, GENERATOR)) == 0


# Thresholds -----------------------------------------------------------------------------------------------------------

FOUR = 4 * [0.01]


@pytest.mark.parametrize("shift", [None, [0.25, -3.0, 1.5, 8.0]])
@pytest.mark.parametrize("multiplier", [0.01, FOUR, [0.01, -0.02, 0.005, -0.5]])
@pytest.mark.parametrize("make", [gemm, conv])
def test_few_codes_get_thresholds(make: Any, multiplier: Any, shift: Any) -> None:
    graph = quantized(make(requantization(multiplier, UINT4, 7, shift), UINT4).out)
    after = choose_requantization(graph, PORTABLE)
    r = only(after, make(requantization(1, UINT4), UINT4).__class__).requantization
    assert r.staircase is not None
    assert r.staircase.count <= 15
    assert r.staircase.rows == (1 if r.channels is None else 4)
    assert_equal(graph, after)


def test_many_codes_stay_in_float32() -> None:
    graph = quantized(gemm(requantization(0.5, INT8), INT8).out)
    assert choose_requantization(graph, PORTABLE) is graph


def test_few_codes_that_are_reached_are_few() -> None:
    graph = quantized(gemm(requantization(0.0005, INT8), INT8).out)
    assert only(choose_requantization(graph, PORTABLE), qops.QGemm).requantization.staircase is not None


def test_targets_that_want_no_thresholds_get_none() -> None:
    graph = quantized(gemm(requantization(0.01, UINT4), UINT4).out)
    assert X86.facts.threshold_steps == 0
    assert choose_requantization(graph, X86) is graph


def test_sums_without_bounds_stay_in_float32() -> None:
    node = gemm(requantization(0.01, UINT4), UINT4)
    unknown = node.replace(bias=Input("bias", TensorType(INT32, (4,))).out)
    graph = quantized(unknown.out)
    assert choose_requantization(graph, PORTABLE) is graph


def test_explain_says_how_and_over_which_sums() -> None:
    graph = quantized(
        gemm(requantization(0.01, UINT4), UINT4).out, lookup(conv(requantization(0.1, INT8), INT8).out, TABLE)
    )
    merged = merge_requantizations(graph, PORTABLE)
    lowered = lower_to_kernels(choose_requantization(merged, PORTABLE), PORTABLE)
    proofs = {layer.op: layer.proof for layer in explain(graph, lowered, PORTABLE).layers}
    low, high = result_range_of(only(graph, qops.QGemm))
    assert proofs["QGemm"] == f"thresholds, equal to N4 for sums in {low.min()}..{high.max()}"
    assert proofs["QConv"] == "N4 in float32, then a table"


def test_finished_sums_lie_within_partial_ones() -> None:
    node = gemm(requantization(1, INT8), INT8)
    (low, high), (least, most) = result_range_of(node), accumulator_range_of(node)
    assert (least <= low).all()
    assert (high <= most).all()
    wanted = (node.b.constant[..., None] * (np.array([-128, 127]) - 1)).astype(np.int64)  # type: ignore[index]
    assert (low == wanted.min(axis=-1).sum(axis=0) + node.bias.constant).all()  # type: ignore[union-attr]
    assert (high == wanted.max(axis=-1).sum(axis=0) + node.bias.constant).all()  # type: ignore[union-attr]
    with pytest.raises(NumericsError, match="no sum of products"):
        result_range_of(qops.Clamp(node.a, 0, 1))


# Tables ---------------------------------------------------------------------------------------------------------------

TABLE = GENERATOR.integers(-128, 128, 256)
RISING = np.sort(GENERATOR.integers(-8, 8, 256))


@pytest.mark.parametrize("table", [TABLE, RISING])
@pytest.mark.parametrize("multiplier", [0.1, [0.1, -0.2, 0.05, -0.5]])
@pytest.mark.parametrize("make", [gemm, conv])
def test_a_table_behind_a_sum_becomes_part_of_it(make: Any, multiplier: Any, table: Any) -> None:
    graph = quantized(lookup(make(requantization(multiplier, INT8), INT8).out, table))
    after = merge_requantizations(graph, PORTABLE)
    assert len(operations(after)) == 1
    (node,) = after.operations()
    assert (node.sources, node.tensor, node.type) == (
        (*graph.operations()[0].sources, "f"),
        "f",
        graph.outputs[0].value.type,
    )
    assert_equal(graph, after)
    assert_equal(graph, choose_requantization(after, PORTABLE))
    lower_to_kernels(choose_requantization(after, PORTABLE), PORTABLE)


@pytest.mark.parametrize("dtype", [INT4, UINT4])
def test_a_table_for_each_channel_and_results_of_four_bits_end_in_thresholds(dtype: DType) -> None:
    tables = np.sort(GENERATOR.integers(dtype.min, dtype.max + 1, (4, 256)), axis=1)
    node = conv(requantization([0.1, -0.2, 0.05, -0.5], INT8), INT8)
    graph = quantized(lookup(node.out, tables, dtype, axis=1))
    after = choose_requantization(merge_requantizations(graph, PORTABLE), PORTABLE)
    r = only(after, qops.QConv).requantization
    assert r.table.shape == (4, 256)
    assert r.staircase is not None
    assert_equal(graph, after)


def test_two_tables_behind_a_sum_become_one() -> None:
    first = lookup(gemm(requantization(0.1, INT8), INT8).out, TABLE)
    graph = quantized(lookup(first, RISING))
    after = merge_requantizations(graph, PORTABLE)
    assert operations(after) == ["QGemm"]
    assert_equal(graph, after)


def test_codes_that_somebody_else_reads_are_kept() -> None:
    node = gemm(requantization(0.1, INT8), INT8)
    one, other = lookup(node.out, TABLE), lookup(node.out, RISING)
    for graph in (quantized(one, other), quantized(one, node.out)):
        assert merge_requantizations(graph, PORTABLE) is graph


def test_a_table_along_another_axis_is_kept() -> None:
    tables = np.stack([TABLE] * 3)
    graph = quantized(lookup(gemm(requantization(0.1, INT8), INT8).out, tables, axis=0))
    assert merge_requantizations(graph, PORTABLE) is graph


def test_a_target_whose_kernels_know_no_tables_keeps_them() -> None:
    node = conv(requantization(0.1, DType("uint", 8)), DType("uint", 8))
    x = Input("x", replace(node.x.type, dtype=DType("uint", 8), quant=quant(0.1, 3, DType("uint", 8)))).out
    graph = quantized(lookup(node.replace(x=x).out, TABLE))
    assert merge_requantizations(graph, X86) is graph
    assert merge_requantizations(graph, PORTABLE) is not graph


def rescaled(dtype: DType, ratio: float, zero_point: int) -> Any:
    """The table from codes of zero point 0 to a scale 1 / ratio times as large."""
    codes = np.arange(dtype.min, dtype.max + 1)
    return np.clip(np.rint(np.float32(codes) * np.float32(ratio)) + zero_point, dtype.min, dtype.max)


@pytest.mark.parametrize("target", [PORTABLE, X86])
def test_one_multiplier_replaces_two_where_it_steps_at_the_same_sums(target: Any) -> None:
    """A third of a code: its steps are at 1.5, 4.5 and so on, between codes as well."""
    graph = quantized(
        lookup(gemm(requantization(0.0371, INT8), INT8, scale=0.5).out, rescaled(INT8, 1 / 3, 2), scale=1.5)
    )
    after = merge_requantizations(graph, target)
    r = only(after, qops.QGemm).requantization
    assert r.table is None
    assert r.zero_point == 2
    assert abs(r.multiplier - 0.0371 / 3) < 1e-6
    assert operations(after) == ["QGemm"]
    assert_equal(graph, after)


def test_a_multiplier_that_steps_elsewhere_is_not_taken() -> None:
    """Half a code: its steps lie where there are codes."""
    graph = quantized(
        lookup(gemm(requantization(0.0371, INT8), INT8, scale=0.5).out, rescaled(INT8, 0.5, 2), scale=1.0)
    )
    after = merge_requantizations(graph, PORTABLE)
    assert only(after, qops.QGemm).requantization.table is not None
    assert_equal(graph, after)


def test_every_step_of_a_merged_sum_is_met() -> None:
    """Sums at each step of N4 and next to it: the merged sum and the two operations agree."""
    a = Input("a", TensorType(DType("int", 16), (4001, 1), quant(0.1, 0, DType("int", 16)))).out
    b = Constant.of(np.array([[1, -1, 1, -1]]), INT8, quant=quant(0.1)).out
    r = requantization([0.031, 0.07, -0.02, -0.5], INT8, 3)
    made = qops.QGemm(a, b, None, r, INT8, quant(0.5, 3))
    graph = quantized(lookup(made.out, RISING, INT4))
    after = choose_requantization(merge_requantizations(graph, PORTABLE), PORTABLE)
    (node,) = after.operations()
    sums = np.arange(-2000, 2001, dtype=np.int16)[:, None]
    codes = evaluate_node(made, [sums, b.constant])[0]
    wanted = RISING[codes.astype(np.int64) + 128]
    assert (evaluate_node(node, [sums, b.constant])[0] == wanted).all()
