"""Observers: what they say is what NumPy says of all arrays together, and merging is exact."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.calibration.observers import (
    Histogram,
    MinMax,
    Moments,
    Observer,
    Reservoir,
    SecondMoments,
    Together,
)
from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.ops import Conv, Gemm
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]


def conv_layer(groups: int = 1) -> Layer:
    x = Input("x", TensorType(FLOAT32, (1, 4, 5, 5))).out
    w = Constant.of(np.random.default_rng(0).normal(size=(6, 4 // groups, 3, 3)), FLOAT32).out
    return Layer("conv", Conv(x, w, None, (2, 1), (1, 0, 1, 2), (1, 1), groups))


KINDS: dict[str, Callable[[], Observer]] = {
    "minmax": MinMax,
    "minmax by channel": lambda: MinMax(1),
    "moments": Moments,
    "moments by channel": lambda: Moments(1),
    "histogram": Histogram,
    "histogram by channel": lambda: Histogram(1, 64),
    "second moments": lambda: SecondMoments(conv_layer()),
    "second moments in groups": lambda: SecondMoments(conv_layer(2)),
    "reservoir": lambda: Reservoir(5, seed=3),
    "together": lambda: Together(range=MinMax(), kept=Reservoir(3), moments=Moments(1)),
}


def stream(*sizes: int) -> list[Array]:
    generator = np.random.default_rng(7)
    return [(generator.standard_t(2, (size, 4, 5, 5)) * 3).astype(np.float32) for size in sizes]


def same(a: Observer, b: Observer) -> bool:
    left, right = a.state(), b.state()
    return left.keys() == right.keys() and all(
        left[key].dtype == right[key].dtype and left[key].tobytes() == right[key].tobytes() for key in left
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_is_the_merge_of_a_fresh_observer(kind: str) -> None:
    updated, merged = KINDS[kind](), KINDS[kind]()
    position = 0
    for array in stream(4, 1, 7, 2):
        other = merged.fresh()
        for one in (updated, other):
            one.position = position
            one.update(array)
        sent = merged.fresh()
        sent.restore({key: value.copy() for key, value in other.state().items()})
        merged.merge(sent)
        position += len(array)
        assert same(updated, merged)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_on_where_it_was_taken(kind: str) -> None:
    first, second = stream(3, 4)
    whole, begun, resumed = (KINDS[kind]() for _ in range(3))
    whole.update(first)
    begun.update(first)
    resumed.restore({key: value.copy() for key, value in begun.state().items()})
    for one in (whole, resumed):
        one.position = 3
        one.update(second)
    assert same(whole, resumed)


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_has_seen_nothing_and_keeps_the_settings(kind: str) -> None:
    one = KINDS[kind]()
    one.update(stream(2)[0])
    assert one.fresh().state() == {}
    assert one.fresh().describe() == one.describe()


@pytest.mark.parametrize("kind", ["minmax", "moments by channel", "histogram", "second moments", "together"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(kind: str, bad: float) -> None:
    array = stream(2)[0]
    array[1, 2, 0, 3] = bad
    with pytest.raises(NumericsError, match="1 of 200 elements are NaN or infinite"):
        KINDS[kind]().update(array)


def test_an_observer_that_saw_nothing_says_so() -> None:
    for read in (lambda: MinMax().low, lambda: Moments().mean, lambda: SecondMoments(conv_layer()).mean):
        with pytest.raises(NumericsError, match="has seen nothing yet"):
            read()
    with pytest.raises(NumericsError, match="nothing was observed"):
        _ = Reservoir(2).samples


def test_moments_are_those_of_all_elements() -> None:
    arrays = stream(3, 5)
    moments = Moments(1)
    for array in arrays:
        moments.update(array)
    together = np.concatenate(arrays).astype(np.float64)
    assert moments.count == together.size // 4
    np.testing.assert_allclose(moments.mean, together.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, together.var(axis=(0, 2, 3)), rtol=1e-10)
    assert np.array_equal(moments.largest, np.abs(together).max(axis=(0, 2, 3)).astype(np.float32))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_second_moments_are_those_of_the_rows(groups: int) -> None:
    x = Input("x", TensorType(FLOAT32, (1, 4, 5, 5))).out
    w = Constant.of(np.ones((4, 4 // groups, 3, 2)), FLOAT32).out
    layer = Layer("conv", Conv(x, w, None, (1, 2), (0, 0, 0, 0), (1, 1), groups))
    observer = SecondMoments(layer)
    arrays = stream(2, 3)
    for array in arrays:
        observer.update(array)
    rows = layer.rows(np.concatenate(arrays)).astype(np.float64)
    assert observer.rows == rows.shape[1]
    np.testing.assert_allclose(observer.mean, np.einsum("grk,grl->gkl", rows, rows) / rows.shape[1], rtol=1e-12)


def test_second_moments_of_a_matrix_product() -> None:
    x = Input("x", TensorType(FLOAT32, (1, 8))).out
    layer = Layer("fc", Gemm(x, Constant.of(np.ones((8, 3)), FLOAT32).out, None, 1.0, 1.0, False, False))
    observer = SecondMoments(layer)
    array = np.random.default_rng(0).normal(size=(10, 8)).astype(np.float32)
    observer.update(array)
    np.testing.assert_allclose(observer.mean[0], array.T.astype(np.float64) @ array / 10, rtol=1e-6)


def test_the_threads_of_matrix_products_do_not_show() -> None:
    """Workers compute with one thread, this process with as many as it likes."""
    script = (
        "import hashlib, numpy as np\n"
        "for k in (40, 147, 576):\n"
        "    rows = np.random.default_rng(k).normal(size=(1, 784, k)).astype(np.float32).astype(np.float64)\n"
        "    print(hashlib.sha256(np.matmul(rows.transpose(0, 2, 1), rows).tobytes()).hexdigest())"
    )
    found = {
        subprocess.check_output([sys.executable, "-c", script], env={**os.environ, "OPENBLAS_NUM_THREADS": threads})
        for threads in ("1", "2", "3")
    }
    assert len(found) == 1


# Histogram ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [1, 16, 1024])
def test_bins_hold_their_elements(bins: int) -> None:
    values = np.concatenate([array.reshape(-1) for array in stream(3)] + [np.zeros(4, np.float32), [-0.0]])
    histogram = Histogram(bins=bins)
    histogram.update(values.astype(np.float32))
    found = histogram.distribution()
    assert found.total == values.size
    assert (found.left <= found.right).all()
    assert (found.right[:-1] <= found.left[1:]).all()
    assert (found.low, found.high) == (values.min(), values.max())
    for left, right, count in zip(found.left, found.right, found.counts, strict=True):
        inside = (values >= left) & (values < right) if left >= 0 else (values > left) & (values <= right)
        if left == right:
            inside = values == left
        edge = np.isclose(values, left, rtol=0, atol=0) | np.isclose(values, right, rtol=0, atol=0)
        assert abs(int(inside.sum()) - count) <= int(edge.sum())


def test_bins_are_a_thousandth_of_their_number_wide() -> None:
    histogram = Histogram()
    histogram.update(stream(3)[0])
    found = histogram.distribution()
    nonzero = found.left * found.right > 0
    magnitude = np.maximum(np.abs(found.left), np.abs(found.right))[nonzero]
    assert ((found.right - found.left)[nonzero] <= magnitude / 1024).all()


def test_the_order_of_samples_does_not_show() -> None:
    arrays = stream(2, 5, 1, 3)
    forward, backward, at_once = Histogram(), Histogram(), Histogram()
    for array in arrays:
        forward.update(array)
    for array in reversed(arrays):
        backward.update(array)
    at_once.update(np.concatenate(arrays))
    assert same(forward, backward)
    assert same(forward, at_once)


def test_an_outlier_takes_no_precision_from_the_others() -> None:
    values = np.random.default_rng(1).normal(size=5000).astype(np.float32)
    histogram = Histogram()
    histogram.update(np.append(values, np.float32(1e30)))
    found = histogram.distribution()
    assert found.quantile(0.5) == pytest.approx(np.median(values), abs=2e-3)
    assert found.quantile(0.9) == pytest.approx(np.quantile(values, 0.9), rel=5e-3)
    assert found.high == np.float32(1e30)


def test_a_distribution_knows_quantiles_and_magnitudes() -> None:
    values = np.random.default_rng(2).normal(1, 2, size=20000).astype(np.float32)
    histogram = Histogram()
    histogram.update(values)
    found = histogram.distribution()
    for fraction in (0.001, 0.1, 0.5, 0.99):
        assert found.quantile(fraction) == pytest.approx(np.quantile(values, fraction), abs=0.02)
        assert found.magnitudes().quantile(fraction) == pytest.approx(np.quantile(np.abs(values), fraction), abs=0.02)
    assert (found.quantile(0), found.quantile(1)) == (values.min(), values.max())
    borders = np.linspace(-6, 8, 29)
    expected = (values[:, np.newaxis] < borders).sum(axis=0)
    assert np.abs(found.below(borders) - expected).max() <= 12  # elements of one bin


def test_each_channel_has_its_own_distribution() -> None:
    array = stream(6)[0]
    by_channel, whole = Histogram(1), Histogram()
    by_channel.update(array)
    whole.update(array)
    for channel in range(4):
        own = Histogram()
        own.update(np.ascontiguousarray(array[:, channel]))
        found, expected = by_channel.distribution(channel), own.distribution()
        assert np.array_equal(found.counts, expected.counts)
        assert np.array_equal(found.left, expected.left)
    assert np.array_equal(by_channel.distribution().counts, whole.distribution().counts)


def test_bins_an_octave_are_a_power_of_two() -> None:
    with pytest.raises(NumericsError, match="1000 bins an octave cannot be"):
        Histogram(bins=1000)


# Reservoir ------------------------------------------------------------------------------------------------------------


def test_reservoirs_of_two_tensors_keep_the_same_samples() -> None:
    one, other = Reservoir(4, seed=1), Reservoir(4, seed=1, extent=2)
    for position in range(0, 20, 5):
        numbers = np.arange(position, position + 5, dtype=np.float32)
        for reservoir, array in ((one, numbers[:, None]), (other, np.repeat(numbers, 2)[:, None])):
            reservoir.position = position
            reservoir.update(array)
    assert np.array_equal(one.indices, other.indices)
    assert np.array_equal(one.samples[:, 0], one.indices)
    assert np.array_equal(other.samples[::2, 0], one.indices)
    assert len(one.indices) == 4


def test_a_reservoir_is_even() -> None:
    counts = np.zeros(20)
    for seed in range(300):
        reservoir = Reservoir(5, seed)
        reservoir.update(np.zeros((20, 1), np.float32))
        counts[reservoir.indices] += 1
    assert counts.sum() == 1500
    assert np.abs(counts - 75).max() < 5 * np.sqrt(75)


def test_a_reservoir_larger_than_the_stream_keeps_all() -> None:
    reservoir = Reservoir(50)
    reservoir.update(np.arange(7, dtype=np.float32)[:, None])
    assert np.array_equal(reservoir.samples[:, 0], np.arange(7))
