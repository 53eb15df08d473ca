"""Cases of data movement, on elements of 1, 2, 4 and 8 bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbyte.compiler.dtype import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT4, UINT8, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.types import Layout
from tests.conformance.cases import Case, Operand, cases, codes, quantized, reals

ELEMENTS = (UINT8, INT16, FLOAT32, INT64)


def _any(name: str, shape: tuple[int, ...], dtype: DType) -> Operand:
    if dtype == BOOL:
        return Operand(np.arange(int(np.prod(shape))).reshape(shape) % 3 == 0, BOOL)
    if dtype.is_float:
        return reals(name, shape, dtype, specials=True)
    return codes(name, shape, dtype, quantized(dtype, 0.1, 1) if dtype != INT64 else None)


@cases
def copies() -> Iterator[Case]:
    for dtype in (*ELEMENTS, BOOL, UINT4):
        x = _any(f"copies_{dtype}", (2, 5, 6, 7), dtype)
        for perm in ((0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 2, 3), (0, 1, 3, 2)):
            name = f"transpose_{''.join(map(str, perm))}_{dtype}"
            yield Case(name, lambda v, p=perm: ops.Transpose(v, p), (x,))
        yield Case(f"repack_{dtype}", lambda v: ops.Repack(v, layout=Layout((0, 2, 3, 1))), (x,))
        spans = ((0, 1, 5, 6), (2, 4, -1, 0), (1, 1, -2, -3))
        yield Case(f"slice_{dtype}", lambda v, s=spans: ops.Slice(v, *s), (x,))
        inner = ((0, 1, 0, 0), (2, 5, 6, 7), (1, 2, 1, 1))
        yield Case(f"slice_channels_{dtype}", lambda v, s=inner: ops.Slice(v, *s), (x,))
        deep = _any(f"deep_{dtype}", (2, 12, 4, 6), dtype)
        for mode in ("DCR", "CRD"):
            yield Case(f"depth_to_space_{mode}_{dtype}", lambda v, m=mode: ops.DepthToSpace(v, 2, m), (deep,))
        yield Case(f"space_to_depth_{dtype}", lambda v: ops.SpaceToDepth(v, 2), (deep,))
    yield Case("transpose_one", lambda v: ops.Transpose(v, (1, 0)), (_any("one", (1, 1), INT8),))
    yield Case("transpose_rows", lambda v: ops.Transpose(v, (1, 0)), (_any("rows", (33, 65), INT8),))
    wide = _any("wide", (2, 3, 2, 3, 2, 3), INT8)
    yield Case("transpose_rank_6", lambda v: ops.Transpose(v, (5, 3, 1, 4, 2, 0)), (wide,))


@cases
def joins_and_cuts() -> Iterator[Case]:
    for dtype in ELEMENTS:
        for axis in range(4):
            shapes = [tuple(e if a == axis else n for a, n in enumerate((2, 5, 6, 7))) for e in (1, 4, 3)]
            parts = tuple(_any(f"concat_{i}_{dtype}_{axis}", shape, dtype) for i, shape in enumerate(shapes))
            yield Case(f"concat_{axis}_{dtype}", lambda *v, a=axis: ops.Concat(v, a), parts)
            whole = _any(
                f"split_{dtype}_{axis}", tuple(8 if a == axis else n for a, n in enumerate((2, 5, 6, 7))), dtype
            )
            yield Case(f"split_{axis}_{dtype}", lambda v, a=axis: ops.Split(v, a, (1, 4, 3)), (whole,))
    known = Operand(np.ones((2, 3, 4), np.int8), INT8, quantized(INT8, 0.1, 1), True)
    x = _any("concat_constant", (2, 5, 4), INT8)
    yield Case("concat_constant", lambda a, b: ops.Concat((a, b), 1), (x, known))
    yield Case("concat_twice", lambda a: ops.Concat((a, a), 0), (_any("twice", (3, 5), INT8),))
    many = tuple(_any(f"many_{i}", (3, i + 1), INT8) for i in range(12))
    yield Case("concat_many", lambda *v: ops.Concat(v, 1), many)
    yield Case("split_vector", lambda v: ops.Split(v, 0, (3, 60, 1)), (_any("vector", (64,), INT32),))


PADS = {
    "all": (1, 0, 2, 1, 0, 1, 1, 3),
    "spatial": (0, 0, 2, 1, 0, 0, 1, 3),
    "channels": (0, 1, 0, 0, 0, 2, 0, 0),
    "cropped": (0, 0, -1, 2, 0, -2, 1, -3),
    "none": (0,) * 8,
}


@cases
def pads() -> Iterator[Case]:
    for label, borders in PADS.items():
        for mode in ops.PAD_MODES:
            for dtype in (UINT8, INT16, FLOAT32):
                if label == "all" and mode == "reflect":
                    continue  # a batch of 2 has no border of 2 to reflect

                def build(v: Value, p: Any = borders, m: str = mode, d: DType = dtype) -> Node:
                    value: Any = -1.5 if d.is_float else 77
                    return ops.Pad(v, p, m, value if m == "constant" else value * 0)

                x = _any(f"pad_{label}_{dtype}", (3, 5, 6, 7), dtype)
                yield Case(f"pad_{label}_{mode}_{dtype}", build, (x,))
    infinite = _any("pad_infinite", (2, 3), FLOAT32)
    yield Case("pad_infinite", lambda v: ops.Pad(v, (1, 0, 0, 2), "constant", float("-inf")), (infinite,))
    yield Case(
        "pad_other_order",  # axes of extent 1 have no order of their own
        lambda v: ops.Pad(v, (1, 0, 1, 0, 0, 2, 0, 1), "constant", 7, layout=Layout((0, 2, 3, 1))),
        (_any("other_order", (1, 3, 1, 1), INT8),),
    )
    yield Case(
        "pad_wide", lambda v: ops.Pad(v, (0, 0, 9, 9, 0, 0, 9, 9), "constant", 0), (_any("w", (1, 33, 2, 2), INT8),)
    )


@cases
def gathers() -> Iterator[Case]:
    for dtype in ELEMENTS:
        x = _any(f"gather_{dtype}", (4, 6, 5), dtype)
        for axis, extent in enumerate((4, 6, 5)):
            for wide in (INT32, INT64):
                values = np.array([[0, -1, 1], [extent - 1, -extent, 2]], wide.numpy)
                operands = (x, Operand(values, wide))
                name = f"gather_{axis}_{wide}_{dtype}"
                yield Case(name, lambda v, i, a=axis: ops.Gather(v, i, a), operands)
    fixed = Operand(np.array([2, 0], np.int64), INT64, None, True)
    yield Case("gather_constant", lambda v, i: ops.Gather(v, i, 1), (_any("fixed", (4, 6), INT8), fixed))
    scalar = Operand(np.array(3, np.int64), INT64)
    yield Case("gather_scalar", lambda v, i: ops.Gather(v, i, 1), (_any("scalar", (4, 6), INT8), scalar))
