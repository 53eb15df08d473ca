"""Where code for a target runs: on this machine, or under the emulator of a processor that has its features."""

from __future__ import annotations

import shutil
from dataclasses import replace

from subbyte.compiler.target import Target
from subbyte.targets.arm.processors import AARCH32, AARCH64, Processor, parse

EMULATORS = {AARCH32: "qemu-arm", AARCH64: "qemu-aarch64"}


def lacks(target: Target) -> str:
    """Why code for `target` cannot run on this machine; "" where it can."""
    if target.runs_here:
        return ""
    processor = _processor(target)
    if processor is None:
        return f"this processor does not run {target.name}"
    program = EMULATORS[processor.state]
    return "" if shutil.which(program) else f"{target.name} needs {program}, which is not installed"


def command_of(target: Target) -> tuple[str, ...]:
    """What to write before the name of a program that is compiled for `target`; nothing where it runs here."""
    processor = _processor(target)
    if target.runs_here or processor is None:
        return ()
    return (EMULATORS[processor.state], "-cpu", processor.qemu)


def static(target: Target) -> Target:
    """`target`, its programs linked with musl where they run under an emulator, which finds no shared libraries."""
    return target if target.runs_here else replace(target, zig_target=target.zig_target.replace("gnu", "musl"))


def _processor(target: Target) -> Processor | None:
    return parse(target.name) if target.family == "arm" else None
