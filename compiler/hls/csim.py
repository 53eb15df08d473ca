"""Builds and runs the C simulation of a project with make and a C++ compiler; no HLS tool is needed."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subbyte.compiler.errors import ToolchainError

_SHOWN_LINES = 15
_SECONDS = 3600
_EQUAL = re.compile(r"^equal: (stream|output) (\S+), (\d+) samples, (\d+) words$", re.MULTILINE)
_MISMATCH = re.compile(
    r"^mismatch: layer (?P<layer>.*), stream (?P<stream>\S+), sample (?P<sample>\d+)"
    r"(?:, index (?P<index>\d+)|, a lane that holds no code)?[:,] got (?P<got>-?\d+)(?: words)?, want (?P<want>-?\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Mismatch:
    """The first difference: the layer that writes the stream, the sample, the index of the code in the frame.

    index is None where not a code differs but the number of words, or a lane that holds no code. text: as printed.
    """

    layer: str
    stream: str
    sample: int
    index: int | None
    got: int
    want: int
    text: str


@dataclass(frozen=True)
class SimulationResult:
    """passed: every word of every stream was equal. words: how many were compared, by stream.

    seconds: of building and running. output: what the testbench printed.
    """

    passed: bool
    words: dict[str, int]
    mismatch: Mismatch | None
    seconds: float
    output: str


def simulate(
    folder: Path, *, ap_types: Path | None = None, sanitize: bool = False, samples: int | None = None, jobs: int = 2
) -> SimulationResult:
    """Run the C simulation of the project in `folder`: outputs and every stream between processes.

    ap_types: the folder of another ap_int.h than ours. sanitize: under the address and undefined-behaviour sanitizers.
    samples: the first so many; all where it is None.
    Raises ToolchainError: make or a C++ compiler is missing, or the project does not compile, or crashes.
    """
    arguments = [] if ap_types is None else [f"AP_TYPES={ap_types.resolve()}"]
    if samples is not None:
        arguments.append(f"ARGUMENTS={samples}")
    return _run(folder, "csim-sanitize" if sanitize else "csim", arguments, jobs)


def count_cycles(folder: Path, *, samples: int | None = None, jobs: int = 2) -> tuple[SimulationResult, dict[str, Any]]:
    """Run the cycle mode of the project in `folder`; also the report that it writes (csim/include/subbyte_cycles.h).

    Raises ToolchainError as `simulate`, and where the design deadlocks.
    """
    report = folder / "csim" / "cycles.json"
    report.unlink(missing_ok=True)
    arguments = [] if samples is None else [f"ARGUMENTS={samples}"]
    result = _run(folder, "cycles", arguments, jobs)
    return result, json.loads(report.read_text()) if report.is_file() else {}


def find_ap_types() -> Path | None:
    """The Apache-licensed ap_int.h that the package hls4ml brings; None where it is not installed."""
    found = importlib.util.find_spec("hls4ml")
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        folder = Path(place) / "templates" / "vivado" / "ap_types"
        if (folder / "ap_int.h").is_file():
            return folder
    return None


def _run(folder: Path, goal: str, arguments: list[str], jobs: int) -> SimulationResult:
    if shutil.which("make") is None:
        raise ToolchainError("C simulation needs `make`, and it was not found; install it (Debian: make, g++)")
    compiler = _compiler()
    if not (folder / "csim" / "Makefile").is_file():
        raise ToolchainError(f"'{folder}' holds no csim/Makefile, so it is no project of target 'hls'")
    began = time.perf_counter()
    command = ["make", "-s", f"-j{jobs}", f"CXX={compiler}", *arguments, goal]
    try:
        done = subprocess.run(
            command, cwd=folder / "csim", capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"C simulation in '{folder}' failed: {error}") from error
    words = {name: int(count) for _, name, _, count in _EQUAL.findall(done.stdout)}
    mismatch = _mismatch(done.stdout)
    failed = mismatch is not None or "\nfailed:" in f"\n{done.stdout}"
    if done.returncode != 0 and not failed:
        said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-_SHOWN_LINES:])
        raise ToolchainError(f"`make {goal}` in '{folder / 'csim'}' ended with {done.returncode} and said:\n{said}")
    passed = done.returncode == 0 and "\npassed:" in f"\n{done.stdout}"
    return SimulationResult(passed, words, mismatch, time.perf_counter() - began, done.stdout)


def _mismatch(output: str) -> Mismatch | None:
    found = _MISMATCH.search(output)
    if found is None:
        return None
    index = None if found["index"] is None else int(found["index"])
    text = output[found.start() : output.find("\n", found.start())]
    return Mismatch(
        found["layer"], found["stream"], int(found["sample"]), index, int(found["got"]), int(found["want"]), text
    )


def build_runner(folder: Path, name: str, place: Path) -> Path:
    """The program that runs samples through the project in `folder`, built in `place`.

    Raises ToolchainError: a C++ compiler is missing, or the project does not compile.
    """
    compiler = _compiler()
    program = place / "run"
    includes = [f"-I{folder / part}" for part in ("include", "kernels", "src", "tb", "csim/include", "csim/ap_types")]
    sources = [str(folder / "src" / f"{name}_top.cpp"), str(folder / "tb" / f"run_{name}.cpp")]
    command = [compiler, "-std=c++14", "-O2", "-w", *includes, *sources, "-o", str(program)]
    _call(command, f"compiling the C simulation of '{folder}'")
    return program


def run_runner(program: Path, inputs: Path, outputs: Path, samples: int) -> None:
    """Run `samples` samples: STREAM.bin of every input stream in `inputs`, of every output stream to `outputs`."""
    _call([str(program), str(inputs), str(outputs), str(samples)], "the C simulation")


def _call(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{what} failed: {error}") from error
    if done.returncode != 0:
        said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-_SHOWN_LINES:])
        raise ToolchainError(f"{what} ended with {done.returncode} and said:\n{said}")


def _compiler() -> str:
    compiler = next((name for name in ("g++", "clang++", "c++") if shutil.which(name)), None)
    if compiler is None:
        raise ToolchainError("C simulation needs a C++14 compiler, and none was found; install g++ or clang++")
    return compiler
