"""Products of two run-time matrices on Arm, whose operands are stored with rows or with columns side by side."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from subbyte.compiler.dtype import INT8, UINT8
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.qops import QGemm
from subbyte.compiler.ir.types import Layout
from subbyte.compiler.target import find_target
from tests.conformance.cases import Case
from tests.conformance.cases_sums import Numbers, gemm
from tests.conformance.harness import Library, Prepared, Run
from tests.conformance.machines import lacking

SIGNED = Numbers(x=INT8, w=INT8, y=INT8, x_zero=-5, w_zero=11)
UNSIGNED = Numbers(x=UINT8, w=UINT8, y=UINT8, x_zero=130, w_zero=3)
SIZES = ((16, 32, 32), (17, 37, 35), (3, 8, 16), (2, 48, 50))


def _stored(case: Case, a_turned: bool, b_turned: bool) -> QGemm:
    op = case.node(False)
    assert isinstance(op, QGemm)

    def turned(value_of: Input) -> Input:
        return Input(value_of.name, value_of.of_type.with_layout(Layout((0, 2, 1))))

    a, b = op.a.node, op.b.node
    assert isinstance(a, Input)
    assert isinstance(b, Input)
    return op.replace(a=turned(a).out if a_turned else op.a, b=turned(b).out if b_turned else op.b)


@pytest.mark.parametrize("name", ["cortex-a7", "cortex-a53", "cortex-a76", "armv8.2-a+dotprod+i8mm"])
def test_operands_are_multiplied_however_they_are_stored(
    name: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(name)
    if missing := lacking(target):
        optional_capability(*missing)
    calls = []
    for numbers, (rows, depth, columns) in product((SIGNED, UNSIGNED), SIZES):
        case = gemm(
            f"products {rows} {depth} {columns}", numbers, (2, rows, depth), (2, depth, columns), constant=False
        )
        for turned in product((False, True), repeat=2):
            op = _stored(case, *turned)
            rows_of = [row for row in target.kernels_for(QGemm) if row.symbol.startswith("subbyte_arm_product_")]
            calls += [Prepared(f"{row.symbol} {case.name} {turned}", row, op, case.arrays(op)) for row in rows_of]
    assert all(prepared.kernel.accepts(prepared.op) for prepared in calls)
    library = Library(target, calls, tmp_path)
    for prepared, answer in zip(calls, library.answers([Run(p, [(0, p.call.tiles)]) for p in calls]), strict=True):
        assert not answer.fault, answer.fault
        expected = evaluate_node(prepared.op, prepared.operands)[0]
        assert (answer.results[0] == expected).all(), prepared.name
