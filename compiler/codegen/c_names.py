"""Names and texts that go into C source: whatever stands in a model, the C stays well-formed."""

from __future__ import annotations

import re

# C99 and C++: model.h is read by both.
_KEYWORDS = frozenset(
    (  # noqa: SIM905 - words are read more easily as words
        "auto break case char const continue default do double else enum extern float for goto if inline int long "
        "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
        "alignas alignof asm bool class constexpr delete explicit export false friend mutable namespace new nullptr "
        "operator private protected public template this throw true try typename using virtual main"
    ).split()
)


def c_identifier(name: str, fallback: str) -> str:
    """`name` as a C and C++ identifier of at most 48 characters; `fallback` where nothing of it is left."""
    cleaned = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:48].rstrip("_") or fallback
    return f"{fallback}_{cleaned}" if cleaned[0].isdigit() or cleaned in _KEYWORDS else cleaned


def unique_identifiers(names: list[str], fallback: str, taken: set[str]) -> list[str]:
    """Identifiers for `names`, different from each other and from `taken`, which they join."""
    result = []
    for name in names:
        stem = c_identifier(name, fallback)
        candidate, number = stem, 2
        while candidate in taken:
            candidate, number = f"{stem}_{number}", number + 1
        taken.add(candidate)
        result.append(candidate)
    return result


def c_string(text: str) -> str:
    """A C string literal of `text` in UTF-8; everything but plain characters as octal escapes, no trigraphs."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def c_comment(text: str) -> str:
    """`text` inside a comment: one line of printable ASCII that neither ends nor nests it."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").rstrip("\\")
