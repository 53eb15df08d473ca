"""Actors that move, map and combine codes: C++ == reference, loops == trace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

import numpy as np
import pytest

import subbyte.targets.hls.registry  # noqa: F401
from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.compiler.numerics.pair_forms import PairSteps, PairTable
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps
from subbyte.targets.hls.actors import (
    Actor,
    ArgMaxCodes,
    CombineCodes,
    ConcatChannels,
    Convert,
    Fork,
    MapCodes,
    SplitChannels,
)
from subbyte.targets.hls.instance import instance
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType
from subbyte.targets.hls.trace import trace
from tests.hls.actor_program import SANITIZERS, Case, build, check, random_case

BINARY = Element(-1, 1, bipolar=True)
CRUMB = Element(0, 3)
NIBBLE = Element(-8, 7)
BYTE = Element(-128, 127)
SHIFTED = Element(1, 6)
_numbers = count()


def stream(element: Element, height: int, width: int, channels: int, lanes: int, runs: int = 1) -> Stream:
    return Stream(f"s{next(_numbers)}", StreamType(element, height, width, channels, lanes, runs))


def name() -> str:
    return f"actor{next(_numbers)}"


# Cases ----------------------------------------------------------------------------------------------------------------


def conversions() -> Iterator[Actor]:
    """Lanes 1, tile - 1, tile, tile + 1 to each other; runs of other lengths, whole frames; words above 64 bits."""
    for x_lanes, y_lanes in product((1, 3, 4, 5), repeat=2):
        for channels in (12, 5):
            x = stream(NIBBLE, 2, 3, channels, x_lanes)
            yield Convert(name(), (x,), (stream(NIBBLE, 2, 3, channels, y_lanes),))
    for (pixels, channels, x_lanes), (rows, run, y_lanes) in (
        ((6, 5, 2), (1, 30, 7)),  # a flattened frame, padding dropped
        ((1, 30, 7), (6, 5, 2)),  # and made
        ((4, 3, 3), (1, 12, 12)),
        ((1, 12, 1), (4, 3, 3)),
        ((3, 8, 4), (2, 12, 6)),  # runs that end inside of each other's words
    ):
        x = stream(BYTE, pixels, 1, channels, x_lanes)
        yield Convert(name(), (x,), (stream(BYTE, rows, 1, run, y_lanes),))
    windows = stream(CRUMB, 2, 2, 6, 4, runs=9)
    yield Convert(name(), (windows,), (stream(CRUMB, 2, 2, 54, 10),))
    yield Convert(name(), (stream(BYTE, 2, 1, 40, 20),), (stream(BYTE, 2, 1, 40, 32),))
    yield Convert(name(), (stream(BINARY, 1, 1, 300, 150),), (stream(BINARY, 1, 1, 300, 100),))


def movements() -> Iterator[Actor]:
    for outputs in (1, 2, 4):
        x = stream(NIBBLE, 2, 3, 5, 2)
        yield Fork(name(), (x,), tuple(stream(NIBBLE, 2, 3, 5, 2) for _ in range(outputs)))
    for channels in ((4, 4), (2, 6, 4), (8,), (2, 2, 2, 2, 10)):
        parts = tuple(stream(BYTE, 2, 3, part, 2) for part in channels)
        whole = stream(BYTE, 2, 3, sum(channels), 2)
        yield ConcatChannels(name(), parts, (whole,))
        yield SplitChannels(name(), (whole,), parts)


def table(generator: np.random.Generator, rows: int, x: Element, y: Element) -> Codes:
    codes = generator.integers(y.low, y.high + 1, (rows, x.high - x.low + 1))
    return np.where(codes > 0, 1, -1) if y.bipolar else np.asarray(codes)


def tables() -> Iterator[Actor]:
    generator = np.random.default_rng(7)
    elements = (
        (NIBBLE, BYTE),
        (CRUMB, BINARY),
        (BINARY, NIBBLE),
        (SHIFTED, CRUMB),
        (Element(-3, 200), Element(0, 70_000)),
    )
    for (x, y), lanes, channels in product(elements, (1, 3, 4, 5), (1, 8)):
        if lanes > channels:
            continue
        for rows in {1, channels}:
            streams = (stream(x, 3, 1, channels, lanes),), (stream(y, 3, 1, channels, lanes),)
            yield MapCodes(name(), *streams, table(generator, rows, x, y))
    windows = stream(NIBBLE, 2, 1, 3, 2, runs=4)
    yield MapCodes(name(), (windows,), (stream(CRUMB, 2, 1, 3, 2, runs=4),), table(generator, 3, NIBBLE, CRUMB))


def combinations() -> Iterator[Actor]:
    """Tables and sums of pairs; streams of other bits than each other."""
    generator = np.random.default_rng(11)
    steps = CompareSteps(Staircase(*map(np.array, ([[-20, 0, 5, 30]], [[-2, -1, 0, 1, 7]], [-200], [200]))))
    for (a, b, y), lanes in product(((NIBBLE, CRUMB, BYTE), (SHIFTED, NIBBLE, BINARY)), (1, 3, 4, 5)):
        form = PairTable(a.low, b.low, table(generator, a.high - a.low + 1, b, y))
        streams = tuple(stream(element, 3, 1, 8, lanes) for element in (a, b, y))
        yield CombineCodes(name(), streams[:2], streams[2:], form)
    for is_product, lanes in product((False, True), (1, 3)):
        left, right = np.arange(-8, 8) * 4 + 1, generator.integers(-3, 4, 4)
        streams = tuple(stream(element, 3, 1, 4, lanes) for element in (NIBBLE, CRUMB, NIBBLE))
        yield CombineCodes(name(), streams[:2], streams[2:], PairSteps(-8, 0, left, right, is_product, steps))


def largest() -> Iterator[Actor]:
    for element, lanes, last in product((CRUMB, NIBBLE, BINARY, BYTE), (1, 3, 4, 5), (False, True)):
        x = stream(element, 2, 2, 10, lanes)
        yield ArgMaxCodes(name(), (x,), (stream(Element(0, 9), 2, 2, 1, 1),), last)
    x = stream(NIBBLE, 3, 1, 1, 1)
    yield ArgMaxCodes(name(), (x,), (stream(Element(0, 0), 3, 1, 1, 1),))


def all_cases() -> list[Case]:
    actors = [*conversions(), *movements(), *tables(), *combinations(), *largest()]
    cases = [random_case(actor, seed=seed) for seed, actor in enumerate(actors)]
    for element, last in product((CRUMB, BYTE), (False, True)):  # ties, and codes below every bit of padding
        x = stream(element, 1, 1, 5, 3)
        actor = ArgMaxCodes(name(), (x,), (stream(Element(0, 4), 1, 1, 1, 1),), last)
        lowest = np.full((1, 1, 5), element.low)
        cases.append(Case(actor, ((lowest,), (lowest + np.array([0, 2, 1, 2, 0]),))))
    return cases


def test_compiled_actors_equal_reference_and_trace(tmp_path: Path) -> None:
    cases = all_cases()
    check(cases, build(cases, tmp_path))


def test_under_sanitizers(tmp_path: Path) -> None:
    cases = all_cases()[::8]
    check(cases, build(cases, tmp_path, flags=SANITIZERS))


# Traces and errors ----------------------------------------------------------------------------------------------------


def test_a_wider_word_takes_an_iteration_for_each_word_that_it_is_made_of() -> None:
    told = trace(Convert("c", (stream(BYTE, 2, 1, 4, 2),), (stream(BYTE, 2, 1, 4, 4),)))
    assert (told.iterations, told.reads[0].tolist(), told.writes[0].tolist()) == (4, [0, 1, 2, 3], [1, 3])


def test_a_narrower_word_reads_only_when_nothing_is_left() -> None:
    told = trace(Convert("c", (stream(BYTE, 2, 1, 4, 4),), (stream(BYTE, 2, 1, 4, 2),)))
    assert (told.iterations, told.reads[0].tolist(), told.writes[0].tolist()) == (4, [0, 2], [0, 1, 2, 3])


def test_tables_of_channels_are_dealt_to_lanes() -> None:
    x, y = stream(Element(0, 1), 1, 1, 3, 2), stream(CRUMB, 1, 1, 3, 2)
    text = instance(MapCodes("m", (x,), (y,), np.array([[0, 1], [2, 3], [3, 0]]))).constants
    assert "m_table[2][4]" in text
    assert re.findall("0x([0-3])ULL", text) == ["0", "1", "3", "0", "2", "3", "0", "0"]


def refused() -> Iterator[tuple[Actor, type[Exception], str]]:
    four, six = stream(BYTE, 1, 1, 4, 2), stream(BYTE, 1, 1, 6, 2)
    yield Fork("f", (four,), (four, six)), GraphError, "actor 'f' copies"
    yield Convert("c", (four,), (six,)), GraphError, "not the same codes, or not as many"
    yield Convert("c", (four,), (stream(NIBBLE, 1, 1, 4, 2),)), GraphError, "not the same codes"
    yield ConcatChannels("j", (four, four), (six,)), GraphError, "parts add up to the channels of the whole"
    odd = stream(BYTE, 1, 1, 5, 2)
    yield SplitChannels("d", (stream(BYTE, 1, 1, 10, 2),), (odd, odd)), GraphError, "lanes divide the channels"
    yield MapCodes("m", (four,), (four,), np.zeros((1, 16), np.int64)), GraphError, "has tables"
    yield (
        CombineCodes("p", (four, six), (four,), PairTable(0, 0, np.zeros((1, 1), np.int64))),
        GraphError,
        "must be equal",
    )
    wide = stream(Element(0, 1 << 16), 1, 1, 4, 2)
    yield MapCodes("m", (wide,), (four,), np.zeros((1, 65537), np.int64)), UnsupportedError, "codes of 17 bits"
    yield ArgMaxCodes("a", (four,), (stream(CRUMB, 1, 1, 4, 2),)), GraphError, "one code a pixel"
    yield ArgMaxCodes("a", (six,), (stream(CRUMB, 1, 1, 1, 1),)), GraphError, "holds 0 to 5"


@pytest.mark.parametrize(("actor", "error", "text"), list(refused()))
def test_streams_that_do_not_fit_are_refused(actor: Actor, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        instance(actor)
