"""Elementwise work on Arm, whose domains are small enough to try: pairs of codes, and steps with their ties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8, UINT2, UINT4, UINT8, DType
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.ops import QuantizeLinear, Unary
from subbyte.compiler.ir.qops import QAdd, QBinary, QMul, QSub
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.target import Target, find_target
from subbyte.targets.arm.binary_forms import form_of
from subbyte.targets.common.binary_forms import Grids
from tests.conformance.harness import Library, Prepared, Run
from tests.conformance.machines import lacking

TARGETS = ("cortex-a7", "cortex-a53")
OPERATIONS: tuple[type[QBinary], ...] = (QAdd, QSub, QMul)

# (a, b, y) as (scale, zero point): of trained networks, with ties everywhere, far apart, out of range.
GRIDS = (
    ((0.039393551647663116, 0), (0.10419496148824692, 132), (0.050945673137903214, 0)),
    ((0.13467691838741302, 144), (0.06983265280723572, 128), (0.15181373059749603, 139)),
    ((0.5, 3), (0.25, 128), (0.5, 11)),
    ((0.1, 3), (0.07, 128), (0.2, 11)),
    ((1e-3, 3), (1e3, 128), (1.0, 11)),
    ((3.7e4, 255), (1.1e4, 0), (1e-7, 255)),
)
SUBNORMAL = ((1e-40, 3), (1e-40, 128), (1e-39, 11))


def pair(operation: type[QBinary], grids: tuple[tuple[float, int], ...], dtype: DType) -> QBinary:
    """An operation whose operands hold every pair of codes."""
    codes = dtype.max - dtype.min + 1
    a, b, y = (
        QuantParams(np.float32(scale), np.int64(zero % codes + dtype.min), dtype.min, dtype.max)
        for scale, zero in grids
    )
    left, right = (Input(name, TensorType(dtype, (codes, codes), quant)) for name, quant in (("a", a), ("b", b)))
    return operation(left.out, right.out, dtype, y)


def every_pair(dtype: DType) -> list[np.ndarray]:
    codes = np.arange(dtype.min, dtype.max + 1).astype(dtype.numpy)
    return [np.ascontiguousarray(side) for side in np.meshgrid(codes, codes, indexing="ij")]


def assert_equal(target: Target, calls: Sequence[Prepared], folder: Path) -> None:
    """Every call computes what the interpreter says."""
    library = Library(target, calls, folder, general=True)
    runs = [Run(prepared, [(0, prepared.call.tiles)]) for prepared in calls]
    for prepared, answer in zip(calls, library.answers(runs), strict=True):
        assert not answer.fault, answer.fault
        assert (answer.results[0] == evaluate_node(prepared.op, prepared.operands)[0]).all(), prepared.name


@pytest.mark.parametrize("name", TARGETS)
def test_kernels_equal_the_interpreter_for_all_pairs_of_codes(
    name: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(name)
    if missing := lacking(target):
        optional_capability(*missing)
    calls = []
    for operation in OPERATIONS:
        for dtype in (UINT8, INT8, UINT4, UINT2):
            for grids in (*GRIDS, SUBNORMAL):
                op = pair(operation, grids, dtype)
                rows = [row for row in target.kernels_for(operation) if row.family == "arm" and row.accepts(op)]
                label = f"{operation.__name__} {dtype} {grids}"
                calls += [Prepared(f"{row.symbol}: {label}", row, op, every_pair(dtype)) for row in rows]
    assert len({prepared.kernel.symbol for prepared in calls}) >= 4
    assert_equal(target, calls, tmp_path)


def test_trained_sums_take_scales_that_were_divided_beforehand() -> None:
    for aarch64 in (False, True):
        forms = [form_of(Grids.of(pair(QAdd, grids, UINT8)), aarch64) for grids in GRIDS[:3]]
        assert all(form is not None and form.kernel == "scaled" for form in forms)


def test_subnormal_numbers_are_left_to_arithmetic_that_keeps_them() -> None:
    """A sum needs the ratios of scales alone, which are no subnormal numbers; a product of such scales is lost."""
    assert form_of(Grids.of(pair(QAdd, SUBNORMAL, UINT8)), aarch64=False) is not None
    assert form_of(Grids.of(pair(QAdd, ((1e-3, 3), (1e-44, 5), (1e-3, 0)), UINT8)), aarch64=False) is None
    assert form_of(Grids.of(pair(QMul, SUBNORMAL, UINT8)), aarch64=False) is None
    assert form_of(Grids.of(pair(QMul, SUBNORMAL, UINT8)), aarch64=True) is not None


def near(values: np.ndarray, ulps: int) -> np.ndarray:
    """Floats up to `ulps` steps around each value."""
    bits = np.asarray(values, np.float32).view(np.int32)
    return np.stack([(bits + step).view(np.float32) for step in range(-ulps, ulps + 1)]).reshape(-1)


@pytest.mark.parametrize("name", TARGETS)
def test_quantization_rounds_every_tie_and_its_neighbours(
    name: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(name)
    if missing := lacking(target):
        optional_capability(*missing)
    steps = np.arange(-300, 300) + 0.5
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-45, 3.4e38, -3.4e38], np.float32)
    calls = []
    for scale in (0.1, 0.0078125, 1 / 3, 2.0**-99, 1.7e-30, 3.3e25, 2.0**100, 0.9999999):
        x = np.concatenate([near(steps * np.float32(scale), 4), near(steps / np.float32(1 / scale), 2), special])
        for dtype, zero in ((INT8, -7), (UINT8, 131), (UINT4, 3)):
            quant = QuantParams(np.float32(scale), np.int64(zero), dtype.min, dtype.max)
            op = QuantizeLinear(Input("x", TensorType(FLOAT32, x.shape)).out, dtype, quant)
            row = target.kernel(QuantizeLinear, "subbyte_arm_quantize")
            assert row.accepts(op)
            calls.append(Prepared(f"{scale} {dtype}", row, op, [x.astype(np.float32)]))
    assert_equal(target, calls, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_leaky_relu_keeps_subnormal_products(
    name: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(name)
    if missing := lacking(target):
        optional_capability(*missing)
    exponents = np.arange(0, 255, dtype=np.uint32) << 23
    bits = np.concatenate([exponents, exponents | 0x7FFFFF, exponents + 1])
    x = np.concatenate([bits, bits | 0x80000000]).view(np.float32)
    calls = []
    for function, parameters in (("LeakyRelu", (0.1015625,)), ("LeakyRelu", (2.0**-20,)), ("Relu", ())):
        op = Unary(Input("x", TensorType(FLOAT32, x.shape)).out, function, parameters)
        row = next(row for row in target.kernels_for(Unary) if row.family == "arm" and row.accepts(op))
        calls.append(Prepared(f"{function} {parameters}", row, op, [x]))
    assert_equal(target, calls, tmp_path)
