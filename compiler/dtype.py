"""Element types: integers of 1 to 64 bits, bipolar, ternary, bool and floats; their bits, range and NumPy container."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbyte.compiler.errors import GraphError

_KINDS = ("bool", "int", "uint", "bipolar", "ternary", "float")
_CONTAINER_BITS = (8, 16, 32, 64)


@dataclass(frozen=True, order=True)
class DType:
    """An element type.

    `kind` is bool, int, uint, bipolar ({-1, +1}), ternary ({-1, 0, +1}) or float; `bits` is the true width.
    In memory a value of fewer than 8 bits stands in the next wider NumPy integer unless a `Layout` packs it.
    """

    kind: str
    bits: int

    def __post_init__(self) -> None:
        widths = {"bool": (1,), "bipolar": (1,), "ternary": (2,), "float": (16, 32, 64)}.get(self.kind, range(1, 65))
        if self.kind not in _KINDS or self.bits not in widths:
            raise GraphError(f"there is no {self.bits}-bit element type of kind '{self.kind}'")

    @property
    def name(self) -> str:
        """int8, uint4, float32; bool, bipolar and ternary without their bits."""
        return self.kind if self.kind in ("bool", "bipolar", "ternary") else f"{self.kind}{self.bits}"

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        """True for every type whose values are whole numbers with arithmetic: not for bool, not for floats."""
        return self.kind in ("int", "uint", "bipolar", "ternary")

    @property
    def is_signed(self) -> bool:
        return self.kind in ("int", "bipolar", "ternary", "float")

    @property
    def min(self) -> int:
        """The smallest code; an error for floats."""
        return self._range()[0]

    @property
    def max(self) -> int:
        """The largest code; an error for floats."""
        return self._range()[1]

    def _range(self) -> tuple[int, int]:
        match self.kind:
            case "int":
                return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
            case "uint":
                return 0, (1 << self.bits) - 1
            case "bipolar" | "ternary":
                return -1, 1
            case "bool":
                return 0, 1
        raise GraphError(f"{self.name} has no integer range")

    @property
    def container_bits(self) -> int:
        """Bits of one unpacked value in memory."""
        return self.bits if self.is_float else next(bits for bits in _CONTAINER_BITS if bits >= self.bits)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy type that holds one unpacked value."""
        if self.kind == "bool":
            return np.dtype(np.bool_)
        stem = {"uint": "uint", "float": "float"}.get(self.kind, "int")
        return np.dtype(f"{stem}{self.container_bits}")

    @property
    def c_type(self) -> str:
        """The C99 type that holds one unpacked value; float16 travels as its bits."""
        if self.is_float:
            return {16: "uint16_t", 32: "float", 64: "double"}[self.bits]
        return f"{'int' if self.is_signed else 'uint'}{self.container_bits}_t"

    @classmethod
    def parse(cls, name: str) -> DType:
        """The inverse of `name`."""
        if name in ("bool", "bipolar"):
            return cls(name, 1)
        if name == "ternary":
            return cls(name, 2)
        found = re.fullmatch(r"(int|uint|float)([1-9][0-9]?)", name)
        if not found:
            raise GraphError(
                f"'{name}' is not the name of an element type; names are int1..int64, uint1..uint64, "
                "float16, float32, float64, bool, bipolar and ternary"
            )
        return cls(found[1], int(found[2]))

    @classmethod
    def from_numpy(cls, dtype: Any) -> DType:
        """The element type of a NumPy array; an error for types that have none (strings, objects, complex)."""
        return cls.parse(np.dtype(dtype).name)

    def __str__(self) -> str:
        return self.name


BOOL = DType("bool", 1)
BIPOLAR = DType("bipolar", 1)
TERNARY = DType("ternary", 2)
INT2, INT4, INT8, INT16, INT32, INT64 = (DType("int", bits) for bits in (2, 4, 8, 16, 32, 64))
UINT2, UINT4, UINT8, UINT16, UINT32, UINT64 = (DType("uint", bits) for bits in (2, 4, 8, 16, 32, 64))
FLOAT16, FLOAT32, FLOAT64 = (DType("float", bits) for bits in (16, 32, 64))
