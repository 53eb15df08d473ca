"""The instructions of a built program as text, and which of them run in a row: basic blocks with their executions."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from subbyte.compiler.toolchain.instruction_counts import Counts

_VERSIONS = ("-19", "-20", "-21", "-18", "")  # the results in docs/ are of 19
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*?)\s*$")
_TARGET = re.compile(r"(?:#?0x[0-9a-f]+)\s*<[^>]*>")
_BRANCH = re.compile(
    r"^(b|bl|blr|br|bx|blx|ret|cbz|cbnz|tbz|tbnz|b\.?(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al))(\.n|\.w)?$"
)


class ToolError(Exception):
    """One of llvm's tools is missing or failed."""


@dataclass(frozen=True)
class Instruction:
    """text: as llvm's assembler reads it again; target: the address that a branch names."""

    address: int
    text: str
    target: int | None = None

    @property
    def mnemonic(self) -> str:
        return self.text.split(None, 1)[0]

    @property
    def ends_block(self) -> bool:
        """Whether what follows it in memory may not be what runs next."""
        if _BRANCH.match(self.mnemonic):
            return True
        operands = self.text.partition(" ")[2]
        if self.mnemonic.startswith(("pop", "ldm")):
            return "pc" in operands
        return operands.split(",")[0].strip() == "pc"

    @property
    def is_load(self) -> bool:
        return self.mnemonic.startswith(("ld", "vld", "vldr", "vldm", "pop"))

    @property
    def is_store(self) -> bool:
        return self.mnemonic.startswith(("st", "vst", "push"))


@dataclass(frozen=True)
class Block:
    """Instructions that are executed one behind the other, `executions` times; loops: the last goes to the first."""

    instructions: tuple[Instruction, ...]
    executions: int
    symbol: str

    @property
    def loops(self) -> bool:
        return self.instructions[-1].target == self.instructions[0].address


def find_tool(name: str) -> str:
    """The command of a tool of llvm.  Raises ToolError with the way on."""
    for version in _VERSIONS:
        if shutil.which(name + version):
            return name + version
    raise ToolError(f"there is no `{name}`; on Debian `apt install llvm-19` brings it")


def disassemble(program: Path, triple: str, attributes: str) -> dict[int, Instruction]:
    """All instructions of `program` by address.  Raises ToolError."""
    command = [find_tool("llvm-objdump"), "-d", "--no-show-raw-insn", f"--triple={triple}", f"--mattr={attributes}"]
    done = subprocess.run([*command, str(program)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolError(f"`{command[0]}` failed on {program.name}: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(listing: str) -> dict[int, Instruction]:
    """Of llvm-objdump's listing; a place in the program is written as a label, which the assembler need not find."""
    found = {}
    for line in listing.splitlines():
        if matched := _LINE.match(line):
            address, text = int(matched[1], 16), matched[2].split("//")[0].split(" @ ")[0].strip()
            named = _TARGET.search(text)
            target = int(re.findall(r"0x([0-9a-f]+)", named[0])[0], 16) if named else None
            found[address] = Instruction(address, re.sub(r"\s+", " ", _TARGET.sub("elsewhere", text)), target)
    return found


def blocks(counts: Counts, instructions: Mapping[int, Instruction]) -> list[Block]:
    """What was executed, cut behind branches, before their targets, and where the count changes.

    Raises: ToolError: an address that was executed is no instruction of the program.
    """
    addresses = sorted(counts.executions)
    if missing := [address for address in addresses if address not in instructions]:
        raise ToolError(f"{missing[0]:#x} was executed, and the program's listing has no instruction there")
    targets = {instructions[address].target for address in addresses}
    places = sorted(instructions)
    following = dict(pairwise(places))
    found: list[Block] = []
    row: list[Instruction] = []
    for address, after in zip(addresses, [*addresses[1:], None], strict=True):
        row.append(instructions[address])
        if (
            row[-1].ends_block
            or after is None
            or following.get(address) != after
            or after in targets
            or counts.executions[after] != counts.executions[address]
        ):
            found.append(Block(tuple(row), counts.executions[address], counts.symbols[row[0].address]))
            row = []
    return found


def histogram(found: Iterable[Block]) -> dict[str, int]:
    """Executions of each mnemonic, most first."""
    counter: Counter[str] = Counter()
    for block in found:
        for instruction in block.instructions:
            counter[instruction.mnemonic] += block.executions
    return dict(counter.most_common())
