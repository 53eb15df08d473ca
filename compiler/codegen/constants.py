"""The constant data of a program: equal contents once, in order of first use; inline in C, or in weights.bin."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.codegen.c_literals import ROW_BYTES, c_elements, c_rows, c_type_of, wrap
from subbyte.compiler.codegen.program import InConstant, Program, reads_operand
from subbyte.compiler.target import ConstantArray

_ALIGN = 64
_LEAST_STRING_BYTES = 16 << 10  # what is smaller stays readable
_SILENCE = """#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wunterminated-string-initialization"
#endif
"""
"""Rows of bytes are strings without a NUL, which newer compilers take for a slip."""
_END_OF_SILENCE = """#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
"""


@dataclass(frozen=True)
class PlacedArray:
    """One distinct constant: its C name, the struct it is a member of, its offset in weights.bin (-1: it is inline)."""

    name: str
    array: ConstantArray
    offset: int
    struct: str

    @property
    def is_string(self) -> bool:
        """Whether it is written as strings: large and of bytes, where compilers take long to read numbers."""
        return self.array.data.dtype.itemsize == 1 and self.array.data.nbytes >= _LEAST_STRING_BYTES

    @property
    def pointer(self) -> str:
        """The C expression for a pointer to the first element of an inline array."""
        name = f"{self.struct}.{self.name}"
        return f"(const {c_type_of(self.array.data)} *){name}" if self.is_string else name

    @property
    def extents(self) -> str:
        """[elements], or [rows][bytes of a row] of an inline array."""
        data = self.array.data
        return f"[{-(-data.nbytes // ROW_BYTES)}][{ROW_BYTES}]" if self.is_string else f"[{max(data.size, 1)}]"


class ConstantPool:
    """Names and places for every constant array of a program, whose C names begin with `prefix`."""

    def __init__(self, program: Program, in_file: bool, prefix: str) -> None:
        self.in_file = in_file
        self._struct = f"{prefix}_constants"
        self._placed: dict[tuple[str, bytes], PlacedArray] = {}
        self._names: set[str] = set()
        self._bytes = 0
        for step in program.steps:
            for argument in step.call.arguments:
                if isinstance(argument, ConstantArray):
                    self._add(argument, step.name)
            for index, place in enumerate(step.operands):
                if isinstance(place, InConstant) and reads_operand(step, index):
                    self._add(place.array, step.name)

    def _add(self, array: ConstantArray, step: str) -> None:
        key = self._key(array)
        if key in self._placed:
            return
        offset = -1
        if self.in_file:
            offset = -(-self._bytes // _ALIGN) * _ALIGN
            self._bytes = offset + array.data.nbytes
        self._placed[key] = PlacedArray(self._name(f"{array.role}_{step}"), array, offset, self._struct)

    def _name(self, wanted: str) -> str:
        """`wanted`, with a number behind it where a step has several arrays of one role."""
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    @staticmethod
    def _key(array: ConstantArray) -> tuple[str, bytes]:
        return (array.data.dtype.name, array.data.tobytes())

    def arrays(self) -> tuple[PlacedArray, ...]:
        return tuple(self._placed.values())

    def __getitem__(self, array: ConstantArray) -> PlacedArray:
        return self._placed[self._key(array)]

    @property
    def data_bytes(self) -> int:
        """Bytes of constant data, wherever it lies."""
        return sum(placed.array.data.nbytes for placed in self.arrays())

    def file(self) -> bytes:
        """The contents of weights.bin: every array at its offset, zeros between; empty where all is inline."""
        content = bytearray(-(-self._bytes // _ALIGN) * _ALIGN)
        for placed in self.arrays() if self.in_file else ():
            content[placed.offset : placed.offset + placed.array.data.nbytes] = placed.array.data.tobytes()
        return bytes(content)

    def pointer(self, array: ConstantArray) -> str:
        """The C expression for a pointer to the first element."""
        placed = self[array]
        if not self.in_file:
            return placed.pointer
        return f"(const {c_type_of(array.data)} *)(const void *)(context->weights + {placed.offset})"

    def declarations(self) -> str:
        """The C definition of the inline arrays: one struct, since compilers lay single arrays out as they please."""
        if self.in_file or not self._placed:
            return ""
        members = "".join(_member(placed) for placed in self.arrays())
        contents = "".join(_content(placed) for placed in self.arrays())
        text = (
            f"/* In the order in which the steps use them. */\n"
            f"static const struct {{\n{members}}} {self._struct} = {{\n{contents}}};\n\n"
        )
        strings = any(placed.is_string for placed in self.arrays())
        return f"{_SILENCE}\n{text}{_END_OF_SILENCE}" if strings else text


def _member(placed: PlacedArray) -> str:
    c_type, align = c_type_of(placed.array.data), placed.array.align
    return f"  {c_type} {placed.name}{placed.extents} SUBBYTE_ALIGN({align});\n"


def _content(placed: PlacedArray) -> str:
    data = placed.array.data
    shape = " x ".join(map(str, data.shape)) or "1"
    content = ",\n".join(c_rows(data)) if placed.is_string else wrap(c_elements(data) or ["0"])
    return f"  /* {placed.name}: {placed.array.layout}, {shape} */\n  {{\n{content}\n  }},\n"
