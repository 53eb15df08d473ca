"""N8: the elementary functions against mpmath and against their C twin, and sums in the order that is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics import float32
from subbyte.compiler.numerics.unary import FUNCTIONS, unary

ULP_LIMITS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], float, tuple[float, float]]] = {
    "exp": (float32.exp, mpmath.exp, 1.0, (-104, 88.7)),
    "expm1": (float32.expm1, mpmath.expm1, 3.4, (-20, 88.7)),
    "log": (float32.log, mpmath.log, 0.9, (1e-45, 3e38)),
    "log1p": (float32.log1p, mpmath.log1p, 2.5, (0, 3e38)),
    "erf": (float32.erf, mpmath.erf, 1.2, (-4.5, 4.5)),
    "tanh": (float32.tanh, mpmath.tanh, 1.5, (-10, 10)),
    "sigmoid": (float32.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), 2.5, (-104, 20)),
    "sqrt": (float32.sqrt, mpmath.sqrt, 0.5, (0, 3e38)),
    "rsqrt": (float32.rsqrt, lambda x: 1 / mpmath.sqrt(x), 1.5, (1e-45, 3e38)),
}

PARAMETERS = {
    "LeakyRelu": (0.1,),
    "Clip": (-1.5, 6.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.3,),
    "Selu": (1.6732632, 1.0507009),
    "Celu": (0.7,),
    "ThresholdedRelu": (1.0,),
}
C_NAMES = {"Round": "rint"}


def c_name(function: str) -> str:
    """HardSigmoid -> hard_sigmoid."""
    return C_NAMES.get(function, "".join("_" + c.lower() if c.isupper() else c for c in function).lstrip("_"))


def bits(x: Any) -> Any:
    """The bits of float32 values, all NaNs made one."""
    x = np.asarray(x, np.float32)
    return np.where(np.isnan(x), np.uint32(0x7FC00000), x.view(np.uint32))


def every_kind_of_float() -> Any:
    """Specials, each exponent, dense ordinary numbers and random bits."""
    rng = np.random.default_rng(11)
    special = np.float32(
        [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, 0.5, 88.72283, 88.72284, -103.97, -104, 0.55, 0.921875]
    )
    exponents = (np.arange(1, 255, dtype=np.uint32) << 23).view(np.float32)
    random = rng.integers(0, 2**32, 60000, dtype=np.uint32).view(np.float32)
    dense = np.concatenate([rng.normal(0, s, 20000) for s in (0.3, 1, 10, 60)]).astype(np.float32)
    subnormal = rng.integers(0, 2**23, 2000, dtype=np.uint32).view(np.float32)
    near = np.concatenate([np.nextafter(v, np.float32(w)) for v in (special, exponents) for w in (-1e38, 1e38)])
    return np.concatenate([special, exponents, -exponents, random, dense, subnormal, -subnormal, near])


@pytest.mark.parametrize("name", list(ULP_LIMITS))
def test_error_in_ulps_is_as_stated(name: str) -> None:
    function, exact, limit, (low, high) = ULP_LIMITS[name]
    rng = np.random.default_rng(12)
    wide = np.exp(rng.uniform(np.log(1e-44), np.log(3e38), 700))
    x = np.concatenate(
        [rng.uniform(max(low, -10), min(high, 10), 900), wide, -wide, rng.uniform(low, min(high, 90), 300)]
    )
    x = x.astype(np.float32)
    x = x[(x >= low) & (x <= high) & (x != 0)]
    got = function(x)
    with mpmath.workdps(30):
        for point, value in zip(x.tolist(), got.tolist(), strict=True):
            want = exact(mpmath.mpf(point))
            ulp = mpmath.mpf(2) ** max(mpmath.frexp(want)[1] - 24, -149)
            assert abs(value - want) <= limit * ulp, f"{name}({point}) = {value}, {abs(value - want) / ulp} ulp off"


def test_special_values() -> None:
    inf, nan = np.float32(np.inf), np.float32(np.nan)
    cases = {
        "exp": ([inf, -inf, nan, 0, 89, -104], [inf, 0, nan, 1, inf, 0]),
        "log": ([inf, 0, -1, nan, 1], [inf, -inf, nan, nan, 0]),
        "erf": ([inf, -inf, nan, 0], [1, -1, nan, 0]),
        "tanh": ([inf, -inf, nan, 0], [1, -1, nan, 0]),
        "sigmoid": ([inf, -inf, nan, 0], [1, 0, nan, 0.5]),
        "rsqrt": ([inf, 0, -1, nan], [0, inf, nan, nan]),
        "expm1": ([inf, -inf, nan, 0], [inf, -1, nan, 0]),
        "log1p": ([inf, 0, nan], [inf, 0, nan]),
    }
    for name, (x, want) in cases.items():
        np.testing.assert_array_equal(ULP_LIMITS[name][0](np.float32(x)), np.float32(want), err_msg=name)


def test_power_is_nearly_correctly_rounded() -> None:
    rng = np.random.default_rng(13)
    x = np.exp(rng.uniform(-20, 20, 1500)).astype(np.float32)
    y = rng.choice(np.float32([0.5, -0.5, 3, -1, 1 / 3, 2, 0.1, 4.4, -2.2]), 1500)
    got = float32.power(x, y)
    with mpmath.workdps(30):
        for a, b, value in zip(x.tolist(), y.tolist(), got.tolist(), strict=True):
            want = mpmath.power(a, b)
            ulp = mpmath.mpf(2) ** max(mpmath.frexp(want)[1] - 24, -149)
            if want < mpmath.mpf(2) ** 128 - mpmath.mpf(2) ** 103:
                assert abs(value - want) <= 0.51 * ulp, (a, b, value)
            else:
                assert value == np.inf


def test_power_special_values_are_those_of_ieee754() -> None:
    values = np.float32(
        [0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1e30, -1e30, 1e-30, np.inf, -np.inf, np.nan, 16777217]
    )
    x, y = np.meshgrid(values, values)
    with np.errstate(all="ignore"):
        want = np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
    got = float32.power(x, y)
    special = (want == 0) | ~np.isfinite(want) | (np.abs(want) == 1)
    np.testing.assert_array_equal(bits(got[special]), bits(want[special]))


def test_square_is_rounded_once() -> None:
    x = np.random.default_rng(14).normal(0, 1, 10000).astype(np.float32)
    assert (float32.power(x, 2.0) == x * x).all()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 64, 1001])
def test_sums_follow_the_tree(count: int) -> None:
    x = np.random.default_rng(15).normal(0, 1, count).astype(np.float32)
    lanes = [np.float32(0)] * 8
    for k, value in enumerate(x):
        lanes[k % 8] = np.float32(lanes[k % 8] + value)
    (a, b, c, d, e, f, g, h) = lanes
    assert float32.tree_sum(x) == ((a + e) + (c + g)) + ((b + f) + (d + h))


def test_sums_run_along_axes_in_row_major_order() -> None:
    x = np.random.default_rng(16).normal(0, 1, (3, 5, 4, 7)).astype(np.float32)
    both = float32.tree_sum(x, (1, 3))
    assert both.shape == (3, 4)
    assert both[2, 3] == float32.tree_sum(x[2, :, 3, :].reshape(-1))
    assert float32.tree_mean(x, (1, 3))[2, 3] == both[2, 3] / np.float32(35)
    assert (float32.tree_sum(x, (3, 1)) == both).all()


def test_matmul_is_the_tree_of_products() -> None:
    rng = np.random.default_rng(17)
    a, b = rng.normal(0, 1, (2, 1, 3, 19)).astype(np.float32), rng.normal(0, 1, (4, 19, 5)).astype(np.float32)
    y = float32.tree_matmul(a, b)
    assert y.shape == (2, 4, 3, 5)
    assert y[1, 2, 0, 4] == float32.tree_sum(a[1, 0, 0] * b[2, :, 4])


def test_softmax_and_layer_normalization_by_definition() -> None:
    x = np.random.default_rng(18).normal(0, 3, (4, 30)).astype(np.float32)
    e = float32.exp(x - x.max(axis=1, keepdims=True))
    assert (float32.softmax(x) == e / float32.tree_sum(e)[:, None]).all()
    assert (float32.softmax(x.T, 0) == float32.softmax(x).T).all()
    d = x - float32.tree_mean(x)[:, None]
    inverse = float32.rsqrt(float32.tree_mean(d * d) + np.float32(1e-5))[:, None]
    scale, bias = np.linspace(0.5, 2, 30, dtype=np.float32), np.linspace(-1, 1, 30, dtype=np.float32)
    assert (float32.layer_normalization(x, scale, bias, 1e-5) == d * inverse * scale + bias).all()
    assert (float32.layer_normalization(x, scale, None, 1e-5) == d * inverse * scale).all()


def test_batch_normalization_by_definition() -> None:
    rng = np.random.default_rng(19)
    x = rng.normal(0, 3, (2, 3, 4, 5)).astype(np.float32)
    scale, bias, mean, variance = rng.uniform(0.1, 2, (4, 3)).astype(np.float32)
    y = float32.batch_normalization(x, scale, bias, mean, variance, 1e-3)
    inverse = np.float32(1) / np.sqrt(variance + np.float32(1e-3))
    assert (y[1, 2] == (x[1, 2] - mean[2]) * inverse[2] * scale[2] + bias[2]).all()


def test_unknown_function_is_refused() -> None:
    with pytest.raises(NumericsError, match="no float function 'Sin'"):
        unary("Sin", [1.0])


@pytest.mark.parametrize("function", list(FUNCTIONS))
def test_c_functions_equal_bit_for_bit(twin: Any, function: str) -> None:
    x = every_kind_of_float()
    parameters = PARAMETERS.get(function, ())
    got = twin.call(c_name(function) + "_f32", np.float32, (x, np.float32), *[(p, np.float32) for p in parameters])
    want = unary(function, x, parameters)
    different = bits(got) != bits(want)
    assert not different.any(), (x[different][:5], got[different][:5], want[different][:5])


@pytest.mark.parametrize("name", ["expm1", "log1p", "rsqrt"])
def test_c_helpers_equal_bit_for_bit(twin: Any, name: str) -> None:
    x = every_kind_of_float()
    x = x[x >= 0] if name == "log1p" else x
    assert (bits(twin.call(name + "_f32", np.float32, (x, np.float32))) == bits(ULP_LIMITS[name][0](x))).all()


def test_c_functions_of_two_operands_equal_bit_for_bit(twin: Any) -> None:
    x = every_kind_of_float()
    y = np.random.default_rng(20).permutation(x)
    y[::7] = np.float32([2, 3, -1, 0.5, -3, 0, 1e9])[np.arange(len(y[::7])) % 7]
    for name, function in (("pow", float32.power), ("min", float32.minimum), ("max", float32.maximum)):
        got, want = twin.call(name + "_f32", np.float32, (x, np.float32), (y, np.float32)), function(x, y)
        different = bits(got) != bits(want)
        assert not different.any(), (name, x[different][:5], y[different][:5], got[different][:5], want[different][:5])


def test_c_sums_and_products_equal_bit_for_bit(twin: Any) -> None:
    rng = np.random.default_rng(21)
    for count in (1, 7, 8, 9, 100):
        x = rng.normal(0, 1, (5, count)).astype(np.float32)
        out = np.empty(5, np.float32)
        twin.raw("sum_rows", 5, count, x, out)
        assert (out == float32.tree_sum(x)).all()
        b = rng.normal(0, 1, (count, 6)).astype(np.float32)
        y = np.empty((5, 6), np.float32)
        twin.raw("matmul", 5, count, 6, x, b, y)
        assert (y == float32.tree_matmul(x, b)).all()
