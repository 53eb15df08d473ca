"""Copies of installed packages in whose libraries every CPUID instruction traps, for machines without CPUID faulting.

`cpuid` is 0f a2; `int 0xa2`, cd a2, is as long and faults outside the kernel. objdump says which bytes are
instructions. All other files are symbolic links.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

CPUID = b"\x0f\xa2"
TRAP = b"\xcd\xa2"
_PT_LOAD, _EXECUTABLE = 1, 1


class PatchError(Exception):
    """A package cannot be copied and patched."""


def patched_packages(names: tuple[str, ...], folder: Path) -> Path:
    """A folder for PYTHONPATH with a patched copy of each package; an older copy of the same version is taken again."""
    if shutil.which("objdump") is None:
        raise PatchError("objdump, which tells instructions from data, was not found; install binutils.")
    folder.mkdir(exist_ok=True)
    for name in names:
        original = _folder_of(name)
        copy = folder / name
        stamp = f"{original} {original.stat().st_mtime_ns}"
        mark = folder / f"{name}.made"
        if not mark.is_file() or mark.read_text() != stamp:
            shutil.rmtree(copy, ignore_errors=True)
            _copy(original, copy)
            mark.write_text(stamp)
    return folder


def _folder_of(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise PatchError(f"the package {name} is not installed.")
    return Path(found.origin).parent


def _copy(original: Path, copy: Path) -> None:
    for folder, _, files in os.walk(original):
        beside = copy / Path(folder).relative_to(original)
        beside.mkdir(parents=True)
        for name in files:
            source = Path(folder) / name
            patched = patch(source) if re.search(r"\.so(\.|$)", name) else None
            if patched is None:
                (beside / name).symlink_to(source)
            else:
                (beside / name).write_bytes(patched)


def patch(library: Path) -> bytes | None:
    """The library with its CPUID instructions trapping; None where it has none."""
    data = bytearray(library.read_bytes())
    if CPUID not in data:
        return None
    addresses = list(_cpuid_addresses(library))
    for address in addresses:
        offset = _file_offset(data, address)
        if data[offset : offset + 2] != CPUID:
            raise PatchError(f"'{library}' has no CPUID at {address:#x}, where objdump shows one.")
        data[offset : offset + 2] = TRAP
    return bytes(data) if addresses else None


def _cpuid_addresses(library: Path) -> Iterator[int]:
    command = ["objdump", "--disassemble", "--no-show-raw-insn", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.rstrip().endswith("\tcpuid"):
                yield int(line.partition(":")[0], 16)
    if process.returncode != 0:
        raise PatchError(f"objdump cannot read '{library}'.")


def _file_offset(data: bytes | bytearray, address: int) -> int:
    """Where a 64-bit ELF file holds what is loaded at `address`."""
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, flags, offset, start, _, stored = struct.unpack_from("<IIQQQQ", data, table + index * size)
        if kind == _PT_LOAD and flags & _EXECUTABLE and start <= address < start + stored:
            return int(offset + address - start)
    raise PatchError(f"no segment is loaded at {address:#x}.")
