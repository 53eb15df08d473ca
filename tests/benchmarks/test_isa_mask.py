"""The processor's instruction sets can be hidden, or it is said why not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.isa_mask import LEVELS, MaskError, build_mask, check_faulting
from subbyte.compiler.target import find_target

HIDDEN = {"avx2": {"avx512f", "avx512vnni", "avxvnni"}, "avxvnni": {"avx512f", "avx512vnni"}}
SCRIPT = "from subbyte.compiler._runtime import cpu_features; print(*cpu_features())"


def test_every_level_has_a_target() -> None:
    assert [find_target(name).name for name in LEVELS.values()] == list(LEVELS.values())


def can_fault() -> bool:
    try:
        check_faulting()
    except MaskError:
        return False
    return True


def preload(level: str, folder: Path) -> dict[str, str]:
    return {**os.environ, "LD_PRELOAD": str(build_mask(folder)), "SUBBYTE_CPUID_LEVEL": level}


@pytest.mark.parametrize("level", list(LEVELS))
def test_what_is_hidden_is_not_seen(
    level: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    if not can_fault():
        optional_capability("instruction set", "this processor has no CPUID faulting, so none can be hidden")
    command = [sys.executable, "-c", SCRIPT]
    seen = subprocess.run(
        command, env=preload(level, tmp_path), capture_output=True, text=True, check=True
    ).stdout.split()
    assert "avx2" in seen
    assert HIDDEN[level].isdisjoint(seen)


def test_a_processor_that_cannot_hide_is_told_apart(tmp_path: Path) -> None:
    """The preloaded library and check_faulting are of one mind; without faulting no program starts under the mask."""
    done = subprocess.run(["/bin/true"], env=preload("avx2", tmp_path), capture_output=True, text=True, check=False)
    if can_fault():
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 125
        assert "no CPUID faulting" in done.stderr
