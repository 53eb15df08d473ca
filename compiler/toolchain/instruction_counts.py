"""Exact instruction counts of a program under qemu-user, address by address, through a plugin of the emulator."""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from subbyte.compiler.errors import ToolchainError

COUNTING = Path(__file__).parents[2] / "targets" / "common" / "counting"
_PLUGIN = COUNTING / "count_instructions.c"
_LIMIT_S = 1800


class EmulationError(ToolchainError):
    """A program could not be run and counted."""


@dataclass(frozen=True)
class Counts:
    """executions: of each address that was executed; symbols: the function that it lies in, "?" where none is known."""

    executions: dict[int, int]
    symbols: dict[int, str]

    @property
    def total(self) -> int:
        """All instructions."""
        return sum(self.executions.values())

    def by_symbol(self) -> dict[str, int]:
        """Instructions of each function itself, without what it calls, most first."""
        found: Counter[str] = Counter()
        for address, count in self.executions.items():
            found[self.symbols[address]] += count
        return dict(found.most_common())


def count(
    program: Path, emulator: Sequence[str], arguments: Sequence[str] = (), mark: str | None = None
) -> list[Counts]:
    """Run `program` under `emulator` ("qemu-aarch64", "-cpu", ...), and count.

    mark: a function of it; each call of that ends a section.
    Returns: the counts of each section, one more than there were calls.
    Raises: EmulationError: it ended with another code than 0, or qemu has no plugins.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "counts"
        plugin = f"{built_plugin()},output={output}" + ("" if mark is None else f",mark={mark}")
        command = [*emulator, "-plugin", plugin, str(program), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            raise EmulationError(f"`{' '.join(emulator)}` cannot run {program.name}: {error}") from error
        if done.returncode != 0 or not output.is_file():
            said = " ".join(done.stderr.strip().splitlines()[-3:])
            raise EmulationError(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
        return parse(output.read_text())


def parse(text: str) -> list[Counts]:
    """What the plugin wrote.  Raises EmulationError: it was cut off."""
    sections = [Counts({}, {})]
    lines = text.splitlines()
    if not lines or lines[-1] != "end":
        raise EmulationError("the counts have no line 'end' behind them: the program was ended from without")
    for line in lines[:-1]:
        if line == "mark":
            sections.append(Counts({}, {}))
            continue
        address, executions, symbol = line.split(" ", 2)
        sections[-1].executions[int(address, 16)] = int(executions)
        sections[-1].symbols[int(address, 16)] = symbol
    return sections


def built_plugin() -> Path:
    """The plugin's library, built once for this process.  Raises EmulationError: it does not compile."""
    return Path(_plugin_folder().name) / "count_instructions.so"


@cache
def _plugin_folder() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="subbyte-counts-")
    flags = ["-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    library = Path(folder.name) / "count_instructions.so"
    command = ["cc", *flags, "-o", str(library), str(_PLUGIN)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EmulationError(
            f"instructions are counted by a plugin of the emulator, which `cc` builds; it cannot be run: {error}. A C "
            "compiler of this machine's is needed."
        ) from error
    if done.returncode != 0:
        raise EmulationError(f"{_PLUGIN.name} does not compile: {done.stderr.strip()}")
    return folder
