"""Runs modules in Verilator: one program for many units, each compared with `reference` and its trace."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from subbyte.targets.hls.rtl.testbench import Unit, testbench


@dataclass(frozen=True)
class Outcome:
    """done: all words came; errors: words that differ or should not be; cycles: from the first to the last word."""

    done: bool
    errors: int
    cycles: int


def simulate(
    units: Sequence[Unit], verilog: str, folder: Path, limit: int = 200_000
) -> dict[str, tuple[Outcome, Outcome]]:
    """By module: what it does without and with back pressure."""
    for name, text in testbench(units, limit).items():
        (folder / name).write_text(text)
    (folder / "modules.sv").write_text(verilog)
    command = "verilator --cc --exe --build --top-module bench --Mdir built --x-initial unique --x-assign unique"
    quick = "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"  # compiling takes longer than running
    run([*command.split(), "-MAKEFLAGS", quick, "bench.sv", "modules.sv", "main.cpp"], folder)
    output = run(["./built/Vbench", "+verilator+rand+reset+2"], folder)
    found: dict[tuple[str, int], Outcome] = {}
    for match in re.finditer(r"^(\w+) stall (\d) done (\d) errors (\d+) cycles (\d+)$", output, re.MULTILINE):
        name, stall, done, errors, cycles = match.groups()
        found[name, int(stall)] = Outcome(done == "1", int(errors), int(cycles))
    problems = [line for line in output.splitlines() if " stall " not in line]
    if problems:
        print("\n".join(problems[:20]))
    return {unit.module: (found[unit.module, 0], found[unit.module, 1]) for unit in units}


def run(command: Sequence[str], folder: Path) -> str:
    """What it prints; a failure shows all of it."""
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, f"{' '.join(command)} failed:\n{ran.stdout}{ran.stderr}"
    return ran.stdout
