"""Sums and products of two tensors: the form that is chosen equals N6 for every pair of codes, as does its kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.dtype import UINT4, UINT8, DType
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.qops import QAdd, QBinary, QMul, QSub
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.target import find_target
from subbyte.targets.common.binary_forms import Grids, fused_multiply_add
from subbyte.targets.x86.forms import ADD, LINEAR, MULTIPLY, PRODUCT, form_of
from tests.conformance.harness import Library, Prepared

# (a, b, y) as (scale, zero point): of trained networks, with ties everywhere, far apart, out of range.
GRIDS = (
    ((0.039393551647663116, 0), (0.10419496148824692, 132), (0.050945673137903214, 0)),
    ((0.13467691838741302, 144), (0.06983265280723572, 128), (0.15181373059749603, 139)),
    ((0.5, 3), (0.25, 128), (0.5, 11)),
    ((0.1, 3), (0.07, 128), (0.2, 11)),
    ((1e-3, 3), (1e3, 128), (1.0, 11)),
    ((3.7e4, 255), (1.1e4, 0), (1e-7, 255)),
    ((1.0, 0), (1.0, 0), (3.0, 0)),
)


def pair(operation: type[QBinary], grids: tuple[tuple[float, int], ...], dtype: DType = UINT8) -> QBinary:
    """An operation whose operands hold every pair of codes."""
    codes = 1 << dtype.bits
    a, b, y = (QuantParams(np.float32(scale), np.int64(zero % codes), 0, dtype.max) for scale, zero in grids)
    shape = (codes, codes)
    left, right = (Input(name, TensorType(dtype, shape, quant)) for name, quant in (("a", a), ("b", b)))
    return operation(left.out, right.out, dtype, y)


def every_pair(dtype: DType = UINT8) -> list[np.ndarray]:
    codes = np.arange(1 << dtype.bits, dtype=np.uint8)
    return [np.ascontiguousarray(side) for side in np.meshgrid(codes, codes, indexing="ij")]


@pytest.mark.parametrize("level", ["x86-64-v3", "x86-64-v4"])
def test_kernels_equal_the_interpreter_for_all_pairs(
    level: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(level)
    if not target.runs_here:
        optional_capability("instruction set", f"this processor does not run {level}")
    calls = []
    for operation in (QAdd, QSub, QMul):
        for dtype in (UINT8, UINT4):
            for grids in GRIDS:
                op = pair(operation, grids, dtype)
                kernel = next(row for row in target.kernels_for(operation) if row.accepts(op))
                calls.append(Prepared(f"{operation.__name__} {dtype} {grids}", kernel, op, every_pair(dtype)))
    library = Library(target, calls, tmp_path)
    for call in calls:
        expected = evaluate_node(call.op, call.operands)[0]
        assert (library.run(call, [(0, call.call.tiles)])[0] == expected).all(), call.name


def test_trained_sums_take_two_fused_multiply_adds() -> None:
    assert all(form_of(Grids.of(pair(QAdd, grids))).form == LINEAR for grids in GRIDS[:3])


def test_a_product_of_codes_takes_one_multiplication() -> None:
    assert form_of(Grids.of(pair(QMul, GRIDS[2]))).form == PRODUCT


def test_where_no_form_is_equal_the_division_stays() -> None:
    """Half of all sums are ties but for roundings: only N6's own tell where they fall."""
    for operation, expected in ((QAdd, ADD), (QMul, MULTIPLY)):
        form = form_of(Grids.of(pair(operation, GRIDS[3])))
        assert (form.form, form.reciprocal, form.proof) == (expected, False, "N6 in float32")


def test_fused_multiply_add_rounds_once() -> None:
    a, c = np.float32(1 + 2**-12), np.float32(-1)
    exact = 2.0**-11 + 2.0**-24  # a * a - 1; float32(a * a) - 1 loses the last term
    assert fused_multiply_add(a, a, c) == np.float32(exact)
    assert np.float32(a * a) + c == np.float32(2.0**-11)


def test_fused_multiply_add_does_not_answer_where_it_would_round_twice() -> None:
    assert fused_multiply_add(np.float32(1 + 2**-23), np.float32(1), np.float32(2.0**-60)) is None
