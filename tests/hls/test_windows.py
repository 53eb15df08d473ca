"""Sliding windows, pools and nearest neighbours: C++ == reference, loops == trace; formulas == the naive loop."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import subbyte.targets.hls.registry  # noqa: F401
from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.step_forms import Unchanged
from subbyte.targets.hls.actors import GlobalSum, Resize, SlidingWindow, WindowMax, WindowOrder
from subbyte.targets.hls.instance import instance
from subbyte.targets.hls.layers import Window
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Element, Stream
from subbyte.targets.hls.trace import trace
from subbyte.targets.hls.windows import ring
from subbyte.targets.hls.windows.geometry import Form, Geometry
from subbyte.targets.hls.windows.pools import sum_range
from subbyte.targets.hls.windows.resize import resize_iterations
from subbyte.targets.hls.windows.sliding_window import buffer_of, buffer_words, geometry_of, window_iterations
from tests.hls.actor_program import SANITIZERS, Case, build, check
from tests.hls.numbers_program import include_folder
from tests.hls.window_cases import (
    BINARY,
    BYTE,
    CRUMB,
    GEOMETRIES,
    NIBBLE,
    WORST,
    pool_cases,
    resize_cases,
    ring_loop,
    sliding_window,
    stream,
    window_case,
    windows_over,
)

SAME = Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 0)


def window_cases() -> list[Case]:
    actors = [*windows_over(NIBBLE, GEOMETRIES), *windows_over(CRUMB, WORST), *windows_over(BINARY, GEOMETRIES[2:3])]
    wide = stream(BYTE, 3, 4, 20, 10)  # words above 64 bits
    return [window_case(actor) for actor in (*actors, sliding_window(wide, SAME, WindowOrder.TAPS))]


# C++ ------------------------------------------------------------------------------------------------------------------


def test_windows_in_c_equal_reference_and_trace(tmp_path: Path) -> None:
    cases = window_cases()
    check(cases, build(cases, tmp_path))


def test_pools_and_neighbours_in_c_equal_reference_and_trace(tmp_path: Path) -> None:
    cases = [*pool_cases(), *resize_cases()]
    check(cases, build(cases, tmp_path))


def test_c_is_clean_under_sanitizers(tmp_path: Path) -> None:
    cases = [
        *[window_case(actor) for actor in windows_over(CRUMB, WORST)][::2],
        *window_cases()[1:40:5],
        *list(pool_cases())[::9],
        *list(resize_cases())[1::4],
    ]
    check(cases, build(cases, tmp_path, flags=SANITIZERS))


def test_c_with_the_vendors_integers_equals_reference(tmp_path: Path) -> None:
    cases = [*window_cases()[::6], *list(pool_cases())[3::11], *list(resize_cases())[::5]]
    quiet = ("-Wno-uninitialized", "-Wno-maybe-uninitialized")  # constructors of theirs
    check(cases, build(cases, tmp_path, include_folder("vendor"), quiet))


# When words move ------------------------------------------------------------------------------------------------------

extents = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def geometries(draw: st.DrawFn, forms: tuple[Form, ...]) -> Geometry:
    pads = draw(st.tuples(*[st.integers(0, 5)] * 4))
    form = draw(st.sampled_from(forms))
    words = 1 if form in (Form.ROW, Form.ALL) else draw(st.integers(1, 3))
    frame = draw(st.tuples(st.integers(1, 7), st.integers(1, 9)))
    found = Geometry(*frame, words, draw(extents), draw(extents), draw(extents), pads, form)
    assume(found.out_height > 0 and found.out_width > 0)
    return found


@settings(max_examples=150, deadline=None)
@given(geometries((Form.TAPS, Form.CHANNELS, Form.ROW)))
def test_the_ring_keeps_the_pace_of_a_whole_frame_and_no_shorter_one_does(windows: Geometry) -> None:
    reads, writes = ring.ring_reads(windows), ring.ring_writes(windows)
    assert ring_loop(windows, ring.ring_words(windows)) == (reads.tolist(), writes.tolist())
    iterations = ring.ring_iterations(windows)
    assert max(reads[-1], writes[-1]) + 1 == iterations

    whole = ring_loop(windows, windows.frame)
    assert whole is not None
    assert max(whole[0][-1], whole[1][-1]) + 1 == iterations
    shorter = ring.ring_words(windows) - ring.banks(windows)
    less = ring_loop(windows, shorter) if shorter > 0 else None
    assert less is None or max(less[0][-1], less[1][-1]) + 1 > iterations


@settings(max_examples=150, deadline=None)
@given(geometries((Form.ROW,)))
def test_taps_of_a_row_are_in_different_banks(windows: Geometry) -> None:
    banks, taps = ring.banks(windows), np.arange(windows.kernel[1]) * windows.dilations[1]
    assert len(set(taps % banks)) == len(taps)
    assert ring.ring_words(windows) % banks == 0


@pytest.mark.parametrize("order", WindowOrder)
def test_writes_never_wait_after_the_first_window(order: WindowOrder) -> None:
    """3 x 3, stride 1: nine words are written for each that is read; a row and two pixels come before them."""
    x = stream(NIBBLE, 32, 32, 6, 2)
    actor = sliding_window(x, SAME, order)
    written, window = trace(actor).writes[0], 9 * 3
    assert (np.diff(written[window - 1 :]) == 1).all()
    assert trace(actor).iterations <= actor.y.type.words + (32 + 2) * 3
    assert buffer_words(actor) <= (2 * 32 + 3) * 3


@pytest.mark.parametrize("taps", [1, 3, 9])
def test_window_iterations_are_those_of_the_trace(taps: int) -> None:
    x = stream(CRUMB, 224, 224, 3, 3)
    window = Window((3, 3), (2, 2), (1, 1), (0, 0, 1, 1), 0)
    actor = sliding_window(x, window, WindowOrder.TAPS, taps)
    told = trace(actor)
    assert window_iterations(x.type, window, WindowOrder.TAPS, taps) == told.iterations
    assert told.iterations == max(told.reads[0][-1], told.writes[0][-1]) + 1
    assert told.iterations <= max(x.type.words, actor.y.type.words) + 3 * 224
    assert (len(told.reads[0]), len(told.writes[0])) == (x.type.words, actor.y.type.words)


def test_all_taps_at_once_take_an_iteration_a_pixel() -> None:
    actor = sliding_window(stream(CRUMB, 32, 32, 3, 3), SAME, WindowOrder.TAPS, 9)
    assert trace(actor).iterations == 32 * 32 + 32 + 1
    buffer = buffer_of(actor)
    assert (buffer.memories, buffer.length, buffer.registers, buffer.words) == (2, 32, 9, 73)


def test_a_row_of_taps_at_once_takes_three_iterations_a_pixel() -> None:
    actor = sliding_window(stream(CRUMB, 32, 32, 3, 3), SAME, WindowOrder.TAPS, 3)
    assert trace(actor).iterations == 3 * 32 * 32 + 32
    assert (buffer_of(actor).memories, buffer_words(actor)) == (3, 69)


def test_twice_the_rows_and_columns_take_no_longer_than_writing_them() -> None:
    case = next(resize_cases())
    assert trace(case.actor).iterations == case.actor.y.type.words + 3  # one more for each row of x
    for case in resize_cases():
        assert isinstance(case.actor, Resize)
        of_rows = resize_iterations(case.actor.x.type, case.actor.rows, case.actor.columns)
        assert trace(case.actor).iterations == of_rows


# What they compute ----------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(geometries((Form.TAPS, Form.CHANNELS, Form.ROW, Form.ALL)), st.integers(1, 3))
def test_reference_looks_under_the_kernel(windows: Geometry, channels: int) -> None:
    taps = {Form.ROW: windows.kernel[1], Form.ALL: windows.kernel[0] * windows.kernel[1]}.get(windows.form, 1)
    order = WindowOrder.CHANNELS if windows.form is Form.CHANNELS else WindowOrder.TAPS
    window = Window(windows.kernel, windows.strides, windows.dilations, windows.pads, -5)
    x = stream(NIBBLE, windows.height, windows.width, channels, channels)
    actor = sliding_window(x, window, order, taps)
    frame = np.arange(x.type.elements).reshape(x.type.pixels, 1, channels) % 16 - 8
    (found,) = reference(actor, frame)
    flat = found.reshape(windows.out_height, windows.out_width, *windows.kernel, channels)
    for i, j, r, c in product(*map(range, flat.shape[:4])):
        row = i * windows.strides[0] + r * windows.dilations[0] - windows.pads[0]
        column = j * windows.strides[1] + c * windows.dilations[1] - windows.pads[1]
        inside = 0 <= row < windows.height and 0 <= column < windows.width
        expected = frame[row * windows.width + column, 0] if inside else np.full(channels, -5)
        assert (flat[i, j, r, c] == expected).all()


def test_sums_on_the_way_fit_though_the_last_ones_are_narrow() -> None:
    """-40 + nine codes of 0..3 is -40..-13, but with codes from 5 on, -40 alone is lower than every finished sum."""
    x = stream(Element(5, 9), 3, 3, 1, 1)
    y = stream(Element(5, 41), 1, 1, 1, 1)
    actor = GlobalSum("pool", (x,), (y,), -40, y.type.element, Unchanged())
    assert sum_range(actor) == Element(-40, 41)
    assert ", 7, -40LL, 6>" in instance(actor).body


# What is refused ------------------------------------------------------------------------------------------------------


def refused(x: Stream, window: Window, text: str, taps: int = 1, order: WindowOrder = WindowOrder.TAPS) -> None:
    with pytest.raises(GraphError, match=re.escape(text)):
        sliding_window(x, window, order, taps)


def test_windows_that_cannot_be_are_refused() -> None:
    x = stream(CRUMB, 4, 4, 6, 6)
    refused(x, replace(SAME, pad_code=4), "padded with 4")
    refused(stream(BINARY, 4, 4, 6, 6), SAME, "padded with 0")
    refused(x, replace(SAME, strides=(0, 1)), "strides (0, 1)")
    refused(x, replace(SAME, kernel=(7, 3)), "there are no windows (7, 3)")
    refused(x, SAME, "2 taps in a word", taps=2)
    refused(x, SAME, "3 taps in a word in the order channels", taps=3, order=WindowOrder.CHANNELS)
    refused(stream(CRUMB, 4, 4, 6, 2), SAME, "words of 2 of 6 codes", taps=9)
    refused(stream(CRUMB, 4, 4, 6, 2, runs=3), SAME, "there are no windows")


def test_streams_that_do_not_fit_are_refused() -> None:
    x = stream(CRUMB, 4, 4, 6, 6)
    numbers = (SAME.kernel, SAME.strides, SAME.dilations, SAME.pads, 0, WindowOrder.TAPS)
    with pytest.raises(GraphError, match="actor 'odd' writes its windows"):
        geometry_of(SlidingWindow("odd", (x,), (stream(CRUMB, 4, 5, 6, 6, runs=9),), *numbers))
    with pytest.raises(GraphError, match="actor 'odd' pools"):
        trace(WindowMax("odd", (x,), (x,), 9))
    with pytest.raises(GraphError, match="not the same codes"):
        trace(WindowMax("odd", (x,), (stream(NIBBLE, 4, 4, 6, 6),), 1))
    with pytest.raises(GraphError, match="they must ascend"):
        trace(Resize("odd", (x,), (stream(CRUMB, 2, 1, 6, 6),), (1, 0), (0,)))
