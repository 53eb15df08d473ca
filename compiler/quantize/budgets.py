"""Budgets as people write them: 5ms, 20KB, 4.5."""

from __future__ import annotations

import math
import re

from subbyte.compiler.errors import UnsupportedError

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_BYTES = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3}
_NUMBERS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_WRITTEN = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-zµ]*)\s*")


def seconds(text: str) -> float:
    """0.005 of "5ms".  Raises UnsupportedError."""
    return _amount(text, _SECONDS, "a time", "5ms")


def size(text: str) -> float:
    """20000.0 of "20KB", 20480.0 of "20KiB".  Raises UnsupportedError."""
    return _amount(text, _BYTES, "a size", "20KB")


def number(text: str) -> float:
    """1.5e9 of "1.5G".  Raises UnsupportedError."""
    return _amount(text, _NUMBERS, "a number", "1.5G")


def _amount(text: str, units: dict[str, float], what: str, example: str) -> float:
    found = _WRITTEN.fullmatch(text)
    if found is None or found[2] not in units:
        named = ", ".join(unit for unit in units if unit)
        raise UnsupportedError(f"'{text}' is not {what}; write it as {example}, in one of {named}.")
    amount = float(found[1]) * units[found[2]]
    if not math.isfinite(amount) or amount <= 0:
        raise UnsupportedError(f"'{text}' is no budget: above zero and finite is needed.")
    return amount
