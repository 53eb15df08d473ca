"""How many bits codes really need: dialects without narrow types say so by ranges and by values alone."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import BIPOLAR, DType
from subbyte.compiler.ir.node import Value

_WIDE = (8, 16)
"""Bits of the types that such dialects have for codes. What is wider is a sum."""
_STANDARD = (2, 4, *_WIDE)
"""Bits of the types that ONNX has for codes: constants of 1 and 3 bits come in the next of these."""


def narrowest_type(value: Value) -> DType:
    """The type of fewest bits that holds every code of `value` and its zero points.

    The codes of a constant are known, those of anything else lie in the range of its type. What is signed stays so:
    int2 for int8 codes in -2..1, as QCDQ writes 2 bits; bipolar for a constant of -1 and +1. The type itself where
    it has not 8 or 16 bits, or of a constant 2 or 4, and where `value` has no scale, a codebook, or a scale for each
    block.
    """
    dtype, quant = value.type.dtype, value.type.quant
    if dtype.kind not in ("int", "uint") or dtype.bits not in (_WIDE if value.constant is None else _STANDARD):
        return dtype
    if quant is None or not quant.is_static or quant.levels is not None or quant.block is not None:
        return dtype
    zero_points, codes = quant.static()[1], value.constant
    low, high = value.type.code_range()
    if codes is not None and codes.size:
        if dtype.is_signed and not zero_points.any() and (np.abs(codes.astype(np.int64)) == 1).all():
            return BIPOLAR
        low, high = int(codes.min()), int(codes.max())
    low, high = min(low, int(zero_points.min())), max(high, int(zero_points.max()))
    bits = max((~low if low < 0 else low).bit_length(), high.bit_length()) + dtype.is_signed
    return DType(dtype.kind, max(bits, 1))
