"""Cases of sums of codes of 1 to 3 bits with weights of any width, around cells, blocks and rows of tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from subbyte.compiler.dtype import INT2, INT4, INT8, INT32, UINT2, UINT8, DType
from tests.conformance.cases import Case, cases
from tests.conformance.cases_sums import Numbers, conv, gemm

SAME = (1, 1, 1, 1)
_W8 = Numbers(x=UINT2, w=INT8, y=UINT8, x_zero=1, spread=60.0)
_W2 = Numbers(x=UINT2, w=INT2, y=INT8, x_zero=2)


@cases
def partial_sums() -> Iterator[Case]:
    for bits in (1, 2, 3):
        x = DType("uint", bits)
        for w in (INT4, DType("int", 6), INT8):
            n = replace(_W8, x=x, w=w, x_zero=x.max // 2)
            yield conv(f"partial_conv_{x}_{w}", n, (1, 30, 5, 3), 20, (3, 3), pads=SAME)
            for fill in ("lowest", "highest"):
                deep = replace(n, y=INT32, bias=None, x_zero=0, x_fill="highest", w_fill=fill)
                yield gemm(f"partial_deep_{x}_{w}_{fill}", deep, (5, 500), (500, 9))
    for channels in (1, 2, 35, 36, 37, 73):  # of 12 cells of 3 codes
        yield conv(f"partial_channels_{channels}", _W2, (1, channels, 3, 5), 33, (3, 3), pads=SAME)
    for outputs in (7, 8, 9, 15, 16, 17):
        yield gemm(f"partial_wide_outputs_{outputs}", _W8, (3, 50), (50, outputs))
