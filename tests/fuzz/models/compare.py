"""Answers compared bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def need_same(expected: Mapping[str, Array], found: Mapping[str, Array], where: str) -> None:
    """The same bits, whatever NaN a NaN is; AssertionError where they differ."""
    for name, values in expected.items():
        a, b = np.ascontiguousarray(values), np.ascontiguousarray(found[name])
        assert (a.dtype, a.shape) == (b.dtype, b.shape), f"output '{name}' {where}"
        bits = f"u{a.itemsize}"
        same = a.view(bits) == b.view(bits)
        if a.dtype.kind == "f":
            same |= np.isnan(a) & np.isnan(b)
        wrong = f"{np.count_nonzero(~same)} of {same.size} differ, {a[~same][:3]} became {b[~same][:3]}"
        assert same.all(), f"output '{name}' {where}: {wrong}"
