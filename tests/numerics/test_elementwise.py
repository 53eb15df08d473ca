"""N6: binary arithmetic and averages, over every pair of 8-bit codes, and their C twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.numerics.affine import Affine
from subbyte.compiler.numerics.elementwise import add, average, divide, multiply, reduce_sum, subtract

PAIRS = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")


@pytest.mark.parametrize("scales", [(0.1, 0.1, 0.1), (0.5, 0.25, 1.0), (0.0371, 0.0123, 0.0551)])
def test_every_pair_follows_the_onnx_graph(scales: tuple[float, float, float]) -> None:
    s_a, s_b, s_y = np.float32(scales)
    a, b = PAIRS
    real_a, real_b = (a - 3).astype(np.float32) * s_a, (b - 128).astype(np.float32) * s_b
    left, right, out = Affine(s_a, 3, 0, 255), Affine(s_b, 128, 0, 255), Affine(s_y, 7, 0, 255)
    with np.errstate(divide="ignore", invalid="ignore"):
        results = {add: real_a + real_b, subtract: real_a - real_b, multiply: real_a * real_b, divide: real_a / real_b}
    for operation, real in results.items():
        assert real.dtype == np.float32
        assert (operation(a, left, b, right, None).view(np.uint32) == real.view(np.uint32)).all()
        want = np.clip(np.rint(np.nan_to_num(real / s_y, nan=-1e9)).astype(np.float64) + 7, 0, 255)
        assert (operation(a, left, b, right, out) == want).all()


def test_a_real_operand_stays_real() -> None:
    assert add(np.float32([0.5]), None, [4], Affine(0.25, 0, 0, 15), None).tolist() == [1.5]


def test_division_by_zero_saturates() -> None:
    one = Affine(1.0, 0, -128, 127)
    assert divide([5, -5, 0], one, [0, 0, 0], one, one).tolist() == [127, -128, -128]


def test_average_rounds_each_operation_once() -> None:
    total, scale, out = np.arange(-3000, 3000), np.float32(0.1), Affine(0.1, 1, -128, 127)
    for count in (1, 3, 4, 9, 49):
        real = total.astype(np.float32) * scale / np.float32(count)
        assert (average(total, count, scale, None) == real).all()
        assert (average(total, count, scale, out) == np.clip(np.rint(real / np.float32(0.1)) + 1, -128, 127)).all()
    real = total.astype(np.float32) * scale
    assert (reduce_sum(total, scale, out) == np.clip(np.rint(real / np.float32(0.1)) + 1, -128, 127)).all()


@pytest.mark.parametrize("scales", [(0.1, 0.1, 0.1), (0.5, 0.25, 1.0), (0.0371, 0.0123, 0.0551)])
@pytest.mark.parametrize("zero_point", [0, 7])
def test_c_add_equals_for_every_pair(twin: Any, scales: tuple[float, float, float], zero_point: int) -> None:
    a, b = PAIRS
    s_a, s_b, s_y = scales
    got = twin.call(
        "add_codes",
        np.int32,
        (a - 3, np.int32),
        (s_a, np.float32),
        (b - 128, np.int32),
        (s_b, np.float32),
        (s_y, np.float32),
        (zero_point, np.int32),
        (0, np.int32),
        (255, np.int32),
    )
    left, right = Affine(s_a, 3, 0, 255), Affine(s_b, 128, 0, 255)
    assert (got == add(a, left, b, right, Affine(s_y, zero_point, 0, 255))).all()


def test_c_average_equals(twin: Any) -> None:
    total = np.concatenate([np.arange(-3000, 3000), [2**31 - 1, -(2**31), 2**24 + 1]])
    for count in (1, 3, 9, 49):
        got = twin.call("average", np.float32, (total, np.int32), (0.0371, np.float32), (count, np.int32))
        assert (got == average(total, count, np.float32(0.0371), None)).all()
