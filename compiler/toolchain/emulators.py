"""Finds what runs programs of other processors on this machine: QEMU's user mode."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import Target

INSTALL_EMULATOR = "apt-get install qemu-user"
_STARTS_WITHIN_S = 60


def needs_emulator(target: Target) -> bool:
    """Whether this machine surely does not run what is built for `target`, and an emulator may."""
    return bool(target.emulator) and not target.runs_here and not target.programs_may_run_here


def find_emulator(target: Target) -> tuple[str, ...]:
    """The command before a static program that is built for `target`.

    Raises ToolchainError: there is no emulator for it, or none on this machine; it names the command that brings it.
    """
    if not target.emulator:
        raise ToolchainError(f"this machine does not run '{target.name}', and there is no emulator for it")
    name, *arguments = target.emulator
    found = shutil.which(name) or shutil.which(f"{name}-static")
    if found is None:
        raise ToolchainError(
            f"'{target.name}' is run on this machine by the emulator {name}, and it was not found. "
            f"`{INSTALL_EMULATOR}` brings it; without it, compile with --emit runner and run that on a board."
        )
    return (found, *arguments)


def command_before(target: Target, program: Path) -> tuple[str, ...]:
    """What to write before `program`, built for `target`: an emulator, or nothing where the machine runs it itself."""
    if target.runs_here or (target.programs_may_run_here and _starts(program)):
        return ()
    return find_emulator(target)


def _starts(program: Path) -> bool:
    """Whether the system takes `program`: not every 64-bit Arm, and not every kernel, runs those of 32 bits."""
    try:
        subprocess.run([program, "--help"], stdout=subprocess.DEVNULL, timeout=_STARTS_WITHIN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(
            f"'{program.name}' does not even print its help within {_STARTS_WITHIN_S:g} seconds; this machine may be "
            "too busy, or not run such programs. Run it on a board."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            return False
        raise
    return True
