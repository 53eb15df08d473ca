"""Cases of sums of products of codes and weights of 1 to 4 bits: all widths, windows of all shapes and extents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from subbyte.compiler.dtype import BIPOLAR, INT2, INT4, INT8, INT32, TERNARY, UINT2, UINT4, UINT8, DType
from tests.conformance.cases import Case, cases
from tests.conformance.cases_sums import Numbers, conv, gemm

SAME = (1, 1, 1, 1)
UINT1, UINT3, INT3 = DType("uint", 1), DType("uint", 3), DType("int", 3)
_TWO = Numbers(x=UINT2, w=INT2, y=INT8, x_zero=1)
_ONE = Numbers(x=UINT1, w=BIPOLAR, y=UINT8, x_zero=0, bias=None)
_RAW = Numbers(x=UINT2, w=INT2, y=INT32, x_zero=0, bias=None)


@cases
def low_bits() -> Iterator[Case]:
    for x in (UINT1, UINT2, UINT3, UINT4):
        for w in (BIPOLAR, TERNARY, INT2, INT3, INT4):
            n = Numbers(x=x, w=w, y=UINT8, x_zero=x.max // 2)
            yield conv(f"low_bits_conv_{x}_{w}", n, (1, 20, 5, 6), 24, (3, 3), pads=SAME)
            for fill in ("lowest", "highest"):
                deep = replace(_RAW, x=x, w=w, x_fill="highest", w_fill=fill)
                yield gemm(f"low_bits_deep_{x}_{w}_{fill}", deep, (2, 4100), (4100, 5))
    for channels in (3, 8, 64, 128, 136, 256):
        yield conv(f"low_bits_channels_{channels}", _TWO, (1, channels, 4, 5), 16, (3, 3), pads=SAME)
        yield conv(f"low_bits_one_bit_{channels}", _ONE, (1, channels, 5, 4), 17, (3, 3), pads=SAME)
        yield conv(f"low_bits_pointwise_{channels}", _TWO, (2, channels, 3, 3), 33, (1, 1))
        yield conv(f"low_bits_pointwise_stride_{channels}", _ONE, (2, channels, 5, 4), 9, (1, 1), strides=(2, 2))
    for width in (1, 2, 3, 4, 5, 8, 9):
        yield conv(f"low_bits_width_{width}", _TWO, (1, 32, 3, width), 16, (3, 3), pads=SAME)
        yield gemm(f"low_bits_rows_{width}", _ONE, (width, 64), (64, 40))
    yield conv("low_bits_stride", _TWO, (2, 24, 9, 8), 20, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1))
    yield conv("low_bits_strides_differ", _ONE, (1, 12, 9, 8), 5, (3, 2), strides=(1, 3), pads=(2, 0, 1, 1))
    yield conv("low_bits_dilated", _TWO, (1, 40, 9, 9), 20, (3, 3), dilations=(2, 3), pads=(2, 3, 2, 3))
    yield conv("low_bits_dilated_rows", _ONE, (1, 16, 9, 5), 20, (3, 3), dilations=(2, 1), pads=(2, 0, 1, 0))
    yield conv("low_bits_large", _TWO, (1, 64, 15, 17), 64, (5, 5), pads=(2, 2, 2, 2))
    yield conv("low_bits_valid", _ONE, (1, 64, 7, 9), 24, (3, 3))
    yield gemm("low_bits_many_rows", _ONE, (300, 128), (128, 48))
    ones = replace(_RAW, x=UINT1, w=TERNARY, x_fill="highest", w_fill="highest")
    for depth in (896, 1024, 1920, 2048):  # 4, and 2, counts of so many steps are a byte together, and just no more
        yield gemm(f"low_bits_ones_{depth}_highest", ones, (9, depth), (depth, 5))


@cases
def results_of_one_bit() -> Iterator[Case]:
    """One step from 0 to 1, which a sign may tell: rising, falling, with ties, at the ends of the sums."""
    one = replace(_ONE, y=UINT1, bias=INT32, spread=2.0)
    for label, n in {
        "random": one,
        "two_bits": replace(one, x=UINT2, w=INT2, x_zero=1),
        "ties": replace(one, tie=True, per_channel=False),
        "shift": replace(one, shift=True),
        "falling": replace(one, negative=True),
        "extremes": replace(one, x_fill="extremes", w_fill="extremes"),
    }.items():
        for outputs in (5, 16, 40):
            yield conv(f"one_bit_results_conv_{label}_{outputs}", n, (1, 24, 5, 6), outputs, (3, 3), pads=SAME)
            yield gemm(f"one_bit_results_gemm_{label}_{outputs}", n, (5, 72), (72, outputs))
