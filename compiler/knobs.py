"""Every environment variable that subbyte reads, declared once: its name, type, default and meaning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Generic, TypeVar

from subbyte.compiler.errors import ModelError

T = TypeVar("T", bool, int, str)


@dataclass(frozen=True)
class Knob(Generic[T]):
    """An environment variable; its type is that of its default."""

    name: str
    default: T
    meaning: str

    def read(self) -> T:
        """Its value in the environment, else the default.  Raises ModelError: the value is of another type."""
        text = os.environ.get(self.name)
        if text is None:
            return self.default
        if isinstance(self.default, bool):
            if text not in ("0", "1"):
                raise ModelError(f"the environment variable {self.name} is '{text}'; it is 0 or 1")
            return text == "1"
        if isinstance(self.default, int):
            try:
                return int(text)
            except ValueError:
                raise ModelError(f"the environment variable {self.name} is '{text}'; it is a whole number") from None
        return text


VERIFY_PASSES = Knob("SUBBYTE_VERIFY_PASSES", True, "check the rules of the stage after each pass (0 or 1)")
PRINT_AFTER = Knob("SUBBYTE_PRINT_AFTER", "", "print the graph to stderr after these passes: names with commas, or all")
STOP_AFTER = Knob("SUBBYTE_STOP_AFTER", -1, "run only so many passes of each part of the pipeline, to bisect; -1: all")
CACHE_FOLDER = Knob("XDG_CACHE_HOME", "", "where the folder `subbyte` of what is measured once lies; empty: ~/.cache")

KNOBS: tuple[Knob[bool] | Knob[int] | Knob[str], ...] = (VERIFY_PASSES, PRINT_AFTER, STOP_AFTER, CACHE_FOLDER)
