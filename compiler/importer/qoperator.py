"""Operators on codes: each becomes DequantizeLinear, the float operator and QuantizeLinear, or an exact integer sum."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, INT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.importer.codes import plain, quant_params, with_quant
from subbyte.compiler.importer.convert_sums import (
    as_column,
    as_row,
    build_conv,
    build_matmul,
    conv_geometry,
    drop_vector_axes,
)
from subbyte.compiler.importer.operator import Marks, Operator, converts
from subbyte.compiler.importer.qdq import dequantized, quantized
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ops import Reshape
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.ir.qops_dynamic import Centre
from subbyte.compiler.ir.types import QuantParams


def dequantized_operand(op: Operator, index: int, what: str, axis: int | None = None) -> Value:
    """The reals that operand `index` stands for; its scale and zero point are the two operands after it.

    axis: the one along which the scale may vary; None for one scale only.
    """
    x = op.operand(index)
    if x.type.dtype.kind not in ("int", "uint") or x.type.dtype.bits > 16:
        raise op.broken(f"has {what} of type {x.type}; codes of at most 16 bits are needed.")
    quant = quant_params(op, op.operand(index + 1), op.optional(index + 2), x.type.dtype, x.type.shape, axis, what)
    return dequantized(op, x, quant, FLOAT32, op.inner)


def quantized_result(op: Operator, reals: Value, scale: int, like: Value) -> Value:
    """`reals` quantized by the operands `scale` and `scale + 1`; without a zero point, to codes typed as `like`."""
    zero_point = op.optional(scale + 1)
    dtype = like.type.dtype if zero_point is None else zero_point.type.dtype
    if dtype.kind not in ("int", "uint") or dtype.bits > 16:
        raise op.broken(f"has a zero point of its result of type {dtype}; codes have at most 16 bits.")
    quant = quant_params(op, op.operand(scale), zero_point, dtype, reals.type.shape, None, "result")
    return quantized(op, reals, dtype, quant, op.marks)


def scale_of(reals: Value) -> NDArray[np.float32]:
    """The scale of the codes that a DequantizeLinear made `reals` of."""
    (codes,) = reals.node.operands
    if codes.type.quant is None:
        raise GraphError(f"{reals.node.label} is not made of codes with a scale")
    return codes.type.quant.static()[0]


def bias_scale(x: Value, w: Value, alpha: float = 1.0) -> NDArray[np.float32]:
    """f32(f32(alpha * s_x) * s_w) of two dequantized operands: the grid of int32 biases, [] or [C]."""
    return np.asarray(np.float32(alpha) * scale_of(x) * scale_of(w), np.float32)


def dequantized_bias(op: Operator, index: int, scale: NDArray[np.float32], *, last_axis: bool = False) -> Value | None:
    """The int32 bias at operand `index` as reals on the grid `scale`, [] or [C]; None where it is left out.

    The channels stand along axis 0 of the bias, or along its last axis.
    """
    bias = op.optional(index)
    if bias is None:
        return None
    if bias.type.dtype != INT32:
        raise op.broken(f"has a bias of type {bias.type}; int32 is needed.")
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise op.broken("has scales whose product is zero, negative or infinite in float32; the bias has no grid.")
    axis = bias.type.rank - 1 if last_axis else 0
    if scale.ndim and (bias.type.rank < 1 or bias.type.shape[axis] != scale.size):
        raise op.unsupported(
            f"has the bias {bias.type} for {scale.size} channels, each with a scale of its own; one entry for each "
            "channel is read. Repeat the bias for each channel."
        )
    zeros = np.zeros(scale.shape, np.int64)
    quant = QuantParams(scale, zeros, INT32.min, INT32.max, axis if scale.ndim else None)
    return dequantized(op, bias, quant, FLOAT32, op.inner)


@converts("QLinearConv")
def convert_qlinear_conv(op: Operator) -> Value:
    """Operands: x, w and y as (codes, scale, zero point), y without codes; an int32 bias on the grid s_x * s_w."""
    x, w = dequantized_operand(op, 0, "x"), dequantized_operand(op, 3, "w", axis=0)
    bias = dequantized_bias(op, 8, bias_scale(x, w))
    return quantized_result(op, build_conv(op, x, w, bias, op.inner), 6, op.operand(0))


@converts("QLinearMatMul")
def convert_qlinear_matmul(op: Operator) -> Value:
    """Operands: a, b and y as (codes, scale, zero point) - y without codes; scales per row of a or per column of b."""
    a_rank, b_rank = op.operand(0).type.rank, op.operand(3).type.rank
    a = dequantized_operand(op, 0, "a", max(a_rank - 2, 0))
    b = dequantized_operand(op, 3, "b", max(b_rank - 1, 0))
    return quantized_result(op, build_matmul(op, a, b, op.inner), 6, op.operand(0))


# Exact sums -----------------------------------------------------------------------------------------------------------


def integer_codes(op: Operator, x: Value, zero_point: Value | None, axis: int | None, what: str) -> Value:
    """Codes with their zero point, and 1 as their scale; less it where it is a run-time value (design.md N9)."""
    if x.type.dtype.kind not in ("int", "uint") or x.type.dtype.bits != 8:
        raise op.broken(f"has {what} of type {x.type}; int8 or uint8 is needed.")
    if zero_point is not None and zero_point.constant is None:
        return _centred(op, x, zero_point, what)
    one = op.part(1.0, FLOAT32)
    quant = quant_params(op, one, zero_point, x.type.dtype, x.type.shape, axis, what)
    old = x.type.quant
    if old is not None and old.is_static and old.axis == quant.axis and (old.static()[1] == quant.static()[1]).all():
        return x  # the sum uses the zero point alone
    return with_quant(op, x, quant)


def _centred(op: Operator, x: Value, zero_point: Value, what: str) -> Value:
    """x less a zero point that is computed at run time."""
    if zero_point.type.dtype != x.type.dtype:
        raise op.broken(f"has a zero point of {what} of type {zero_point.type} for {x.type}; they are of one type.")
    if math.prod(zero_point.type.shape) != 1:
        raise op.unsupported(
            f"has a zero point of {what} of type {zero_point.type}, known at run time only; one for the whole tensor "
            "is read. Quantize it per tensor."
        )
    if zero_point.type.rank:
        zero_point = op.emit(Reshape(zero_point, (), **op.inner))
    return op.emit(Centre(plain(op, x), zero_point, **op.inner))


@converts("ConvInteger")
def convert_conv_integer(op: Operator) -> Value:
    """sum (x - x_zero) * (w - w_zero) as int32; the zero point of w may be one for each output channel."""
    x = integer_codes(op, op.operand(0), op.optional(2), None, "x")
    w = integer_codes(op, op.operand(1), op.optional(3), 0, "w")
    found, group = conv_geometry(op, x, w)
    return op.emit(QConv(x, w, None, None, INT32, None, found.strides, found.pads, found.dilations, group, **op.marks))


@converts("MatMulInteger")
def convert_matmul_integer(op: Operator) -> Value:
    """sum (a - a_zero) * (b - b_zero) as int32; the zero point of b may be one for each column."""
    a = integer_codes(op, op.operand(0), op.optional(2), None, "a")
    b = integer_codes(op, op.operand(1), op.optional(3), max(op.operand(1).type.rank - 1, 0), "b")
    return build_matmul_integer(op, a, b, op.marks)


def build_matmul_integer(op: Operator, a: Value, b: Value, marks: Marks) -> Value:
    """The exact product of codes as int32, vectors as in NumPy's matmul."""
    if a.type.rank > 1 and b.type.rank > 1:
        return op.emit(QGemm(a, b, None, None, INT32, None, **marks))
    product = QGemm(as_row(op, a), as_column(op, b), None, None, INT32, None, **op.inner)
    return drop_vector_axes(op, product, a, b, marks)
