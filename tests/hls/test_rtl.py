"""SystemVerilog of actors: in Verilator it equals `reference`, with and without back pressure, in the stated cycles."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from subbyte.targets.hls import registry as registry  # references and traces
from subbyte.targets.hls.actors import Actor, Product, SlidingWindow, WindowOrder
from subbyte.targets.hls.reference import reference, words_of
from subbyte.targets.hls.rtl.rtl import rtl
from subbyte.targets.hls.rtl.systemverilog import systemverilog
from subbyte.targets.hls.rtl.testbench import Port, Unit
from subbyte.targets.hls.streams import Codes, Element, Stream
from subbyte.targets.hls.trace import trace
from tests.hls.rtl_cases import BIPOLAR, Maker
from tests.hls.rtl_program import Outcome, simulate

FRAMES = 3
UNSIGNED, SIGNED = Element(0, 15), Element(-8, 7)


def products() -> list[Actor]:
    """SIMD 4 and PE 3 as tiles, with channels and outputs around them and 1 alone, one run and several."""
    make = Maker()
    found: list[Actor] = []
    kinds = (
        (Product.MULTIPLY, UNSIGNED, tuple(range(-8, 8))),
        (Product.XNOR, BIPOLAR, (-1, 1)),
        (Product.ADD, SIGNED, (-1, 0, 1)),
        (Product.SHIFT, UNSIGNED, (-12, -4, 0, 1, 5, 8)),
    )
    for product, x, values in kinds:
        for channels, outputs, simd, pe, runs in (
            (1, 1, 1, 1, 1),
            (3, 2, 3, 2, 1),
            (4, 3, 4, 3, 2),
            (5, 7, 4, 3, 3),
            (9, 4, 2, 1, 1),
        ):
            found.append(make.matrix_vector(x, values, product, channels, outputs, simd, pe, "compare 3", runs))
    found += [
        make.matrix_vector(Element(-128, 127), (-128, 127), Product.MULTIPLY, 5, 3, 2, 2, "unchanged"),
        make.matrix_vector(BIPOLAR, (-3, 0, 2), Product.MULTIPLY, 5, 3, 2, 2, "unchanged"),
        make.matrix_vector(UNSIGNED, (1, 2, 3), Product.MULTIPLY, 5, 3, 5, 3, "unchanged"),
        make.matrix_vector(BIPOLAR, (-1, 1), Product.ADD, 7, 3, 4, 2, "unchanged"),
        make.matrix_vector(SIGNED, (-2, 4), Product.SHIFT, 7, 3, 4, 2, "unchanged"),
    ]
    for steps in ("compare 1", "compare 15", "search 1", "search 15", "search 9", "fixed", "fixed even", "fixed odd"):
        for rows in (False, True):
            found.append(make.matrix_vector(SIGNED, (-2, 3), Product.MULTIPLY, 6, 5, 3, 2, steps, rows=rows))
    return found


def windows() -> list[Actor]:
    """One pixel and more, kernels as large as frames, pads wider than kernels, words that channels do not fill."""
    make = Maker()
    found: list[Actor] = []
    for order in (WindowOrder.TAPS, WindowOrder.CHANNELS):
        for frame, lanes, *geometry in (
            ((1, 1, 1), 1, (1, 1)),
            ((4, 5, 3), 3, (3, 3)),
            ((4, 5, 5), 2, (3, 3), (1, 1), (1, 1, 1, 1)),
            ((7, 6, 4), 2, (3, 2), (2, 2), (1, 0, 1, 1)),
            ((6, 7, 2), 1, (2, 3), (1, 2), (0, 2, 2, 0), (2, 2)),
            ((5, 5, 3), 2, (5, 5), (3, 3)),
            ((3, 4, 2), 2, (1, 1), (2, 3)),
            ((2, 3, 2), 2, (1, 1), (1, 1), (3, 2, 1, 2)),
            ((1, 9, 2), 1, (1, 4), (1, 1), (0, 2, 0, 1)),
        ):
            found.append(make.sliding_window(frame, lanes, *geometry, order=order))
    return found


def movement() -> list[Actor]:
    """To more lanes and fewer, dividing or not, within runs and across them."""
    make = Maker()
    found: list[Actor] = [make.fork(1), make.fork(3)]
    for x, y in (
        ((3, 1, 4, 4), (3, 1, 4, 4)),
        ((3, 1, 1, 1), (1, 1, 3, 3)),
        ((3, 2, 6, 2), (3, 2, 6, 6)),
        ((3, 2, 6, 6), (3, 2, 6, 1)),
        ((3, 1, 6, 4), (3, 1, 6, 3)),
        ((2, 1, 7, 3), (2, 1, 7, 2)),
        ((4, 1, 5, 2), (1, 1, 20, 3)),
        ((1, 1, 20, 6), (4, 1, 5, 5)),
        ((6, 1, 4, 4), (1, 3, 8, 2)),
    ):
        found.append(make.convert(x, y))
    return found


def run(actors: list[Actor], folder: Path) -> dict[str, tuple[Outcome, Outcome]]:
    """Every actor on frames with the ends of its codes among them."""
    make = Maker()
    units = []
    for actor in actors:
        frames = [tuple(make.frame(stream.type) for stream in actor.inputs) for _ in range(FRAMES)]
        results = [reference(actor, *frame) for frame in frames]
        inputs, outputs = (
            tuple(
                Port(stream.type, tuple(word for group in groups for word in words(actor, stream, group[at])))
                for at, stream in enumerate(streams)
            )
            for streams, groups in ((actor.inputs, frames), (actor.outputs, results))
        )
        units.append(Unit(actor.name, inputs, outputs))
    return simulate(units, systemverilog("".join(rtl(actor).netlist.text() for actor in actors)), folder)


def words(actor: Actor, stream: Stream, frame: Codes) -> list[int]:
    channels_first = isinstance(actor, SlidingWindow) and actor.order is WindowOrder.CHANNELS and stream is actor.y
    return words_of(frame, stream.type, channels_first)


@pytest.mark.parametrize("make", [products, windows, movement])
def test_modules_equal_the_reference(
    make: Callable[[], list[Actor]], tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    if not shutil.which("verilator"):
        optional_capability("rtl tools", "verilator is not installed")
    actors = make()
    outcomes = run(actors, tmp_path)
    for actor in actors:
        free, pressed = outcomes[actor.name]
        cycles = FRAMES * trace(actor).iterations + rtl(actor).latency
        assert free == Outcome(True, 0, cycles), actor
        assert (pressed.done, pressed.errors) == (True, 0), actor
