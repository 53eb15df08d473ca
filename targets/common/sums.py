"""Exact sums of products with constant weights, as the kernels of vector instructions see them: QConv and QGemm.

A matrix product a [M, K] @ b [K, N] is the convolution 1x1 of an image of one row, M pixels wide, with K channels and N
outputs; so is a convolution 1x1 without strides and pads, whose pixels are one row, images and all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of, accumulator_range_of
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.target import ConstantArray, as_array
from subbyte.targets.common.constants import centred, constant_of, is_constant, is_signed_weights, zero_point
from subbyte.targets.common.geometry import is_channels_last, is_row_major
from subbyte.targets.common.tiles import padded_to
from subbyte.targets.common.windows import is_spatial, spatial

SumOfProducts = QConv | QGemm


@dataclass(frozen=True)
class Geometry:
    """A convolution as the kernels see it; pairs are (height, width)."""

    images: int
    extents: tuple[int, int]
    channels: int
    results: tuple[int, int]
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    begins: tuple[int, int] = (0, 0)

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns of the input that one pixel of the result needs."""
        return ((self.kernel[0] - 1) * self.dilations[0] + 1, (self.kernel[1] - 1) * self.dilations[1] + 1)

    @property
    def runs(self) -> tuple[int, int]:
        """(how many, how long): codes that lie side by side in the input, in the order of the weights."""
        if self.dilations[1] == 1:
            return self.kernel[0], self.kernel[1] * self.channels
        return self.kernel[0] * self.kernel[1], self.channels

    @property
    def stays_inside(self) -> bool:
        """No window reaches beyond the input."""
        return all(
            begin <= 0 and (result - 1) * stride + reach - begin <= extent
            for begin, result, stride, reach, extent in zip(
                self.begins, self.results, self.strides, self.reach, self.extents, strict=True
            )
        )


def geometry(op: SumOfProducts) -> Geometry:
    """One row of pixels where the operation is a matrix product, else the convolution itself."""
    if isinstance(op, QGemm):
        depth, outputs = op.b.type.shape[-2:]
        rows = math.prod(op.type.shape[:-1])
        return Geometry(1, (1, rows), depth, (1, rows), outputs)
    s = spatial(op)
    images, channels = op.x.type.shape[:2]
    own = Geometry(images, s.extents, channels, s.results, op.type.shape[1], s.kernel, s.strides, s.dilations, s.begins)
    if own.reach == (1, 1) and own.strides == (1, 1) and own.extents == own.results and own.begins == (0, 0):
        pixels = images * math.prod(own.results)
        return Geometry(1, (1, pixels), channels, (1, pixels), own.outputs)
    return own


def data_of(op: SumOfProducts) -> Value:
    """The operand that is computed at run time."""
    return op.a if isinstance(op, QGemm) else op.x


def weights_of(op: SumOfProducts) -> NDArray[np.int64]:
    """[outputs, runs, products], less the zero points."""
    if isinstance(op, QGemm):
        values = centred(op.b, axis=op.b.type.rank - 1).reshape(op.b.type.shape[-2:]).T
    else:
        values = np.moveaxis(centred(op.w, axis=0), 1, -1)  # [O, kernel..., C]
    return values.reshape(values.shape[0], *geometry(op).runs)


def is_sum_of_products(op: SumOfProducts, *, raw: bool) -> bool:
    """Constant signed bytes as weights, group 1, sums in 32 bits: with `raw` the sums themselves, else codes by N4.

    What the codes of the input and of the result are, and how those are stored, is for the rows to say.
    """
    if (op.requantization is None) != raw or (raw and op.dtype != INT32):
        return False
    if op.requantization is not None and op.requantization.table is not None:
        return False
    if not is_signed_weights(op.b if isinstance(op, QGemm) else op.w):
        return False
    if op.bias is not None and not is_constant(op.bias):
        return False
    if isinstance(op, QGemm):
        if not is_row_major(op.a.type) or not is_row_major(op.type) or math.prod(op.b.type.shape[:-2]) != 1:
            return False
    elif (
        op.group != 1
        or min(op.pads) < 0
        or not is_spatial(op.x.type)
        or not is_channels_last(op.x.type)
        or not is_channels_last(op.type)
    ):
        return False
    try:
        return accumulator_of(op) == INT32
    except NumericsError:
        return False


def bias_of(op: SumOfProducts, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """[outputs]: the bias less what the zero point of the input adds to the sums with weights_of(op)."""
    bias = np.zeros(len(weights), np.int64) if op.bias is None else constant_of(op.bias).astype(np.int64)
    folded: NDArray[np.int64] = bias - zero_point(data_of(op).type) * weights.sum(axis=(1, 2))
    return folded


def per_output(role: str, values: NDArray[Any], outputs: int, lanes: int) -> ConstantArray:
    """One value for each output, and zeros up to whole vectors of `lanes`."""
    return ConstantArray(role, as_array(padded_to(np.broadcast_to(values, (outputs,)), 0, lanes), np.float32))


def may_reach_int32(op: QConv | QGemm) -> bool:
    """Whether |sum * multiplier| may reach 2^31 for a reachable sum: then it is clamped before it becomes an integer.

    The bound leaves room for the roundings of the sum and of the product to float32, each at most 2^-24 of its value.
    """
    if op.requantization is None:
        return False
    low, high = accumulator_range_of(op)
    largest = np.maximum(-low.astype(np.float64), high) * np.abs(op.requantization.multiplier.astype(np.float64))
    return bool((largest >= 2.0**31 * (1 - 2.0**-20)).any())
