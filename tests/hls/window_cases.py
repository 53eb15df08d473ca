"""Actors over windows and frames for tests, and the naive loop of a sliding window to compare formulas with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count, product

import numpy as np

from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps, SearchSteps, StepForm, Unchanged
from subbyte.targets.hls.actors import (
    GlobalMax,
    GlobalSum,
    Resize,
    SlidingWindow,
    WindowMax,
    WindowOrder,
    WindowSum,
)
from subbyte.targets.hls.layers import Window
from subbyte.targets.hls.reference import words_of
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType
from subbyte.targets.hls.windows.geometry import Form, Geometry, geometry
from tests.hls.actor_program import Case, random_case
from tests.hls.product_cases import frame_of_ends, plain_words, window_words

BINARY = Element(-1, 1, bipolar=True)
CRUMB = Element(0, 3)
NIBBLE = Element(-8, 7)
BYTE = Element(-128, 127)
_numbers = count()


def name() -> str:
    return f"actor{next(_numbers)}"


def stream(element: Element, height: int, width: int, channels: int, lanes: int, runs: int = 1) -> Stream:
    return Stream(f"s{next(_numbers)}", StreamType(element, height, width, channels, lanes, runs))


# Sliding windows ------------------------------------------------------------------------------------------------------


def sliding_window(x: Stream, window: Window, order: WindowOrder, taps: int = 1) -> SlidingWindow:
    """With the y that belongs to it."""
    found, kind = geometry(x.type, window, order, taps), x.type
    runs = window.taps // taps
    y = stream(kind.element, found.out_height, found.out_width, kind.channels * taps, kind.lanes * taps, runs)
    numbers = (window.kernel, window.strides, window.dilations, window.pads, window.pad_code)
    return SlidingWindow(name(), (x,), (y,), *numbers, order, taps)


def window_case(actor: SlidingWindow, runs: int = 2) -> Case:
    """`actor` on random frames, its words in its order."""

    def words(frame: Codes, of: Stream) -> list[int]:
        return words_of(frame, of.type, of is actor.y and actor.order is WindowOrder.CHANNELS)

    return random_case(actor, runs, seed=next(_numbers), words=words)


# Kernel, strides, dilations, pads, height and width of the frame.
GEOMETRIES = (
    ((1, 1), (1, 1), (1, 1), (1, 1, 1, 1), (4, 5)),
    ((1, 1), (2, 2), (1, 1), (0, 0, 0, 0), (5, 6)),
    ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), (5, 6)),
    ((3, 3), (1, 1), (1, 1), (0, 0, 0, 0), (3, 3)),  # one window
    ((3, 3), (2, 2), (1, 1), (0, 1, 1, 0), (7, 6)),
    ((3, 3), (1, 1), (2, 2), (2, 2, 2, 2), (5, 5)),
    ((2, 2), (1, 1), (2, 2), (1, 0, 2, 1), (6, 5)),  # taps two apart: three banks for two taps
    ((1, 3), (1, 1), (1, 2), (0, 1, 0, 2), (1, 9)),
    ((3, 1), (2, 1), (1, 1), (2, 0, 1, 0), (7, 2)),
    ((10, 4), (2, 2), (1, 1), (4, 1, 5, 1), (12, 5)),
    ((5, 5), (3, 3), (1, 1), (1, 2, 3, 0), (9, 8)),
    ((2, 2), (3, 3), (1, 1), (0, 0, 0, 0), (8, 7)),  # pixels that no window has
    ((3, 3), (2, 1), (1, 1), (0, 0, 0, 0), (8, 6)),  # a last row that none has, to be read while windows are written
)
# Pads on every side, and a kernel beyond the frame; windows with nothing but pads.
WORST = (
    ((5, 4), (1, 1), (1, 1), (4, 3, 4, 3), (2, 2)),
    ((5, 4), (1, 1), (1, 1), (5, 4, 6, 5), (2, 3)),
    ((2, 3), (1, 2), (3, 2), (3, 4, 3, 4), (1, 1)),
    ((1, 1), (3, 2), (1, 1), (4, 5, 7, 2), (2, 2)),
    ((4, 2), (3, 1), (1, 3), (2, 3, 1, 3), (2, 1)),
)


def windows_over(element: Element, geometries: tuple[tuple[tuple[int, ...], ...], ...]) -> Iterator[SlidingWindow]:
    """Each geometry with every number of taps in a word, in both orders; lanes that divide the channels or do not."""
    for number, (kernel, strides, dilations, pads, (height, width)) in enumerate(geometries):
        window = Window(kernel, strides, dilations, pads, element.high)  # type: ignore[arg-type]
        lanes = ((5, 2), (4, 4), (1, 1), (3, 2))
        for order, (channels, of_word) in zip(WindowOrder, (lanes[number % 4], lanes[(number + 1) % 4]), strict=True):
            yield sliding_window(stream(element, height, width, channels, of_word), window, order)
        for taps in sorted({kernel[1], window.taps} - {1}):
            yield sliding_window(stream(element, height, width, 3, 3), window, WindowOrder.TAPS, taps)


# Pools and neighbours -------------------------------------------------------------------------------------------------


def pool_cases() -> Iterator[Case]:
    """Channels 1, tile - 1, tile, tile + 1 of tiles of 4; every kind of steps, a bias that pushes sums to each side."""
    random = np.random.default_rng(11)
    folds = ((1, 1), (3, 4), (4, 4), (9, 4), (5, 1))
    for number, (element, runs) in enumerate(product((BINARY, CRUMB, NIBBLE, BYTE), (1, 6))):
        channels, lanes = folds[number % len(folds)]
        x, y = _streams(element, (2, 2), runs, channels, lanes)
        yield _pool(WindowMax(name(), (x,), (y,), runs), random)
        channels, lanes = folds[(number + 2) % len(folds)]
        one, pixel = _streams(element, (3, 2), 1, channels, lanes)
        pixel = replace(pixel, type=replace(pixel.type, height=1, width=1))
        yield _pool(GlobalMax(name(), (one,), (pixel,)), random)
        for form, bias in ((Unchanged, -37), (CompareSteps, 5), (SearchSteps, 0)):
            sums = Element(*_ends(element, runs, bias))
            steps, codes = _steps(form, sums, x.type.channels, random)
            result = replace(y, type=replace(y.type, element=codes))
            yield _pool(WindowSum(name(), (x,), (result,), runs, bias, sums, steps), random)
            sums = Element(*_ends(element, 6, bias))
            steps, codes = _steps(form, sums, one.type.channels, random)
            result = replace(pixel, type=replace(pixel.type, element=codes))
            yield _pool(GlobalSum(name(), (one,), (result,), bias, sums, steps), random)


def _streams(element: Element, extents: tuple[int, int], runs: int, channels: int, lanes: int) -> tuple[Stream, Stream]:
    number = next(_numbers)
    x = StreamType(element, *extents, channels, min(lanes, channels), runs)
    return Stream(f"x{number}", x), Stream(f"y{number}", replace(x, runs=1))


def _ends(element: Element, count: int, bias: int) -> tuple[int, int]:
    return count * element.low + bias, count * element.high + bias


def _steps(form: type[StepForm], sums: Element, channels: int, random: np.random.Generator) -> tuple[StepForm, Element]:
    if form is Unchanged:
        return Unchanged(), sums
    steps = np.sort(random.integers(sums.low, sums.high + 1, (channels, 7)))
    ends = np.full(channels, sums.low), np.full(channels, sums.high)
    staircase = Staircase(steps, np.tile(np.arange(8), (channels, 1)), *ends)
    return (CompareSteps if form is CompareSteps else SearchSteps)(staircase), Element(0, 7)


def _pool(actor: WindowMax | WindowSum | GlobalMax | GlobalSum, random: np.random.Generator) -> Case:
    """On frames whose unused lanes are ones: none of them may count."""
    runs = tuple((frame_of_ends(actor.x, random),) for _ in range(2))
    return Case(actor, runs, window_words if isinstance(actor, (WindowMax, WindowSum)) else plain_words)


def resize_cases() -> Iterator[Case]:
    """Twice, thrice, not at all, to the half, by no whole number, rows and columns left out at both ends."""
    for rows, columns, (height, width) in (
        ((0, 0, 1, 1, 2, 2), (0, 0, 1, 1, 2, 2, 3, 3), (3, 4)),
        ((0, 1, 2), (0, 1, 2, 3), (3, 4)),
        ((0,), (0, 0, 0, 1, 1, 1), (1, 2)),
        ((0, 2, 4), (0, 2, 4), (6, 6)),
        ((1, 3), (1, 3), (4, 4)),
        ((2, 2, 3, 5), (1, 4, 4), (8, 6)),
        ((0, 0), (0,), (2, 1)),
        ((1,), (3,), (3, 4)),
    ):
        for channels, lanes in ((1, 1), (5, 2)):
            x = stream(NIBBLE, height, width, channels, lanes)
            y = stream(NIBBLE, len(rows), len(columns), channels, lanes)
            yield random_case(Resize(name(), (x,), (y,), rows, columns), 2, next(_numbers))


# The loop, naively ----------------------------------------------------------------------------------------------------


def needed_words(windows: Geometry) -> list[list[list[int]]]:
    """For each window, for each of its words in order, the words of x that it holds; none of the pads."""
    (rows, columns), folds = windows.kernel, range(windows.words)
    found = []
    for i, j in product(range(windows.out_height), range(windows.out_width)):
        taps = []
        for r, c in product(range(rows), range(columns)):
            row = i * windows.strides[0] - windows.pads[0] + r * windows.dilations[0]
            column = j * windows.strides[1] - windows.pads[1] + c * windows.dilations[1]
            inside = 0 <= row < windows.height and 0 <= column < windows.width
            taps.append([(row * windows.width + column) * windows.words] if inside else [])
        match windows.form:
            case Form.TAPS:
                found.append([[word + fold for word in tap] for tap in taps for fold in folds])
            case Form.CHANNELS:
                found.append([[word + fold for word in tap] for fold in folds for tap in taps])
            case Form.ROW:
                found.append([list(chain(*taps[r * columns : (r + 1) * columns])) for r in range(rows)])
            case Form.ALL:
                found.append([list(chain(*taps))])
    return found


def oldest_word(windows: Geometry, window: int) -> int:
    """The first word that a window or one after it may need, by where they begin."""
    row = window // windows.out_width * windows.strides[0] - windows.pads[0]
    column = window % windows.out_width * windows.strides[1] - windows.pads[1]
    if row + windows.strides[0] <= 0:
        return 0
    return max(row, 0) * windows.line + min(max(column, 0), windows.width) * windows.words


def ring_loop(windows: Geometry, capacity: int) -> tuple[list[int], list[int]] | None:
    """The iterations that read and write each word, by the contract of the header; None where the loop sticks."""
    groups = needed_words(windows)
    used = max((word for group in groups for words in group for word in words), default=-1) + 1
    reads: list[int] = []
    writes: list[int] = []
    window = at = iteration = 0
    while len(reads) < windows.frame or window < len(groups):
        there = len(reads)
        room = window == len(groups) or there >= used or there < oldest_word(windows, window) + capacity
        if there < windows.frame and room:
            reads.append(iteration)
        if window < len(groups) and all(word < there for word in groups[window][at]):
            writes.append(iteration)
            at += 1
            if at == len(groups[window]):
                window, at = window + 1, 0
        elif len(reads) == there:
            return None
        iteration += 1
    return reads, writes
