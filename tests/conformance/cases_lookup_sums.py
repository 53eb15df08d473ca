"""Cases of sums of products of 1-bit and 2-bit codes with weights of at most four values, around cells and vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from subbyte.compiler.dtype import BIPOLAR, INT2, INT32, TERNARY, UINT2, UINT8, DType
from tests.conformance.cases import Case, cases
from tests.conformance.cases_sums import Numbers, conv, gemm

SAME = (1, 1, 1, 1)
UINT1 = DType("uint", 1)
CODEBOOK = Numbers(x=UINT2, w=DType("uint", 2), y=UINT2, x_zero=1, spread=5.0, levels=(-9, -2, 1, 14))
_PLAIN = Numbers(x=UINT2, w=TERNARY, y=UINT2, x_zero=1, spread=5.0)


def _numbers() -> dict[str, Numbers]:
    """Every width of codes and weights, with sums that end as codes, as bytes and as themselves, and the largest."""
    found = {"codebook": CODEBOOK, "unsigned_weights": replace(_PLAIN, w=UINT2, w_zero=2)}
    for x in (UINT1, UINT2):
        for w in (BIPOLAR, TERNARY, INT2):
            n = replace(_PLAIN, x=x, w=w, x_zero=x.max // 2)
            name = f"{x}_{w}"
            found[name] = n
            found[f"{name}_bytes"] = replace(n, y=UINT8, spread=60.0, shift=True, bias=None)
            found[f"{name}_raw"] = replace(n, y=INT32, bias=None)
            found[f"{name}_lowest"] = replace(n, y=INT32, x_fill="highest", w_fill="lowest", x_zero=0)
            found[f"{name}_highest"] = replace(n, y=INT32, x_fill="highest", w_fill="highest", x_zero=0)
    return found


NUMBERS = _numbers()


@cases
def lookup_sums() -> Iterator[Case]:
    for label, n in NUMBERS.items():
        yield gemm(f"lookup_gemm_{label}", n, (3, 200), (200, 72))
        if not label.endswith(("bytes", "lowest", "highest")):
            yield conv(f"lookup_conv_{label}", n, (1, 24, 4, 5), 16, (3, 3), pads=SAME)
    for extent in (1, 3, 4, 5, 7, 9, 33, 65):
        yield gemm(f"lookup_depth_{extent}", _PLAIN, (2, extent), (extent, 9))
        yield gemm(f"lookup_columns_{extent}", _PLAIN, (2, 8), (8, extent))
        yield gemm(f"lookup_rows_{extent}", _PLAIN, (extent, 8), (8, 9))
    deep = replace(_PLAIN, w=INT2, y=INT32, bias=None, x_zero=0)
    for fill in ("lowest", "highest", "extremes"):  # beyond what 8 and 16 bits hold
        yield gemm(f"lookup_deep_{fill}", replace(deep, x_fill="highest", w_fill=fill), (1, 12000), (12000, 3))
