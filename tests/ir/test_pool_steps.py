"""Averages, means and sums of codes by steps over their integer sums are what the interpreter computes (N5, N6)."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import INT8, UINT8, DType
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.pool_steps import pool_staircase
from subbyte.compiler.ir.qops import QAveragePool, QReduce, QReduceMean, QReduceSum
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.staircase import climb
from subbyte.compiler.numerics.step_choice import choose_step_form
from subbyte.compiler.numerics.step_forms import FixedPoint, SearchSteps, StepForm, apply_steps


def quant(scale: float, zero_point: int, dtype: DType = INT8) -> QuantParams:
    return QuantParams(np.float32(scale), np.int64(zero_point), dtype.min, dtype.max)


def pool(
    x: QuantParams, y: QuantParams, extent: int, pads: tuple[int, ...] = (0,) * 4, counted: bool = False
) -> QAveragePool:
    """Of 1024 whole frames extent x extent, of int8 codes."""
    source = Input("x", TensorType(INT8, (1, 1024, extent, extent), x))
    kernel = (extent, extent)
    return QAveragePool(source.out, INT8, y, kernel, (1, 1), pads, (1, 1), False, counted)


def reduction(kind: type[QReduce], x: QuantParams, y: QuantParams, count: int) -> QReduce:
    source = Input("x", TensorType(UINT8, (1024, count), x))
    return kind(source.out, INT8, y, (1,), False)


def codes_around_every_sum(node: QAveragePool | QReduce, count: int) -> Codes:
    """[1024, count]: codes whose sums rise from the smallest to the largest, by steps of one where they fit."""
    low, high = node.x.type.code_range()
    totals = np.linspace(low * count, high * count, 1024).astype(np.int64)
    each, more = totals // count, totals % count
    return np.asarray(each[:, None] + (np.arange(count) < more[:, None]))


def check(node: QAveragePool | QReduce, count: int) -> StepForm:
    """Steps and their form against the interpreter, at 1024 sums from end to end; and the form at every sum."""
    zero_point = 0 if node.x.type.quant is None else node.x.type.quant.scalar()[1]
    low, high = (count * (code - zero_point) for code in node.x.type.code_range())
    found = pool_staircase(node, low, high)
    codes = codes_around_every_sum(node, count)
    (expected,) = evaluate_node(node, [codes.astype(node.x.type.dtype.numpy).reshape(node.x.type.shape)])
    sums = codes.sum(axis=1) - zero_point * count
    assert np.array_equal(climb(sums[:, None], found)[:, 0], expected.reshape(-1))
    form = choose_step_form(found)
    every = np.arange(low, high + 1)[:, None]
    assert np.array_equal(apply_steps(form, every), climb(every, found))
    return form


@pytest.mark.parametrize("extent", [1, 3, 7])
def test_an_average_of_an_odd_number_has_no_ties(extent: int) -> None:
    form = check(pool(quant(0.037, 5), quant(0.037, 5), extent), extent * extent)
    assert isinstance(form, FixedPoint)
    assert form.exceptions == 0


def test_an_average_between_equal_powers_of_two_is_a_shift() -> None:
    form = check(pool(quant(0.125, 5), quant(0.125, 5), 8), 64)
    assert isinstance(form, FixedPoint)
    assert (form.multiplier.tolist(), form.shift, form.ties_to, form.exceptions) == ([1], 6, 1, 0)


@pytest.mark.parametrize("extent", [2, 8])
def test_float32_breaks_some_ties_of_an_average_between_equal_scales(extent: int) -> None:
    form = check(pool(quant(0.037, 5), quant(0.037, 5), extent), extent * extent)
    assert isinstance(form, FixedPoint)
    assert form.ties_to == 1
    assert form.exceptions == 18


def test_an_average_of_a_hundred_is_searched() -> None:
    assert isinstance(check(pool(quant(0.037, 5), quant(0.037, 5), 10), 100), SearchSteps)


@pytest.mark.parametrize("seed", range(6))
def test_averages_means_and_sums_of_any_scales(seed: int) -> None:
    random = np.random.default_rng(seed)
    scale, to_scale = random.uniform(0.01, 0.1, 2)
    points = random.integers(-128, 128, 2)
    check(pool(quant(scale, points[0]), quant(to_scale, points[1]), 5), 25)
    x, count = quant(scale, points[0] + 128, UINT8), int(random.integers(2, 40))
    check(reduction(QReduceMean, x, quant(to_scale, points[1]), count), count)
    check(reduction(QReduceSum, x, quant(to_scale * count, points[1]), count), count)


def test_pads_that_are_counted_are_part_of_every_window() -> None:
    counted = pool(quant(0.1, 0), quant(0.1, 0), 2, (1, 1, 1, 1), counted=True)
    found = pool_staircase(counted, -512, 508)
    assert climb([[4], [6], [10]], found)[:, 0].tolist() == [1, 2, 2]  # 6 / 4 and 10 / 4 go to the even code
    with pytest.raises(UnsupportedError, match=r"divides by \[1, 2, 4\]"):
        pool_staircase(pool(quant(0.1, 0), quant(0.1, 0), 2, (1, 1, 1, 1)), -512, 508)
