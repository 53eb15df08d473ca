"""Element types, quantization parameters, layouts and tensor types refuse what cannot be, and say what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.compiler.dtype import BIPOLAR, BOOL, FLOAT32, INT4, INT8, TERNARY, UINT2, UINT8, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType

Grid = Callable[..., QuantParams]


@given(st.sampled_from(["int", "uint"]), st.integers(1, 64))
def test_an_integer_type_holds_its_bits_and_parses_from_its_name(kind: str, bits: int) -> None:
    dtype = DType(kind, bits)
    assert dtype.max - dtype.min == 2**bits - 1
    assert np.iinfo(dtype.numpy).min <= dtype.min
    assert dtype.max <= np.iinfo(dtype.numpy).max
    assert DType.parse(dtype.name) == dtype


@pytest.mark.parametrize(("kind", "bits"), [("int", 0), ("int", 65), ("float", 8), ("bool", 2), ("complex", 64)])
def test_there_are_no_other_element_types(kind: str, bits: int) -> None:
    with pytest.raises(GraphError, match=r"no .*-bit element type"):
        DType(kind, bits)


@pytest.mark.parametrize("name", ["int", "int65", "int08", "float33", "string", "", "uint-1"])
def test_a_name_of_no_type_does_not_parse(name: str) -> None:
    with pytest.raises(GraphError):
        DType.parse(name)


def test_bipolar_and_ternary_are_signed_and_stand_in_a_byte() -> None:
    assert (BIPOLAR.min, BIPOLAR.max, BIPOLAR.numpy) == (-1, 1, np.int8)
    assert (TERNARY.min, TERNARY.max, TERNARY.c_type) == (-1, 1, "int8_t")


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_a_scale_is_finite_and_above_zero(scale: float) -> None:
    with pytest.raises(GraphError, match="above zero"):
        QuantParams(np.float32(scale), np.int64(0), 0, 255)


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": np.ones(3, np.float32), "zero_point": np.int64(0), "axis": 0},
        {"scale": np.ones(3, np.float32), "zero_point": np.zeros(3, np.int64)},
        {"scale": np.float32(1), "zero_point": np.int64(0), "axis": 0},
        {"scale": np.float32(1), "zero_point": np.int64(0), "qmin": 5, "qmax": 4},
    ],
    ids=["shapes differ", "channels without axis", "axis without channels", "empty range"],
)
def test_quantization_parameters_fit_together(arguments: dict[str, Any]) -> None:
    with pytest.raises(GraphError):
        QuantParams(**({"qmin": 0, "qmax": 255} | arguments))


def test_quantization_parameters_are_copied_and_read_only() -> None:
    scale = np.array([1, 2], np.float32)
    quant = QuantParams(scale, np.zeros(2, np.int64), 0, 255, axis=1)
    scale[0] = 5
    kept, _ = quant.static()
    assert kept.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 7


def test_one_grid_may_have_two_code_ranges(grid: Grid) -> None:
    assert grid(qmin=0).same_grid(grid(qmax=3))
    assert grid(qmin=0) != grid(qmax=3)
    assert not grid(scale=0.1).same_grid(grid(scale=0.2))
    assert not grid(zero_point=1).same_grid(grid(zero_point=2))
    assert hash(grid()) == hash(grid())


def test_a_layout_orders_each_axis_once() -> None:
    with pytest.raises(GraphError, match="permutation"):
        Layout((0, 0, 1))


def test_a_row_major_layout_is_no_layout() -> None:
    assert TensorType(INT8, (2, 3), None, Layout((0, 1))).layout is None


@pytest.mark.parametrize(
    ("layout", "size"),
    [
        (None, 24),
        (Layout((0, 2, 1)), 24),
        (Layout((0, 1, 2), bits=4), 12),
        (Layout((0, 1, 2), bits=2, lanes=8), 12),
        (Layout((0, 2, 1), lanes=16), 128),
    ],
    ids=["row-major", "transposed", "packed", "packed and padded", "padded"],
)
def test_bytes_follow_the_layout(layout: Layout | None, size: int) -> None:
    assert TensorType(INT4, (2, 3, 4), None, layout).bytes == size


@pytest.mark.parametrize(
    ("dtype", "shape", "quant"),
    [
        (INT8, (-1,), None),
        (FLOAT32, (2,), QuantParams(np.float32(1), np.int64(0), 0, 1)),
        (UINT8, (2,), QuantParams(np.float32(1), np.int64(0), -1, 1)),
        (INT8, (2,), QuantParams(np.ones(3, np.float32), np.zeros(3, np.int64), 0, 1, axis=0)),
        (INT8, (2,), QuantParams(np.ones(3, np.float32), np.zeros(3, np.int64), 0, 1, axis=1)),
    ],
    ids=["negative extent", "quantized floats", "range outside dtype", "too many scales", "no such axis"],
)
def test_a_tensor_type_fits_together(dtype: DType, shape: tuple[int, ...], quant: QuantParams | None) -> None:
    with pytest.raises(GraphError):
        TensorType(dtype, shape, quant)


@pytest.mark.parametrize(
    ("dtype", "codes", "stray"),
    [
        (UINT2, np.array([0, 3], np.uint8), None),
        (UINT2, np.array([0, 4], np.uint8), 4),
        (INT4, np.array([-9, 7], np.int8), -9),
        (INT8, np.array([-128, 127], np.int8), None),
        (BIPOLAR, np.array([-1, 1], np.int8), None),
        (BIPOLAR, np.array([-1, 0, 1], np.int8), 0),
        (TERNARY, np.array([-1, 0, 1], np.int8), None),
        (BOOL, np.array([True]), None),
        (UINT2, np.zeros(0, np.uint8), None),
    ],
)
def test_stray_codes_are_found(dtype: DType, codes: np.ndarray, stray: int | None) -> None:
    assert TensorType(dtype, codes.shape).stray_code(codes) == stray


def test_codes_outside_a_narrow_range_are_stray(grid: Grid) -> None:
    assert TensorType(INT8, (2,), grid(qmin=-127)).stray_code(np.array([-128, 0], np.int8)) == -128
