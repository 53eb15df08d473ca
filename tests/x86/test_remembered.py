"""What is found of the weights of a sum is found again only where something that it may depend on differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import INT4, UINT2
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.targets.common.remembered import remembered
from tests.passes.builders import quant

LAST = Layout((0, 2, 3, 1))
GRID = quant(0.5, 0, UINT2)


def convolution(weights: Constant | None = None, grid: QuantParams = GRID) -> QConv:
    w = weights or Constant.of(np.ones((4, 4, 3, 3)), INT4, quant=quant(0.1, 0, INT4))
    x = Input("x", TensorType(UINT2, (1, 4, 5, 5), grid, LAST)).out
    r = Requantization(np.float32(0.1), None, 0, 0, 3)
    return QConv(x, w.out, None, r, UINT2, GRID, (1, 1), (1,) * 4, (1, 1), 1, layout=LAST)


def calls(*ops: QConv) -> int:
    """How often a remembered function runs for these operations."""
    seen: list[QConv] = []

    @remembered
    def find(op: QConv) -> int:
        seen.append(op)
        return len(seen)

    for op in ops:
        assert find(op) == find(op)
    return len(seen)


def test_other_storage_is_the_same_sum() -> None:
    op = convolution()
    packed = op.replace(layout=replace(LAST, bits=2))
    over = op.replace(x=Input("packed", op.x.type.with_layout(replace(LAST, bits=2))).out)
    assert calls(op, packed, over) == 1


@pytest.mark.parametrize(
    "change",
    [{"pads": (0, 0, 0, 0)}, {"strides": (2, 2)}, {"requantization": Requantization(np.float32(0.2), None, 0, 0, 3)}],
    ids=str,
)
def test_another_attribute_is_another_sum(change: dict[str, Any]) -> None:
    op = convolution()
    assert calls(op, op.replace(**change)) == 2


def test_other_weights_and_other_codes_of_the_input_are_other_sums() -> None:
    op = convolution()
    narrower = convolution(op.w.node, replace(GRID, qmax=2))  # type: ignore[arg-type]
    assert calls(op, convolution(), narrower) == 3


def test_arguments_count() -> None:
    seen: list[int] = []

    @remembered
    def find(op: QConv, lanes: int) -> int:
        seen.append(lanes)
        return lanes

    op = convolution()
    assert [find(op, lanes) for lanes in (8, 16, 8)] == [8, 16, 8]
    assert seen == [8, 16]
