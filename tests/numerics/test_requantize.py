"""N4 and its C twin: ties, the order of the roundings, saturation, and accumulators at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.requantize import Requantization, multiplier, requantize


def of(m: Any, zero_point: int = 0, qmin: int = -128, qmax: int = 127, shift: Any = None) -> Requantization:
    return Requantization(np.float32(m), None if shift is None else np.float32(shift), zero_point, qmin, qmax)


def test_ties_go_to_even_before_the_zero_point_is_added() -> None:
    assert requantize([1, 3, -1, -3], of(0.5)).tolist() == [0, 2, 0, -2]
    assert requantize([1, 3, -1, -3], of(0.5, zero_point=3)).tolist() == [3, 5, 3, 1]


def test_huge_products_saturate() -> None:
    assert requantize([2**31 - 1, -(2**31), 2**62], of(3e38)).tolist() == [127, -128, 127]
    assert requantize([2**31 - 1, -(2**31)], of(-3e38)).tolist() == [-128, 127]


def test_the_product_is_rounded_to_float32_before_the_tie_is_seen() -> None:
    m = np.float32(0.1)
    acc = np.arange(-(2**16), 2**16)
    exact = np.rint(acc * np.float64(m))
    got = requantize(acc, of(m, qmin=-(2**20), qmax=2**20))
    assert (got == np.rint(acc.astype(np.float32) * m)).all()
    assert (got[2**16 + 5], exact[2**16 + 5]) == (0, 1)  # 5 * 0.1f is above 1/2, and 1/2 once it is rounded


def test_accumulators_beyond_float32_round_once() -> None:
    acc = np.int64([2**24 + 1, 2**24 + 3, -(2**24) - 1, 2**53 + 1])
    got = requantize(acc, of(1, qmin=-(2**62), qmax=2**62))
    assert got.tolist() == [2**24, 2**24 + 4, -(2**24), 2**53]


def test_shift_is_added_with_its_own_rounding() -> None:
    m, shift = np.float32(0.1), np.float32(1e-8)
    r = of(m, shift=shift)
    acc = np.arange(-2000, 2000)
    assert (requantize(acc, r) == np.clip(np.rint((acc.astype(np.float32) * m) + shift), -128, 127)).all()
    assert requantize([5], of(0.1, shift=-0.0000001)).tolist() == [0]  # f32(f32(0.5) - 1e-7) is below the tie
    assert requantize([1], of(0.5, shift=1e-9)).tolist() == [0]  # f32(0.5 + 1e-9) is the tie itself


def test_channels_run_along_the_axis() -> None:
    r = Requantization(np.float32([1, -2, 0.5]), np.float32([0, 1, 0]), 1, -100, 100)
    acc = np.arange(24).reshape(2, 3, 4)
    along = requantize(acc, r, axis=1)
    assert (along == np.moveaxis(requantize(np.moveaxis(acc, 1, -1), r), -1, 1)).all()
    for channel in range(3):
        assert (along[:, channel] == requantize(acc[:, channel], r.channel(channel))).all()


def test_multiplier_follows_the_written_order() -> None:
    rng = np.random.default_rng(0)
    x, w, y = rng.uniform(0.001, 0.1, (3, 20000)).astype(np.float32)
    m = multiplier(x, w, y)
    assert (m == np.float32(np.float32(x * w) / y)).all()
    assert (m != x * (w / y)).any()
    assert (multiplier(x, w, y, alpha=0.3) == (np.float32(0.3) * x) * w / y).all()


@pytest.mark.parametrize(("x", "w", "y"), [(1e-30, 1e-30, 1), (1e30, 1e30, 1), (1, 1, 1e-45), (0, 1, 1)])
def test_multiplier_refuses_what_is_not_a_number(x: float, w: float, y: float) -> None:
    with pytest.raises(NumericsError, match="zero or infinite"):
        multiplier(x, w, y)


@pytest.mark.parametrize(
    ("m", "shift", "qmax", "text"),
    [
        (np.float32(0), None, 1, "is zero"),
        (np.float32(np.nan), None, 1, "infinite or NaN"),
        (np.float32([[1]]), None, 1, "shape"),
        (np.float64(1), None, 1, "float64"),
        (np.float32(1), np.float32(np.inf), 1, "shift is infinite"),
        (np.float32(1), None, -1, "empty code range"),
    ],
)
def test_ill_formed_requantizations_are_refused(m: Any, shift: Any, qmax: int, text: str) -> None:
    with pytest.raises(NumericsError, match=text):
        Requantization(m, shift, 0, 0, qmax)


def test_channel_count_is_checked() -> None:
    with pytest.raises(NumericsError, match="one for each channel"):
        requantize(np.zeros((2, 3), np.int64), of([1.0, 2.0]))


def _accumulators(rng: np.random.Generator, m: float, shift: float, bits: int) -> Any:
    """Around the real steps (k - 1/2 - B) / M for every k of 16 bits or fewer, and everywhere else."""
    steps = rng.choice(np.arange(-33000, 33000), 4000, replace=False) - 0.5
    steps = np.concatenate([steps, np.arange(-300, 300) - 0.5])
    near = np.clip((steps - shift) / m, -(2.0**62), 2.0**62).astype(np.int64)
    limit = 2 ** (bits - 1)
    anywhere = rng.integers(-limit, limit, 4000)
    acc = np.concatenate([near + d for d in range(-3, 4)] + [anywhere, anywhere >> (bits // 2), [limit - 1, -limit, 0]])
    return np.clip(acc, -limit, limit - 1)


@pytest.mark.parametrize("m", [0.5, -0.25, 0.0123456, -3.7e-5, 2.0**-24, 1e-20, -77.7, 3e38])
@pytest.mark.parametrize("shift", [None, 0.5, -17.3, 1e-9])
def test_c_twin_equals(twin: Any, m: float, shift: float | None) -> None:
    rng = np.random.default_rng(5)
    for zero_point, qmin, qmax in [(0, -128, 127), (77, 0, 255), (-3, -8, 7), (40001, 0, 65535)]:
        r = of(m, zero_point, qmin, qmax, shift)
        for bits, container, suffix in [(32, np.int32, "s32"), (64, np.int64, "s64")]:
            acc = _accumulators(rng, m, shift or 0.0, bits)
            middle = [] if shift is None else [(shift, np.float32)]
            name = "requantize_" + suffix if shift is None else "requantize_shift_" + suffix
            got = twin.call(
                name,
                np.int32,
                (acc, container),
                (m, np.float32),
                *middle,
                (zero_point, np.int32),
                (qmin, np.int32),
                (qmax, np.int32),
            )
            assert (got == requantize(acc, r)).all(), (m, shift, zero_point, bits)
