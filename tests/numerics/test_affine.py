"""N1 and N2: quantize and dequantize, their special values, and their C twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.affine import Affine, dequantize, quantize, spread, to_codes, to_real
from subbyte.compiler.numerics.rounding import Rounding, apply_rounding

UINT8, INT8 = (0, 255), (-128, 127)
SPECIAL = np.float32(
    [np.nan, np.inf, -np.inf, 3e38, -3e38, 2147483648.0, -0.0, 0.0, 1e-45, -1e-45, 0.5, 1.5, 2.5, -0.5]
)


@pytest.mark.parametrize(("qmin", "qmax"), [UINT8, INT8, (-7, 7), (0, 3), (-32768, 32767)])
def test_special_values_saturate_and_nan_is_qmin(qmin: int, qmax: int) -> None:
    codes = quantize(SPECIAL, np.float32(1), 1, qmin, qmax)
    assert codes.tolist() == [qmin, qmax, qmin, qmax, qmin, qmax, 1, 1, 1, 1, 1, 3, 3, 1]


def test_ties_go_to_even_before_the_zero_point_is_added() -> None:
    assert quantize(np.float32([0.5, 1.5, 2.5, -0.5]), 1.0, 3, *UINT8).tolist() == [3, 5, 5, 3]


def test_zero_point_first_rounds_the_shifted_number() -> None:
    assert quantize(np.float32([0.5, 1.5]), 1.0, 1, *UINT8, zero_point_first=True).tolist() == [2, 2]
    assert quantize(np.float32([0.5, 1.5]), 1.0, 1, *UINT8).tolist() == [1, 3]


def test_division_is_not_multiplication_by_the_reciprocal() -> None:
    scale = np.linspace(0.01, 0.1, 91, dtype=np.float32)[:, None]
    x = (np.arange(-2001, 2001, 2) / 2 * scale.astype(np.float64)).astype(np.float32)
    codes = quantize(x, scale, 0, -30000, 30000)
    assert (codes == np.rint(x / scale)).all()
    assert (codes != np.rint(x * (np.float32(1) / scale))).any()


def test_float16_input_is_divided_in_float32() -> None:
    x, scale = np.float16([1.0, 0.3335, 65504, np.inf]), np.float16(0.0235)
    assert (
        quantize(x, scale, 0, *UINT8).tolist() == quantize(x.astype(np.float32), np.float32(scale), 0, *UINT8).tolist()
    )
    assert quantize(np.float16([np.inf]), np.float16(1), 0, *UINT8).tolist() == [255]


def test_dequantize_int32_rounds_twice() -> None:
    q = np.int64([2**24 + 1, 2**30 + 77, -(2**31)])
    scale = np.float32(1.1)
    assert (dequantize(q, scale) == q.astype(np.float32) * scale).all()
    assert dequantize(q, scale)[0] != np.float32(np.float64(q[0]) * np.float64(scale))


def test_dequantize_with_float16_scale_gives_float16() -> None:
    real = dequantize(np.arange(-128, 128), np.float16(0.0235), 3)
    assert real.dtype == np.float16
    assert (
        real == ((np.arange(-128, 128) - 3).astype(np.float32) * np.float32(np.float16(0.0235))).astype(np.float16)
    ).all()


def test_every_code_comes_back() -> None:
    rng = np.random.default_rng(0)
    for scale in rng.uniform(1e-4, 10, 50).astype(np.float32):
        codes = np.arange(256)
        assert (quantize(dequantize(codes, scale, 77), scale, 77, *UINT8) == codes).all()


@pytest.mark.parametrize("mode", list(Rounding))
def test_rounding_modes_by_definition(mode: Rounding) -> None:
    x = [-2.5, -2.0, -1.7, -1.5, -1.2, -0.5, -0.2, 0.0, 0.2, 0.5, 1.2, 1.5, 1.7, 2.5]
    expected = {
        Rounding.HALF_EVEN: [-2, -2, -2, -2, -1, 0, 0, 0, 0, 0, 1, 2, 2, 2],
        Rounding.CEIL: [-2, -2, -1, -1, -1, 0, 0, 0, 1, 1, 2, 2, 2, 3],
        Rounding.FLOOR: [-3, -2, -2, -2, -2, -1, -1, 0, 0, 0, 1, 1, 1, 2],
        Rounding.UP: [-3, -2, -2, -2, -2, -1, -1, 0, 1, 1, 2, 2, 2, 3],
        Rounding.DOWN: [-2, -2, -1, -1, -1, 0, 0, 0, 0, 0, 1, 1, 1, 2],
        Rounding.HALF_UP: [-3, -2, -2, -2, -1, -1, 0, 0, 0, 1, 1, 2, 2, 3],
        Rounding.HALF_DOWN: [-2, -2, -2, -1, -1, 0, 0, 0, 0, 0, 1, 1, 2, 2],
        Rounding.BIPOLAR: [-1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1],
    }
    assert apply_rounding(np.float32(x), mode).tolist() == expected[mode]


def test_bipolar_takes_the_sign_of_the_number_not_of_the_quotient() -> None:
    x = np.float32([-1e-45, -0.0, 0.0, np.nan, -np.inf, np.inf])
    assert quantize(x, np.float32(8), 0, -1, 1, rounding=Rounding.BIPOLAR).tolist() == [-1, 1, 1, -1, -1, 1]


def test_half_up_rounds_the_number_and_not_its_float32_sum() -> None:
    assert apply_rounding(np.float32([0.49999997]), Rounding.HALF_UP).tolist() == [0]


def test_per_axis_block_and_levels() -> None:
    codes = np.arange(12).reshape(3, 4)
    axis = Affine([1, 2, 4], [0, 1, 2], 0, 15, axis=0)
    assert to_real(codes, axis).tolist() == [[0, 1, 2, 3], [6, 8, 10, 12], [24, 28, 32, 36]]
    assert (to_codes(to_real(codes, axis), axis) == codes).all()
    block = Affine([[1, 2], [1, 1], [3, 1]], np.zeros((3, 2)), 0, 15, axis=1, block=3)
    assert to_real(codes, block).tolist() == [[0, 1, 2, 6], [4, 5, 6, 7], [24, 27, 30, 11]]
    assert to_real([0, 1, 3], Affine(0.5, 0, 0, 3, levels=(-1, 0, 1, 8))).tolist() == [-0.5, 0, 4]


def test_scales_that_do_not_fit_are_refused() -> None:
    with pytest.raises(NumericsError, match="one for each of its 3 entries"):
        spread(np.ones(4), (3, 4), 0)
    with pytest.raises(NumericsError, match="codebook"):
        to_codes(np.float32([1]), Affine(1.0, 0, 0, 3, levels=(-1, 0, 1, 8)))


def _reals(rng: np.random.Generator, scale: Any) -> Any:
    """Ties, near ties, specials and ordinary numbers."""
    steps = rng.integers(-400, 400, 20000) + rng.choice([0, 0.5, 0.25], 20000)
    with np.errstate(over="ignore"):
        ties = (steps * np.float64(scale)).astype(np.float32)
    return np.concatenate([ties, np.nextafter(ties, np.float32(9e9)), np.nextafter(ties, np.float32(-9e9)), SPECIAL])


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.0078125, 1e-40, 3e38])
@pytest.mark.parametrize(("qmin", "qmax", "zero_point"), [(0, 255, 77), (-128, 127, -3), (-8, 7, 1), (0, 65535, 40001)])
def test_c_quantize_equals(twin: Any, scale: float, qmin: int, qmax: int, zero_point: int) -> None:
    x = _reals(np.random.default_rng(1), scale)
    params = [(np.float32(scale), np.float32), (zero_point, np.int32), (qmin, np.int32), (qmax, np.int32)]
    assert (
        twin.call("quantize", np.int32, (x, np.float32), *params)
        == quantize(x, np.float32(scale), zero_point, qmin, qmax)
    ).all()
    for mode in Rounding:
        for first in (0, 1):
            got = twin.call(
                "quantize_mode", np.int32, (x, np.float32), *params, (mode.value, np.int32), (first, np.int32)
            )
            want = quantize(x, np.float32(scale), zero_point, qmin, qmax, rounding=mode, zero_point_first=bool(first))
            assert (got == want).all(), (mode, first)


def test_c_dequantize_equals(twin: Any) -> None:
    q = np.concatenate([np.arange(-300, 300), np.random.default_rng(2).integers(-(2**31), 2**31, 20000)])
    for scale in np.float32([1, 0.1, 1e-38, 3e30]):
        assert (twin.call("dequantize", np.float32, (q, np.int32), (scale, np.float32)) == dequantize(q, scale)).all()


def test_c_rint_equals(twin: Any) -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate(
        [
            np.arange(-(2**12), 2**12) / 8,
            rng.integers(-(2**24), 2**24, 50000) / 2,
            rng.integers(-(2**30), 2**30, 50000),
            np.nextafter(np.float32(0.5), np.float32(0), dtype=np.float32)[None],
        ]
    )
    assert (twin.call("rint_s32", np.int32, (x, np.float32)) == np.rint(x.astype(np.float32))).all()


def test_c_float16_conversions_equal(twin: Any) -> None:
    bits = np.arange(65536, dtype=np.uint16)
    widened = twin.call("f16_to_f32", np.float32, (bits, np.uint16))
    halves = bits.view(np.float16)
    finite = ~np.isnan(halves)
    assert (widened[finite].view(np.uint32) == halves[finite].astype(np.float32).view(np.uint32)).all()
    assert np.isnan(widened[~finite]).all()
    rng = np.random.default_rng(4)
    exact = halves[finite].astype(np.float32)
    middles = ((exact[1:].astype(np.float64) + exact[:-1]) / 2).astype(np.float32)
    x = np.concatenate(
        [
            exact,
            middles,
            np.nextafter(middles, np.float32(1e9)),
            np.nextafter(middles, np.float32(-1e9)),
            np.float32([65519.996, 65520, 1e9, np.inf, -np.inf, 2.0**-25, 2.0**-26]),
            rng.integers(0, 2**32, 200000, dtype=np.uint32).view(np.float32),
        ]
    )
    x = x[~np.isnan(x)]
    with np.errstate(over="ignore"):
        want = x.astype(np.float16).view(np.uint16)
    assert (twin.call("f32_to_f16", np.uint16, (x, np.float32)) == want).all()
    nan = twin.call("f32_to_f16", np.uint16, (np.float32([np.nan]), np.float32)).view(np.float16)
    assert np.isnan(nan).all()
