"""SystemVerilog of actors: in Verilator it equals `reference`, with and without back pressure, in the stated cycles."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from subbyte.targets.hls import registry as registry  # references and traces
from subbyte.targets.hls.actors import Actor, Product
from subbyte.targets.hls.reference import reference, words_of
from subbyte.targets.hls.rtl.rtl import rtl
from subbyte.targets.hls.rtl.systemverilog import systemverilog
from subbyte.targets.hls.rtl.testbench import Port, Unit
from subbyte.targets.hls.streams import Element
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


def run(actors: list[Actor], folder: Path) -> dict[str, tuple[Outcome, Outcome]]:
    """Every actor on frames with the ends of its codes among them."""
    make = Maker()
    units = []
    for actor in actors:
        frames = [tuple(make.frame(stream.type) for stream in actor.inputs) for _ in range(FRAMES)]
        results = [reference(actor, *frame) for frame in frames]
        inputs, outputs = (
            tuple(
                Port(stream.type, tuple(word for group in all_frames for word in words_of(group[at], stream.type)))
                for at, stream in enumerate(streams)
            )
            for streams, all_frames in ((actor.inputs, frames), (actor.outputs, results))
        )
        units.append(Unit(actor.name, inputs, outputs))
    return simulate(units, systemverilog("".join(rtl(actor).modules for actor in actors)), folder)


@pytest.mark.parametrize("make", [products])
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
