"""What is kept of a tensor while samples run through a float network: ranges, moments, histograms, a few samples.

All observers are sums in a wide sense: `merge` adds what another one has seen, and

    x.update(array)  ==  x.merge(fresh observer that has seen only `array`),  bit for bit.

So a stream may be split among processes at the borders of arrays and merged in the stream's order: the result does not
depend on who saw what (data.py relies on it, tests/calibration checks it for each).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.node import Input

Array = NDArray[Any]
State = dict[str, Array]
_BLOCK = 1 << 18  # elements that are worked on at once, so that temporaries stay small
ObserverT = TypeVar("ObserverT", bound="Observer")


class Observer(ABC):
    """Sees every array of one value of a graph; samples lie behind each other along axis 0.

    position: the number, in the stream, of the first sample of the next array; set by who runs the stream.
    """

    position: int = 0

    @abstractmethod
    def update(self, array: Array) -> None:
        """Take in one array.  Raises NumericsError: it holds NaN or an infinity."""

    @abstractmethod
    def merge(self: ObserverT, other: ObserverT) -> None:
        """Take in all that `other`, an observer with the same settings, has seen after this one."""

    @abstractmethod
    def state(self) -> State:
        """All that was seen, as arrays: what a checkpoint holds. Empty where nothing was seen."""

    @abstractmethod
    def restore(self, state: Mapping[str, Array]) -> None:
        """Continue from `state` of an observer with the same settings."""

    @abstractmethod
    def fresh(self: ObserverT) -> ObserverT:
        """One with the same settings that has seen nothing."""

    @abstractmethod
    def describe(self) -> str:
        """Kind and settings in one word, by which a checkpoint knows its own."""


class MinMax(Observer):
    """The smallest and the largest element, of the tensor or of each index along `axis`: float32 [] or [C]."""

    def __init__(self, axis: int | None = None) -> None:
        self.axis = axis
        self._low: Array | None = None
        self._high: Array | None = None

    @property
    def low(self) -> Array:
        return _seen(self._low, self)

    @property
    def high(self) -> Array:
        return _seen(self._high, self)

    def update(self, array: Array) -> None:
        low, high = _extremes(array, self.axis)
        self._take(low, high)

    def merge(self, other: MinMax) -> None:
        if other._low is not None and other._high is not None:
            self._take(other._low, other._high)

    def _take(self, low: Array, high: Array) -> None:
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)

    def state(self) -> State:
        return {} if self._low is None else {"low": self.low, "high": self.high}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._low, self._high = state.get("low"), state.get("high")

    def fresh(self) -> MinMax:
        return MinMax(self.axis)

    def describe(self) -> str:
        return f"minmax({self.axis})"


class Moments(Observer):
    """count, mean, mean of squares, variance and largest magnitude, of the tensor or along `axis`; sums in float64."""

    def __init__(self, axis: int | None = None) -> None:
        self.axis = axis
        self.count = 0  # elements that each mean is of
        self._sum: Array | None = None
        self._squares: Array | None = None
        self._largest: Array | None = None

    @property
    def mean(self) -> Array:
        return np.asarray(_seen(self._sum, self) / self.count)

    @property
    def mean_square(self) -> Array:
        return np.asarray(_seen(self._squares, self) / self.count)

    @property
    def variance(self) -> Array:
        """Mean of squares less square of mean; not below 0."""
        return np.asarray(np.maximum(self.mean_square - self.mean**2, 0.0))

    @property
    def largest(self) -> Array:
        """max |x|, float32."""
        return _seen(self._largest, self)

    def update(self, array: Array) -> None:
        low, high = _extremes(array, self.axis)
        channels = 1 if self.axis is None else array.shape[self.axis]
        total, squares = np.zeros(channels), np.zeros(channels)
        for block in _blocks(array, self.axis):
            wide = block.astype(np.float64)
            total += wide.sum(axis=1)
            squares += np.square(wide, out=wide).sum(axis=1)
        shape = low.shape
        largest = np.maximum(np.abs(low), np.abs(high))
        self._take(array.size // channels, total.reshape(shape), squares.reshape(shape), largest)

    def merge(self, other: Moments) -> None:
        if other._sum is not None and other._squares is not None and other._largest is not None:
            self._take(other.count, other._sum, other._squares, other._largest)

    def _take(self, count: int, total: Array, squares: Array, largest: Array) -> None:
        self.count += count
        self._sum = total if self._sum is None else self._sum + total
        self._squares = squares if self._squares is None else self._squares + squares
        self._largest = largest if self._largest is None else np.maximum(self._largest, largest)

    def state(self) -> State:
        if self._sum is None or self._squares is None or self._largest is None:
            return {}
        count = np.asarray(self.count, np.int64)
        return {"count": count, "sum": self._sum, "squares": self._squares, "largest": self._largest}

    def restore(self, state: Mapping[str, Array]) -> None:
        self.count = int(state["count"]) if "count" in state else 0
        self._sum, self._squares, self._largest = (state.get(name) for name in ("sum", "squares", "largest"))

    def fresh(self) -> Moments:
        return Moments(self.axis)

    def describe(self) -> str:
        return f"moments({self.axis})"


class SecondMoments(Observer):
    """E[x x^T] over the rows that a layer multiplies: [groups, K, K] float64, what GPTQ calls the Hessian (halved).

    Observes the layer's input, Layer.x; takes 8 * groups * K^2 bytes.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = _alone(layer)
        self.rows = 0
        self._sum: Array | None = None

    @property
    def mean(self) -> Array:
        """[groups, K, K]: the sum over rows of x x^T, divided by the number of rows."""
        return np.asarray(_seen(self._sum, self) / self.rows)

    def update(self, array: Array) -> None:
        _extremes(array, None)
        extent = self.layer.x.type.shape[0] if self.layer.x.type.rank else 1
        total: Array | None = None
        count = 0
        for start in range(0, len(array), extent):  # sample by sample: rows may take far more memory than x
            rows = self.layer.rows(array[start : start + extent]).astype(np.float64)
            product = np.matmul(rows.transpose(0, 2, 1), rows)
            total = product if total is None else np.add(total, product, out=total)
            count += rows.shape[1]
        if total is not None:
            self._take(count, total)

    def merge(self, other: SecondMoments) -> None:
        if other._sum is not None:
            self._take(other.rows, other._sum)

    def _take(self, count: int, total: Array) -> None:
        self.rows += count
        self._sum = total if self._sum is None else np.add(self._sum, total, out=self._sum)

    def state(self) -> State:
        return {} if self._sum is None else {"rows": np.asarray(self.rows, np.int64), "sum": self._sum}

    def restore(self, state: Mapping[str, Array]) -> None:
        self.rows = int(state["rows"]) if "rows" in state else 0
        self._sum = state["sum"].copy() if "sum" in state else None

    def fresh(self) -> SecondMoments:
        return SecondMoments(self.layer)

    def describe(self) -> str:
        return f"second_moments({self.layer.name})"


class Histogram(Observer):
    """Counts of elements in bins whose width is a power of two and whose borders are its multiples.

    Bin i of `bins` holds x with (i - bins / 2) * width <= x < (i + 1 - bins / 2) * width. The width starts small and
    doubles as the range grows; two bins become one, exactly, so that counts are a function of what was seen and not of
    its order. At least a quarter of the bins of one sign are in use (unless all is zero).

    axis: a histogram for each index along it, each with a width of its own. low, high: the exact extremes.
    Takes 8 * bins bytes for each channel.
    """

    def __init__(self, axis: int | None = None, bins: int = 8192) -> None:
        if bins < 16 or bins & (bins - 1):
            raise NumericsError(f"a histogram of {bins} bins cannot be; a power of two, at least 16, is needed")
        self.axis = axis
        self.bins = bins
        self._range = MinMax(axis)
        self._exponents: Array | None = None  # int64 [C]: the widths are 2^exponent
        self._counts: Array | None = None  # int64 [C, bins]

    @property
    def low(self) -> Array:
        return self._range.low

    @property
    def high(self) -> Array:
        return self._range.high

    @property
    def counts(self) -> Array:
        """int64 [bins], or [C, bins] with an axis."""
        counts = _seen(self._counts, self)
        return counts[0] if self.axis is None else counts

    @property
    def width(self) -> Array:
        """float64 [] or [C]: the width of a bin."""
        widths = np.ldexp(1.0, _seen(self._exponents, self).astype(np.int32))
        return np.asarray(widths[0] if self.axis is None else widths)

    def update(self, array: Array) -> None:
        low, high = _extremes(array, self.axis)
        exponents = _exponents(low.reshape(-1), high.reshape(-1), self.bins // 2)
        counts = np.zeros((len(exponents), self.bins), np.int64)
        factors = np.ldexp(1.0, -exponents.astype(np.int32))[:, np.newaxis]
        offsets = np.arange(len(exponents), dtype=np.int64)[:, np.newaxis] * self.bins + self.bins // 2
        for block in _blocks(array, self.axis):
            index = np.floor(block * factors).astype(np.int64) + offsets
            counts += np.bincount(index.reshape(-1), minlength=counts.size).reshape(counts.shape)
        self._take(low, high, exponents, counts)

    def merge(self, other: Histogram) -> None:
        if other._exponents is not None and other._counts is not None:
            self._take(other.low, other.high, other._exponents, other._counts)

    def _take(self, low: Array, high: Array, exponents: Array, counts: Array) -> None:
        self._range._take(low, high)
        if self._exponents is None or self._counts is None:
            self._exponents, self._counts = exponents, counts
            return
        wider = np.maximum(self._exponents, exponents)
        self._counts = _rebinned(self._counts, wider - self._exponents) + _rebinned(counts, wider - exponents)
        self._exponents = wider

    def state(self) -> State:
        if self._exponents is None or self._counts is None:
            return {}
        return {**self._range.state(), "exponents": self._exponents, "counts": self._counts}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._range.restore(state)
        self._exponents, self._counts = state.get("exponents"), state.get("counts")

    def fresh(self) -> Histogram:
        return Histogram(self.axis, self.bins)

    def describe(self) -> str:
        return f"histogram({self.axis},{self.bins})"


class Reservoir(Observer):
    """`n` samples of the stream, chosen by a hash of their position and `seed`: evenly, and the same for every value.

    Two reservoirs with the same n and seed keep the same samples, so an input and an output that are kept belong
    together. extent: of axis 0 of one sample.  Source: bottom-k sampling, Cohen and Kaplan 2007.
    """

    def __init__(self, n: int, seed: int = 0, extent: int = 1) -> None:
        self.n = n
        self.seed = seed
        self.extent = extent
        self._kept: dict[int, Array] = {}  # by position, ascending

    @property
    def indices(self) -> Array:
        """Positions of the kept samples in the stream, ascending."""
        return np.array(list(self._kept), np.int64)

    @property
    def samples(self) -> Array:
        """The kept samples behind each other along axis 0, in the stream's order."""
        if not self._kept:
            raise NumericsError("nothing was observed yet: run samples through the network first (Data.observe)")
        return np.concatenate(list(self._kept.values()))

    def update(self, array: Array) -> None:
        found = [
            (self.position + number, array[start : start + self.extent])
            for number, start in enumerate(range(0, len(array), self.extent))
        ]
        kept = {number for number, _ in self._best([*self._kept, *(position for position, _ in found)])}
        self._keep({position: part.copy() for position, part in found if position in kept}, kept)
        self.position += len(found)

    def merge(self, other: Reservoir) -> None:
        self._keep(other._kept, {position for position, _ in self._best([*self._kept, *other._kept])})

    def _best(self, positions: list[int]) -> list[tuple[int, int]]:
        order = sorted((self._priority(position), position) for position in positions)
        return [(position, priority) for priority, position in order[: self.n]]

    def _priority(self, position: int) -> int:
        return int(np.random.SeedSequence([self.seed, position]).generate_state(1, np.uint64)[0])

    def _keep(self, new: Mapping[int, Array], kept: set[int]) -> None:
        together = {**self._kept, **new}
        self._kept = {position: together[position] for position in sorted(kept)}

    def state(self) -> State:
        return {"indices": self.indices, "samples": self.samples} if self._kept else {}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._kept = {}
        if "indices" in state:
            parts = np.split(state["samples"], len(state["indices"]))
            self._kept = {int(position): part for position, part in zip(state["indices"], parts, strict=True)}

    def fresh(self) -> Reservoir:
        return Reservoir(self.n, self.seed, self.extent)

    def describe(self) -> str:
        return f"reservoir({self.n},{self.seed},{self.extent})"


class Together(Observer):
    """Several observers of one value, by name."""

    def __init__(self, **observers: Observer) -> None:
        self.observers = observers

    def __getitem__(self, name: str) -> Observer:
        return self.observers[name]

    @property
    def axis(self) -> int | None:
        """0 where one of them looks along axis 0, so that samples are not laid behind each other there."""
        return 0 if any(getattr(one, "axis", None) == 0 for one in self.observers.values()) else None

    def update(self, array: Array) -> None:
        for one in self.observers.values():
            one.position = self.position
            one.update(array)

    def merge(self, other: Together) -> None:
        for name, one in self.observers.items():
            one.merge(other.observers[name])

    def state(self) -> State:
        return {f"{name}/{key}": array for name, one in self.observers.items() for key, array in one.state().items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        for name, one in self.observers.items():
            own = {key.removeprefix(f"{name}/"): array for key, array in state.items() if key.startswith(f"{name}/")}
            one.restore(own)

    def fresh(self) -> Together:
        return Together(**{name: one.fresh() for name, one in self.observers.items()})

    def describe(self) -> str:
        return "+".join(f"{name}={one.describe()}" for name, one in self.observers.items())


def _seen(array: Array | None, observer: Observer) -> Array:
    if array is None:
        raise NumericsError(
            f"the observer {observer.describe()} has seen nothing yet; run samples through the network (Data.observe)"
        )
    return array


def _extremes(array: Array, axis: int | None) -> tuple[Array, Array]:
    """(smallest, largest) as float32, [] or [C]; both finite, which says that all is."""
    if array.size == 0:
        raise NumericsError(f"there is nothing in an array of shape {list(array.shape)}; one element or more is needed")
    others = None if axis is None else tuple(other for other in range(array.ndim) if other != axis)
    low = np.asarray(array.min(axis=others), np.float32)
    high = np.asarray(array.max(axis=others), np.float32)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        count = int((~np.isfinite(array)).sum())
        raise NumericsError(f"{count} of {array.size} elements are NaN or infinite; no range holds them")
    return low, high


def _blocks(array: Array, axis: int | None) -> Iterator[Array]:
    """The elements as float64-ready matrices [C, some], C = 1 without an axis; always cut at the same places."""
    if axis is None:
        flat = array.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            yield flat[np.newaxis, start : start + _BLOCK]
        return
    front = np.moveaxis(array, axis, 0)
    channels = front.shape[0]
    step = max(1, _BLOCK * max(1, front.shape[1] if front.ndim > 1 else 1) // max(1, front.size))
    if front.ndim == 1:
        yield front.reshape(channels, 1)
        return
    for start in range(0, front.shape[1], step):
        yield front[:, start : start + step].reshape(channels, -1)


def _exponents(low: Array, high: Array, half: int) -> Array:
    """int64 [C]: the least e with -half * 2^e <= low and high < half * 2^e; _SMALLEST where all is zero."""
    magnitude = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    mantissa, exponent = np.frexp(magnitude)  # magnitude = mantissa * 2^exponent, 0.5 <= mantissa < 1
    least = exponent.astype(np.int64) - (half.bit_length() - 1)
    only_below = (mantissa == 0.5) & (high.astype(np.float64) < magnitude)  # -2^k itself fits: borders belong to above
    return np.where(magnitude == 0, _SMALLEST, least - only_below)


_SMALLEST = -200  # below every exponent that float32 data with fewer than 2^50 bins ask


def _rebinned(counts: Array, shifts: Array) -> Array:
    """`counts` [C, bins], 2^shift bins made one, each channel by its own shift: i -> i >> shift; 0 stays a border."""
    if not shifts.any():
        return counts
    half = counts.shape[1] // 2
    result = np.zeros_like(counts)
    bins = np.arange(-half, half, dtype=np.int64)
    for channel, shift in enumerate(shifts):
        target = (bins >> min(int(shift), 62)) + half
        np.add.at(result[channel], target, counts[channel])
    return result


def _alone(layer: Layer) -> Layer:
    """The layer over an Input of the type of its activations, without the network before it."""
    x = Input(name="x", of_type=layer.x.type).out
    operand = "a" if hasattr(layer.node, "a") else "x"
    return Layer(layer.name, layer.node.replace(**{operand: x}))
