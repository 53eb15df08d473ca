"""Finds the C compiler for a target and runs it: the machine's own for what runs here, `zig cc` for all the rest."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import Target

# No contraction, strict floats: the headers guard themselves, the flags say it once more.
_FLAGS = ("-std=c99", "-O3", "-ffp-contract=off", "-fno-math-errno", "-g0")
_WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")


@dataclass(frozen=True)
class Compiler:
    """A C compiler: the command that starts it, and its family, which decides the flags."""

    command: tuple[str, ...]
    family: str  # "gcc", "clang" or "zig"
    version: str

    def flags_for(self, target: Target, *, baseline: bool = False) -> tuple[str, ...]:
        """The flags with which model.c is compiled for `target`; `baseline` without its instruction sets."""
        if self.family == "zig":
            # -O3 reaches clang as -O2 unless it is said twice; sanitizers are on without the last flag.
            architecture = ["-target", target.zig_target, *([] if baseline else [f"-mcpu={target.zig_cpu}"])]
            return (*architecture, *_FLAGS, "-Xclang", "-O3", "-fno-sanitize=undefined", "-fomit-frame-pointer")
        return (*(() if baseline else target.compiler_flags), *_FLAGS)


def find_compiler(target: Target, command: str | None = None) -> Compiler:
    """The compiler for `target`: `command` where one is named, the host's where the target runs here, else zig.

    Raises ToolchainError with the way on where there is none.
    """
    if command is not None:
        return _probe(tuple(command.split()))
    if target.runs_here:
        for name in ("cc", "gcc", "clang"):
            if shutil.which(name):
                return _probe((name,))
    if importlib.util.find_spec("ziglang") is not None:
        return _probe((sys.executable, "-m", "ziglang", "cc"))
    need = "a C compiler (gcc or clang)" if target.runs_here else f"a cross compiler for '{target.name}'"
    raise ToolchainError(
        f"{need} is needed to build the bundle, and none was found. Install one, or `pip install 'subbyte[cross]'`, "
        "which brings one; with --no-build the C sources are written without it."
    )


@cache
def _probe(command: tuple[str, ...]) -> Compiler:
    try:
        shown = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"the C compiler '{' '.join(command)}' cannot be run: {error}") from error
    version = shown.splitlines()[0] if shown else "unknown"
    family = "zig" if "ziglang" in command or command[0].endswith("zig") else "clang" if "clang" in shown else "gcc"
    return Compiler(command, family, version)


def compile_c(
    compiler: Compiler, flags: tuple[str, ...], sources: list[Path], output: Path, *, warnings: bool = False
) -> None:
    """Compile `sources` to `output`; raises ToolchainError with the first lines of what the compiler said.

    warnings: every warning of C99 is an error. The project's tests ask for that; a user's newer compiler may see more.
    """
    command = [*compiler.command, *flags, *(_WARNINGS if warnings else ()), "-o", str(output), *map(str, sources)]
    run_tool(command, f"compiling {', '.join(source.name for source in sources)}")


def run_tool(command: list[str], doing: str) -> None:
    """Run a tool of the toolchain to its end."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{doing} failed: {error}") from error
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[:12])
        raise ToolchainError(f"{doing} failed: `{command[0]}` ended with {done.returncode} and said:\n{said}")
