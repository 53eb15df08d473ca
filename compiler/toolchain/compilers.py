"""Finds the C compiler for a target and runs it: the machine's own for what runs here, `zig cc` for all the rest."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import Target

Libc = Literal["gnu", "musl"]
INSTALL_CROSS = "pip install 'subbyte[cross]'"

# No contraction, strict floats: the headers guard themselves, the flags say it once more.
_FLAGS = ("-std=c99", "-O3", "-ffp-contract=off", "-fno-math-errno", "-g0")
_WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
_OLDEST_GLIBC = "2.17"  # of zig's, the first for aarch64: programs linked with it run on every later one


@dataclass(frozen=True)
class Compiler:
    """A C compiler: the command that starts it, and its family, which decides the flags."""

    command: tuple[str, ...]
    family: str  # "gcc", "clang" or "zig"
    version: str

    def flags_for(self, target: Target, *, baseline: bool = False, libc: Libc = "musl") -> tuple[str, ...]:
        """The flags with which model.c is compiled for `target`; `baseline` without its instruction sets.

        libc: which one zig brings; other compilers have their own.
        """
        if self.family == "zig":
            # -O3 reaches clang as -O2 unless it is said twice; sanitizers are on without the flag after it; without
            # tables for unwinding, 32-bit Arm needs no symbol of a C++ runtime.
            architecture = ["-target", zig_triple(target, libc), *([] if baseline else [f"-mcpu={target.zig_cpu}"])]
            further = ("-Xclang", "-O3", "-fno-sanitize=undefined", "-fomit-frame-pointer", *_NO_UNWINDING)
            return (*architecture, *_FLAGS, *further)
        return (*(() if baseline else target.compiler_flags), *_FLAGS)


_NO_UNWINDING = ("-fno-unwind-tables", "-fno-asynchronous-unwind-tables")


def zig_triple(target: Target, libc: Libc) -> str:
    """`aarch64-linux-musl`, `arm-linux-gnueabihf.2.17`; what is not Linux's stays: `native`."""
    if "-linux-gnu" not in target.zig_target:
        return target.zig_target
    if libc == "gnu":
        return f"{target.zig_target}.{_OLDEST_GLIBC}"
    return target.zig_target.replace("-linux-gnu", "-linux-musl")


def find_compiler(target: Target, command: str | None = None, libc: Libc | None = None) -> Compiler:
    """The compiler for `target`: `command` where one is named, the host's where the target runs here, else zig.

    libc: what a runner is to be linked with; musl comes with zig alone.
    Raises ToolchainError with the way on where there is none.
    """
    if command is not None:
        named = _probe(tuple(command.split()))
        if libc == "musl" and named.family != "zig":
            raise ToolchainError(f"'{command}' has its own C library; musl comes with zig alone. Leave out --libc.")
        return named
    if target.runs_here and libc != "musl":
        for name in ("cc", "gcc", "clang"):
            if shutil.which(name):
                return _probe((name,))
    if importlib.util.find_spec("ziglang") is not None:
        return _probe((sys.executable, "-m", "ziglang", "cc"))
    if not target.runs_here:
        need = f"a cross compiler for '{target.name}'"
    else:
        need = "a C compiler that brings musl" if libc == "musl" else "a C compiler (gcc or clang)"
    raise ToolchainError(
        f"{need} is needed to build the bundle, and none was found. `{INSTALL_CROSS}` brings one, and --compiler names "
        "another; with --no-build the C sources are written without it."
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
    compiler: Compiler,
    flags: tuple[str, ...],
    sources: list[Path],
    output: Path,
    *,
    warnings: bool = False,
    cache: Path | None = None,
) -> None:
    """Compile `sources` to `output`; raises ToolchainError with the first lines of what the compiler said.

    warnings: every warning of C99 is an error. The project's tests ask for that; a user's newer compiler may see more.
    cache: where zig keeps a copy of the object; among those in the user's cache, which only grows, where it is None.
    """
    command = [*compiler.command, *flags, *(_WARNINGS if warnings else ()), "-o", str(output), *map(str, sources)]
    environment = None if cache is None else {"ZIG_LOCAL_CACHE_DIR": str(cache)}
    run_tool(command, f"compiling {', '.join(source.name for source in sources)}", environment)


def run_tool(command: list[str], doing: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a tool of the toolchain to its end, with `environment` on top of that of this process."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
            env=None if environment is None else {**os.environ, **environment},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{doing} failed: {error}") from error
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[:12])
        raise ToolchainError(f"{doing} failed: `{command[0]}` ended with {done.returncode} and said:\n{said}")
