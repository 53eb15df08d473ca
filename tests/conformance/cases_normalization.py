"""Cases of normalisations over the last axes: every size of a row, both float types, special numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subbyte.compiler.dtype import FLOAT16, FLOAT32, DType
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from tests.conformance.cases import Case, Operand, cases, reals

KINDS: tuple[type[Normalization], ...] = (LayerNormalization, RMSNormalization)


def normalization(
    name: str,
    kind: type[Normalization],
    x: Operand,
    axis: int,
    rows: int,
    epsilon: float = 1e-5,
    constant: bool = True,
    divides: bool = False,
) -> Case:
    """`kind` of x with `rows` of a scale and a bias: 0, 1 or 2."""
    shape, dtype = x.values.shape[axis:], x.dtype
    given = tuple(reals(f"{name} {role}", shape, dtype, constant=constant) for role in ("scale", "bias")[:rows])

    def build(data: Value, scale: Value | None = None, bias: Value | None = None) -> Node:
        return kind(data, scale, bias, axis, epsilon, divides)

    return Case(f"{name}_{kind.__name__}", build, (x, *given))


def _offset(name: str, shape: tuple[int, ...], dtype: DType, offset: float) -> Operand:
    """Elements far from 0: what is left of the difference from the mean shows every rounding."""
    found = reals(name, shape, dtype)
    return Operand((found.values + dtype.numpy.type(offset)).astype(dtype.numpy), dtype)


@cases
def normalizations() -> Iterator[Case]:
    for kind in KINDS:
        for extent in (1, 7, 8, 9, 63, 64, 65, 128, 384):
            x = reals(f"normalized {extent}", (3, extent), FLOAT32)
            yield normalization(f"normalized_{extent}", kind, x, 1, 2)
        for axis in range(4):
            for dtype in (FLOAT32, FLOAT16):
                x = _offset(f"normalized axis {axis}", (2, 3, 5, 7), dtype, 100.0)
                yield normalization(f"normalized_axis_{axis}_{dtype}", kind, x, axis, 2)
        for rows in range(3):
            x = reals("normalized rows", (2, 5, 70), FLOAT16)
            yield normalization(f"normalized_half_rows_{rows}", kind, x, 2, rows)
            yield normalization(f"normalized_run_time_rows_{rows}", kind, reals("rows", (4, 70), FLOAT32), 1, rows,
                                constant=False)  # fmt: skip
        yield normalization("normalized_specials", kind, reals("n", (40, 9), FLOAT32, specials=True), 1, 2)
        yield normalization("normalized_specials_half", kind, reals("n", (40, 9), FLOAT16, specials=True), 1, 2)
        for extent in (9, 65):
            x = _offset("divided", (5, extent), FLOAT32, 10.0)
            yield normalization(f"divided_{extent}", kind, x, 1, 2, divides=True)
        yield normalization("divided_specials", kind, reals("n", (40, 9), FLOAT32, specials=True), 1, 2, divides=True)
        same = Operand(np.full((4, 30), 0.1, np.float32), FLOAT32)
        yield normalization("normalized_constant_row", kind, same, 1, 2)
        yield normalization("normalized_no_epsilon", kind, same, 1, 2, epsilon=0.0)
        yield normalization("normalized_large", kind, reals("large", (4, 30), FLOAT32, spread=1e30), 1, 1)
