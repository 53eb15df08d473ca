"""Knobs of products with blocks change tiles and no result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.qops_blocks import QBlockGemm
from subbyte.compiler.target import find_target
from subbyte.targets.x86.levels import NAMES
from tests.conformance.cases import Case
from tests.conformance.cases_blocks import at_run_time, in_blocks
from tests.conformance.harness import Library, Prepared


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_computes_the_same(
    name: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(name)
    if not target.runs_here:
        optional_capability("instruction set", f"this processor does not run {name}")
    case = Case("knobs", QBlockGemm, (*at_run_time(7, 40, 20), in_blocks(DType("uint", 2), 40, 67, 20, "many")))
    op = case.node(False)
    kernel = target.cheapest(op)
    assert kernel is not None
    settings = list(kernel.settings(op))
    assert len(settings) > 10
    calls = [
        Prepared(str(setting), replace(kernel, call=partial(kernel.call, **dict(setting))), op, case.arrays(op))
        for setting in settings[:: max(len(settings) // 12, 1)]
    ]
    (expected,) = evaluate_node(op, case.arrays(op))
    library = Library(target, calls, tmp_path)
    for prepared in calls:
        (found,) = library.run(prepared, [(0, prepared.call.tiles)])
        assert np.array_equal(found.view(np.uint32), expected.view(np.uint32)), prepared.name
