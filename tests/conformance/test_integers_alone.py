"""Kernels that compute in integers alone are compiled where there are no float registers, and call no soft float."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from subbyte.compiler.target import find_target, header_closure
from subbyte.targets.portable import kernels_functions
from tests.conformance import cases_functions, cases_normalization  # noqa: F401  (each registers its cases)
from tests.conformance.cases import all_cases
from tests.conformance.harness import Functions, Prepared

ALLOWED = {"memcpy", "memset", "__udivdi3", "__divdi3"}


def floats_of(calls: list[Prepared], folder: Path, command: str) -> str:
    """What the compiler says of these calls where float registers are forbidden, or the soft float that they call."""
    for path in {path for call in calls for path in header_closure(call.kernel.header)}:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "calls.c").write_text(Functions(calls).source)
    flags = ["-std=c99", "-O2", "-mgeneral-regs-only", "-c", "-o", str(folder / "calls.o"), str(folder / "calls.c")]
    done = subprocess.run([command, *flags], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr
    shown = subprocess.run(["nm", "-u", str(folder / "calls.o")], capture_output=True, text=True, check=True).stdout
    return " ".join(sorted({line.split()[-1] for line in shown.splitlines()} - ALLOWED))


def prepared(symbols: set[str]) -> list[Prepared]:
    """A few cases of each kernel in `symbols`."""
    found = []
    for kernel in find_target("portable").kernels:
        if kernel.symbol in symbols:
            cases = [case for case in all_cases() if type(case.node(False)) is kernel.op]
            accepted = [case for case in cases if kernel.accepts(case.node(False))]
            found += [
                Prepared(case.name, kernel, node := case.node(False), case.arrays(node)) for case in accepted[:12]
            ]
    return found


@pytest.fixture
def compiler(optional_capability: Callable[[str, str], NoReturn]) -> str:
    """gcc or clang for a processor on which the float registers can be forbidden."""
    found = next((name for name in ("gcc", "clang") if shutil.which(name)), None)
    if found is None or not shutil.which("nm") or platform.machine() not in ("x86_64", "aarch64"):
        optional_capability("instruction set", "no gcc or clang is here for a processor whose float can be forbidden")
    return found


def test_no_float_is_used(compiler: str, tmp_path: Path) -> None:
    calls = prepared({kernel.symbol for kernel in kernels_functions.ROWS})
    assert {call.kernel.op for call in calls} == {kernel.op for kernel in kernels_functions.ROWS}
    assert floats_of(calls, tmp_path, compiler) == ""


def test_a_float_would_be_found(compiler: str, tmp_path: Path) -> None:
    assert floats_of(prepared({"subbyte_normalize_floats"}), tmp_path, compiler) != ""
