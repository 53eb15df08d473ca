"""Rounded matrices as the weights of layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import BIPOLAR, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.ops import Conv, ConvTranspose, Gemm
from subbyte.compiler.ir.plan import QuantizedWeights
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.rounding.types import RoundedWeights


def quantized_weights(layer: Layer, rounded: RoundedWeights) -> QuantizedWeights:
    """`rounded`, the matrix of `layer` as codes, in the shape that the operator wants.

    Codes of -1 and +1 alone, without zero point, are bipolar; others have the fewest bits that hold their range.
    Raises: GraphError: scales that no axis of the weights has: of the groups of a ConvTranspose, or of blocks that end
        within a kernel; or a codebook, which has no scale for each code.
    """
    if rounded.levels is not None:
        raise GraphError(
            f"the layer '{layer.name}' was rounded to a codebook of {len(rounded.levels)} levels; codes have one "
            "scale. Put its values into the layer as floats: the compiler finds the table in them."
        )
    codes = np.ascontiguousarray(layer.from_matrix(rounded.codes))
    dtype = _dtype(rounded)
    scale, axis, block = _table(layer, rounded, rounded.scale)
    zero_point = _table(layer, rounded, rounded.zero_point)[0]
    quant = QuantParams(scale, zero_point, rounded.qmin, rounded.qmax, axis, block)
    return QuantizedWeights(codes, dtype, quant)


def _dtype(rounded: RoundedWeights) -> DType:
    low = min(rounded.qmin, int(rounded.zero_point.min()))
    high = max(rounded.qmax, int(rounded.zero_point.max()))
    signs = (rounded.qmin, rounded.qmax) == (-1, 1) and bool(rounded.codes.all())
    if signs and not rounded.zero_point.any():
        return BIPOLAR
    if low >= 0:
        return DType("uint", max(high.bit_length(), 1))
    return DType("int", 1 + max((~low).bit_length(), high.bit_length()))


def _table(layer: Layer, rounded: RoundedWeights, table: NDArray[Any]) -> tuple[NDArray[Any], int | None, int | None]:
    """(scales or zero points, axis, block) along the axes of the weights."""
    if table.ndim == 0:
        return table, None, None
    if rounded.block is not None:
        return _blocks(layer, rounded.block, table)
    axis = layer.output_axis
    if isinstance(layer.node, ConvTranspose) and layer.groups > 1:
        by_group = table.reshape(layer.groups, -1)
        if (by_group != by_group[0]).any():
            raise GraphError(
                f"the layer '{layer.name}' is a ConvTranspose in {layer.groups} groups, whose weights have no axis of "
                "all output channels; round it with one scale for the tensor."
            )
        table = by_group[0]
    return table, axis, None


def _blocks(layer: Layer, block: int, table: NDArray[Any]) -> tuple[NDArray[Any], int, int]:
    """Scales [O, blocks] of a matrix whose columns are the depth, or (channel, kernel position)."""
    node, shape = layer.node, layer.weights.shape
    match node:
        case Conv():
            positions = math.prod(shape[2:])
            if block % positions == 0:
                by_channel = table.reshape(*table.shape, *[1] * len(shape[2:]))
                return np.broadcast_to(by_channel, (*table.shape, *shape[2:])), 1, block // positions
        case Gemm(transpose_b=True):
            return table, 1, block
        case ConvTranspose():
            pass
        case _:
            return np.ascontiguousarray(table.T), 0, block
    raise GraphError(
        f"the layer '{layer.name}' was rounded in blocks of {block} along its depth, and its weights have the shape "
        f"{list(shape)}: a block must hold whole kernels of a convolution. Round it per channel instead."
    )
