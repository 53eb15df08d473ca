"""What software sees of a stream at the border of a design: arrays of codes in containers, and beats of the bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.targets.hls.actors import Convert, Design
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType

CONTAINERS = (8, 16, 32, 64)
WIDTHS = (32, 64, 128, 256, 512, 1024)
"""Bits of a beat: what AXI4 has between memory and logic, and what stream DMAs take."""


@dataclass(frozen=True, eq=False)
class BusPort:
    """An input or output of a design on the bus.

    A frame is an array of `codes` containers, code i being element order[i] of the tensor `shape`, row-major; each is
    little-endian, sign- or zero-extended; bipolar codes are -1 and +1. A beat has `codes_per_beat` of them, the first
    in its lowest bits, and zeros above; the last beat of a frame may have fewer.
    name: of the port, a C identifier. stream: of the design. dtype: of the tensor.
    """

    name: str
    stream: Stream
    is_input: bool
    container_bits: int
    bus_bits: int
    order: Codes
    shape: tuple[int, ...]
    dtype: DType

    @property
    def element(self) -> Element:
        return self.stream.type.element

    @property
    def is_signed(self) -> bool:
        """Whether containers are two's complement."""
        return self.element.low < 0

    @property
    def codes(self) -> int:
        return self.stream.type.elements

    @property
    def codes_per_beat(self) -> int:
        return self.stream.type.lanes

    @property
    def beats(self) -> int:
        """Of a frame."""
        return self.stream.type.words

    @property
    def codes_in_last_beat(self) -> int:
        return self.codes - (self.beats - 1) * self.codes_per_beat

    @property
    def frame_bytes(self) -> int:
        """Of the codes alone."""
        return self.codes * self.container_bits // 8

    @property
    def buffer_bytes(self) -> int:
        """Of whole beats."""
        return self.beats * self.bus_bits // 8


def container_of(element: Element) -> int:
    """The fewest of 8, 16, 32 and 64 bits that hold every code as a number."""
    bits = 2 if element.bipolar else element.bits
    found = next((container for container in CONTAINERS if container >= bits), None)
    if found is None:
        raise UnsupportedError(f"codes of {bits} bits have no container on the bus; the widest has {CONTAINERS[-1]}")
    return found


def border_type(of_type: StreamType, width: int) -> tuple[StreamType, int]:
    """The stream that beats of a bus are words of, and how many bits those have: no more than `width`.

    Beats are as narrow as the stream's lanes allow, but full, so that software sees an array without gaps. This is
    `of_type` itself where its words are such beats, else its codes as one run.
    Raises GraphError: a width that buses do not have, or that no container fits.
    """
    container = container_of(of_type.element)
    if width not in WIDTHS or width < container:
        known = ", ".join(map(str, WIDTHS))
        raise GraphError(f"a bus of {width} bits cannot carry containers of {container}; widths are {known}")
    wanted = of_type.lanes * container
    bits = next((candidate for candidate in WIDTHS if wanted <= candidate <= width), width)
    lanes = min(bits // container, of_type.elements)
    has_gaps = of_type.channels % of_type.lanes and of_type.pixels * of_type.runs > 1
    if of_type.lanes == lanes and not has_gaps:
        return of_type, bits
    return StreamType(of_type.element, 1, 1, of_type.elements, lanes), bits


def attach(design: Design, width: int = 64) -> Design:
    """`design` with a Convert at each border stream whose words are not beats of a bus of at most `width` bits.

    Streams at the border keep their names; those behind the conversions are called NAME_words.
    Raises GraphError: an input is an output as it is.
    """
    names = {stream.name for stream in design.streams} | {actor.name for actor in design.actors}
    words: dict[Stream, Stream] = {}  # of a border stream, what the design has in its place

    def beats(stream: Stream) -> Stream:
        kind, _ = border_type(stream.type, width)
        if kind == stream.type:
            return stream
        words[stream] = replace(stream, name=_free(f"{stream.name}_words", names))
        return replace(stream, type=kind)

    if both := set(design.inputs) & set(design.outputs):
        raise GraphError(f"input '{both.pop().name}' of '{design.name}' is an output too; there is nothing to compute")
    inputs, outputs = tuple(map(beats, design.inputs)), tuple(map(beats, design.outputs))
    before = [
        Convert(_free(f"{border.name}_from_beats", names), (border,), (words[stream],))
        for stream, border in zip(design.inputs, inputs, strict=True)
        if stream in words
    ]
    after = [
        Convert(_free(f"{border.name}_to_beats", names), (words[stream],), (border,))
        for stream, border in zip(design.outputs, outputs, strict=True)
        if stream in words
    ]
    between = [
        replace(
            actor,
            inputs=tuple(words.get(stream, stream) for stream in actor.inputs),
            outputs=tuple(words.get(stream, stream) for stream in actor.outputs),
        )
        for actor in design.actors
    ]
    return replace(design, actors=(*before, *between, *after), inputs=inputs, outputs=outputs)


def with_port_names(design: Design, inputs: Sequence[str], outputs: Sequence[str]) -> Design:
    """`design` with its border streams called after tensors: what software and block designs ask for them by.

    A name that another stream or an actor has already gets a number.
    """
    borders = (*design.inputs, *design.outputs)
    taken = {stream.name for stream in design.streams if stream not in borders} | {a.name for a in design.actors}
    taken.add(design.name)
    renamed = {
        stream: replace(stream, name=_free(name, taken))
        for stream, name in zip(borders, (*inputs, *outputs), strict=True)
    }
    actors = tuple(
        replace(
            actor,
            inputs=tuple(renamed.get(stream, stream) for stream in actor.inputs),
            outputs=tuple(renamed.get(stream, stream) for stream in actor.outputs),
        )
        for actor in design.actors
    )
    count = len(design.inputs)
    named = [renamed[stream] for stream in borders]
    return replace(design, actors=actors, inputs=tuple(named[:count]), outputs=tuple(named[count:]))


def ports_of(design: Design, width: int = 64) -> tuple[BusPort, ...]:
    """The inputs, then the outputs, of a design that was attached to a bus of that width."""
    return tuple(
        port_of(stream, is_input, width)
        for streams, is_input in ((design.inputs, True), (design.outputs, False))
        for stream in streams
    )


def port_of(stream: Stream, is_input: bool, width: int = 64) -> BusPort:
    """A border stream as software sees it.

    Raises GraphError: its words are not beats of such a bus (`attach` makes them), or no tensor equals it.
    """
    kind, bits = border_type(stream.type, width)
    if kind != stream.type:
        raise GraphError(
            f"the words of border stream '{stream.name}' are not beats of a bus of {width} bits: found {stream.type}, "
            f"expected {kind}; attach the design to the bus first"
        )
    if stream.value is None or stream.order is None:
        raise GraphError(f"border stream '{stream.name}' carries no tensor; software needs to know which one it is")
    shape = stream.value.type.shape
    if (
        not np.array_equal(np.sort(stream.order), np.arange(stream.type.elements))
        or np.prod(shape) != stream.order.size
    ):
        raise GraphError(
            f"border stream '{stream.name}' has {stream.type.elements} codes in an order that does not name each "
            f"element of its tensor {list(shape)} once"
        )
    container = container_of(stream.type.element)
    return BusPort(stream.name, stream, is_input, container, bits, stream.order, tuple(shape), stream.value.type.dtype)


def _free(name: str, taken: set[str]) -> str:
    """`name`, or with a number where that is taken; it is taken from then on."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found
