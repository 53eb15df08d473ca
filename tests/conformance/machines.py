"""What a machine may lack to run code for a target."""

from __future__ import annotations

from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.emulators import find_emulator, needs_emulator


def lacking(target: Target) -> tuple[str, str] | None:
    """The optional capability (tests/conftest.py) for lack of which programs for `target` do not run here, and why."""
    if target.runs_here or target.programs_may_run_here:
        return None
    if not needs_emulator(target):
        return "instruction set", f"this processor does not run {target.name}"
    try:
        find_emulator(target)
    except ToolchainError as error:
        return "emulator", str(error)
    return None
