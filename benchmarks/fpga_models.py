"""Estimates of target hls for small networks on a Zynq-7020, and how close their FIFOs are to the smallest there are.

    python -m benchmarks.fpga_models [--shared FOLDER] [--fifos] [--cycles]

--fifos: for each design, FIFOs that are smaller and keep its rate are looked for by simulation alone: each FIFO is
halved into the least depth with which the cycles between frames stay, the largest first, again and again until none
shrinks; once from the chosen depths and once from FIFOs as full as they get without an end. Both searches are greedy.
--cycles: the cycle mode of the generated C++ counts the same frames.

All figures but those of --cycles are ESTIMATES by formulas; no synthesis was made.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.fpga import DESIGNS, network_of
from subbyte.compiler.codegen.bundle import write_bundle
from subbyte.compiler.hls.compile import HlsDesign, design_of, project_of
from subbyte.compiler.hls.csim import count_cycles
from subbyte.compiler.hls.options import HlsOptions
from subbyte.compiler.ir.grids import parse_grid
from subbyte.compiler.pipeline import Options
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.schedule import simulate

ROOT = Path(__file__).parents[1]
PART = "xc7z020"
FRAMES = 6


@dataclass(frozen=True)
class Subject:
    """A network and what it is folded for."""

    name: str
    model: Any
    fps: float | None = None
    latency: float | None = None
    grids: Mapping[str, str] | None = None


def subjects(shared: Path) -> Iterator[Subject]:
    models = ROOT / "models"
    yield Subject("TFC_2W2A", shared / "TFC_2W2A.qonnx.onnx", fps=100_000)
    yield Subject("kws_w3a3 (random weights)", network_of(DESIGNS[0]), latency=17.5e-6)
    yield Subject(
        "qkeras_jettagging", shared / "qkeras_jettagging.qonnx.onnx", fps=1_000_000, grids={"global_in": "fixed<16,6>"}
    )
    yield Subject("digits_mlp_w2a2", models / "digits_mlp_w2a2.qonnx.onnx", fps=100_000)
    yield Subject("digits_resnet_w2a2", models / "digits_resnet_w2a2.qonnx.onnx", fps=10_000)


def designed(subject: Subject) -> HlsDesign:
    grids = {name: parse_grid(grid) for name, grid in (subject.grids or {}).items()}
    hls = HlsOptions(part=PART, fps=subject.fps, latency=subject.latency)
    return design_of(subject.model, Options(input_grids=grids), hls)


def fifo_bits(design: Design, depths: Mapping[str, int]) -> int:
    return sum(depths[stream.name] * stream.type.word_bits for stream in design.streams)


def smallest(design: Design) -> dict[str, int]:
    """The depths of the fewest bits in all that the greedy searches find at the rate of FIFOs without an end."""
    unbounded = {stream.name: 1 << 40 for stream in design.streams}
    free = simulate(design, FRAMES, unbounded)
    roomy = {name: max(2, most) for name, most in free.high_water.items()}
    found = [_shrunk(design, dict(start), free.period) for start in (design.depths, roomy)]
    return min(found, key=lambda depths: fifo_bits(design, depths))


def _keeps(design: Design, depths: Mapping[str, int], period: int) -> bool:
    found = simulate(design, FRAMES, depths)
    return not found.deadlock and found.period <= period


def _shrunk(design: Design, depths: dict[str, int], period: int) -> dict[str, int]:
    bits = {stream.name: stream.type.word_bits for stream in design.streams}
    shrinking = True
    while shrinking:
        shrinking = False
        for name in sorted(depths, key=lambda name: -depths[name] * bits[name]):
            low, high = 2, depths[name]
            while low < high:
                middle = (low + high) // 2
                if _keeps(design, {**depths, name: middle}, period):
                    high = middle
                else:
                    low = middle + 1
            shrinking |= high < depths[name]
            depths[name] = high
    return depths


def counted(made: HlsDesign) -> tuple[int, int]:
    """Cycles between the last two frames, and of the first, as the generated C++ counts them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        write_bundle(project_of(made), folder, {})
        _, report = count_cycles(folder)
    frames = report["frames"]
    return frames[-1]["finish"] - frames[-2]["finish"], frames[0]["finish"] - frames[0]["begin"] + 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fpga_models", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "models", help="the shared models")
    parser.add_argument("--fifos", action="store_true", help="look for the smallest FIFOs by simulation")
    parser.add_argument("--cycles", action="store_true", help="count cycles in the generated C++")
    asked = parser.parse_args(arguments)
    print(f"{PART} at 100 MHz, estimates")
    for subject in subjects(asked.shared):
        began = perf_counter()
        made = designed(subject)
        found = made.estimate
        seconds = perf_counter() - began
        r = found.resources
        print(
            f"{subject.name:26} {'met' if made.folding.met else 'NOT MET':8} {found.frame_cycles:6} cycles "
            f"{found.fps:11,.0f}/s {found.latency_us:8.2f} us {r.lut:6} LUT {r.ff:6} FF {r.dsp:4} DSP "
            f"{r.bram18:4} BRAM18 ({seconds:.1f} s)",
            flush=True,
        )
        if asked.cycles:
            period, first = counted(made)
            print(
                f"{'':26} counted in C++: {period} cycles between frames, {first} of the first ({found.latency_cycles})"
            )
        if asked.fifos:
            chosen, least = fifo_bits(made.design, made.design.depths), fifo_bits(made.design, smallest(made.design))
            print(f"{'':26} FIFOs: {chosen} bits, smallest found {least}: {chosen / least:.2f}", flush=True)


if __name__ == "__main__":
    main()
