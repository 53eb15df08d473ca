"""What the tests read of an ELF file: sections, what it needs, what it leaves undefined.  Source: System V ABI, ELF."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_MACHINES = {40: "arm", 183: "aarch64", 62: "x86_64"}
_DT_NEEDED = 1


@dataclass(frozen=True)
class Section:
    """name, bytes in the file, and the index of the section that its entries refer to."""

    name: str
    data: bytes
    size: int
    link: int


@dataclass(frozen=True)
class Elf:
    """A little-endian ELF file of 32 or 64 bits."""

    machine: str
    wide: bool
    sections: tuple[Section, ...]

    def size(self, name: str) -> int:
        """Bytes of the section `name`; 0 where there is none."""
        return sum(section.size for section in self.sections if section.name == name)

    @property
    def needed(self) -> list[str]:
        """The shared libraries that it wants beside it."""
        form = "<qQ" if self.wide else "<iI"
        found = []
        for section in self._called(".dynamic"):
            names = self.sections[section.link].data
            found += [_text(names, value) for tag, value in struct.iter_unpack(form, section.data) if tag == _DT_NEEDED]
        return found

    @property
    def undefined(self) -> list[str]:
        """The symbols that others must provide."""
        form, name_at, section_at = ("<IBBHQQ", 0, 3) if self.wide else ("<IIIBBH", 0, 5)
        found = []
        for section in self._called(".dynsym"):
            names = self.sections[section.link].data
            entries = list(struct.iter_unpack(form, section.data))[1:]
            found += [_text(names, entry[name_at]) for entry in entries if entry[section_at] == 0]
        return found

    def _called(self, name: str) -> list[Section]:
        return [section for section in self.sections if section.name == name]


def read_elf(content: bytes) -> Elf:
    """The sections of an ELF file."""
    assert content[:4] == b"\x7fELF", "not an ELF file"
    wide = content[4] == 2
    machine = struct.unpack_from("<H", content, 18)[0]
    begin = struct.unpack_from("<Q" if wide else "<I", content, 40 if wide else 32)[0]
    entry_bytes, count, names_at = struct.unpack_from("<HHH", content, 58 if wide else 46)
    form = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
    headers = [struct.unpack_from(form, content, begin + index * entry_bytes) for index in range(count)]
    names = content[headers[names_at][4] : headers[names_at][4] + headers[names_at][5]]
    sections = tuple(
        Section(_text(names, name), content[offset : offset + size], size, link)
        for name, _, _, _, offset, size, link, *_ in headers
    )
    return Elf(_MACHINES.get(machine, str(machine)), wide, sections)


def _text(names: bytes, at: int) -> str:
    return names[at : names.index(b"\0", at)].decode()
