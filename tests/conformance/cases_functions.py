"""Cases of functions in integers alone: normalizations, softmax of wide codes, piecewise functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT4, INT8, INT16, UINT8, UINT16, DType
from subbyte.compiler.ir.qops_functions import QLayerNormalization, QPiecewise, QRMSNormalization, QWideSoftmax
from subbyte.compiler.numerics.integer_softmax import exponential_tables
from subbyte.compiler.numerics.piecewise import fit
from subbyte.compiler.numerics.unary import unary
from tests.conformance.cases import FILLS, Case, Operand, cases, codes, every_code, generator, quantized

EXTENTS = (1, 7, 8, 9, 63, 64, 65, 129)


def rows_of(name: str, dtype: DType, extent: int, zero: int) -> NDArray[Any]:
    """Rows that are hard to normalize: random, equal, zero, one code beside the rest, the two ends in turn."""
    random = generator(f"{name} {dtype} {extent}")
    low, high = dtype.min, dtype.max
    rows = random.integers(low, high, (9, extent), endpoint=True)
    rows[1], rows[2], rows[3] = low, high, zero
    rows[4] = zero
    rows[4, -1] = min(zero + 1, high)
    rows[5] = np.where(np.arange(extent) % 2, low, high)
    rows[6], rows[6, 0] = low, high
    rows[7] = zero + random.integers(-1, 2, extent).clip(low - zero, high - zero)
    return rows.astype(dtype.numpy)


@cases
def normalizations() -> Iterator[Case]:
    for dtype in (INT8, UINT8, INT16, UINT16, INT4):
        zero = (dtype.min + 2 * dtype.max) // 3
        for extent in EXTENTS:
            name = f"normalize_{dtype}_{extent}"
            random = generator(name)
            scale = random.normal(1, 0.4, extent).astype(np.float32)
            bias = random.normal(0, 0.7, extent).astype(np.float32)
            x = Operand(rows_of(name, dtype, extent, zero), dtype, quantized(dtype, 0.0371, zero))
            quant = quantized(dtype, 7.3 / (dtype.max - dtype.min), zero - 1)
            for op in (QLayerNormalization, QRMSNormalization):
                yield Case(
                    f"{op.__name__}_{dtype}_{extent}",
                    lambda v, o=op, s=scale, b=bias, d=dtype, q=quant: o(v, s, b, 1, 1e-5, d, q),
                    (x,),
                )
    grid, quant = quantized(INT16, 1e-4, -321), quantized(INT8, 0.03, 5)
    for fill in FILLS:
        x = codes(f"normalize_{fill}", (2, 3, 5, 7), INT16, grid, fill)
        for op in (QLayerNormalization, QRMSNormalization):
            yield Case(f"{op.__name__}_bare_{fill}", lambda v, o=op: o(v, None, None, 2, 1e-12, INT8, quant), (x,))
    large = codes("normalize_large", (2, 2100), UINT16, quantized(UINT16, 3e-5, 0), "extremes")
    yield Case(
        "QLayerNormalization_large", lambda v: QLayerNormalization(v, None, None, 1, 1e-5, INT8, quant), (large,)
    )


@cases
def wide_softmaxes() -> Iterator[Case]:
    for extent in EXTENTS:
        for dtype in (INT16, UINT16):
            name = f"wide_softmax_{dtype}_{extent}"
            x = codes(name, (5, extent), dtype, quantized(dtype, 2e-4, 77))
            tables, quant = exponential_tables(2e-4), quantized(UINT16, 1 / 65536, 0)
            yield Case(name, lambda v, t=tables, q=quant: QWideSoftmax(v, t, UINT16, q, 1), (x,))
    grid = quantized(INT16, 1e-3, -5)
    tables, quant = exponential_tables(1e-3), quantized(INT16, 1 / 32768, -32768)
    x = codes("wide_softmax_axes", (2, 5, 7, 9), INT16, grid)
    for axis in range(4):
        yield Case(f"wide_softmax_axis_{axis}", lambda v, a=axis: QWideSoftmax(v, tables, INT16, quant, a), (x,))
    for fill in FILLS:
        x = codes(f"wide_softmax_{fill}", (3, 300), INT16, grid, fill)
        yield Case(f"wide_softmax_{fill}", lambda v: QWideSoftmax(v, tables, INT16, quant, 1), (x,))
    small, meaning = codes("wide_softmax_u8", (3, 21), UINT8, quantized(UINT8, 0.05, 3)), quantized(UINT8, 1 / 256, 0)
    of_small = exponential_tables(0.05)
    yield Case("wide_softmax_u8", lambda v: QWideSoftmax(v, of_small, UINT8, meaning, 1), (small,))


@cases
def piecewise() -> Iterator[Case]:
    for dtype in (INT16, UINT16, DType("int", 9), DType("uint", 12)):
        for function in ("Gelu", "Sqrt", "HardSwish"):
            for result in (dtype, INT8):
                zero = (result.min + result.max) // 2 + 3
                quant = quantized(result, 6 / (result.max - result.min), zero)
                reals = np.arange(dtype.min, dtype.max + 1) * np.float32(16 / (dtype.max - dtype.min))
                with np.errstate(invalid="ignore"):
                    steps = unary(function, reals).astype(np.float64) / float(np.float32(quant.scalar()[0]))
                low, high = result.min - zero, result.max - zero
                pieces = fit(np.where(np.isnan(steps), low, steps), low, high)
                for extent in (1, 7, 8, 9, 2049) if result is INT8 else (1 << dtype.bits,):
                    name = f"piecewise_{function}_{dtype}_{result}_{extent}"
                    x = every_code((extent,), dtype, quantized(dtype, 0.1, 0))
                    x = Operand(np.roll(x.values, 3 * extent // 7), dtype, x.quant)
                    yield Case(
                        name,
                        lambda v, p=pieces, r=result, q=quant: QPiecewise(v, p.segments, p.coefficients, r, q, 1, 0),
                        (x,),
                    )
