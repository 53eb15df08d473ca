"""Cases of products of one row or a few with weights of 1 to 4 bits: depths around groups, outputs around panels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from subbyte.compiler.dtype import BIPOLAR, INT2, INT4, INT8, INT32, TERNARY, UINT4, UINT8
from tests.conformance.cases import Case, cases
from tests.conformance.cases_sums import Numbers, conv, gemm

SIGNED = Numbers(x=INT8, y=INT8, x_zero=-5)
WEIGHTS = {"int4": INT4, "int2": INT2, "ternary": TERNARY, "bipolar": BIPOLAR}


@cases
def few_rows() -> Iterator[Case]:
    for label, dtype in WEIGHTS.items():
        n = replace(SIGNED, w=dtype)
        for depth in (1, 15, 16, 17, 64, 333):
            yield gemm(f"few_rows_{label}_depth_{depth}", n, (1, depth), (depth, 17))
        for outputs in (1, 7, 8, 9, 24):
            yield gemm(f"few_rows_{label}_outputs_{outputs}", n, (1, 48), (48, outputs))
        for rows in (2, 3, 4, 5):
            yield gemm(f"few_rows_{label}_rows_{rows}", n, (rows, 32), (32, 12))
        worst = {"x_fill": "lowest", "x_zero": 0}
        yield gemm(f"few_rows_{label}_lowest", replace(n, w_fill="lowest", **worst), (1, 4096), (4096, 9))
        yield gemm(f"few_rows_{label}_highest", replace(n, w_fill="highest", **worst), (2, 4096), (4096, 9))
        yield gemm(f"few_rows_{label}_raw", replace(n, y=INT32, bias=None, x_fill="extremes"), (1, 1040), (1040, 9))
        yield gemm(f"few_rows_{label}_unsigned", replace(n, x=UINT8, y=UINT8, x_zero=131), (1, 100), (100, 10))
        yield conv(f"few_rows_{label}_pixel", n, (1, 40, 1, 1), 20, (1, 1))
        yield conv(f"few_rows_{label}_pixel_raw", replace(n, y=INT32, bias=None), (1, 40, 1, 1), 20, (1, 1))
    even = replace(SIGNED, w=UINT4, levels=(-37, 0, 37, 74))
    yield gemm("few_rows_wide_steps", even, (1, 200), (200, 11))
    yield gemm("few_rows_wide_steps_odd_rows", replace(even, shift=True, bias=None), (3, 64), (64, 11))
    yield gemm("few_rows_zero_points", replace(SIGNED, w=UINT4, w_zero=3), (2, 96), (96, 10))
