"""N6 on two narrow operands: integer forms are the interpreter's codes for every pair, by narrow tables."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import NumericsError, UnsupportedError
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.pair_choice import choose_pair_form
from subbyte.compiler.ir.qops import QAdd, QBinary, QDiv, QMul, QSub
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.line_search import Rounding
from subbyte.compiler.numerics.pair_choice import Classes, exact, joined_by_shift, joined_by_steps
from subbyte.compiler.numerics.pair_forms import PairForm, PairSteps, PairTable, apply_pair
from subbyte.compiler.numerics.pair_tables import settled_tables
from subbyte.compiler.numerics.step_forms import FixedPoint

U8, S8, U4 = DType("uint", 8), DType("int", 8), DType("uint", 4)


def quant(scale: float, zero_point: int, dtype: DType, low: int | None = None, high: int | None = None) -> QuantParams:
    return QuantParams(
        np.float32(scale), np.int64(zero_point), dtype.min if low is None else low, dtype.max if high is None else high
    )


def quant_of(of_type: TensorType) -> QuantParams:
    assert of_type.quant is not None
    return of_type.quant


def binary(kind: type[QBinary], a: QuantParams, b: QuantParams, y: QuantParams, dtypes: str = "SSS") -> QBinary:
    types = {"S": S8, "U": U8, "4": U4}
    of_a, of_b, of_y = (types[name] for name in dtypes)
    left = Input("a", TensorType(of_a, (a.qmax - a.qmin + 1, 1), a))
    right = Input("b", TensorType(of_b, (1, b.qmax - b.qmin + 1), b))
    return kind(left.out, right.out, of_y, y)


def every_pair(node: QBinary) -> tuple[Codes, Codes, Codes]:
    """(a, b, y) by the interpreter."""
    a, b = (np.arange(*value.type.code_range()) for value in (node.a, node.b))
    a, b = (np.append(codes, codes[-1] + 1) for codes in (a, b))
    left, right = a[:, None].astype(node.a.type.dtype.numpy), b[None, :].astype(node.b.type.dtype.numpy)
    return left, right, evaluate_node(node, (left, right))[0]


def checked(node: QBinary) -> PairForm:
    form = choose_pair_form(node)
    a, b, y = every_pair(node)
    assert np.array_equal(apply_pair(form, a, b), y)
    return form


@pytest.mark.parametrize("seed", range(24))
def test_a_form_is_the_interpreters_code_for_every_pair(seed: int) -> None:
    random = np.random.default_rng(seed)
    kind = (QAdd, QSub, QMul)[seed % 3]
    scales = np.exp(random.uniform(-5, -1, 3))
    if seed % 4 == 0:
        scales = 2.0 ** random.integers(-6, -2, 3)
    if kind is QMul:
        scales[2] = scales[0] * scales[1] * 2 ** random.uniform(2, 8) if seed % 4 else scales[0] * scales[1] * 16
    points = random.integers(-128, 128, 3)
    low, high = sorted(random.integers(-128, 128, 2).tolist())
    y = quant(scales[2], points[2], S8, low, high) if seed % 5 == 0 else quant(scales[2], points[2], S8)
    form = checked(binary(kind, quant(scales[0], points[0], S8), quant(scales[1], points[1], S8), y))
    assert isinstance(form, PairSteps | PairTable)


def test_equal_scales_add_codes_and_clamp() -> None:
    same = quant(0.05, 3, S8)
    form = checked(binary(QAdd, same, same, quant(0.05, -7, S8)))
    assert isinstance(form, PairSteps)
    assert isinstance(form.steps, FixedPoint)
    assert form.steps.shift == 0
    assert np.diff(form.left).tolist() == [1] * 255


def test_power_of_two_scales_round_ties_to_even_codes() -> None:
    form = checked(binary(QAdd, quant(0.25, 0, S8), quant(0.5, 0, S8), quant(1.0, 1, S8)))
    assert isinstance(form, PairSteps)
    assert isinstance(form.steps, FixedPoint)
    assert (form.steps.shift, form.steps.ties_to) == (2, 1)  # the zero point moves even results to odd codes
    assert [np.unique(np.diff(table)).tolist() for table in (form.left, form.right)] == [[1], [2]]


def test_tables_are_moved_until_a_coarse_grid_will_do() -> None:
    """Real numbers rounded to that grid would not do."""
    node = binary(QAdd, quant(0.0371, 5, S8), quant(0.0523, -20, S8), quant(0.0611, 3, S8))
    form = checked(node)
    assert isinstance(form, PairSteps)
    assert isinstance(form.steps, FixedPoint)
    assert 4 <= form.steps.shift <= 9
    a, b, y = every_pair(node)
    left, right = to_real(a, quant_of(node.a.type)).ravel(), to_real(b, quant_of(node.b.type)).ravel()
    on_grid = [np.rint(real / 0.0611 * 2.0**form.steps.shift).astype(np.int64) for real in (left, right)]
    assert joined_by_shift(*on_grid, Classes(y.astype(np.int64)), form.steps.shift) is None


def test_tables_that_no_grid_serves_are_given_up() -> None:
    y = np.array([[0, 1], [1, 0]]) * 5
    assert settled_tables(np.zeros(2, np.int64), np.zeros(2, np.int64), y, 3, Rounding()) is None
    assert joined_by_steps(np.array([0, 1]), np.array([0, 1]), False, Classes(y)) is None
    fits = settled_tables(np.zeros(2, np.int64), np.zeros(2, np.int64), np.array([[0, 1], [1, 2]]), 0, Rounding())
    assert fits is not None
    assert np.clip(fits[0][:, None] + fits[1], 0, 2).tolist() == [[0, 1], [1, 2]]


def test_real_numbers_as_integers_on_one_grid() -> None:
    found = exact(np.float32([0.5, -0.75]), np.float32([3, 0]))
    assert found is not None
    assert [table.tolist() for table in found] == [[2, -3], [12, 0]]
    assert exact(np.float32([1e-30]), np.float32([1])) is None


def test_narrow_ranges_have_narrow_tables() -> None:
    a, b = quant(0.1, 10, S8, -20, 30), quant(0.07, -3, S8, 0, 100)
    form = checked(binary(QSub, a, b, quant(0.11, 4, S8)))
    assert isinstance(form, PairSteps)
    assert (form.a_low, form.left.size, form.b_low, form.right.size) == (-20, 51, 0, 101)


def test_few_bits_are_a_table_and_a_quotient_too() -> None:
    four = quant(0.3, 2, U4)
    form = checked(binary(QMul, four, quant(0.2, 5, U4), quant(0.15, 1, U8), "44U"))
    assert isinstance(form, PairTable)
    assert form.table.shape == (16, 16)
    assert isinstance(checked(binary(QDiv, quant(0.3, 2, S8), four, quant(0.1, 0, S8), "S4S")), PairTable)


def test_a_product_is_taken_of_centred_codes() -> None:
    form = checked(binary(QMul, quant(0.031, 5, S8), quant(0.022, -9, S8), quant(0.09, 0, S8)))
    assert isinstance(form, PairSteps)
    assert form.product
    assert (form.left[0], form.right[0]) == (-133, -119)


def test_a_product_of_which_float32_breaks_ties_is_a_table() -> None:
    """0.1 * 0.2 / 0.04 is a half: what becomes of a tie depends on the two codes, not on their product."""
    form = checked(binary(QMul, quant(0.1, 3, S8), quant(0.2, 0, S8), quant(0.04, 0, S8)))
    assert isinstance(form, PairTable)
    assert form.table.shape == (256, 256)


def test_operands_that_cannot_be_compared_are_refused() -> None:
    wide = DType("int", 16)
    of_a = QuantParams(np.float32(0.1), np.int64(0), wide.min, wide.max)
    a, b = Input("a", TensorType(wide, (1,), of_a)), Input("b", TensorType(S8, (1,), quant(1, 0, S8)))
    with pytest.raises(UnsupportedError, match=r"65536 codes with 256; .* up to 16 bits"):
        choose_pair_form(QAdd(a.out, b.out, S8, quant(1, 0, S8)))
    real = Input("r", TensorType(DType("float", 32), (1,), None))
    with pytest.raises(UnsupportedError, match=r"b is .*float32"):
        choose_pair_form(QAdd(b.out, real.out, S8, quant(1, 0, S8)))


def test_no_other_form_is_applied() -> None:
    with pytest.raises(NumericsError, match="a PairForm is no form of pairs"):
        apply_pair(PairForm(0, 0), [0], [0])
