"""The estimate beside Yosys: a few units of benchmarks/fpga_calibration.py, within the error that it states."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from benchmarks.fpga_calibration import TABLE, WORST, Unit, errors, mapped, read_table, units


def test_every_unit_is_within_the_stated_error_of_what_was_recorded() -> None:
    _, recorded = read_table(TABLE)
    found = errors([(unit, recorded[unit.label]) for unit in units()])
    assert {resource: worst for resource, (_, worst) in found.items() if worst > WORST[resource]} == {}


@pytest.mark.parametrize("group", ["xnor", "window"])
def test_an_estimate_is_within_the_stated_error_of_yosys(
    group: str, optional_capability: Callable[[str, str], None]
) -> None:
    if not shutil.which("yosys"):
        optional_capability("rtl tools", "yosys is not installed")
    unit: Unit = next(unit for unit in units() if unit.group == group and unit.fitted)
    found = errors([(unit, mapped(unit.netlist, unit.use_dsp))])
    assert {resource: worst for resource, (_, worst) in found.items() if worst > WORST[resource]} == {}
