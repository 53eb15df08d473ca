"""A model beside an engine, tensor by tensor: whatever differs is a rounding tie, and is counted in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from subbyte.compiler.trace import trace

Record = Callable[[str, object], None]
WIDEST = 0.05
"""In steps: a bound of many codes' width would prove nothing."""


def assert_ties(path: Path, samples: Sequence[dict[str, NDArray[Any]]], engine: str, record: Record) -> None:
    """Each tensor of codes from the engine's own tensors before it, each output from the codes before it.

    What differs lies within the proved bound of float32 of the place where the rounding steps, and both codes are
    possible there.
    """
    traces = trace(path, samples, engine)
    codes = [one for one in traces if one.is_codes]
    reals = [one for one in traces if not one.is_codes]
    record(
        "table: inner codes beside the engines: each one that differs is a rounding tie",
        {
            "model": path.name.split(".")[0],
            "engine": engine,
            "samples": f"{len(samples)}",
            "tensors": f"{len(codes)}",
            "codes that differ": f"{sum(t.different for t in codes)} of {sum(t.count for t in codes)}",
            "at ties": f"{sum(t.at_ties for t in codes)}",
            "farthest from its tie, in steps": f"{max(t.largest_distance for t in codes):.2g}",
            "largest bound": f"{max(t.largest_bound for t in codes):.2g}",
            "floats that differ, all within the bound": f"{sum(t.at_ties for t in reals)}",
        },
    )
    assert {t.tensor: t.reason for t in traces if t.reason} == {}
    assert {t.tensor: t for t in traces if t.untraced or t.stray} == {}
    assert max(t.largest_bound for t in traces) < WIDEST
