"""Instruction sets can be hidden: by CPUID faulting where there is some, else by CPUID instructions that trap."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.isa_mask import LEVELS, build_mask, can_fault
from benchmarks.patched_peers import CPUID, TRAP, patch
from subbyte.compiler.target import find_target

AVX2, AVX512F, AVX_VNNI = 1 << 5, 1 << 16, 1 << 4
LEAF_7 = """
#include <cpuid.h>
unsigned leaf7(unsigned subleaf, int second) {
    unsigned a, b, c, d;
    __cpuid_count(7, subleaf, a, b, c, d);
    return second ? b : a;
}
"""
SCRIPT = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
print(library.leaf7(0, 1), library.leaf7(1, 0))
if len(sys.argv) > 2:
    assert ctypes.CDLL(None).cpuid_mask_answers() >= 2
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library that asks the processor."""
    (tmp_path / "leaf7.c").write_text(LEAF_7)
    path = tmp_path / "leaf7.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", path, tmp_path / "leaf7.c"], check=True)
    return path


def seen_by(library: Path, environment: dict[str, str]) -> tuple[int, int]:
    """(EBX of leaf 7, EAX of its subleaf 1) as `library` gets them."""
    command = [sys.executable, "-c", SCRIPT, str(library), *(["masked"] if environment else [])]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    first, second = done.stdout.split()
    return int(first), int(second)


def environment(level: str, trap: str, folder: Path) -> dict[str, str]:
    return {"LD_PRELOAD": str(build_mask(folder)), "SUBBYTE_CPUID_LEVEL": level, "SUBBYTE_CPUID_TRAP": trap}


def check_hidden(level: str, unmasked: tuple[int, int], masked: tuple[int, int]) -> None:
    assert masked[0] & AVX2 == unmasked[0] & AVX2
    assert masked[0] & AVX512F == 0
    assert masked[1] & AVX_VNNI == (unmasked[1] & AVX_VNNI if level == "avxvnni" else 0)


def test_every_level_has_a_target() -> None:
    assert [find_target(name).name for name in LEVELS.values()] == list(LEVELS.values())


@pytest.mark.parametrize("level", list(LEVELS))
def test_a_patched_library_sees_what_is_left(level: str, library: Path, tmp_path: Path) -> None:
    patched = patch(library)
    assert patched is not None
    (tmp_path / "patched.so").write_bytes(patched)
    check_hidden(level, seen_by(library, {}), seen_by(tmp_path / "patched.so", environment(level, "patched", tmp_path)))


def test_a_patch_changes_the_instruction_and_nothing_else(library: Path) -> None:
    original, patched = library.read_bytes(), patch(library)
    assert patched is not None
    places = [index for index, (a, b) in enumerate(zip(original, patched, strict=True)) if a != b]
    assert places
    assert all(original[at : at + 2] == CPUID and patched[at : at + 2] == TRAP for at in places)


def test_a_library_that_never_asks_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "still.c").write_text("int still(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "still.so", tmp_path / "still.c"], check=True)
    assert patch(tmp_path / "still.so") is None


@pytest.mark.parametrize("level", list(LEVELS))
def test_cpuid_faulting_hides_from_every_library(
    level: str, library: Path, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    if not can_fault():
        optional_capability("instruction set", "this processor, or its hypervisor, has no CPUID faulting")
    check_hidden(level, seen_by(library, {}), seen_by(library, environment(level, "faulting", tmp_path)))


def test_without_cpuid_faulting_nothing_starts_under_the_mask(tmp_path: Path) -> None:
    masked = {**os.environ, **environment("avx2", "faulting", tmp_path)}
    done = subprocess.run(["/bin/true"], env=masked, capture_output=True, text=True, check=False)
    if can_fault():
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 125
        assert "no CPUID faulting" in done.stderr
