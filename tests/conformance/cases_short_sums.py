"""Cases of sums that kernels hold in 16 bits for a while: as deep as a lane holds the worst, and a little more."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.compiler.dtype import INT8, INT32, UINT8, DType
from subbyte.compiler.numerics.accumulate import flush_interval, step_range
from tests.conformance.cases import Case, cases
from tests.conformance.cases_sums import Numbers, conv, gemm

_GROUP = 16  # bytes of a register: two products for each of its eight lanes of 16 bits
_FILLS = (("lowest", "lowest"), ("highest", "lowest"), ("extremes", "extremes"))


def _operands() -> Iterator[tuple[str, DType, DType]]:
    """Inputs and weights of which 2 and more products fit 16 bits: signed inputs, and unsigned ones of few bits."""
    for bits in (8, 7, 6, 5, 4, 3, 2):
        yield f"s8_s{bits}", INT8, DType("int", bits)
    for bits in (7, 4, 3, 2):
        yield f"u{bits}_s4", DType("uint", bits), DType("int", 4)
    yield "u8_s4", UINT8, DType("int", 4)


@cases
def deep_products() -> Iterator[Case]:
    for label, x, w in _operands():
        low, high = (-128, 127) if x == UINT8 else (x.min, x.max)  # as kernels for signed bytes turn them over
        held = flush_interval(*step_range(w.min, w.max, low, high), 16, signed=True)
        groups = min(max(held // 2, 1), 256)
        for fills in _FILLS:
            n = Numbers(x=x, w=w, y=INT32, bias=None, x_zero=0, x_fill=fills[0], w_fill=fills[1])
            for depth in (_GROUP * groups, _GROUP * (groups + 1)):
                yield gemm(f"short_{label}_{'_'.join(fills)}_{depth}", n, (5, depth), (depth, 5))


@cases
def deep_convolutions() -> Iterator[Case]:
    """Runs of the window that fit whole, several at a time or a part of one."""
    for label, x, w in _operands():
        for x_fill, w_fill in (("lowest", "lowest"), ("extremes", "extremes")):
            n = Numbers(x=x, w=w, x_zero=0, x_fill=x_fill, w_fill=w_fill)
            yield conv(f"short_conv_{label}_{w_fill}", n, (1, 48, 5, 5), 6, (5, 3), pads=(2, 1, 2, 1))
    n = Numbers(x=INT8, w=DType("int", 4), x_zero=0, x_fill="extremes", w_fill="extremes")
    yield conv("short_conv_dilated", n, (1, 160, 3, 7), 3, (3, 2), dilations=(1, 3))
