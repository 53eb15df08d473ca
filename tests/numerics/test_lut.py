"""N7: tables of unary functions, correctly rounded, and composed op by op."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from subbyte.compiler.dtype import INT4, INT8, INT16, UINT8
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.affine import Affine, dequantize, quantize
from subbyte.compiler.numerics.lut import correctly_rounded, round_float32, table
from subbyte.compiler.numerics.unary import FUNCTIONS, unary

PARAMETERS = {
    "LeakyRelu": (0.1,),
    "Clip": (-1.5, 6.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.3,),
    "Selu": (1.6732632, 1.0507009),
    "Celu": (0.7,),
    "ThresholdedRelu": (1.0,),
}
X = dequantize(np.arange(-128, 128), np.float32(0.0471), 3)


def error_in_ulps(value: float, exact: Any) -> Any:
    return abs(mpmath.mpf(value) - exact) / mpmath.mpf(2) ** max(mpmath.frexp(exact)[1] - 24, -149)


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        ("Sigmoid", lambda x: 1 / (1 + mpmath.exp(-x))),
        ("Tanh", mpmath.tanh),
        ("Exp", mpmath.exp),
        ("Erf", mpmath.erf),
        ("Gelu", lambda x: x * mpmath.ncdf(x)),
        ("Softplus", lambda x: mpmath.log(1 + mpmath.exp(x))),
        ("Mish", lambda x: x * mpmath.tanh(mpmath.log(1 + mpmath.exp(x)))),
        ("HardSwish", lambda x: x * min(max(x / 6 + mpmath.mpf(0.5), 0), 1)),
        (
            "GeluTanh",
            lambda x: x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))),
        ),
    ],
)
def test_every_value_is_the_nearest_float32(function: str, exact: Any) -> None:
    with mpmath.workdps(60):
        for x, value in zip(X.tolist(), correctly_rounded(function, X).tolist(), strict=True):
            want = exact(mpmath.mpf(x))
            assert want == 0 or error_in_ulps(value, want) <= 0.5, (function, x, value)


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if f not in ("Gelu", "GeluTanh")])
def test_float32_functions_are_near_the_tables(function: str) -> None:
    parameters = PARAMETERS.get(function, ())
    got, near = correctly_rounded(function, X, parameters), unary(function, X, parameters)
    np.testing.assert_allclose(got, near, rtol=2e-6, atol=1e-7)


def test_values_outside_the_domain_are_those_of_ieee754() -> None:
    inf = math.inf
    cases: list[tuple[str, list[float], list[float]]] = [
        ("Log", [0, -1, inf, 1], [-inf, math.nan, inf, 0]),
        ("Sqrt", [-1, 4, 0], [math.nan, 2, 0]),
        ("Reciprocal", [0, inf, -4], [inf, 0, -0.25]),
        ("Exp", [-inf, inf, 1000, -1000, 3e38], [0, inf, inf, 0, inf]),
        ("Tanh", [inf, -3e38], [1, -1]),
    ]
    for function, x, want in cases:
        np.testing.assert_array_equal(correctly_rounded(function, x), np.float32(want), err_msg=function)


def test_a_tie_is_rounded_to_even() -> None:
    tie = 1 + 2.0**-24  # between the neighbours 1 and 1 + 2**-23
    above = tie + 2.0**-23  # between two odd and even neighbours
    assert [round_float32(mpmath.mpf(v)) for v in (tie, above, -tie)] == [1, 1 + 2.0**-22, -1]
    with np.errstate(all="raise"):
        assert correctly_rounded("HardSigmoid", np.float32([1.0]), (2.0**-24, 1.0)).tolist() == [1.0]
        assert correctly_rounded("LeakyRelu", np.float32([-(1 + 2.0**-12)]), (1 + 2.0**-12,)).tolist() == [
            -(1 + 2.0**-11)
        ]


def test_rounding_to_float32_is_that_of_fractions() -> None:
    rng = np.random.default_rng(0)
    with mpmath.workprec(200):
        for mantissa, exponent in zip(
            rng.integers(1, 2**60, 500).tolist(), rng.integers(-215, 75, 500).tolist(), strict=True
        ):
            exact = Fraction(mantissa) * Fraction(2) ** exponent
            value = (
                Fraction(round_float32(mpmath.ldexp(mpmath.mpf(mantissa), exponent)))
                if exact < 2**128 - 2**103
                else None
            )
            if value is not None:
                spacing = Fraction(float(np.spacing(np.float32(float(exact)))))
                assert abs(value - exact) <= spacing / 2
    assert round_float32(mpmath.ldexp(mpmath.mpf(1), 128)) == math.inf
    assert round_float32(mpmath.ldexp(mpmath.mpf(1), -150)) == 0
    assert round_float32(mpmath.ldexp(mpmath.mpf(3), -150)) == 2.0**-148


def test_table_is_quantize_of_the_function_of_dequantize() -> None:
    params, out = Affine(0.0471, 3, -128, 127), Affine(1 / 256, -128, -128, 127)
    got = table([("Sigmoid", ())], INT8, params, out)
    assert (got == quantize(correctly_rounded("Sigmoid", X), np.float32(1 / 256), -128, -128, 127)).all()
    assert got.shape == (256,)


def test_table_without_steps_requantizes() -> None:
    params, out = Affine(0.1, 128, 0, 255), Affine(0.07, 5, 0, 200)
    want = quantize(dequantize(np.arange(256), np.float32(0.1), 128), np.float32(0.07), 5, 0, 200)
    assert (table([], UINT8, params, out) == want).all()


def test_each_step_is_rounded() -> None:
    params = Affine(0.0471, 3, -128, 127)
    got = table([("Sigmoid", ()), ("Log", ())], INT8, params, None)
    assert got.dtype == np.float32
    assert (got == correctly_rounded("Log", correctly_rounded("Sigmoid", X))).all()


def test_table_per_axis_has_a_row_for_each_channel() -> None:
    params, out = Affine([0.1, 0.3], [0, 2], -8, 7, axis=1), Affine(0.05, 0, -128, 127)
    got = table([("Tanh", ())], INT4, params, out)
    assert got.shape == (2, 16)
    for channel, (scale, zero_point) in enumerate([(0.1, 0), (0.3, 2)]):
        assert (got[channel] == table([("Tanh", ())], INT4, Affine(scale, zero_point, -8, 7), out)).all()


def test_what_has_no_table_is_refused() -> None:
    grid = Affine(0.1, 0, -128, 127)
    with pytest.raises(NumericsError, match="at most 8 bits"):
        table([], INT16, grid, grid)
    with pytest.raises(NumericsError, match="no float function 'Sin'"):
        table([("Sin", ())], INT8, grid, grid)
    with pytest.raises(NumericsError, match="per block"):
        table([], INT8, Affine([[0.1]], [[0]], -128, 127, axis=0, block=4), grid)
