"""Numbers and constant data as C99 source, exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_C_TYPES = {
    "bool": "uint8_t",
    "float16": "uint16_t",
    "float32": "float",
    "float64": "double",
    **{f"{kind}{bits}": f"{kind}{bits}_t" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}


def c_type_of(array: NDArray[Any]) -> str:
    """The C type of the elements; float16 travels as its bits."""
    return _C_TYPES[array.dtype.name]


def c_real(value: float, single: bool = True) -> str:
    """A float (or, not `single`, double) literal in hexadecimal; infinities and NaN as constant expressions."""
    suffix = "f" if single else ""
    if math.isnan(value):
        return f"(0.0{suffix} / 0.0{suffix})"
    if math.isinf(value):
        return f"({'-' if value < 0 else ''}1.0{suffix} / 0.0{suffix})"
    return f"{float(value).hex()}{suffix}"


def c_integer(value: int) -> str:
    """An integer literal that has its value in every context of the generated code."""
    if value == -(1 << 63):
        return "(-INT64_C(9223372036854775807) - 1)"
    if value == -(1 << 31):
        return "(-2147483647 - 1)"
    if value > (1 << 63) - 1:
        return f"UINT64_C({value})"
    if abs(value) > (1 << 31) - 1:
        return f"{'-' if value < 0 else ''}INT64_C({abs(value)})"
    return str(value)


def c_elements(array: NDArray[Any]) -> list[str]:
    """The elements in row-major order as literals."""
    flat = array.reshape(-1)
    match array.dtype.name:
        case "float16":
            return [str(bits) for bits in flat.view(np.uint16).tolist()]
        case "float32":
            return [c_real(value) for value in flat.tolist()]
        case "float64":
            return [c_real(value, single=False) for value in flat.tolist()]
        case "bool":
            return [str(int(value)) for value in flat.tolist()]
        case "uint32":
            return [f"{value}u" for value in flat.tolist()]
        case "int8" | "uint8" | "int16" | "uint16":
            return list(map(str, flat.tolist()))
    return [c_integer(value) for value in flat.tolist()]


def wrap(items: list[str], indent: str = "    ", width: int = 116) -> str:
    """`items` with commas, in lines of at most `width` characters."""
    lines: list[str] = []
    line = indent
    for item in items:
        piece = f"{item},"
        if len(line) > len(indent) and len(line) + 1 + len(piece) > width:
            lines.append(line)
            line = indent
        line += piece if line == indent else f" {piece}"
    if line != indent:
        lines.append(line)
    return "\n".join(lines)


ROW_BYTES = 1024  # of a string: C99 promises 4095 characters
_LINE_BYTES = 28  # at most 4 characters each
_CHARACTERS = [
    chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"  # ? begins trigraphs
    for byte in range(256)
]


def c_rows(array: NDArray[Any]) -> list[str]:
    """The bytes of an array of 8-bit integers as strings of `ROW_BYTES`, the last one perhaps shorter.

    Compilers read strings about twenty times as fast as lists of numbers.
    """
    content = array.tobytes()
    return [_string(content[i : i + ROW_BYTES]) for i in range(0, len(content), ROW_BYTES)]


def _string(content: bytes) -> str:
    """Adjacent literals, a line each."""
    lines = (content[i : i + _LINE_BYTES] for i in range(0, len(content), _LINE_BYTES))
    return "\n".join(f'    "{"".join(map(_CHARACTERS.__getitem__, line))}"' for line in lines)
