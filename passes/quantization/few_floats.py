"""Float weights that few bits tell apart: those of a few values, as k-means leaves them, and dequantized codes."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import FLOAT32, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.qops_codebooks import CodebookConv
from subbyte.compiler.ir.types import QuantParams, TensorType

MOST_LEVELS = 16
_SAMPLE = 4096
_LEAST_SAVING = 64  # bytes: constants begin at multiples of 64
_WEIGHT_BITS = 8
_SPATIAL = (3, 4)  # ranks of convolutions that have kernels


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


def as_looked_up(codes: Value) -> Value | None:
    """Constant codes of at most 8 bits as indices into a table of codes less their zero point, each scale as it is.

    None where they are no such ones: a scale for each block or along another axis than 0, or several zero points.
    """
    held, quant, dtype = codes.constant, codes.type.quant, codes.type.dtype
    if held is None or quant is None or not quant.is_static or not dtype.is_integer or dtype.bits > _WEIGHT_BITS:
        return None
    scale, zeros = quant.static()
    if quant.levels is not None or quant.block is not None or quant.axis not in (None, 0) or not scale.size:
        return None
    levels = np.arange(dtype.min, dtype.max + 1) - int(zeros.reshape(-1)[0])
    bits = (levels.size - 1).bit_length()
    if (zeros != zeros.reshape(-1)[0]).any() or held.size * (32 - bits) // 8 - 4 * levels.size < _LEAST_SAVING:
        return None
    table = QuantParams(scale, np.zeros_like(zeros), 0, levels.size - 1, quant.axis, levels=tuple(map(float, levels)))
    indices = (held.astype(np.int64) - dtype.min).astype(np.uint8)
    of_type = TensorType(DType("uint", bits), held.shape, table)
    return Constant(indices, of_type, sources=codes.node.sources, tensor=codes.node.tensor).out


def codebook_conv(conv: ops.Conv, codes: Value) -> CodebookConv | None:
    """The convolution with these weights; None where there is no kernel for one with a table."""
    known = conv.b is None or conv.b.constant is not None
    if conv.type.rank not in _SPATIAL or conv.x.type.dtype != FLOAT32 or not known:
        return None
    return CodebookConv(
        conv.x, codes, conv.b, conv.strides, conv.pads, conv.dilations, conv.group,
        sources=conv.sources, tensor=conv.tensor,
    )  # fmt: skip
