"""SlidingWindow: the pixels under a kernel, by a line buffer (kernels/subbyte_hls_sliding_window.h)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import SlidingWindow, WindowOrder
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.layers import Window
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes, StreamType
from subbyte.targets.hls.trace import Trace, trace
from subbyte.targets.hls.windows import ring, scan
from subbyte.targets.hls.windows.geometry import Form, Geometry, geometry

_HEADER = "subbyte_hls_sliding_window.h"


@dataclass(frozen=True)
class Buffer:
    """What a sliding window keeps of x.

    memories: memories that are read at once, of `length` words of x each, with one port to write and one to read;
    registers: words of x in registers; taps: that a word of y takes, each from any of the memories where `crossed`.
    """

    memories: int
    length: int
    registers: int
    taps: int
    crossed: bool

    @property
    def words(self) -> int:
        """Of x, in memories and registers."""
        return self.memories * self.length + self.registers


def window_iterations(
    x: StreamType, window: Window, order: WindowOrder = WindowOrder.TAPS, taps_per_word: int = 1
) -> int:
    """Iterations of the loop for a frame: a formula that looks at no pixel, equal to the trace's.

    Words of x or of y, whichever are more, and what is read before the first window or written after the last pixel.
    """
    return _iterations(geometry(x, window, order, taps_per_word))


def window_buffer(
    x: StreamType, window: Window, order: WindowOrder = WindowOrder.TAPS, taps_per_word: int = 1
) -> Buffer:
    """The memories and registers of a sliding window over x."""
    return _buffer(geometry(x, window, order, taps_per_word))


def buffer_of(actor: SlidingWindow) -> Buffer:
    return _buffer(geometry_of(actor))


def buffer_words(actor: SlidingWindow) -> int:
    """Words of x, of x.word_bits, that the buffer holds: for 3 x 3 taps of stride 1 two lines and three pixels."""
    return buffer_of(actor).words


def _iterations(windows: Geometry) -> int:
    return scan.scan_iterations(windows) if windows.form is Form.ALL else ring.ring_iterations(windows)


def _buffer(windows: Geometry) -> Buffer:
    taps = windows.kernel[0] * windows.kernel[1]
    match windows.form:
        case Form.ALL:
            return Buffer(scan.scan_lines(windows), windows.width, scan.scan_registers(windows), taps, False)
        case Form.ROW:
            banks = ring.banks(windows)
            return Buffer(banks, ring.ring_words(windows) // banks, 0, windows.kernel[1], True)
    return Buffer(1, ring.ring_words(windows), 0, 1, False)


def geometry_of(actor: SlidingWindow) -> Geometry:
    """Of an actor.  Raises: GraphError: its streams are not those of its windows."""
    x, y = actor.x.type, actor.y.type
    windows = geometry(x, actor, actor.order, actor.taps_per_word)
    taps = actor.taps_per_word
    wanted = StreamType(
        x.element,
        windows.out_height,
        windows.out_width,
        x.channels * taps,
        x.lanes * taps,
        windows.kernel[0] * windows.kernel[1] // taps,
    )
    if y != wanted:
        raise GraphError(f"actor '{actor.name}' writes its windows over {x} to {y}; they are {wanted}")
    return windows


@trace.register
def trace_sliding_window(actor: SlidingWindow) -> Trace:
    """Latency: the word of x, a memory's address and data registers (the registers of a scan: one), the write."""
    windows = geometry_of(actor)
    if windows.form is Form.ALL:
        reads, writes, latency = scan.scan_reads(windows), scan.scan_writes(windows), 3
    else:
        reads, writes, latency = ring.ring_reads(windows), ring.ring_writes(windows), 4
    return Trace(_iterations(windows), (reads,), (writes,), latency)


@instance.register
def instance_sliding_window(actor: SlidingWindow) -> Instance:
    windows, x = geometry_of(actor), actor.x.type
    pad = int(x.element.encode(actor.pad_code))
    extents = (windows.height, windows.width, windows.words, *windows.kernel, *windows.strides, *windows.dilations)
    y_extents = (windows.out_height, windows.out_width)
    numbers = (*extents, *windows.pads[:2], *y_extents)
    iterations, used = _iterations(windows), ring.used_words(windows)
    match windows.form:
        case Form.ALL:
            function = "sliding_window_all"
            kind = f"{x.element.bits}, {x.channels}"
            rest = f"{scan.scan_width(windows)}, {scan.first_step(windows)}, {iterations}"
            buffer = f"{scan.scan_lines(windows)} lines and {scan.scan_registers(windows)} pixels are kept"
        case Form.ROW:
            function = "sliding_window_rows"
            kind = f"{x.element.bits}, {x.channels}"
            rest = f"{ring.banks(windows)}, {ring.ring_words(windows)}, {used}, {iterations}"
            buffer = f"{ring.ring_words(windows)} words of x are kept in {ring.banks(windows)} memories"
        case form:
            function = "sliding_window"
            kind = f"{x.element.bits}, {x.lanes}, {x.channels}"
            first = "true" if form is Form.CHANNELS else "false"
            rest = f"{first}, {ring.ring_words(windows)}, {used}, {iterations}"
            buffer = f"{ring.ring_words(windows)} words of x are kept"
    top, left, bottom, right = windows.pads
    lying = f"strides {_by(windows.strides)}, dilations {_by(windows.dilations)}"
    around = f"{top} rows above, {left} columns to the left, {bottom} rows below and {right} columns to the right"
    return Instance(
        headers=(_HEADER,),
        body=(
            f"typedef subbyte_hls::Window<{', '.join(map(str, numbers))}> window;\n"
            f"subbyte_hls::{function}<{kind}, {pad}, window, {rest}>(in0, out0);"
        ),
        comment=(
            f"{_by(y_extents)} windows of {_by(windows.kernel)} pixels of a frame of {_by(extents[:2])}, {lying}",
            f"{around} are code {actor.pad_code}; {buffer}",
        ),
    )


def _by(pair: tuple[int, ...]) -> str:
    return f"{pair[0]}x{pair[1]}"


@reference.register
def reference_sliding_window(actor: SlidingWindow, x: Codes) -> tuple[Codes, ...]:
    windows, y = geometry_of(actor), actor.y.type
    top, left, bottom, right = windows.pads
    frame = x.reshape(windows.height, windows.width, -1)
    padded = np.pad(frame, ((top, bottom), (left, right), (0, 0)), constant_values=actor.pad_code)
    taps = [
        padded[r * windows.dilations[0] :: windows.strides[0], c * windows.dilations[1] :: windows.strides[1]][
            : y.height, : y.width
        ]
        for r in range(windows.kernel[0])
        for c in range(windows.kernel[1])
    ]
    return (np.stack(taps, axis=2).reshape(y.pixels, y.runs, y.channels).astype(np.int64),)
