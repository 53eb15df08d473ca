"""The fewest bits that hold codes: of a constant by its values, of anything else by its range, within its type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8, INT16, INT32, UINT8, DType
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.ir.widths import narrowest_type
from tests.passes.builders import quant


@pytest.mark.parametrize(
    ("codes", "zero_point", "dtype", "expected"),
    [
        ([-2, 1], 0, INT8, "int2"),
        ([-1, 0, 1], 0, INT8, "int2"),
        ([-1, 1], 0, INT8, "bipolar"),
        ([-1, 1], 1, INT8, "int2"),  # stands for -2 and 0
        ([-3, 2], 0, INT8, "int3"),
        ([-128, 0], 0, INT8, "int8"),
        ([0, 63], 0, INT8, "int7"),
        ([0, 0], 0, INT8, "int1"),
        ([0, 63], 0, UINT8, "uint6"),
        ([0, 3], 0, UINT8, "uint2"),
        ([0, 3], 9, UINT8, "uint4"),  # the zero point is a code too
        ([0, 0], 0, UINT8, "uint1"),
        ([-300, 7], 0, INT16, "int10"),
        ([-2, 1], 0, DType("int", 4), "int2"),
        ([-1, 1], 0, DType("int", 2), "bipolar"),
        ([-2, 1], 0, DType("int", 5), "int5"),  # as the model gave it
        ([-2, 1], 0, INT32, "int32"),  # no code but a sum
    ],
)
def test_of_constants(codes: list[int], zero_point: int, dtype: DType, expected: str) -> None:
    value = Constant.of(codes, dtype, quant=quant(0.5, zero_point, dtype)).out
    assert str(narrowest_type(value)) == expected


@pytest.mark.parametrize(
    ("qmin", "qmax", "zero_point", "dtype", "expected"),
    [
        (0, 3, 0, UINT8, "uint2"),
        (0, 31, 0, UINT8, "uint5"),
        (0, 255, 0, UINT8, "uint8"),
        (-8, 7, 0, INT8, "int4"),
        (-7, 7, 0, INT8, "int4"),
        (0, 127, 0, INT8, "int8"),
        (0, 127, -128, INT8, "int8"),
        (-128, -1, -128, INT8, "int8"),
        (0, 15, 0, INT8, "int5"),
    ],
)
def test_of_what_is_computed(qmin: int, qmax: int, zero_point: int, dtype: DType, expected: str) -> None:
    of_type = TensorType(dtype, (2,), QuantParams(np.float32(0.5), np.int64(zero_point), qmin, qmax))
    assert str(narrowest_type(Input("x", of_type).out)) == expected


@pytest.mark.parametrize(
    "of_type",
    [
        TensorType(INT8, (2,)),
        TensorType(FLOAT32, (2,)),
        TensorType(UINT8, (2,), QuantParams(np.float32(1), np.int64(0), 0, 1, levels=(-37.0, 37.0))),
    ],
    ids=["no scale", "float", "codebook"],
)
def test_other_values_have_their_type(of_type: Any) -> None:
    assert narrowest_type(Input("x", of_type).out) == of_type.dtype
