"""Cases of sums with weights of few values, stored in 4, 2 or 1 bits: sizes around tiles, groups and panels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from subbyte.compiler.dtype import BIPOLAR, INT8, INT32, TERNARY, UINT4, UINT8, DType
from tests.conformance.cases import Case, cases
from tests.conformance.cases_sums import Numbers, conv, gemm

SIGNED = Numbers(x=INT8, y=INT8, x_zero=-5)
FORMS = {
    "sixteen": replace(SIGNED, w=UINT4, levels=(-128, -90, -64, -50, -33, -17, -8, -1, 0, 3, 9, 20, 41, 70, 99, 127)),
    "nine": replace(SIGNED, w=UINT4, levels=(-16, -8, -4, -1, 0, 1, 4, 8, 16)),
    "four": replace(SIGNED, w=DType("uint", 2), levels=(-128, -3, 64, 127)),
    "ternary": replace(SIGNED, w=TERNARY),
    "bipolar": replace(SIGNED, w=BIPOLAR),
}


@cases
def stored_weights() -> Iterator[Case]:
    for label, n in FORMS.items():
        for columns in (1, 4, 7, 8, 9):
            yield conv(f"dots_{label}_width_{columns}", n, (1, 16, 2, columns), 20, (3, 3), pads=(1, 1, 1, 1))
        for outputs in (1, 3, 8, 15, 16, 17, 33):
            yield conv(f"dots_{label}_outputs_{outputs}", n, (1, 32, 1, 9), outputs, (1, 1))
        for depth in (4, 8, 20, 24, 36, 68):
            yield gemm(f"dots_{label}_depth_{depth}", n, (9, depth), (depth, 12))
        yield conv(f"dots_{label}_halved", n, (2, 24, 7, 6), 18, (3, 3), strides=(2, 2), pads=(1, 0, 0, 1))
        yield conv(f"dots_{label}_dilated", n, (1, 8, 7, 9), 10, (3, 3), dilations=(2, 2), pads=(2, 2, 2, 2))
        yield conv(f"dots_{label}_few_channels", n, (1, 3, 5, 11), 9, (3, 3), pads=(1, 1, 1, 1))
        lowest = replace(n, x_fill="lowest", x_zero=127)
        yield conv(f"dots_{label}_lowest", lowest, (1, 128, 3, 5), 9, (3, 3), pads=(1, 1, 1, 1))
        yield conv(f"dots_{label}_raw", replace(n, y=INT32, bias=None), (1, 16, 3, 5), 9, (3, 3))
        yield gemm(f"dots_{label}_matrix_raw", replace(n, y=INT32, bias=None), (6, 48), (48, 18))


@cases
def depthwise_squares() -> Iterator[Case]:
    numbers = {
        "signed": SIGNED,
        "unsigned": Numbers(x_zero=131),
        "lowest": replace(SIGNED, x_fill="lowest", w_fill="lowest", x_zero=127),
        "shift": replace(SIGNED, shift=True, bias=None, w=UINT8, w_zero=128),
    }
    for label, n in numbers.items():
        for height, width in ((1, 4), (2, 3), (3, 5), (4, 8), (7, 9)):
            name = f"depthwise_square_{label}_{height}x{width}"
            yield conv(name, n, (2, 24, height, width), 24, (3, 3), pads=(1, 1, 1, 1), group=24)
    yield conv("depthwise_square_valid", SIGNED, (1, 8, 6, 7), 8, (3, 3), group=8)
    yield conv("depthwise_square_lopsided", SIGNED, (1, 16, 5, 6), 16, (3, 3), pads=(2, 0, 0, 1), group=16)
    yield conv("depthwise_square_wide", SIGNED, (1, 128, 10, 33), 128, (3, 3), pads=(1, 1, 1, 1), group=128)
