"""A compiled model as a program that runs step by step, for an emulator that counts its instructions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subbyte.compiler.codegen.bundle import Bundle, write_bundle
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler
from subbyte.compiler.toolchain.instruction_counts import COUNTING, Counts, EmulationError, count

_RUNTIME = Path(__file__).parents[2] / "runtime_cpp"


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


def build_steps(bundle: Bundle, target: Target, folder: Path) -> Program:
    """Build `bundle` into `folder` as a static program for `target`: the real runner's code, without its stripping.

    Raises: ToolchainError.
    """
    write_bundle(bundle, folder, {})
    compiler = find_compiler(target, libc="musl")
    made, program = folder / "model.o", folder / "steps"
    compile_c(compiler, (*compiler.flags_for(target), "-fPIC", "-c"), [folder / "model.c"], made)  # as in libraries
    sources = [COUNTING / "steps.c", _RUNTIME / "runner" / "tensors.c", *sorted((_RUNTIME / "src").glob("*.c")), made]
    includes = [f"-I{_RUNTIME / name}" for name in ("include", "src", "runner")]
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
