"""Cases of matrix products of two run-time matrices of bytes: sizes around a register tile, worst operands, batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from subbyte.compiler.dtype import INT8, INT32, UINT8
from tests.conformance.cases import Case, cases
from tests.conformance.cases_sums import Numbers, gemm

PLAIN = Numbers(w=UINT8, w_zero=131)
NUMBERS = {
    "zeros": PLAIN,
    "no_zeros": replace(PLAIN, x_zero=0, w_zero=0),
    "far_zeros": replace(PLAIN, x_zero=255, w_zero=255),
    "one_multiplier": replace(PLAIN, per_channel=False),
    "ties": replace(PLAIN, per_channel=False, tie=True),
    "shift": replace(PLAIN, shift=True, bias=None),
    "no_bias": replace(PLAIN, bias=None),
    "negative": replace(PLAIN, negative=True),
    "clamped": replace(PLAIN, qmin=3, qmax=200),
    "highest": replace(PLAIN, x_fill="highest", w_fill="highest", x_zero=0, w_zero=0),
    "lowest": replace(PLAIN, x_fill="highest", w_fill="lowest", x_zero=0, w_zero=255),
    "extremes": replace(PLAIN, x_fill="extremes", w_fill="extremes"),
    "signed": Numbers(x=INT8, w=INT8, y=INT8, x_zero=-5, w_zero=11),
    "signed_lowest": Numbers(x=INT8, w=INT8, y=INT8, x_fill="lowest", w_fill="lowest", x_zero=127, w_zero=127),
    "signed_extremes": Numbers(x=INT8, w=INT8, y=INT8, x_fill="extremes", w_fill="extremes", x_zero=0, w_zero=0),
    "mixed": Numbers(x=UINT8, w=INT8, y=INT8, x_zero=200, w_zero=-128),
    "raw": Numbers(x=INT8, w=INT8, y=INT32, bias=None, x_zero=-128, w_zero=3),
}


@cases
def run_time_products() -> Iterator[Case]:
    for label, n in NUMBERS.items():
        yield gemm(f"product_{label}", n, (2, 5, 33), (2, 33, 70), constant=False)
    for extent in (1, 2, 3, 4, 5, 7, 31, 32, 33, 63, 64, 65, 129):
        yield gemm(f"product_depth_{extent}", PLAIN, (3, extent), (extent, 9), constant=False)
        yield gemm(f"product_columns_{extent}", PLAIN, (3, 10), (10, extent), constant=False)
        yield gemm(f"product_rows_{extent}", PLAIN, (extent, 10), (10, 9), constant=False)
    yield gemm("product_batches_cross", PLAIN, (2, 1, 6, 10), (3, 10, 65), constant=False)
    yield gemm("product_batch_of_a", PLAIN, (2, 4, 6, 10), (10, 65), constant=False)
    yield gemm("product_batch_of_b", PLAIN, (6, 10), (4, 10, 65), constant=False)
