"""Every kernel header compiles alone, as C99 without a warning, with every C compiler at hand."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from subbyte.compiler.target import Kernel, Target, families, header_closure
from subbyte.compiler.toolchain.compilers import find_compiler
from subbyte.compiler.toolchain.emulators import needs_emulator

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c")


def _headers() -> Iterator[tuple[Target, Path]]:
    """The headers of each family's rows, each with the first target that has one of its kernels."""
    for family in families().values():
        seen: set[Path] = set()
        targets = [target for name in family.names if (target := family.resolve(name)) is not None]
        for target in targets:
            own: list[Kernel] = [kernel for kernel in target.kernels if kernel in family.kernels]
            for header in dict.fromkeys(kernel.header for kernel in own):
                if header not in seen:
                    seen.add(header)
                    yield target, header


def _commands(target: Target) -> list[tuple[str, ...]]:
    """The compilers of this machine where they make code for the architecture, else the one for `target`."""
    names = [] if needs_emulator(target) else [name for name in ("clang", "clang-19", "gcc") if which(name)]
    compiler = find_compiler(target)
    return [(name, *target.compiler_flags) for name in names] or [(*compiler.command, *compiler.flags_for(target))]


@pytest.mark.parametrize(("target", "header"), list(_headers()), ids=lambda value: value.name)
def test_header_compiles_alone(target: Target, header: Path, tmp_path: Path) -> None:
    for path in header_closure(header):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header.name}"\nextern int nothing;\n')
    for command in _commands(target):
        done = [*command, *STRICT, "-o", str(tmp_path / "alone.o"), str(source)]
        found = subprocess.run(done, capture_output=True, text=True, check=False)
        assert found.returncode == 0, f"{command[0]} does not accept {header.name}:\n{found.stderr}"
