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


_WORDS = re.compile(
    r"""
      (?P<SKIP>[ \t\r\n]+|\#[^\n]*)
    | (?P<STRING>"(?:[^"\\\n]|\\.)*")
    | (?P<VALUE>%[A-Za-z0-9_]+(?:\.[0-9]+)?)
    | (?P<RESOURCE>@[0-9]+)
    | (?P<NUMBER>[-+]?(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?[pP][-+]?[0-9]+
                       |[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|(?:inf|nan)\b))
    | (?P<NAME>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<PUNCTUATION>->|\.\.|[(){}\[\],=])
    """,
    re.VERBOSE,
)


def tokens_of(text: str) -> list[Token]:
    """The words of `text`, ended by one of kind END.  Raises GraphError where something is no word."""
    tokens, at = [], 0
    while at < len(text):
        found = _WORDS.match(text, at)
        if found is None:
            raise GraphError(f"line {line_of(text, at)}: {text[at : at + 20]!r} is no word of a graph's text")
        if found.lastgroup != "SKIP":
            tokens.append(Token(Kind[str(found.lastgroup)], found[0], at))
        at = found.end()
    tokens.append(Token(Kind.END, "", len(text)))
    return tokens


def line_of(text: str, begin: int) -> int:
    """The number of the line in which the character `begin` stands."""
    return text.count("\n", 0, begin) + 1
