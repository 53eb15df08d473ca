"""SystemVerilog of actors: in Verilator it equals `reference`, with and without back pressure, in the stated cycles."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fpga_units import BIPOLAR, Maker
from subbyte.compiler.errors import ToolchainError, UnsupportedError
from subbyte.targets.hls import registry as registry  # references and traces
from subbyte.targets.hls.actors import (
    Actor,
    ArgMaxCodes,
    DepthwiseVector,
    Design,
    Product,
    SlidingWindow,
    WindowMax,
    WindowOrder,
)
from subbyte.targets.hls.reference import reference, words_of
from subbyte.targets.hls.rtl.emit import rtl_project
from subbyte.targets.hls.rtl.rtl import rtl
from subbyte.targets.hls.rtl.systemverilog import systemverilog
from subbyte.targets.hls.rtl.testbench import Port, Unit
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType
from subbyte.targets.hls.trace import trace
from tests.hls.rtl_program import Outcome, simulate

FRAMES = 3
UNSIGNED, SIGNED = Element(0, 15), Element(-8, 7)


def products(make: Maker) -> list[Actor]:
    """SIMD 4 and PE 3 as tiles, with channels and outputs around them and 1 alone, one run and several."""
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
    for steps in (
        "compare 1",
        "compare 15",
        "search 1",
        "search 15",
        "search 9",
        "fixed",
        "fixed live",
        "fixed even",
        "fixed odd",
    ):
        for rows in (False, True):
            found.append(make.matrix_vector(SIGNED, (-2, 3), Product.MULTIPLY, 6, 5, 3, 2, steps, rows=rows))
    return found


def windows(make: Maker) -> list[Actor]:
    """One pixel and more, kernels as large as frames, pads wider than kernels, words that channels do not fill."""
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


def under_windows(make: Maker) -> list[Actor]:
    """Lanes 3 as a tile, with channels around it."""
    return [
        make.depthwise(UNSIGNED, tuple(range(-8, 8)), Product.MULTIPLY, 3, 4, 3, "compare 3"),
        make.depthwise(SIGNED, (-1, 0, 1), Product.ADD, 4, 9, 3, "search 7"),
        make.depthwise(BIPOLAR, (-1, 1), Product.XNOR, 5, 3, 2, "unchanged"),
        make.depthwise(UNSIGNED, (-3, 4), Product.SHIFT, 2, 1, 1, "fixed even"),
        make.window_max(SIGNED, 4, 9, 3),
        make.window_max(UNSIGNED, 3, 1, 3),
        make.window_max(BIPOLAR, 1, 2, 1),
    ]


def movement(make: Maker) -> list[Actor]:
    """To more lanes and fewer, dividing or not, within runs and across them."""
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


def words(actor: Actor, stream: Stream, frame: Codes) -> list[int]:
    writes_them = isinstance(actor, SlidingWindow) and actor.order is WindowOrder.CHANNELS and stream is actor.y
    reads_them = isinstance(actor, (DepthwiseVector, WindowMax)) and stream is actor.x
    return words_of(frame, stream.type, channels_first=writes_them or reads_them)


def unit_of(actor: Actor, make: Maker) -> Unit:
    """`actor` on frames with the ends of its codes among them."""
    frames = [tuple(make.frame(stream.type) for stream in actor.inputs) for _ in range(FRAMES)]
    results = [reference(actor, *frame) for frame in frames]
    inputs, outputs = (
        tuple(
            Port(stream.type, tuple(word for group in groups for word in words(actor, stream, group[at])))
            for at, stream in enumerate(streams)
        )
        for streams, groups in ((actor.inputs, frames), (actor.outputs, results))
    )
    return Unit(actor.name, inputs, outputs)


def unit_of_chain(design: Design, make: Maker) -> Unit:
    """A design whose actors read each from the one before."""
    x, y = design.inputs[0].type, design.outputs[0].type
    frames = [make.frame(x) for _ in range(FRAMES)]
    results = frames
    for actor in design.actors:
        results = [reference(actor, frame)[0] for frame in results]
    ports = (
        Port(of_type, tuple(word for frame in group for word in words_of(frame, of_type)))
        for of_type, group in ((x, frames), (y, results))
    )
    return Unit(design.name, (next(ports),), (next(ports),))


def test_modules_equal_the_reference(tmp_path: Path, optional_capability: Callable[[str, str], None]) -> None:
    """Actors alone and a design, all in one program: building it is what takes time."""
    if not shutil.which("verilator"):
        optional_capability("rtl tools", "verilator is not installed")
    make = Maker()
    actors = [*products(make), *windows(make), *under_windows(make), *movement(make)]
    design = make.design()
    units = [*(unit_of(actor, make) for actor in actors), unit_of_chain(design, make)]
    verilog = systemverilog("".join(rtl(actor).netlist.text() for actor in actors))
    project = rtl_project(design)
    assert not project.missing
    verilog += "".join(text.decode() for path, text in project.files.items() if path.endswith(".sv"))
    outcomes = simulate(units, verilog, tmp_path)
    for actor in actors:
        free, pressed = outcomes[actor.name]
        cycles = FRAMES * trace(actor).iterations + rtl(actor).latency
        assert free == Outcome(True, 0, cycles), actor
        assert (pressed.done, pressed.errors) == (True, 0), actor
    assert all((outcome.done, outcome.errors) == (True, 0) for outcome in outcomes[design.name])


def test_what_has_no_module_is_named() -> None:
    make = Maker()
    x = make.matrix_vector(UNSIGNED, (1, 2), Product.MULTIPLY, 4, 3, 2, 1, "unchanged").y
    last = ArgMaxCodes("largest", (x,), (Stream("number", StreamType(Element(0, 2), 1, 3, 1, 1)),))
    project = rtl_project(Design("small", (last,), (x,), last.outputs))
    assert list(project.files) == ["rtl/README.md"]
    assert "actor 'largest' is a ArgMaxCodes" in project.missing["largest"]
    assert project.missing["largest"] in project.files["rtl/README.md"].decode()


def test_windows_of_several_taps_a_word_are_refused() -> None:
    window = Maker().sliding_window((4, 4, 2), 2, (3, 3))
    y = replace(window.y, type=replace(window.y.type, channels=18, lanes=18, runs=1))
    with pytest.raises(UnsupportedError, match="one tap a cycle"):
        rtl(replace(window, outputs=(y,), taps_per_word=9))


def test_the_text_is_the_same_every_time() -> None:
    assert rtl_project(Maker().design()).files == rtl_project(Maker().design()).files


def test_circt_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "circt", None)
    with pytest.raises(ToolchainError, match=re.escape("pip install 'subbyte[hls]'")):
        rtl_project(Maker().design())


def test_modules_lie_in_files_of_their_own() -> None:
    """The design's is named like it, its FIFOs are shared by depth and width."""
    assert list(rtl_project(Maker().design()).files) == [
        "rtl/unit_1.sv",
        "rtl/unit_2.sv",
        "rtl/unit_3.sv",
        "rtl/unit_4.sv",
        "rtl/chain_fifo_2x9.sv",
        "rtl/chain_fifo_1x8.sv",
        "rtl/chain_fifo_5x20.sv",
        "rtl/chain.sv",
        "rtl/README.md",
    ]
