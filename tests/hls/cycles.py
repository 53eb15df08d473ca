"""Runs loops in the cycle mode of C simulation: tests/hls/cycles_program.cpp, its input and its report."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.schedule.processes import Processes, processes_of
from subbyte.targets.hls.schedule.simulate import Blocked, Simulation, Waits

_HLS = Path(str(importlib.util.find_spec("subbyte.targets.hls").submodule_search_locations[0]))  # type: ignore[union-attr,index]
INCLUDE = (f"-I{_HLS / 'csim' / 'include'}", f"-I{_HLS / 'kernels'}")
FLAGS = ("-std=c++14", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
CYCLES = "-DSUBBYTE_HLS_CYCLES"
SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Run:
    """What a run of the program left: its status, text and JSON, and the words that moved, a line each."""

    status: int
    text: str
    report: Simulation
    moves: tuple[str, ...]


def build_cycles_program(path: Path, *flags: str) -> None:
    """Compile the program for all designs to `path`."""
    source = str(Path(__file__).with_name("cycles_program.cpp"))
    compile_cpp(path, CYCLES, *flags, source)


def compile_cpp(path: Path, *arguments: str) -> None:
    """g++ with our headers, with warnings as errors."""
    done = subprocess.run(("g++", *FLAGS, *INCLUDE, *arguments, "-o", str(path)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]


def run_cycles(
    program: Path, folder: Path, design: Design, frames: int, overriding: Mapping[str, int] | None = None
) -> Run:
    """Run `design` with its own depths, or those `overriding` them at run time."""
    described, depths, report, moves = (folder / name for name in ("design", "depths", "report", "moves"))
    report.unlink(missing_ok=True)
    described.write_text(_described(processes_of(design)))
    depths.write_text("".join(f"{name} {depth}\n" for name, depth in (overriding or {}).items()))
    command = [str(program), str(described), str(frames), str(depths), str(report), str(moves)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert report.is_file(), done.stdout + done.stderr
    found = simulation_of(json.loads(report.read_text()))
    return Run(done.returncode, done.stdout, found, tuple(moves.read_text().splitlines()))


def _described(network: Processes) -> str:
    """The processes as the program reads them."""
    lines = [f'stream "{fifo.name}" {fifo.depth}' for fifo in network.fifos]
    for process in network.processes:
        lines.append(f'process "{process.name}" {process.latency} {process.iterations}')
        for kind, numbers in (("in", process.inputs), ("out", process.outputs)):
            for number in numbers:
                fifo = network.fifos[number]
                moves = fifo.reads if kind == "in" else fifo.writes
                lines.append(" ".join([kind, f'"{fifo.name}"', str(fifo.words), *map(str, moves.tolist())]))
    return "\n".join(lines) + "\n"


def simulation_of(report: Mapping[str, Any]) -> Simulation:
    """The JSON report of the cycle mode in the words of Python's simulation."""
    return Simulation(
        tuple(frame["begin"] for frame in report["frames"]),
        tuple(frame["finish"] for frame in report["frames"]),
        {name: Waits(item["waits_for_words"], item["waits_for_room"]) for name, item in report["processes"].items()},
        {name: item["high_water"] for name, item in report["streams"].items()},
        tuple(Blocked(item["process"], item["stream"], item["for_room"], item["until"]) for item in report["deadlock"]),
    )
