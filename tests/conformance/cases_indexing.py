"""Cases of run-time indices, and of searches and running sums along one axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbyte.compiler.dtype import BOOL, FLOAT16, FLOAT32, INT8, INT32, INT64, UINT4, UINT8, UINT64, DType
from subbyte.compiler.ir import ops_indexing
from tests.conformance.cases import Case, Operand, cases, generator
from tests.conformance.cases_logic import numbers

NUMBERS = (UINT8, INT8, INT32, INT64, UINT64, FLOAT16, FLOAT32)


def _with_ties(name: str, shape: tuple[int, ...], dtype: DType) -> Operand:
    """Few different values, NaN among the floats, so that equal ones compete."""
    found = numbers(name, shape, dtype)
    few = generator(f"ties {name}").choice(found.values.reshape(-1)[:6], shape)
    return Operand(np.asarray(few, dtype.numpy), dtype)


@cases
def searches() -> Iterator[Case]:
    for dtype in (*NUMBERS, UINT4):
        for axis in range(3):
            x = _with_ties(f"search {dtype} {axis}", (4, 6, 9), dtype)
            for largest in (True, False):
                for last in (True, False):
                    name = f"arg_extreme_{dtype}_{axis}_{largest}_{last}"
                    flags: tuple[Any, ...] = (axis, last, largest, last)
                    yield Case(name, lambda v, f=flags: ops_indexing.ArgExtreme(v, *f), (x,))
                for k in (1, 3, x.values.shape[axis]):
                    name = f"top_{k}_{dtype}_{axis}_{largest}"
                    flags = (k, axis, largest)
                    yield Case(name, lambda v, f=flags: ops_indexing.TopK(v, *f), (x,))
    wide = numbers("search wide", (3, 1000), FLOAT32)
    yield Case("top_40_of_1000", lambda v: ops_indexing.TopK(v, 40, 1, True), (wide,))


@cases
def running_sums() -> Iterator[Case]:
    for dtype in NUMBERS:
        for axis in range(3):
            x = numbers(f"running {dtype} {axis}", (4, 6, 9), dtype)
            for number in range(8):
                flags = (axis, *(bool(number & bit) for bit in (1, 2, 4)))
                name = f"cumulate_{dtype}_{axis}_{number}"
                yield Case(name, lambda v, f=flags: ops_indexing.Cumulate(v, *f), (x,))


def _indices(name: str, shape: tuple[int, ...], extents: Any, dtype: DType) -> Operand:
    """Indices of axes of `extents` along the last axis, or all of one; some count from the end."""
    low = -np.broadcast_to(np.asarray(extents), shape)
    return Operand(generator(name).integers(low, -low, shape).astype(dtype.numpy), dtype)


@cases
def elements() -> Iterator[Case]:
    for dtype in (BOOL, UINT8, FLOAT16, FLOAT32, INT64):
        x = numbers(f"elements {dtype}", (4, 6, 5), dtype)
        for axis in range(3):
            shape = tuple(7 if i == axis else n - 1 for i, n in enumerate((4, 6, 5)))
            for wide in (INT32, INT64):
                name = f"{dtype}_{axis}_{wide}"
                indices = _indices(f"elements {name}", shape, x.values.shape[axis], wide)
                yield Case(
                    f"gather_elements_{name}", lambda v, i, a=axis: ops_indexing.GatherElements(v, i, a), (x, indices)
                )
                updates = numbers(f"updates {name}", shape, dtype)
                for reduction in ops_indexing.REDUCTIONS if dtype != BOOL else ("none",):
                    yield Case(
                        f"scatter_elements_{reduction}_{name}",
                        lambda v, i, u, a=axis, r=reduction: ops_indexing.ScatterElements(v, i, u, a, r),
                        (x, indices, updates),
                    )


@cases
def parts() -> Iterator[Case]:
    for dtype in (BOOL, UINT8, FLOAT16, FLOAT32, INT64, UINT64):
        x = numbers(f"parts {dtype}", (4, 6, 5), dtype)
        for depth in (1, 2, 3):
            for wide in (INT32, INT64):
                name = f"{dtype}_{depth}_{wide}"
                indices = _indices(f"parts {name}", (3, 7, depth), (4, 6, 5)[:depth], wide)
                yield Case(f"gather_parts_{name}", lambda v, i: ops_indexing.GatherND(v, i, 0), (x, indices))
                updates = numbers(f"updates {name}", (3, 7, *(4, 6, 5)[depth:]), dtype)
                for reduction in ops_indexing.REDUCTIONS if dtype != BOOL else ("none",):
                    yield Case(
                        f"scatter_parts_{reduction}_{name}",
                        lambda v, i, u, r=reduction: ops_indexing.ScatterND(v, i, u, r),
                        (x, indices, updates),
                    )
        for batch in (1, 2):
            shape = ((4, 2, 2), (4, 6, 1))[batch - 1]
            indices = _indices(f"batch {dtype} {batch}", shape, (4, 6, 5)[batch : batch + shape[-1]], INT64)
            yield Case(
                f"gather_batch_{batch}_{dtype}", lambda v, i, b=batch: ops_indexing.GatherND(v, i, b), (x, indices)
            )
