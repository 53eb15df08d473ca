"""Convolutions and matrix products of codes: what makes one a Sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.arrays import Floats
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.passes.quantization.coded import Coded
from subbyte.passes.quantization.known import Folding, constants_of
from subbyte.passes.quantization.sums import Sum, Term, channelwise

NARROW_BITS = 16  # wider codes are sums: no integer operation takes them as operands


def product(node: Node, folding: Folding) -> Sum | None:
    """`node` as a sum of products of codes; None where an operand is no narrow integer on one scale (weights: an axis).

    Conv and ConvTranspose take their weights' scale along the output channels, matrix products along their columns.
    """
    match node:
        case ops.Conv(x=x, w=w, b=b):
            return _convolution(node, affine_codes(x, folding), weights(w, 0, folding), b, 0, folding)
        case ops.ConvTranspose(x=x, w=w, b=b, group=group):
            along = 1 if group == 1 else None  # with groups, axis 1 of the weights is not the channels of the result
            return _convolution(node, affine_codes(x, folding), weights(w, along, folding), b, along, folding)
        case ops.MatMul(a=a, b=b):
            found = _matrix_product(node, affine_codes(a, folding), _columns(b, folding))
            return _of_rows(node, folding) if found is None else found
        case ops.Gemm(a=a, b=b):
            left, right = affine_codes(a, folding), _columns(b, folding, transpose=node.transpose_b)
            if left is not None and node.transpose_a:
                left = folding.moved(ops.Transpose(left, (1, 0)), {})[0]
            return _gemm(node, _matrix_product(node, left, right), folding)
    return None


def affine_codes(value: Value, folding: Folding) -> Value | None:
    """The codes that integer arithmetic can take for `value`: one scale, at most 16 bits; else None."""
    coded = folding.of(value).coded
    if coded is None or not coded.is_affine or coded.codes.type.dtype.bits > NARROW_BITS:
        return None
    return coded.codes


def weights(value: Value, axis: int | None, folding: Folding) -> Value | None:
    """The constant codes of weights, with one scale or one for each entry of `axis`; else None."""
    codes = _narrow(folding.of(value).coded)
    if codes is None or codes.constant is None or codes.type.quant is None:
        return None
    return codes if codes.type.quant.axis in (None, axis) else None


def term(value: Value, shape: tuple[int, ...], axis: int, folding: Folding) -> Term | None:
    """A constant addend as reals for each channel, with its codes where it was quantized; None where it is neither."""
    real = folding.constant(value)
    by_channel = None if real is None else channelwise(real.astype(np.float64), shape, axis)
    if by_channel is None:
        return None
    coded = folding.of(value).coded
    if coded is None or coded.table is not None or coded.quant.levels is not None or coded.codes.constant is None:
        return Term(by_channel)
    scale, zero_point = coded.quant.static()
    if scale.ndim:
        along = [1] * coded.codes.type.rank
        along[coded.quant.axis or 0] = -1
        scale, zero_point = scale.reshape(along), zero_point.reshape(along)
    centred = coded.codes.constant.astype(np.int64) - zero_point
    scales = np.broadcast_to(scale.astype(np.float64), centred.shape)
    units, steps = channelwise(centred, shape, axis), channelwise(scales, shape, axis)
    if units is None or steps is None:
        return Term(by_channel)
    return Term(units * steps, units, steps)


def _narrow(coded: Coded | None) -> Value | None:
    if coded is None or coded.table is not None or coded.quant.levels is not None:
        return None
    return coded.codes if coded.codes.type.dtype.bits <= NARROW_BITS and coded.quant.block is None else None


def _convolution(
    node: ops.Conv | ops.ConvTranspose,
    x: Value | None,
    w: Value | None,
    b: Value | None,
    weight_axis: int | None,
    folding: Folding,
) -> Sum | None:
    if x is None or w is None:
        return None
    geometry: dict[str, Any] = {
        "strides": node.strides, "pads": node.pads, "dilations": node.dilations, "group": node.group,
    }  # fmt: skip
    q_type: Any = qops.QConv
    if isinstance(node, ops.ConvTranspose):
        q_type, geometry["output_padding"] = qops.QConvTranspose, node.output_padding

    def make(
        w: Value,
        bias: Value | None,
        requantization: Requantization | None,
        dtype: DType,
        quant: QuantParams | None,
        sources: tuple[str, ...],
        tensor: str,
    ) -> Node:
        made: Node = q_type(x, w, bias, requantization, dtype, quant, **geometry, sources=sources, tensor=tensor)
        return made

    total = Sum(make, node.type, 1, 1, _scale(x), _scale(w), w, weight_axis, node.sources)
    if b is None:
        return total
    bias = term(b, node.type.shape[1:2], 0, folding)
    return None if bias is None else total.plus(bias, ())


def _columns(value: Value, folding: Folding, *, transpose: bool = False) -> Value | None:
    """The right operand of a matrix product: constant codes, with scales along their columns, or codes on one scale."""
    codes = _narrow(folding.of(value).coded)
    if codes is None or codes.type.quant is None:
        return None
    if transpose:
        moved = ops.Transpose(codes, (1, 0), sources=codes.node.sources)
        codes = constants_of(moved)[0] if codes.constant is not None else moved.out
    quant = codes.type.quant
    if quant is None or not (quant.is_per_tensor or (codes.constant is not None and quant.axis == codes.type.rank - 1)):
        return None
    return codes


def _matrix_product(node: Node, a: Value | None, b: Value | None) -> Sum | None:
    if a is None or b is None:
        return None

    def make(
        w: Value,
        bias: Value | None,
        requantization: Requantization | None,
        dtype: DType,
        quant: QuantParams | None,
        sources: tuple[str, ...],
        tensor: str,
    ) -> Node:
        return qops.QGemm(a, w, bias, requantization, dtype, quant, sources=sources, tensor=tensor)

    axis = node.type.rank - 1
    return Sum(make, node.type, axis, axis, _scale(a), _scale(b), b, b.type.rank - 1, node.sources)


def _of_rows(node: ops.MatMul, folding: Folding) -> Sum | None:
    """w @ x with constant codes w that have a scale for each row: (x^T @ w^T)^T, whose scales are along the columns."""
    w, x = _narrow(folding.of(node.a).coded), affine_codes(node.b, folding)
    if w is None or x is None or w.constant is None or w.type.quant is None or w.type.quant.axis != w.type.rank - 2:
        return None

    def turned(value: Value) -> ops.Transpose:
        rank = value.type.rank
        return ops.Transpose(value, (*range(rank - 2), rank - 1, rank - 2), sources=value.node.sources)

    product = ops.MatMul(turned(node.b).out, turned(node.a).out, sources=node.sources)
    (weights,) = constants_of(turned(w))
    codes = folding.moved(turned(x), {})[0]
    total = _matrix_product(product, codes, weights)
    return None if total is None else total.moved(turned(product.out))


def _gemm(node: ops.Gemm, total: Sum | None, folding: Folding) -> Sum | None:
    """alpha * product + beta * c."""
    if total is None:
        return None
    if node.alpha != 1:
        total = total.times(np.asarray(node.alpha, np.float64), ())
    if node.c is None or total is None or node.beta == 0:
        return total
    addend = term(node.c, node.type.shape, 1, folding)
    if addend is not None and node.beta != 1:
        addend = Term(addend.real * node.beta)
    return None if addend is None else total.plus(addend, ())


def _scale(codes: Value) -> Floats:
    quant = codes.type.quant
    assert quant is not None, "codes of an integer operand carry a scale"
    return quant.static()[0]
