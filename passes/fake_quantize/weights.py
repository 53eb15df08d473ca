"""Float weights that are quantized already: their values are whole multiples of a scale."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.arrays import Array, Codes, Floats

_LARGEST_CODE = 128  # of int8, by size: -128 is one, 128 is none
_NEARLY = 2.0**-22  # of the largest weight: the float32 roundings of whoever computed them
_SAMPLE = 4096


def quantized_weights(value: Value, axis: int | None) -> Value | None:
    """DequantizeLinear(codes), where the float constant is whole multiples of one scale, or of one for each channel.

    Codes have at most 8 bits: bipolar where they are -1 and +1, else the narrowest integers. None where there are none.
    """
    weights = value.constant
    if weights is None or value.type.dtype != FLOAT32 or weights.size == 0 or not np.isfinite(weights).all():
        return None
    found = _on_grid(weights)
    if found is not None:
        return _dequantized(value, found[1], np.array(found[0]), None)
    if axis is None:
        return None
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    scales, codes = [], []
    for row in rows:
        found = _on_grid(row)
        if found is None:
            return None
        scales.append(found[0])
        codes.append(found[1])
    moved = np.moveaxis(weights, axis, 0).shape
    return _dequantized(value, np.moveaxis(np.stack(codes).reshape(moved), 0, axis), np.array(scales), axis)


def _dequantized(value: Value, codes: Codes, scale: Array, axis: int | None) -> Value:
    low, high = int(codes.min()), int(codes.max())
    dtype = BIPOLAR
    if (np.abs(codes) != 1).any():
        bits = next(n for n in range(2, 9) if DType("int", n).min <= low and high <= DType("int", n).max)
        dtype = DType("int", bits)
    zeros = np.zeros(np.shape(scale), np.int64)
    quant = QuantParams(np.asarray(scale, np.float32), zeros, dtype.min, dtype.max, axis)
    node = value.node
    held = np.ascontiguousarray(codes.astype(dtype.numpy))
    constant = Constant(held, TensorType(dtype, value.type.shape, quant), sources=node.sources)
    return ops.DequantizeLinear(constant.out, FLOAT32, tensor=node.tensor).out


def _on_grid(weights: Floats) -> tuple[np.float32, Codes] | None:
    """(scale, codes) with the largest scale that every weight is a whole multiple of; None where none has 8 bits."""
    flat = weights.reshape(-1)
    if np.unique(np.abs(flat[:_SAMPLE])).size > _LARGEST_CODE + 1:
        return None
    sizes = np.unique(np.abs(flat)).astype(np.float64)
    sizes = sizes[sizes > 0]
    if sizes.size > _LARGEST_CODE:
        return None
    if not sizes.size:
        return np.float32(1), np.zeros(weights.shape, np.int64)
    steps = sizes[-1] / np.arange(1, _LARGEST_CODE + 1)[:, None]
    whole = np.rint(sizes / steps)
    fits = ((np.abs(whole * steps - sizes) <= _NEARLY * sizes[-1]) & (whole > 0)).all(axis=1)
    if not fits.any():
        return None
    largest = int(np.flatnonzero(fits)[0])
    nearest = np.float32(steps[largest, 0])
    near = [nearest, np.nextafter(nearest, np.float32(np.inf)), np.nextafter(nearest, np.float32(0))]
    wrong = [np.count_nonzero(whole[largest].astype(np.float32) * scale != sizes.astype(np.float32)) for scale in near]
    scale = near[int(np.argmin(wrong))]
    if not scale > 0 or not np.isfinite(scale):
        return None
    codes = np.rint(weights.astype(np.float64) / scale).astype(np.int64)
    return (scale, codes) if codes.max() < _LARGEST_CODE else None


def weights_of(node: Node) -> tuple[Value, int | None] | None:
    """(the weights of a convolution or matrix product, the axis of its output channels in them); else None."""
    match node:
        case ops.Conv(w=w):
            return w, 0
        case ops.ConvTranspose(w=w, group=group):
            return w, 1 if group == 1 else None
        case ops.MatMul(b=b):
            return b, b.type.rank - 1 if b.type.rank > 1 else None
        case ops.Gemm(b=b, transpose_b=transposed):
            return b, 0 if transposed else 1
    return None
