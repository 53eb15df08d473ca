"""Ranges of activations: legal grids for every distribution, and the best ones where the best can be enumerated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.calibration.grids import Form
from subbyte.compiler.calibration.observers import Histogram, MinMax, Moments, Together
from subbyte.compiler.calibration.ranges import METHODS, activation_grid, channel_params, squared_error
from subbyte.compiler.dtype import BIPOLAR, UINT8, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.plan import ActivationGrid

Array = NDArray[Any]
BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16)


def normal(size: int = 20000) -> Array:
    return np.random.default_rng(0).normal(size=size).astype(np.float32)


DATA: dict[str, Array] = {
    "normal": normal(4000),
    "relu": np.maximum(normal(4000), 0),
    "below zero": -np.abs(normal(1000)),
    "skewed": np.random.default_rng(1).gamma(1, size=4000).astype(np.float32) - np.float32(0.5),
    "zeros": np.zeros(7, np.float32),
    "one number": np.full(3, 0.7, np.float32),
    "one number below zero": np.full(3, -0.7, np.float32),
    "one element": np.float32([3]),
    "huge outlier": np.append(normal(500), np.float32(1e30)),
    "largest floats": np.float32([-3.4e38, 3.4e38, 1]),
    "subnormal": (normal(100).astype(np.float64) * 1e-43).astype(np.float32),
    "nearly symmetric": np.float32([-1, 1, 1e-30]),
}


def histogram(values: Array, axis: int | None = None) -> Histogram:
    found = Histogram(axis)
    found.update(values)
    return found


def fake_quantized(values: Array, grid: ActivationGrid) -> Array:
    scale, zero_point = grid.quant.scalar()
    wide = values.astype(np.float64)
    if grid.dtype == BIPOLAR:
        return np.where(wide >= 0, scale, -scale)
    codes = np.clip(np.rint(wide / scale) + zero_point, grid.quant.qmin, grid.quant.qmax)
    return (codes - zero_point) * scale


def error(values: Array, grid: ActivationGrid) -> float:
    return float(np.square(fake_quantized(values, grid) - values).mean())


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", DATA)
def test_every_grid_is_legal_and_has_a_zero(data: str, method: str, symmetric: bool) -> None:
    seen = histogram(DATA[data])
    for bits in BITS:
        grid = activation_grid(seen, bits, method, symmetric=symmetric)
        scale, zero_point = grid.quant.scalar()
        assert np.isfinite(scale)
        assert scale >= np.finfo(np.float32).tiny
        assert grid.dtype.bits == bits
        assert zero_point == 0 or not symmetric
        if grid.dtype != BIPOLAR:
            assert grid.quant.qmin <= zero_point <= grid.quant.qmax
            assert fake_quantized(np.float32([0]), grid)[0] == 0
            assert grid.dtype.is_signed == (DATA[data].min() < 0) or method == "percentile"


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("data", ["normal", "relu", "below zero", "skewed", "one number"])
def test_minmax_clips_nothing(data: str, bits: int) -> None:
    values = DATA[data]
    for symmetric in (False, True):
        grid = activation_grid(histogram(values), bits, symmetric=symmetric)
        if grid.dtype != BIPOLAR:
            assert np.abs(fake_quantized(values, grid) - values).max() <= grid.quant.scalar()[0] * (1 + 1e-5)
    observer = MinMax()
    observer.update(values)
    assert activation_grid(observer, bits).quant == activation_grid(histogram(values), bits).quant


def test_ranges_without_numbers_below_zero_are_unsigned() -> None:
    assert activation_grid(histogram(DATA["relu"]), 8).dtype == UINT8
    assert activation_grid(histogram(DATA["relu"]), 8, signed=True).dtype == DType("int", 8)
    assert activation_grid(histogram(DATA["normal"]), 8, signed=False).dtype == UINT8
    with pytest.raises(NumericsError, match="have no unsigned codes with zero point 0"):
        activation_grid(histogram(DATA["normal"]), 8, symmetric=True, signed=False)


def test_one_signed_bit_is_bipolar_with_the_mean_magnitude() -> None:
    grid = activation_grid(histogram(normal()), 1, "mse")
    assert grid.dtype == BIPOLAR
    assert grid.quant.scalar()[0] == pytest.approx(np.abs(normal()).mean(), rel=1e-3)


# Squared error --------------------------------------------------------------------------------------------------------


def best_by_trial(values: Array, bits: int, symmetric: bool) -> float:
    """The least error over a grid of ranges, each tried on all elements."""
    shares = np.linspace(0.02, 1, 50)
    errors = []
    for first in shares:
        for second in (first,) if symmetric or values.min() >= 0 else shares:
            observer = MinMax()
            low, high = values.min() * first, values.max() * second
            if symmetric:
                threshold = np.abs(values).max() * first
                low, high = max(values.min(), -threshold), min(values.max(), threshold)
            observer.update(np.float32([low, high]))
            errors.append(error(values, activation_grid(observer, bits, symmetric=symmetric)))
    return min(errors)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("data", ["normal", "relu", "skewed"])
def test_squared_error_is_as_small_as_by_trial(data: str, bits: int, symmetric: bool) -> None:
    values = DATA[data]
    found = error(values, activation_grid(histogram(values), bits, "mse", symmetric=symmetric))
    assert found <= best_by_trial(values, bits, symmetric) * 1.02


@pytest.mark.parametrize("bits", [2, 4])
def test_clipping_pays_at_few_bits(bits: int) -> None:
    values = np.random.default_rng(3).laplace(size=20000).astype(np.float32)
    by_method = {m: error(values, activation_grid(histogram(values), bits, m)) for m in METHODS}
    assert by_method["mse"] == min(by_method.values())
    assert by_method["mse"] < 0.4 * by_method["minmax"]
    assert by_method["percentile"] < by_method["minmax"]
    assert by_method["kl"] < by_method["minmax"]


@pytest.mark.parametrize("bits", [2, 5, 8, 16])
def test_the_error_from_bins_is_that_of_the_elements(bits: int) -> None:
    values, form = normal(), Form(bits)
    seen = histogram(values).distribution()
    low, high = np.array([-1.0, -3.0, -5.0]), np.array([2.0, 2.5, 5.0])
    found = squared_error(seen, form, form.dtype(-1.0), low, high)
    for number in range(3):
        observer = MinMax()
        observer.update(np.float32([low[number], high[number]]))
        assert found[number] == pytest.approx(error(values, activation_grid(observer, bits)), rel=0.02)


# Percentile and entropy -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_keeps_what_it_says(percentile: float) -> None:
    values = normal()
    for data, symmetric in ((values, False), (values, True), (np.abs(values), False)):
        grid = activation_grid(histogram(data), 16, "percentile", symmetric=symmetric, percentile=percentile)
        scale, zero_point = grid.quant.scalar()
        low, high = (grid.quant.qmin - zero_point) * scale, (grid.quant.qmax - zero_point) * scale
        kept = ((data >= low) & (data <= high)).mean()
        assert kept == pytest.approx(percentile / 100, abs=2e-3)


def test_percentile_100_is_minmax() -> None:
    seen = histogram(normal())
    assert activation_grid(seen, 8, "percentile", percentile=100).quant == activation_grid(seen, 8).quant
    with pytest.raises(NumericsError, match="percentile 50 keeps too few"):
        activation_grid(seen, 8, "percentile", percentile=50)


def information_lost(values: Array, threshold: float, codes: int) -> float:
    """KL(P || Q) of the published recipe, element by element: |x| in 2048 bins up to the largest."""
    magnitudes = np.abs(values)
    width = magnitudes.max() / 2048
    counts = np.bincount(np.minimum((magnitudes / width).astype(int), 2047), minlength=2048).astype(float)
    counts[0] = counts[1]
    kept = round(threshold / width)
    p = counts[:kept].copy()
    p[-1] += counts[kept:].sum()
    q = np.zeros(kept)
    for code in range(codes):
        group = [i for i in range(kept) if i * codes // kept == code]
        full = [i for i in group if counts[i] > 0]
        for i in full:
            q[i] = counts[group].sum() / len(full)
    p, q = p / p.sum(), np.maximum(q / q.sum(), 1e-9)
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


def test_entropy_is_as_published() -> None:
    values = np.abs(np.random.default_rng(5).standard_t(4, size=30000)).astype(np.float32)
    grid = activation_grid(histogram(values), 4, "kl")
    threshold = grid.quant.scalar()[0] * 15
    width = values.max() / 2048
    tried = {t: information_lost(values, t * width, 16) for t in range(128, 2049, 64)}
    assert information_lost(values, threshold, 16) <= min(tried.values()) * 1.02
    assert threshold < 0.9 * values.max()


def test_entropy_is_not_led_by_the_zeros_of_a_relu() -> None:
    values = np.concatenate([np.zeros(10**5, np.float32), np.abs(normal(5000))])
    assert activation_grid(histogram(values), 8, "kl").quant.scalar()[0] * 255 > 2.5


# Channels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_each_channel_has_the_scale_that_it_would_have_alone(method: str) -> None:
    array = normal(3 * 4 * 50).reshape(3, 4, 50) * np.float32([[1], [10], [0.1], [0]])
    dtype, quant = channel_params(histogram(array, 1), 8, method, symmetric=True)
    assert (quant.axis, dtype) == (1, DType("int", 8))
    for channel in range(4):
        alone = activation_grid(histogram(array[:, channel]), 8, method, symmetric=True, signed=True)
        assert quant.static()[0][channel] == alone.quant.scalar()[0]


def test_an_observer_by_channel_serves_the_whole_tensor() -> None:
    array = normal(600).reshape(3, 4, 50)
    for method in METHODS:
        assert activation_grid(histogram(array, 1), 8, method) == activation_grid(histogram(array), 8, method)
    with pytest.raises(NumericsError, match="has no axis"):
        channel_params(histogram(array), 8)


# What cannot be -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_said() -> None:
    seen = histogram(normal(100))
    with pytest.raises(NumericsError, match=r"no method 'best'.* minmax, percentile, kl, mse"):
        activation_grid(seen, 8, "best")
    for bits in (0, 17):
        with pytest.raises(NumericsError, match=f"activations of {bits} bits cannot be"):
            activation_grid(seen, bits)
    with pytest.raises(NumericsError, match="has seen nothing yet"):
        activation_grid(Histogram(), 8)
    extremes, moments = MinMax(), Moments()
    for observer in (extremes, moments):
        observer.update(normal(10))
    with pytest.raises(NumericsError, match="'mse' needs a Histogram"):
        activation_grid(extremes, 8, "mse")
    with pytest.raises(NumericsError, match=r"moments\(None\) knows no range"):
        activation_grid(moments, 8)
    assert activation_grid(Together(a=moments, b=extremes), 8) == activation_grid(extremes, 8)
