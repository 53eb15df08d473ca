"""The words of the text form of graphs."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from subbyte.compiler.errors import GraphError


class Kind(Enum):
    """What a word is."""

    STRING = "a string"
    VALUE = "a value"
    RESOURCE = "a resource"
    NUMBER = "a number"
    NAME = "a name"
    PUNCTUATION = "punctuation"
    END = "the end of the text"


class Token(NamedTuple):
    """A word, and where in the text it begins."""

    kind: Kind
    text: str
    begin: int


_KINDS = {kind.name: kind for kind in Kind}
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*(?:\n|\Z))*")
_WORD = re.compile(
    _SPACE.pattern.replace(" ", r"\ ").replace("#", r"\#")
    + r"""
    (?:
      (?P<STRING>"(?:[^"\\\n]|\\.)*")
    | (?P<VALUE>%[A-Za-z0-9_]+(?:\.[0-9]+)?)
    | (?P<RESOURCE>@[0-9]+)
    | (?P<NUMBER>[-+]?(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?[pP][-+]?[0-9]+
                       |[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|(?:inf|nan)\b))
    | (?P<NAME>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<PUNCTUATION>->|\.\.|[(){}\[\],=])
    | (?P<END>\Z)
    )
    """,
    re.VERBOSE,
)


def tokens_of(text: str) -> list[Token]:
    """The words of `text`, ended by one of kind END.  Raises GraphError where something is no word."""
    tokens: list[Token] = []
    at, kind = 0, ""
    while kind != "END":
        found = _WORD.match(text, at)
        if found is None:
            at += len(_SPACE.match(text, at)[0])  # type: ignore[index]
            raise GraphError(f"line {line_of(text, at)}: {text[at : at + 20]!r} is no word of a graph's text")
        kind, at = str(found.lastgroup), found.end()
        tokens.append(Token(_KINDS[kind], found[kind], found.start(kind)))
    return tokens


def line_of(text: str, begin: int) -> int:
    """The number of the line in which the character `begin` stands."""
    return text.count("\n", 0, begin) + 1
