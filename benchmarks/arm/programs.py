"""A compiled model as a program for an emulator, step by step: built without the stripping of the real runner."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arm.cores import Core
from benchmarks.arm.counts import Counts, EmulationError, count
from subbyte.compiler.api import compile_bundle
from subbyte.compiler.codegen.bundle import write_bundle
from subbyte.compiler.pipeline import Options
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler
from subbyte.compiler.tuning import TuningRecord

_REPOSITORY = Path(__file__).resolve().parents[2]
_STEPS = Path(__file__).with_name("steps.c")


@dataclass(frozen=True)
class Program:
    """path: of the executable, with its symbols. steps: as the bundle's manifest describes them."""

    path: Path
    steps: tuple[dict[str, Any], ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class StepCounts:
    """What one run of a step executes."""

    name: str
    kernel: str
    sources: tuple[str, ...]
    macs: int
    counts: Counts


def build_program(
    model: Path, core: Core, folder: Path, tuning: tuple[TuningRecord, ...] = (), weights: str = "inline"
) -> Program:
    """Compile `model` for `core` into `folder`: nothing left out of it.

    Raises: SubbyteError.
    """
    target = find_target(core.target)
    options = Options(name="model", remove_work=False, weights=weights, tuning=tuning)
    bundle = compile_bundle(model, target, options)
    write_bundle(bundle, folder, {})
    compiler = find_compiler(target, libc="musl")
    made, program = folder / "model.o", folder / "steps"
    compile_c(compiler, (*compiler.flags_for(target), "-fPIC", "-c"), [folder / "model.c"], made)  # as in libraries
    runtime = _REPOSITORY / "runtime_cpp"
    sources = [_STEPS, runtime / "runner" / "tensors.c", *sorted((runtime / "src").glob("*.c")), made]
    includes = [f"-I{runtime / name}" for name in ("include", "src", "runner")]
    flags = (*compiler.flags_for(target, baseline=True), "-std=gnu99", "-D_POSIX_C_SOURCE=200809L")
    # static: addresses are those of the program's listing
    compile_c(compiler, (*flags, *includes, "-static", "-pthread"), sources, program)
    manifest = json.loads((folder / "manifest.json").read_text())
    weights_file = folder / "weights.bin"
    return Program(program, tuple(manifest["steps"]), (str(weights_file),) if weights_file.is_file() else ())


def count_steps(program: Program, emulator: Sequence[str]) -> list[StepCounts]:
    """One run of each step.  Raises: EmulationError."""
    sections = count(program.path, emulator, program.arguments, mark="step_begins")
    if len(sections) != len(program.steps) + 2:
        raise EmulationError(f"{program.path} has {len(program.steps)} steps, and {len(sections) - 2} were counted")
    return [
        StepCounts(step["name"], step["kernel"], tuple(step["sources"]), step["macs"], counts)
        for step, counts in zip(program.steps, sections[1:-1], strict=True)
    ]
