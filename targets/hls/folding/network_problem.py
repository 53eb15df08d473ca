"""From a network to the problem of its folds: layers and the bus as what has options, frames as edges between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from subbyte.targets.hls import layers as of
from subbyte.targets.hls.estimate import actors
from subbyte.targets.hls.estimate.layers import conversion
from subbyte.targets.hls.estimate.memories import ceiling, fifo
from subbyte.targets.hls.expand import BUS_BITS, bus_lanes
from subbyte.targets.hls.folding.options import folds, options
from subbyte.targets.hls.folding.problem import Edge, Option, Price, Problem
from subbyte.targets.hls.layers import Fold, Frame, Layer, Network
from subbyte.targets.hls.resources import NONE, Resources
from subbyte.targets.hls.streams import StreamType

FIFO_DEPTH = 2
"""What every FIFO has at least; the schedule says later which need more."""


def bus_cycles(network: Network, bus_bits: int = BUS_BITS) -> int:
    """Cycles that the bus takes for a frame: those of its longest input or output."""
    frames = (*network.inputs, *network.outputs)
    return max(frame.pixels * ceiling(frame.channels, bus_lanes(frame, bus_bits)) for frame in frames)


def problem_of(
    network: Network,
    budget: Resources,
    weights: Resources,
    given: Mapping[str, Fold] | None = None,
    bus_bits: int = BUS_BITS,
) -> Problem:
    """given: folds that are not chosen but asked for, by layer."""
    return _Builder(network, given or {}, bus_bits).problem(budget, weights)


@dataclass(eq=False)
class _Builder:
    network: Network
    given: Mapping[str, Fold]
    bus_bits: int
    names: list[str] = field(default_factory=list)
    options: list[tuple[Option, ...]] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    writers: dict[str, tuple[int, Frame]] = field(default_factory=dict)  # by frame: who writes it, and as what

    def problem(self, budget: Resources, weights: Resources) -> Problem:
        for frame in self.network.inputs:
            lanes = bus_lanes(frame, self.bus_bits)
            self._add(f"input {frame.name}", (Option(Fold(), 0, NONE, lanes, lanes),))
            self.writers[frame.name] = len(self.names) - 1, frame
        for layer in self.network.layers:
            self._add_layer(layer)
        for port, frame in enumerate(self.network.outputs):
            lanes = bus_lanes(frame, self.bus_bits)
            self._add(f"output {port}", (Option(Fold(), 0, NONE, lanes, lanes),))
            self._read(frame, frame)
        least = bus_cycles(self.network, self.bus_bits)
        return Problem(tuple(self.names), tuple(self.options), tuple(self.edges), budget, weights, least_cycles=least)

    def _add(self, name: str, found: tuple[Option, ...]) -> None:
        self.names.append(name)
        self.options.append(found)

    def _add_layer(self, layer: Layer) -> None:
        if isinstance(layer, of.Flattening):
            self.writers[layer.y.name] = self.writers[layer.x.name]
            return
        asked = self.given.get(layer.name)
        found = options(layer, folds(layer) if asked is None else [asked])
        self._add(layer.name, tuple(self._with_forks(layer, option) for option in found))
        for frame in layer.inputs:
            self._read(frame, frame)
        for frame in layer.outputs:
            self.writers[frame.name] = len(self.names) - 1, frame

    def _with_forks(self, layer: Layer, option: Option) -> Option:
        """Beside a layer, what copies its outputs where several read them."""
        resources = option.resources
        for frame in layer.outputs:
            readers = sum(read.name == frame.name for other in self.network.layers for read in other.inputs)
            readers += sum(read.name == frame.name for read in self.network.outputs)
            if readers > 1:
                bits, words = option.writes * frame.element.bits, frame.pixels * ceiling(frame.channels, option.writes)
                resources += actors.fork(bits, readers, words).all + fifo(FIFO_DEPTH, bits).resources
        return replace(option, resources=resources)

    def _read(self, frame: Frame, as_frame: Frame) -> None:
        writer, written = self.writers[frame.name]
        bus = self.names[writer].startswith("input ")
        self.edges.append(Edge(writer, len(self.names) - 1, _pricing(written, as_frame, bus)))


def _pricing(written: Frame, read: Frame, from_bus: bool) -> Callable[[int, int], Price]:
    """The price of `written` as words of a lanes becoming `read` as words of b lanes.

    The bus writes words as narrow as its reader's.
    """
    flat = (written.height, written.width, written.channels) != (read.height, read.width, read.channels)

    @cache
    def price(a: int, b: int) -> Price:
        bits, a = written.element.bits, min(a, b) if from_bus and not flat else a
        if a == b and not flat:
            return Price(0, fifo(FIFO_DEPTH, a * bits).resources)
        cycles, resources = conversion(_type(written, a), _type(read, b))
        return Price(cycles, resources + fifo(FIFO_DEPTH, a * bits).resources + fifo(FIFO_DEPTH, b * bits).resources)

    return price


def _type(frame: Frame, lanes: int) -> StreamType:
    return StreamType(frame.element, frame.height, frame.width, frame.channels, min(lanes, frame.channels))
