"""Grids of float inputs: read from text, written back; with one a model's first products are integer too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import INT8, INT16, UINT8, DType
from subbyte.compiler.errors import GraphError, ModelError
from subbyte.compiler.hls.partition import partition
from subbyte.compiler.ir.grids import grid_text, parse_grid
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import Options, quantized
from subbyte.targets.hls.support import reason_against


@pytest.mark.parametrize(
    ("text", "dtype", "scale", "zero_point"),
    [
        ("fixed<16,6>", INT16, 2.0**-10, 0),
        ("ufixed<8,0>", UINT8, 2.0**-8, 0),
        ("fixed< 8 , 10 >", INT8, 4.0, 0),
        ("fixed<8,-3>", INT8, 2.0**-11, 0),
        ("int8:0.5", INT8, 0.5, 0),
        (" uint8:0.0078125:128 ", UINT8, 2.0**-7, 128),
        ("int3:1e-3:-4", DType("int", 3), float(np.float32(1e-3)), -4),
    ],
)
def test_a_grid_is_read_and_written(text: str, dtype: DType, scale: float, zero_point: int) -> None:
    grid = parse_grid(text)
    assert grid.dtype == dtype
    assert grid.quant.scalar() == (scale, zero_point)
    assert (grid.quant.qmin, grid.quant.qmax) == (dtype.min, dtype.max)
    again = parse_grid(grid_text(grid))
    assert (again.dtype, again.quant.scalar()) == (grid.dtype, grid.quant.scalar())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "'' is no grid"),
        ("fixed<16>", "is no grid; grids are fixed<16,6>"),
        ("int8", "is no grid"),
        ("int8:half", "is no grid"),
        ("int8:0.5:1.5", "is no grid"),
        ("int8:0.5:0:0", "is no grid"),
        ("fixed<17,6>", "codes of int17; int1..int16"),
        ("fixed<0,6>", "there is no 0-bit element type"),
        ("float32:0.5", "codes of float32"),
        ("word8:0.5", "'word8' is not the name of an element type"),
        ("int8:0.5:128", "the zero point 128 of an input's grid is no code of int8"),
        ("int8:0", "scale"),
        ("int8:nan", "scale"),
        ("int8:-1", "scale"),
        ("int8:1e-60", "scale"),
    ],
)
def test_what_is_no_grid_is_refused_with_its_reason(text: str, expected: str) -> None:
    with pytest.raises(GraphError) as caught:
        parse_grid(text)
    assert expected in str(caught.value)


def test_a_grid_for_what_is_no_float_input_is_an_error_that_names_those(shared_model: Callable[[str], Any]) -> None:
    path = shared_model("qkeras_jettagging").path
    with pytest.raises(ModelError, match="'globl_in', which is no float input of the model; those are 'global_in'"):
        quantized(path, Options(input_grids={"globl_in": parse_grid("fixed<16,6>")}))
    with pytest.raises(ModelError, match="'input_1', which is no float input of the model; it has none"):
        quantized(shared_model("kws_int8").path, Options(input_grids={"input_1": parse_grid("int8:0.5")}))


def test_on_its_grid_an_input_means_what_it_did_and_all_products_are_integer(
    shared_model: Callable[[str], Any],
) -> None:
    path = shared_model("qkeras_jettagging").path
    grid = parse_grid("fixed<16,6>")
    plain, gridded = quantized(path), quantized(path, Options(input_grids={"global_in": grid}))
    parts = partition(gridded, reason_against)
    assert partition(plain, reason_against).macs[0] == 16 * 64
    assert parts.macs == (0, 16 * 64 + 64 * 32 + 32 * 32 + 32 * 5, 0)
    codes = np.random.default_rng(7).integers(-(1 << 15), 1 << 15, (20, 1, 16))
    codes[0], codes[1], codes[2] = -(1 << 15), (1 << 15) - 1, 0
    for code in codes:
        sample = {"global_in": (code * grid.quant.scalar()[0]).astype(np.float32)}
        wanted = evaluate(plain, sample)
        found = parts.outputs(sample, evaluate(parts.core, parts.core_inputs(sample)))
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)
