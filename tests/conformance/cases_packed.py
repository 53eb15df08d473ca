"""Cases of sums of products with weights of fewer than 8 bits: every width, around the sizes of blocks and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from subbyte.compiler.dtype import BIPOLAR, INT16, INT32, INT64, TERNARY, UINT8, UINT16, DType
from tests.conformance.cases import Case, cases
from tests.conformance.cases_sums import Numbers, conv, conv_transpose, gemm

WIDTHS = (BIPOLAR, TERNARY, *(DType(kind, bits) for kind in ("int", "uint") for bits in range(1, 8)))
SAME = (1, 1, 1, 1)


def _numbers() -> dict[str, Numbers]:
    """Each width with its zero point in the range, at both ends of the range, and with wider sums and data."""
    found: dict[str, Numbers] = {}
    for w in WIDTHS:
        symmetric = w in (BIPOLAR, TERNARY)
        plain = Numbers(w=w, w_zero=0 if symmetric or w.is_signed else w.max // 2 + 1)
        found[w.name] = plain
        found[f"{w.name}_lowest"] = replace(plain, x_fill="highest", w_fill="lowest", x_zero=0)
        found[f"{w.name}_extremes"] = replace(plain, x_fill="extremes", w_fill="extremes", x_zero=0, y=INT32, bias=None)
        found[f"{w.name}_s16"] = replace(plain, x=INT16, x_zero=0, x_fill="extremes", y=INT16, spread=9000.0)
    four = Numbers(w=DType("uint", 4), w_zero=None)
    found["uint4_zeros"] = four
    found["int4_no_bias"] = Numbers(w=DType("int", 4), bias=None)
    found["int3_wide_bias"] = Numbers(w=DType("int", 3), bias=INT64)
    found["int4_u16"] = Numbers(w=DType("int", 4), x=UINT16, x_zero=40001, y=UINT16, spread=9000.0)
    found["ternary_negative"] = Numbers(w=TERNARY, negative=True, shift=True, bias=None)
    found["int3_halves"] = Numbers(w=DType("int", 3), per_channel=False, small=True, x_zero=77)
    return found


NUMBERS = _numbers()
CODEBOOKS = {
    "one_level": (1, (-3,)),
    "signs": (1, (-37, 37)),
    "ternary": (2, (-37, 0, 37)),
    "extremes": (2, (-128, 0, 127)),
    "powers_of_two": (4, (*(-(1 << k) for k in range(6, -1, -1)), 0, *(1 << k for k in range(7)))),
    "random": (4, (*tuple(range(-120, 121, 17))[:15], 127)),
    "wide": (2, (-32768, 5, 129)),  # beyond a byte: not packed
}


@cases
def packed_widths() -> Iterator[Case]:
    for label, n in NUMBERS.items():
        yield conv(f"packed_conv_{label}", n, (1, 5, 4, 5), 9, (3, 3), pads=SAME)
        yield conv(f"packed_depthwise_{label}", n, (1, 67, 4, 3), 67, (3, 3), pads=SAME, group=67)
        yield gemm(f"packed_gemm_{label}", n, (3, 19), (19, 9))


@cases
def codebooks() -> Iterator[Case]:
    for label, (bits, levels) in CODEBOOKS.items():
        n = Numbers(w=DType("uint", bits), levels=levels)
        yield conv(f"codebook_conv_{label}", n, (1, 5, 4, 5), 9, (3, 3), pads=SAME)
        yield conv(f"codebook_depthwise_{label}", n, (1, 67, 4, 3), 67, (3, 3), pads=SAME, group=67)
        yield conv_transpose(f"codebook_transposed_{label}", n, (1, 5, 4, 3), 6, (3, 3), strides=(2, 2))
        yield gemm(f"codebook_gemm_{label}", n, (3, 19), (19, 9))
        wide = replace(n, x=INT16, x_zero=0, x_fill="extremes", y=INT16, spread=9000.0)
        yield gemm(f"codebook_gemm_s16_{label}", wide, (3, 19), (19, 9))


@cases
def packed_sizes() -> Iterator[Case]:
    for w in (BIPOLAR, TERNARY, DType("int", 3), DType("int", 4), DType("uint", 5)):
        n = Numbers(w=w, w_zero=0 if w.is_signed else 7)
        for extent in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65):
            yield conv(f"packed_outputs_{w}_{extent}", n, (1, 3, 3, 4), extent, (2, 2))
            yield conv(f"packed_inputs_{w}_{extent}", n, (1, extent, 3, 4), 3, (1, 3), pads=(0, 1, 0, 1))
            yield conv(f"packed_channels_{w}_{extent}", n, (2, extent, 3, 4), extent, (3, 1), group=extent)
            yield gemm(f"packed_depth_{w}_{extent}", n, (2, extent), (extent, 3))
            yield gemm(f"packed_columns_{w}_{extent}", n, (2, 5), (5, extent))


@cases
def packed_geometry() -> Iterator[Case]:
    n = Numbers(w=DType("int", 3), x=UINT8)
    yield conv("packed_conv_stride", n, (2, 3, 9, 8), 11, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1))
    yield conv("packed_conv_dilated", n, (1, 3, 9, 9), 5, (3, 3), dilations=(2, 3), pads=(2, 3, 2, 3))
    yield conv("packed_conv_groups", n, (1, 12, 5, 5), 20, (3, 3), group=2, pads=SAME)
    yield conv("packed_conv_1d", n, (2, 3, 11), 17, (3,), pads=(1, 1))
    yield conv("packed_depthwise_1d", n, (1, 70, 13), 70, (5,), dilations=(3,), pads=(12, 0), group=70)
    yield conv("packed_depthwise_stride", n, (2, 20, 9, 8), 20, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1), group=20)
    yield conv_transpose("packed_transposed", n, (1, 5, 4, 3), 6, (3, 3), strides=(2, 2))
    yield conv_transpose("packed_transposed_groups", n, (1, 6, 4, 3), 9, (3, 3), strides=(2, 2), group=3)
    for label in ("int4_s16", "int4_u16"):
        yield conv_transpose(f"packed_transposed_{label}", NUMBERS[label], (1, 5, 4, 3), 6, (3, 3), strides=(2, 2))
    yield conv_transpose("packed_transposed_s64", NUMBERS["int3_wide_bias"], (1, 5, 4, 3), 6, (3, 3))
    yield gemm("packed_batches", n, (4, 3, 10), (4, 10, 9))
    yield gemm("packed_batches_broadcast", n, (2, 1, 3, 10), (4, 10, 17))
    yield gemm("packed_batch_of_a", n, (2, 4, 3, 10), (10, 9))
    yield gemm("packed_deep", NUMBERS["int4_lowest"], (1, 4099), (4099, 3))
