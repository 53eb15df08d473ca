"""What is kept of a tensor while samples run through a float network: ranges, moments, histograms, a few samples.

All observers are sums in a wide sense: `merge` adds what another one has seen, and

    x.update(array)  ==  x.merge(fresh observer that has seen only `array`),  bit for bit.

So a stream may be split among processes at the borders of arrays and merged in the stream's order: the result does not
depend on who saw what (data.py relies on it, tests/calibration checks it for each).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.distribution import Distribution
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
    """How often each number occurs, rounded toward zero to a few significant bits: `bins` bins an octave of each sign.

    The bins are the same for every tensor, from the smallest number to the largest, so counts are a function of what
    was seen and not of its order, and a few huge elements take no precision from the others.
    Only bins that hold something are kept: 12 bytes each, at most 510 * bins of them for a channel, in practice those
    of some 20 octaves. axis: a histogram for each index along it.
    """

    def __init__(self, axis: int | None = None, bins: int = 1024) -> None:
        if not 1 <= bins <= 1 << 16 or bins & (bins - 1):
            raise NumericsError(f"a histogram of {bins} bins an octave cannot be; a power of two up to 65536 is needed")
        self.axis = axis
        self.bins = bins
        self._range = MinMax(axis)
        self._keys = np.zeros(0, np.uint64)  # ascending: channel << 32 | the leading bits of the float32
        self._counts = np.zeros(0, np.int64)

    @property
    def low(self) -> Array:
        return self._range.low

    @property
    def high(self) -> Array:
        return self._range.high

    @property
    def channels(self) -> int:
        return 1 if self.axis is None else len(self.low)

    def distribution(self, channel: int | None = None) -> Distribution:
        """Of one channel, or of the whole tensor (None)."""
        keys, counts = self._keys, self._counts
        low, high = self.low.min(), self.high.max()
        if self.axis is not None and channel is not None:
            low, high = self.low[channel], self.high[channel]
            begin, end = np.searchsorted(keys, np.array([channel, channel + 1], np.uint64) << np.uint64(32))
            keys, counts = keys[begin:end], counts[begin:end]
        leading, counts = _summed(keys & np.uint64(0xFFFFFFFF), counts)
        near = (leading << self._shift).astype(np.uint32).view(np.float32).astype(np.float64)
        with np.errstate(over="ignore"):
            far = ((leading + np.uint64(1)) << self._shift).astype(np.uint32).view(np.float32).astype(np.float64)
        far = np.where(np.isfinite(far), far, near)  # beyond the largest finite number there is nothing
        far = np.where(near == 0, np.where(np.signbit(near), 0.0, far), far)
        left, right = np.minimum(near, far), np.maximum(near, far)
        order = np.argsort(left + right, kind="stable")
        left, right = np.clip(left, low, high)[order], np.clip(right, low, high)[order]
        return Distribution(float(low), float(high), left, right, counts[order])

    @property
    def _shift(self) -> np.uint64:
        return np.uint64(23 - (self.bins.bit_length() - 1))

    def update(self, array: Array) -> None:
        low, high = _extremes(array, self.axis)
        keys, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        for block in _blocks(array, self.axis):
            # -0.0 + 0.0 is +0.0: zero has one bin
            bits = np.ascontiguousarray(block + np.float32(0), np.float32).view(np.uint32) >> np.uint32(self._shift)
            own, found = _counted(bits)
            keys, counts = _summed(np.concatenate([keys, own]), np.concatenate([counts, found]))
        self._take(low, high, keys, counts)

    def merge(self, other: Histogram) -> None:
        if len(other._keys):
            self._take(other.low, other.high, other._keys, other._counts)

    def _take(self, low: Array, high: Array, keys: Array, counts: Array) -> None:
        self._range._take(low, high)
        self._keys, self._counts = _summed(np.concatenate([self._keys, keys]), np.concatenate([self._counts, counts]))

    def state(self) -> State:
        return {**self._range.state(), "keys": self._keys, "counts": self._counts} if len(self._keys) else {}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._range.restore(state)
        self._keys = state.get("keys", np.zeros(0, np.uint64))
        self._counts = state.get("counts", np.zeros(0, np.int64))

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
        kept = self._best([*self._kept, *(position for position, _ in found)])
        self._keep({position: part.copy() for position, part in found if position in kept}, kept)
        self.position += len(found)

    def merge(self, other: Reservoir) -> None:
        self._keep(other._kept, self._best([*self._kept, *other._kept]))

    def _best(self, positions: list[int]) -> set[int]:
        """The n of `positions` that are kept."""
        return set(sorted(positions, key=lambda position: (_priority(self.seed, position), position))[: self.n])

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


@lru_cache(1 << 16)
def _priority(seed: int, position: int) -> int:
    return int(np.random.SeedSequence([seed, position]).generate_state(1, np.uint64)[0])


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


def _counted(bits: Array) -> tuple[Array, Array]:
    """The different keys of a block [C, some], ascending, and how often each occurs."""
    if len(bits) > 1:
        channel = np.arange(len(bits), dtype=np.uint64)[:, np.newaxis] << np.uint64(32)
        return np.unique(bits | channel, return_counts=True)
    least = int(bits.min())
    counts = np.bincount((bits - np.uint32(least)).reshape(-1))
    own = np.flatnonzero(counts)
    return (own + least).astype(np.uint64), counts[own].astype(np.int64)


def _summed(keys: Array, counts: Array) -> tuple[Array, Array]:
    """The different keys, ascending, and the sum of the counts of each."""
    different, where = np.unique(keys, return_inverse=True)
    summed = np.zeros(len(different), np.int64)
    np.add.at(summed, where.reshape(-1), counts)
    return different, summed


def _alone(layer: Layer) -> Layer:
    """The layer over an Input of the type of its activations, without the network before it."""
    x = Input(name="x", of_type=layer.x.type).out
    operand = "a" if hasattr(layer.node, "a") else "x"
    return Layer(layer.name, layer.node.replace(**{operand: x}))
