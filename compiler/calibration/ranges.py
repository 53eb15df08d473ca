"""The ranges of activations, by several methods, from what observers kept of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.distribution import Distribution
from subbyte.compiler.calibration.grids import Form
from subbyte.compiler.calibration.observers import Histogram, MinMax, Observer, Together
from subbyte.compiler.dtype import BIPOLAR, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.plan import ActivationGrid
from subbyte.compiler.ir.types import QuantParams

Array = NDArray[Any]
Range = tuple[float, float]
PERCENTILE = 99.99
_ENTROPY_BINS = 2048
_ENTROPY_LEAST = 128
_ENTROPY_STEP = 4  # bins from one threshold that is tried to the next
_WIDE_BITS = 10  # from here on rounding inside the range is taken as noise of a twelfth of the squared step


def activation_grid(
    observer: Observer,
    bits: int,
    method: str = "minmax",
    *,
    symmetric: bool = False,
    signed: bool | None = None,
    percentile: float = PERCENTILE,
) -> ActivationGrid:
    """The grid of a tensor: `bits` bits, one scale, real 0 on a code (but for 1 signed bit, which is bipolar).

    Args:
        observer: what has seen the tensor: a Histogram, for "minmax" a MinMax too, or a Together with one of them.
            One with an axis is taken as a whole.
        method: a name of METHODS. percentile: how much of the elements "percentile" keeps.
        symmetric: zero point 0. signed: codes below zero; None: where there are numbers below zero.
    Raises NumericsError: the observer has seen nothing, or not what the method needs; the form cannot be.
    """
    form = Form(bits, symmetric, signed)
    dtype, quant = form.quant_params(*_arrays([_range(observer, None, form, method, percentile)], None))
    return ActivationGrid(dtype, quant)


def channel_params(
    observer: Observer,
    bits: int,
    method: str = "minmax",
    *,
    symmetric: bool = False,
    signed: bool | None = None,
    percentile: float = PERCENTILE,
) -> tuple[DType, QuantParams]:
    """(dtype, QuantParams along the observer's axis): the grid of each channel; arguments as in `activation_grid`."""
    form = Form(bits, symmetric, signed)
    seen = _seen_by(observer)
    if seen.axis is None:
        raise NumericsError(
            f"the observer {seen.describe()} has no axis; give it one to learn a range for each channel"
        )
    ranges = [_range(observer, channel, form, method, percentile) for channel in range(len(seen.low))]
    return form.quant_params(*_arrays(ranges, seen.axis), axis=seen.axis)


def _arrays(ranges: list[Range], axis: int | None) -> tuple[Array, Array]:
    low, high = np.array(ranges, np.float64).T
    return (low[0], high[0]) if axis is None else (low, high)


def _seen_by(observer: Observer) -> Histogram | MinMax:
    match observer:
        case Histogram() | MinMax():
            return observer
        case Together(observers=several):
            kinds = sorted((one for one in several.values()), key=lambda one: isinstance(one, MinMax))
            for one in kinds:
                if isinstance(one, (Histogram, MinMax)):
                    return one
    raise NumericsError(f"the observer {observer.describe()} knows no range; a Histogram or a MinMax does")


def _range(observer: Observer, channel: int | None, form: Form, method: str, percentile: float) -> Range:
    if method not in METHODS:
        raise NumericsError(f"there is no method '{method}' to choose a range; there are {', '.join(METHODS)}")
    seen = _seen_by(observer)
    low, high = (seen.low.min(), seen.high.max()) if channel is None else (seen.low[channel], seen.high[channel])
    if method == "minmax" or low == high == 0:
        return float(low), float(high)
    if not isinstance(seen, Histogram):
        raise NumericsError(f"method '{method}' needs a Histogram of the tensor; {seen.describe()} keeps the extremes")
    return METHODS[method](seen.distribution(channel), form, percentile)


# Methods --------------------------------------------------------------------------------------------------------------


def minmax(seen: Distribution, form: Form, percentile: float) -> Range:
    """The extremes: nothing is clipped."""
    return seen.low, seen.high


def percentile_range(seen: Distribution, form: Form, percentile: float) -> Range:
    """The range that holds `percentile` % of the elements; what is cut off is cut in equal shares at both ends.

    Where nothing lies below zero (or above), all of it is cut at the other end; with a zero point of 0 the range is
    that of the magnitudes.
    """
    if not 50 < percentile <= 100:
        raise NumericsError(f"percentile {percentile:g} keeps too few elements; above 50, up to 100, is needed")
    kept = percentile / 100
    if seen.low >= 0:
        return seen.low, seen.quantile(kept)
    if seen.high <= 0:
        return seen.quantile(1 - kept), seen.high
    if form.symmetric:
        return _clipped(seen, seen.magnitudes().quantile(kept))
    return seen.quantile((1 - kept) / 2), seen.quantile((1 + kept) / 2)


def entropy(seen: Distribution, form: Form, percentile: float) -> Range:
    """The threshold t on |x| whose codes lose the least information: the least KL(P || Q).

    P: the elements in linear bins up to t, those beyond t in its outermost bins. Q: the elements within t in as many
    bins as there are codes, spread evenly over the bins of P in which there was something. 2048 bins reach to the
    largest |x|, 128 to the least t; the range is that of the elements, cut at -t and t. The bins beside zero count as
    much as their neighbours, else the zeros of a Relu would be all that matters.
    Source: Migacz, 8-bit Inference with TensorRT, GTC 2017, and pytorch-quantization for the bins beside zero; here for
    any number of codes and for numbers of both signs.
    """
    dtype = form.dtype(seen.low)
    codes = 2 if dtype == BIPOLAR else dtype.max - dtype.min + 1
    two_sided = not form.symmetric and seen.low < 0 < seen.high
    original, half = seen, _ENTROPY_BINS
    if not two_sided:
        codes = codes // 2 if form.symmetric and dtype.is_signed else codes
        half = 0
        seen = seen.magnitudes()
    width = max(-seen.low, seen.high) / _ENTROPY_BINS
    counts = np.diff(seen.below(np.arange(-half, _ENTROPY_BINS + 1) * width))
    counts[-1] += seen.total - counts.sum()  # the largest element lies on the last border
    counts[half] = counts[half + 1]
    if two_sided:
        counts[half - 1] = counts[half - 2]
    begin, end = half - math.ceil(-min(seen.low, 0.0) / width), half + math.ceil(seen.high / width)
    least = min(max(codes, _ENTROPY_LEAST), _ENTROPY_BINS)
    thresholds = range(_ENTROPY_BINS, least - 1, -_ENTROPY_STEP)  # the widest first: of equal losses it is taken
    losses = [_information_lost(counts, max(begin, half - t), min(end, half + t), codes) for t in thresholds]
    return _clipped(original, thresholds[int(np.argmin(losses))] * width)


def _information_lost(counts: Array, begin: int, end: int, codes: int) -> float:
    """KL(P || Q) where counts[begin:end] are kept and the rest is clipped; infinite where nothing is kept."""
    kept = counts[begin:end]
    total = kept.sum()
    if total <= 0:
        return math.inf
    p = kept.copy()
    p[0] += counts[:begin].sum()
    p[-1] += counts[end:].sum()
    groups = np.arange(len(kept)) * codes // len(kept)
    full = kept > 0
    sums = np.bincount(groups, kept, codes)
    sizes = np.bincount(groups, full, codes)
    q = np.where(full, sums[groups] / np.maximum(sizes[groups], 1), 0.0)
    p, q = p / p.sum(), q / total
    q = np.maximum(q, 1e-9)  # a bin that holds clipped elements alone is impossible in Q: dear, but not infinitely
    present = p > 0
    return float(np.sum(p[present] * np.log(p[present] / q[present])))


def least_squares(seen: Distribution, form: Form, percentile: float) -> Range:
    """The clipping with the least mean squared error between elements and the codes that they become.

    Both ends are searched together on a grid, then around its best point on finer ones; the grid's largest clipping
    leaves a thousandth of the range of each sign.  Source: the L2 choice of ranges, e.g. Nagel et al., A White Paper on
    Neural Network Quantization, 2021, section 2.3.1.
    """
    dtype = form.dtype(seen.low)
    if dtype == BIPOLAR:  # the best scale of signs is the mean magnitude: Rastegari et al., XNOR-Net, 2016, eq. 6
        mean = float((np.abs(seen.centres) * seen.counts).sum() / seen.total)
        return -mean, mean
    one_sided = form.symmetric or not seen.low < 0 < seen.high
    whole = squared_error(seen, form, dtype, np.array(seen.low), np.array(seen.high))
    best, least = (1.0, 1.0), float(whole)
    span, centre = 10.0, (1.0, 1.0)
    for points in (24, 17, 17, 17):
        factors = [_around(one, span, points) for one in centre]
        first, second = (factors[0], factors[0]) if one_sided else np.meshgrid(*factors, indexing="ij")
        low, high = _shrunk(seen, form, first.reshape(-1), second.reshape(-1))
        errors = squared_error(seen, form, dtype, low, high)
        index = int(np.argmin(errors))
        if errors[index] < least:
            least = float(errors[index])
            best = (float(first.reshape(-1)[index]), float(second.reshape(-1)[index]))
        centre = best
        span = span * 3 / (points - 1)
    low, high = _shrunk(seen, form, np.array([best[0]]), np.array([best[1]]))
    return float(low[0]), float(high[0])


def _around(centre: float, octaves: float, points: int) -> Array:
    """Factors around `centre`, evenly in their logarithm, `octaves` wide in all, none above 1."""
    exponents = np.linspace(-octaves / 2, octaves / 2, points) + np.log2(centre)
    exponents -= max(0.0, float(exponents[-1]))
    return np.asarray(np.exp2(exponents))


def _shrunk(seen: Distribution, form: Form, first: Array, second: Array) -> tuple[Array, Array]:
    if form.symmetric:
        threshold = max(-seen.low, seen.high) * second
        return np.maximum(seen.low, -threshold), np.minimum(seen.high, threshold)
    return min(seen.low, 0.0) * first, max(seen.high, 0.0) * second


def squared_error(seen: Distribution, form: Form, dtype: DType, low: Array, high: Array) -> Array:
    """The mean of (x - what its code means)^2 for each of the ranges, an array of the shape of `low`.

    The elements of a bin count as its centre; all sums between two steps of the codes come from sums over bins.
    """
    shape = np.shape(low)
    scale, zero_point = (array.reshape(-1).astype(np.float64) for array in form.affine(low, high, dtype))
    if form.bits > _WIDE_BITS:
        errors = _noise(seen, (dtype.min - zero_point) * scale, (dtype.max - zero_point) * scale, scale)
    else:
        codes = np.arange(dtype.min, dtype.max + 1) - zero_point[:, np.newaxis]  # [ranges, codes]
        values = codes * scale[:, np.newaxis]
        borders = (codes[:, :-1] + 0.5) * scale[:, np.newaxis]
        found = np.searchsorted(seen.centres, borders.reshape(-1)).reshape(borders.shape)
        ends = np.full((len(found), 1), len(seen.counts))
        index = np.concatenate([np.zeros_like(ends), found, ends], axis=1)
        count, total, squares = (np.diff(sums[index], axis=1) for sums in seen.sums)
        errors = (squares - 2 * values * total + values**2 * count).sum(axis=1)
    return np.asarray(np.maximum(errors, 0.0) / seen.total).reshape(shape)


def _noise(seen: Distribution, low: Array, high: Array, scale: Array) -> Array:
    """Squares of what is clipped, and a twelfth of the squared step for each element that is not."""
    begin, end = np.searchsorted(seen.centres, low), np.searchsorted(seen.centres, high)
    count, total, squares = seen.sums
    under = squares[begin] - 2 * low * total[begin] + low**2 * count[begin]
    over = (squares[-1] - squares[end]) - 2 * high * (total[-1] - total[end]) + high**2 * (count[-1] - count[end])
    return np.asarray(under + over + (count[end] - count[begin]) * scale**2 / 12)


def _clipped(seen: Distribution, threshold: float) -> Range:
    return max(seen.low, -threshold), min(seen.high, threshold)


METHODS: Mapping[str, Callable[[Distribution, Form, float], Range]] = MappingProxyType(
    {"minmax": minmax, "percentile": percentile_range, "kl": entropy, "mse": least_squares}
)
