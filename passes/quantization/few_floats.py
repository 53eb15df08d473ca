"""Float weights that have only a few different values, as k-means and other codebooks leave them."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import FLOAT32, DType
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.types import QuantParams, TensorType

MOST_LEVELS = 16
_SAMPLE = 4096
_LEAST_SAVING = 64  # bytes: constants begin at multiples of 64


def as_indices(weights: Value) -> Value | None:
    """The constant as indices of 1 to 4 bits into a table of its values, bit for bit; None where it is no such one.

    Values are told apart by their bits, so 0.0 and -0.0 are two.
    """
    held = weights.constant
    if held is None or weights.type.dtype != FLOAT32 or not held.size or not np.isfinite(held).all():
        return None
    bits_of = np.ascontiguousarray(held).view(np.uint32)
    if np.unique(bits_of.reshape(-1)[:_SAMPLE]).size > MOST_LEVELS:
        return None
    levels = np.unique(bits_of)
    bits = max((levels.size - 1).bit_length(), 1)
    if levels.size > MOST_LEVELS or held.size * (32 - bits) // 8 - levels.nbytes < _LEAST_SAVING:
        return None
    reals = levels.view(np.float32)
    quant = QuantParams(
        np.ones((), np.float32), np.zeros((), np.int64), 0, levels.size - 1, levels=tuple(map(float, reals))
    )
    codes = np.searchsorted(levels, bits_of).astype(np.uint8).reshape(held.shape)
    of_type = TensorType(DType("uint", bits), held.shape, quant)
    return Constant(codes, of_type, sources=weights.node.sources, tensor=weights.node.tensor).out
