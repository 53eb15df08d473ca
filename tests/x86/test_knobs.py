"""Knobs change no number: every value of each, in a setting that admits it, against the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.target import Kernel, Target, find_target
from subbyte.compiler.tuning import Setting, setting_of
from tests.x86.test_geometry import Convolution, _array, _model

SUMS = Convolution(5, 139, (9, 35), (3, 3), (1, 1, 1, 1))
ROW = Convolution(8, 260, (1, 227))  # read in place, one row
MANY_ROWS = Convolution(4, 8, (225, 3), (3, 1), (1, 0, 1, 0))
DEPTHWISE = Convolution(24, 24, (225, 5), (3, 3), (1, 1, 1, 1), depthwise=True)
CASES = {"sums": (SUMS, ROW, MANY_ROWS), "depthwise": (DEPTHWISE,)}


def settings(kernel: Kernel, op: QConv) -> Iterator[Setting]:
    """One for each value of each knob that the operation admits alone, else with the lowest of the others."""
    lowest = {knob.name: min(knob.values) for knob in kernel.knobs}
    for knob in kernel.knobs:
        for value in knob.values:
            together = {**lowest, knob.name: value}
            if kernel.fits(op, {knob.name: value}):
                yield setting_of({knob.name: value})
            elif kernel.fits(op, together):
                yield setting_of(together)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4+avx512vnni"])
def test_every_value_of_every_knob_computes_the_same(
    name: str, kind: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(name)
    if not target.runs_here:
        optional_capability("instruction set", f"this processor does not run {target.name}")
    calls, inputs = {}, {}
    tried: set[tuple[str, int]] = set()
    for number, convolution in enumerate(CASES[kind]):
        op, inputs[f"x{number}"] = convolution.op(number)
        kernel = _row_of(target, kind, op)
        for setting in dict.fromkeys(settings(kernel, op)):
            kernel.check(op, setting)
            tried |= set(setting)
            calls[f"{number}: {dict(setting)}"] = KernelCall(op, kernel.symbol, target.name, setting)
    offered = {(knob.name, value) for knob in kernel.knobs for value in knob.values}
    beyond = {("pixels", value) for value in range(13, 17)} if name == "x86-64-v3" else set()  # 16 registers
    assert offered - tried <= beyond, f"no case reaches {sorted(offered - tried - beyond)}"
    model = _model(target, calls, tmp_path)
    results = model.run([np.moveaxis(x, 1, -1).copy().reshape(x.shape) for x in inputs.values()])
    expected = {}
    for (label, call), result in zip(calls.items(), results, strict=True):
        op = call.op
        if op not in expected:
            expected[op] = evaluate_node(op, [_array(operand, inputs) for operand in op.operands])[0]
        found = np.moveaxis(result.reshape(call.type.stored_shape), -1, 1)
        assert (found == expected[op]).all(), f"{label}: {(found != expected[op]).sum()} codes differ"


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4+avx512vnni"])
def test_what_does_not_fit_an_operation_is_refused(name: str) -> None:
    op, _ = Convolution(8, 24, (3, 5), (3, 3), (1, 1, 1, 1)).op(0)
    kernel = _row_of(find_target(name), "sums", op)
    for setting in ({"pixels": 6}, {"pixels": 16, "vectors": 8}, {"row_tiles": 4}, {"panel_tiles": 16}):
        assert not kernel.fits(op, setting)
        with pytest.raises(UnsupportedError, match="does not compute QConv"):
            kernel.check(op, setting_of(setting))
    every = list(kernel.settings(op))
    assert len(every) > 10
    assert len(set(every)) == len(every)


def _row_of(target: Target, kind: str, op: QConv) -> Kernel:
    """The best row of the kind that has knobs."""
    part = "_depthwise_" if kind == "depthwise" else "_sums_"
    return next(k for k in target.kernels_for(QConv) if part in k.symbol and k.knobs and k.accepts(op))
