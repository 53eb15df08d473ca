"""Cycles of blocks of code as llvm-mca's models of Arm's cores see them.

A block is modelled as though it followed itself: exact for the body of a loop, a fair guess for what is executed
between loops. Loads hit the first cache level, branches are foreseen.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.arm.disassembly import ToolError, find_tool

ITERATIONS = 100
_REGION = re.compile(r"^\[\d+\] Code Region - (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Model:
    """A core that llvm knows the pipeline of. attributes: features that its name alone does not bring."""

    cpu: str
    triple: str
    attributes: str = ""


@dataclass(frozen=True)
class Cycles:
    """Of one execution of a block.

    simulated: with what depends on what, and, for cores that issue in order, no instruction finishing before an older
    one. bound: what the execution units allow at best. instructions: those that the model knows.
    """

    simulated: float
    bound: float
    instructions: int


def cycles(model: Model, texts: Sequence[Sequence[str]]) -> list[Cycles | None]:
    """What each block of instructions costs; None where llvm-mca does not read it.

    Raises: ToolError: llvm-mca is missing, or it answered nothing.
    """
    answered = _run(model, dict(enumerate(texts)))
    if len(answered) < len(texts):  # one refusal ends a run: ask for the others one by one
        for index, text in enumerate(texts):
            if index not in answered:
                answered |= _run(model, {index: text})
    return [answered.get(index) for index in range(len(texts))]


def _run(model: Model, texts: dict[int, Sequence[str]]) -> dict[int, Cycles]:
    lines = []
    for index, text in texts.items():
        lines += [f"# LLVM-MCA-BEGIN block{index}", *text, f"# LLVM-MCA-END block{index}"]
    command = [
        find_tool("llvm-mca"), f"-mtriple={model.triple}", f"-mcpu={model.cpu}", f"-iterations={ITERATIONS}",
        "-instruction-info=false", "-resource-pressure=false", "-skip-unsupported-instructions=lack-sched",
    ]  # fmt: skip
    if model.attributes:
        command.append(f"-mattr={model.attributes}")
    source = "\n".join([*_prelude(model), *lines]) + "\n"
    try:
        done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(f"`{command[0]}` failed: {error}") from error
    if "unable to find instruction-level scheduling information" in done.stderr:
        raise ToolError(f"llvm has no model of the pipeline of '{model.cpu}' for {model.triple}")
    return parse(done.stdout)


def _prelude(model: Model) -> list[str]:
    return [".arm", ".fpu neon-vfpv4"] if model.triple.startswith("arm") else []


def parse(report: str) -> dict[int, Cycles]:
    """Of llvm-mca's summaries, by the number in the name of the region."""
    parts = _REGION.split(report)
    found = {}
    for name, summary in zip(parts[1::2], parts[2::2], strict=True):
        figures = {key: float(value) for key, value in re.findall(r"^([\w ]+?):\s+([\d.]+)$", summary, re.MULTILINE)}
        repeats = figures["Iterations"]
        found[int(name.removeprefix("block"))] = Cycles(
            figures["Total Cycles"] / repeats, figures["Block RThroughput"], round(figures["Instructions"] / repeats)
        )
    return found
