"""Names and texts for the files of a project: whatever stands in a model, C++, Tcl and make stay well-formed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from subbyte.targets.hls.streams import Element

_KEYWORDS = frozenset(
    (  # noqa: SIM905 - words are read more easily as words
        "alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr "
        "const_cast continue decltype default delete do double dynamic_cast else enum explicit export extern false "
        "float for friend goto if inline int long main mutable namespace new noexcept not not_eq nullptr operator or "
        "or_eq private protected public register reinterpret_cast restrict return short signed sizeof static "
        "static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename "
        "union unsigned using virtual void volatile wchar_t while xor xor_eq"
    ).split()
)


def identifier(name: str, fallback: str) -> str:
    """`name` as a C++ identifier of at most 48 characters, no leading or double underscore; `fallback` for none."""
    cleaned = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:48].rstrip("_") or fallback
    return f"{fallback}_{cleaned}" if cleaned[0].isdigit() or cleaned in _KEYWORDS else cleaned


def is_identifier(name: str) -> bool:
    """Whether C++ takes `name` as it stands."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None and "__" not in name and name not in _KEYWORDS


def comment(text: str) -> str:
    """`text` inside a comment: one line of printable ASCII that neither ends, nests nor continues it."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").replace("??", "? ?").rstrip("\\ ")


def string(text: str) -> str:
    """A C string literal of `text` in UTF-8; everything but plain characters as octal escapes, no trigraphs."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def hex_literal(value: int, bits: int) -> str:
    """A nonnegative value below 2**bits as an initializer of ap_uint<bits>."""
    return f"0x{value:x}ULL" if bits <= 64 else f'ap_uint<{bits}>("0x{value:x}", 16)'


def sign(element: Element) -> str:
    """The argument SIGN of the templates of subbyte_hls.h."""
    name = "BIPOLAR" if element.bipolar else "SIGNED" if element.signed else "UNSIGNED"
    return f"subbyte_hls::{name}"


def wrapped(items: Iterable[str], indent: str, width: int = 120) -> str:
    """Items with commas between them, as many in a line as fit."""
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 1 > width and line != indent:
            lines.append(line.rstrip())
            line = indent
        line += f"{item}, "
    return "\n".join([*lines, line.rstrip(", ")])
