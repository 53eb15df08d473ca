"""Sums of bytes on Arm: weights that are taken apart, and knobs, which change no number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.target import Kernel, Target, find_target
from subbyte.compiler.tuning import Setting, setting_of
from subbyte.targets.arm.kernels_sums import held, without_rests
from tests.conformance.cases import Case
from tests.conformance.cases_sums import Numbers, conv, gemm
from tests.conformance.harness import Library, Prepared, Run
from tests.conformance.machines import lacking

NUMBERS = Numbers(x_fill="extremes", w_fill="extremes", x_zero=0)  # uint8, turned over; pairs of weights of -128
CASES = (
    conv("knobs_conv", NUMBERS, (1, 5, 9, 21), 19, (3, 3), pads=(1, 1, 1, 1)),
    conv("knobs_row", NUMBERS, (1, 32, 1, 225), 33, (1, 1)),
    conv("knobs_rows", NUMBERS, (1, 4, 225, 3), 8, (3, 1), pads=(1, 0, 1, 0)),
)
NAMES = ("cortex-a53", "cortex-a7")


def _row(target: Target) -> Kernel:
    return next(kernel for kernel in target.kernels_for(QConv) if kernel.symbol == "subbyte_arm_sums_s8s8")


def _settings(kernel: Kernel, op: QConv) -> Iterator[Setting]:
    """One for each value of each knob that the operation admits alone, else with the lowest of the others."""
    lowest = {knob.name: min(knob.values) for knob in kernel.knobs}
    for knob in kernel.knobs:
        for value in knob.values:
            for setting in ({knob.name: value}, {**lowest, knob.name: value}):
                if kernel.fits(op, setting):
                    yield setting_of(setting)
                    break


def _operation(case: Case) -> QConv:
    op = case.node(True)
    assert isinstance(op, QConv)
    return op


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_every_knob_computes_the_same(
    name: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(name)
    if missing := lacking(target):
        optional_capability(*missing)
    kernel, calls = _row(target), []
    for case in CASES:
        op = _operation(case)
        for setting in dict.fromkeys(_settings(kernel, op)):
            kernel.check(op, setting)
            tuned = replace(kernel, call=partial(kernel.call, **dict(setting)))
            calls.append(Prepared(f"{case.name} {dict(setting)}", tuned, op, case.arrays(op)))
    assert len(calls) > 60
    expected = {case.name: evaluate_node(op := _operation(case), case.arrays(op))[0] for case in CASES}
    answers = Library(target, calls, tmp_path).answers([Run(each, [(0, each.call.tiles)], None) for each in calls])
    for prepared, answer in zip(calls, answers, strict=True):
        assert not answer.fault, answer.fault
        differ = answer.results[0] != expected[prepared.name.split()[0]]
        assert not differ.any(), f"{prepared.name}: {differ.sum()} codes differ"


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_an_operation_is_refused(name: str) -> None:
    kernel, op = _row(find_target(name)), _operation(CASES[0])
    for setting in ({"pixels": 8, "outputs": 8}, {"row_tiles": 10}, {"column_tiles": 224}, {"panel_tiles": 32}):
        assert not kernel.fits(op, setting)
        with pytest.raises(UnsupportedError, match="does not compute QConv"):
            kernel.check(op, setting_of(setting))


def test_no_lane_of_two_products_overflows_once_weights_are_taken_apart() -> None:
    weights = np.random.default_rng(1).choice([-128, -127, -5, 127], (64, 16))
    kept = without_rests(weights, -128)
    assert np.abs(kept.reshape(-1, 2, 8)).sum(axis=1).max() * 128 <= 2**15 - 1
    assert set(np.unique(weights - kept)) == {-1, 0}
    assert (without_rests(weights, -127) == weights).all()


def test_what_zero_points_move_beyond_bytes_is_a_rest_that_is_a_byte() -> None:
    weights = np.random.default_rng(2).choice([-255, -129, -128, 0, 127, 128, 254], (64, 16))
    kept = without_rests(weights, -128)
    for part in (kept, weights - kept):
        assert -128 <= part.min() <= part.max() <= 127
        pairs = part.reshape(-1, 2, 8)
        for code in (-128, 127):
            assert -(2**15) <= (pairs * code).sum(axis=1).min() <= (pairs * code).sum(axis=1).max() < 2**15


@pytest.mark.parametrize(("weight", "groups"), [(-128, 0), (127, 1), (-64, 1), (-63, 2), (-8, 15), (-2, 63), (1, 64)])
def test_as_many_groups_are_held_as_16_bits_hold(weight: int, groups: int) -> None:
    case = gemm("held", Numbers(w_fill="highest"), (1, 16 * 64), (16 * 64, 3))
    values = np.full(case.operands[1].values.shape, weight, np.int8)
    operands = (case.operands[0], replace(case.operands[1], values=values), *case.operands[2:])
    assert held(replace(case, operands=operands).node(False)) == groups
