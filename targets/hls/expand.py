"""From layers and their folds to actors: word widths, sliding windows, conversions between widths, forks."""

from __future__ import annotations

import math
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls import layers as of
from subbyte.targets.hls.actors import (
    Actor,
    ArgMaxCodes,
    CombineCodes,
    ConcatChannels,
    Convert,
    DepthwiseVector,
    Design,
    Fork,
    GlobalMax,
    GlobalSum,
    MapCodes,
    MatrixVector,
    Resize,
    SlidingWindow,
    SplitChannels,
    WindowMax,
    WindowOrder,
    WindowSum,
)
from subbyte.targets.hls.bus.ports import container_of
from subbyte.targets.hls.layers import Fold, Frame, Layer, Network, Window
from subbyte.targets.hls.streams import Stream, StreamType

BUS_BITS = 64
"""Of a beat from and to the bus, where nothing else is asked: the high-performance ports of a Zynq-7000."""


def bus_lanes(frame: Frame, bus_bits: int) -> int:
    """Codes of `frame` that a beat of the bus brings or takes."""
    return max(1, min(frame.channels, bus_bits // container_of(frame.element)))


def input_lanes(layer: Layer, fold: Fold) -> int:
    """Codes in a word that `layer` reads."""
    channels = layer.x.channels
    if isinstance(layer, (of.Concatenation, of.Separation)):
        return _dividing(layer, fold.simd)
    if isinstance(layer, of.Sums) and fold.taps > 1:
        return channels
    return min(fold.simd, channels)


def output_lanes(layer: Layer, fold: Fold) -> int:
    """Codes in a word that `layer` writes; a Flattening writes what its reader wants (`expand`)."""
    if isinstance(layer, of.Sums):
        return min(fold.pe, layer.y.channels)
    return 1 if isinstance(layer, of.ArgMaximum) else input_lanes(layer, fold)


def _dividing(layer: Layer, lanes: int) -> int:
    """The most lanes up to `lanes` that divide the channels of every part."""
    parts = layer.inputs if isinstance(layer, of.Concatenation) else layer.outputs
    common = math.gcd(*(frame.channels for frame in parts))
    return max(divisor for divisor in range(1, min(lanes, common) + 1) if common % divisor == 0)


def taps_per_word(window: Window, fold: Fold) -> int:
    """1, the width of the kernel, or all taps.  Raises GraphError for another number."""
    if fold.taps not in (1, window.kernel[1], window.taps):
        raise GraphError(
            f"a fold takes {fold.taps} taps of a kernel {window.kernel[0]}x{window.kernel[1]} at once; "
            f"1, {window.kernel[1]} and {window.taps} are built"
        )
    return fold.taps


def expand(network: Network, folding: Dict[str, Fold], bus_bits: int = BUS_BITS) -> Design:
    """The actors of `network`; a layer that `folding` does not name works on one code at a time.

    bus_bits: of a beat from and to the bus, which bounds how many codes arrive in a cycle.
    Raises GraphError: a fold names a layer that is not there, or takes taps that cannot be taken together.
    """
    names = {layer.name for layer in network.layers}
    if unknown := sorted(set(folding) - names):
        raise GraphError(f"the folding names layer '{unknown[0]}'; the layers are {', '.join(sorted(names))}")
    return _Expansion(network, folding, bus_bits).design()


@dataclass(frozen=True)
class _Reader:
    """Who reads a frame: input `port` of a layer, or output `port` of the design where layer is None."""

    layer: int | None
    port: int
    lanes: int


@dataclass(eq=False)
class _Expansion:
    network: Network
    folding: Dict[str, Fold]
    bus_bits: int
    actors: list[Actor] = field(default_factory=list)
    read: dict[tuple[int | None, int], Stream] = field(default_factory=dict)  # by reader

    def design(self) -> Design:
        inputs = []
        for frame in self.network.inputs:
            readers = self._readers(frame)
            lanes = min(max((reader.lanes for reader in readers), default=1), self._bus_codes(frame))
            inputs.append(self._deal(frame, lanes))
        for index, layer in enumerate(self.network.layers):
            self._add(index, layer)
        outputs = tuple(self.read[None, port] for port in range(len(self.network.outputs)))
        return Design(self.network.name, tuple(self.actors), tuple(inputs), outputs)

    # Who reads what, in words of how many codes

    def fold(self, layer: Layer) -> Fold:
        return self.folding.get(layer.name, Fold())

    def _bus_codes(self, frame: Frame) -> int:
        return bus_lanes(frame, self.bus_bits)

    def _readers(self, frame: Frame) -> list[_Reader]:
        found = [
            _Reader(index, port, self._wanted(layer))
            for index, layer in enumerate(self.network.layers)
            for port, read in enumerate(layer.inputs)
            if read.name == frame.name
        ]
        return found + [
            _Reader(None, port, self._bus_codes(output))
            for port, output in enumerate(self.network.outputs)
            if output.name == frame.name
        ]

    def _wanted(self, layer: Layer) -> int:
        if isinstance(layer, of.Flattening):  # it takes words as they come
            writer = next((each for each in self.network.layers if layer.x.name in _names(each.outputs)), None)
            if writer is None:
                return self._bus_codes(layer.x)
            return self._written(writer)
        return input_lanes(layer, self.fold(layer))

    def _written(self, layer: Layer) -> int:
        if isinstance(layer, of.Flattening):
            readers = self._readers(layer.y)
            return max((min(reader.lanes, layer.y.channels) for reader in readers), default=1)
        return output_lanes(layer, self.fold(layer))

    # Streams

    def _deal(self, frame: Frame, lanes: int) -> Stream:
        """The stream that carries `frame` in words of `lanes`, and from it one for each reader."""
        readers = self._readers(frame)
        if len(readers) == 1:
            stream = self._stream(frame, frame.name, lanes, readers[0])
            self._hand_over(stream, readers[0], frame.name)
            return stream
        stream = Stream(frame.name, _type(frame, lanes), frame.value, frame.order)
        copies = tuple(
            self._stream(frame, f"{frame.name}_copy{number}", lanes, reader)
            for number, reader in enumerate(readers, start=1)
        )
        self.actors.append(Fork(f"fork_{frame.name}", (stream,), copies))
        for copy, reader in zip(copies, readers, strict=True):
            self._hand_over(copy, reader, copy.name)
        return stream

    def _stream(self, frame: Frame, name: str, lanes: int, reader: _Reader) -> Stream:
        """With the order of an output where that is what reads it: views may stand between."""
        if reader.layer is None:
            frame = self.network.outputs[reader.port]
        return Stream(name, _type(frame, lanes), frame.value, frame.order)

    def _hand_over(self, stream: Stream, reader: _Reader, name: str) -> None:
        if stream.type.lanes != reader.lanes:
            other = replace(stream, name=f"{name}_by{reader.lanes}", type=stream.type.with_lanes(reader.lanes))
            self.actors.append(Convert(f"convert_{name}", (stream,), (other,)))
            stream = other
        self.read[reader.layer, reader.port] = stream

    # Actors

    def _add(self, index: int, layer: Layer) -> None:
        inputs = tuple(self.read[index, port] for port in range(len(layer.inputs)))
        before = len(self.actors)
        outputs = tuple(self._deal(frame, self._written(layer)) for frame in layer.outputs)
        behind, self.actors[before:] = self.actors[before:], []
        self._actors_of(layer, inputs, outputs)
        self.actors += behind

    def _window(self, layer: Layer, window: Window, x: Stream, order: WindowOrder, taps: int = 1) -> Stream:
        """The stream of windows over x: x itself where they are its pixels."""
        if window.is_pixel:
            return x
        kind = replace(
            x.type,
            height=layer.y.height,
            width=layer.y.width,
            runs=window.taps // taps,
            channels=x.type.channels * taps,
            lanes=x.type.lanes * taps,
        )
        y = Stream(f"{layer.name}_windows", kind)
        self.actors.append(
            SlidingWindow(
                f"{layer.name}_window",
                (x,),
                (y,),
                window.kernel,
                window.strides,
                window.dilations,
                window.pads,
                window.pad_code,
                order,
                taps,
                sources=layer.sources,
            )
        )
        return y

    @singledispatchmethod
    def _actors_of(self, layer: Layer, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        raise GraphError(f"layer '{layer.name}' is a {type(layer).__name__}, which has no actors")

    @_actors_of.register
    def _(self, layer: of.Sums, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        taps = taps_per_word(layer.window, self.fold(layer))
        x = self._window(layer, layer.window, inputs[0], WindowOrder.TAPS, taps)
        weights = layer.weights.reshape(layer.weights.shape[0], x.type.runs, x.type.channels)
        made_of = self.fold(layer).multiplier
        numbers = (weights, layer.bias, layer.sums, layer.steps, layer.product, layer.terms, made_of)
        self.actors.append(MatrixVector(layer.name, (x,), outputs, *numbers, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.DepthwiseSums, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        x = self._window(layer, layer.window, inputs[0], WindowOrder.CHANNELS)
        made_of = self.fold(layer).multiplier
        numbers = (layer.weights, layer.bias, layer.sums, layer.steps, layer.product, layer.terms, made_of)
        self.actors.append(DepthwiseVector(layer.name, (x,), outputs, *numbers, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.MaxPooling, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        if layer.window is None:
            self.actors.append(GlobalMax(layer.name, inputs, outputs, sources=layer.sources))
            return
        x = self._window(layer, layer.window, inputs[0], WindowOrder.CHANNELS)
        self.actors.append(WindowMax(layer.name, (x,), outputs, layer.window.taps, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.SumPooling, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        numbers = (layer.bias, layer.sums, layer.steps)
        if layer.window is None:
            self.actors.append(GlobalSum(layer.name, inputs, outputs, *numbers, sources=layer.sources))
            return
        x = self._window(layer, layer.window, inputs[0], WindowOrder.CHANNELS)
        self.actors.append(WindowSum(layer.name, (x,), outputs, layer.window.taps, *numbers, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.Padding, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        geometry = (layer.window.kernel, layer.window.strides, layer.window.dilations, layer.window.pads)
        self.actors.append(
            SlidingWindow(
                layer.name,
                inputs,
                outputs,
                *geometry,
                layer.window.pad_code,
                WindowOrder.TAPS,
                sources=layer.sources,
            )
        )

    @_actors_of.register
    def _(self, layer: of.Mapping, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        self.actors.append(MapCodes(layer.name, inputs, outputs, layer.table, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.Combining, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        self.actors.append(CombineCodes(layer.name, inputs, outputs, layer.form, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.Resizing, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        self.actors.append(Resize(layer.name, inputs, outputs, layer.rows, layer.columns, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.ArgMaximum, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        self.actors.append(ArgMaxCodes(layer.name, inputs, outputs, layer.last, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.Concatenation, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        self.actors.append(ConcatChannels(layer.name, inputs, outputs, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.Separation, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        self.actors.append(SplitChannels(layer.name, inputs, outputs, sources=layer.sources))

    @_actors_of.register
    def _(self, layer: of.Flattening, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        self.actors.append(Convert(layer.name, inputs, outputs, sources=layer.sources))


def _type(frame: Frame, lanes: int) -> StreamType:
    return StreamType(frame.element, frame.height, frame.width, frame.channels, min(lanes, frame.channels))


def _names(frames: tuple[Frame, ...]) -> set[str]:
    return {frame.name for frame in frames}
