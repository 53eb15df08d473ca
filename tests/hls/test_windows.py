"""SlidingWindow: C++ == reference, loops == trace."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import subbyte.targets.hls.registry  # noqa: F401
from subbyte.targets.hls.actors import SlidingWindow, WindowOrder
from subbyte.targets.hls.layers import Window
from subbyte.targets.hls.reference import words_of
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType
from subbyte.targets.hls.windows.geometry import geometry
from tests.hls.actor_program import Case, build, check, random_case

BINARY = Element(-1, 1, bipolar=True)
CRUMB = Element(0, 3)
NIBBLE = Element(-8, 7)
BYTE = Element(-128, 127)
_numbers = count()


def stream(element: Element, height: int, width: int, channels: int, lanes: int, runs: int = 1) -> Stream:
    return Stream(f"s{next(_numbers)}", StreamType(element, height, width, channels, lanes, runs))


def sliding_window(x: Stream, window: Window, order: WindowOrder, taps: int = 1) -> SlidingWindow:
    found = geometry(x.type, window, order, taps)
    kind = x.type
    y = stream(
        kind.element, found.out_height, found.out_width, kind.channels * taps, kind.lanes * taps, window.taps // taps
    )
    numbers = (window.kernel, window.strides, window.dilations, window.pads, window.pad_code)
    return SlidingWindow(f"actor{next(_numbers)}", (x,), (y,), *numbers, order, taps)


def window_words(frame: Codes, stream: Stream, order: WindowOrder) -> list[int]:
    return words_of(frame, stream.type, channels_first=order is WindowOrder.CHANNELS and stream.type.runs > 1)


GEOMETRIES = (
    ((1, 1), (1, 1), (1, 1), (1, 1, 1, 1), (4, 5)),
    ((1, 1), (2, 2), (1, 1), (0, 0, 0, 0), (5, 6)),
    ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), (5, 6)),
    ((3, 3), (2, 2), (1, 1), (0, 1, 1, 0), (7, 6)),
    ((3, 3), (1, 1), (2, 2), (2, 2, 2, 2), (5, 5)),
    ((1, 3), (1, 1), (1, 2), (0, 1, 0, 2), (1, 9)),
    ((3, 1), (2, 1), (1, 1), (2, 0, 1, 0), (7, 2)),
    ((10, 4), (2, 2), (1, 1), (4, 1, 5, 1), (12, 5)),
    ((5, 5), (3, 3), (1, 1), (1, 2, 3, 0), (9, 8)),
    ((2, 2), (3, 3), (1, 1), (0, 0, 0, 0), (8, 7)),
    ((5, 4), (1, 1), (1, 1), (4, 3, 4, 3), (2, 2)),
    ((2, 3), (1, 2), (3, 2), (3, 4, 3, 4), (1, 1)),
)


def windows() -> Iterator[SlidingWindow]:
    for kernel, strides, dilations, pads, (height, width) in GEOMETRIES:
        window = Window(kernel, strides, dilations, pads, 3)
        for channels, lanes in ((1, 1), (5, 2), (4, 4)):
            for order in WindowOrder:
                yield sliding_window(stream(NIBBLE, height, width, channels, lanes), window, order)
        for taps in {kernel[1], window.taps} - {1}:
            yield sliding_window(stream(CRUMB, height, width, 3, 3), window, WindowOrder.TAPS, taps)


def cases() -> list[Case]:
    found = []
    for number, actor in enumerate(windows()):
        order = actor.order
        found.append(random_case(actor, 2, number, lambda f, s, order=order: window_words(f, s, order)))
    return found


def test_c(tmp_path: Path) -> None:
    c = cases()
    check(c, build(c, tmp_path))
