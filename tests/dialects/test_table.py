"""Every rounding x signed x narrow x zero point x broadcast x dialect, as independent implementations have it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret import evaluate
from tests.dialects.conftest import meaning_of
from tests.dialects.quantizers import BROADCASTS, DIALECTS, Setting

ROUNDINGS = ("HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
BITS = (1, 2, 3, 4, 8)
ZEROS = (0, 1, -1, 2)
SAID = {"QONNX": 2793, "QDQ": 49, "QCDQ": 378, "chain, zero point first": 1176, "chain, zero point after": 1176}
"""How many cells of the table each dialect can say."""


def settings(rounding: str, signed: bool, narrow: bool) -> Iterator[Setting]:
    """Those whose range holds the zero point and more than one code."""
    for bits, zero, broadcast in itertools.product(BITS, ZEROS, BROADCASTS):
        setting = Setting(rounding, signed, narrow, bits, zero, broadcast)
        low, high = setting.bounds
        if low < high and low <= zero <= high:
            yield setting


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_quantizer_means_what_its_dialect_says(dialect: str, rounding: str, signed: bool, narrow: bool) -> None:
    for setting in settings(rounding, signed, narrow):
        model = DIALECTS[dialect].write(setting)
        if model is None:
            continue
        graph = meaning_of(model)
        kinds = [type(node) for node in graph.operations()]
        assert kinds == [ops.QuantizeLinear, ops.DequantizeLinear], f"{setting} is not read as one quantization"
        x = setting.reals()
        (found,) = evaluate(graph, {"x": x}).values()
        for name, execute in DIALECTS[dialect].executors.items():
            np.testing.assert_array_equal(found, execute(model, setting, x), err_msg=f"{setting}, beside {name}")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_table_has_these_many_cells(dialect: str) -> None:
    product = itertools.product(ROUNDINGS, (False, True), (False, True))
    said = [DIALECTS[dialect].write(setting) for choice in product for setting in settings(*choice)]
    assert sum(model is not None for model in said) == SAID[dialect]
