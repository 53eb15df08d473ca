"""What operations on codes mean that are no sums of products: quantization, narrow arithmetic, tables, ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.ir.node import Value
from subbyte.compiler.numerics import elementwise
from subbyte.compiler.numerics.affine import quantize, spread, to_real
from subbyte.compiler.numerics.rounding import Rounding
from subbyte.compiler.numerics.softmax import quantized_softmax

Array = NDArray[Any]


@interprets(ops.QuantizeLinear)
def quantize_linear(node: ops.QuantizeLinear, x: Array, *run_time: Array) -> Array:
    """Only scales that are known while compiling have a meaning here; `static` raises for others."""
    quant = node.quant
    scale, zero_point = (spread(part, x.shape, quant.axis, quant.block) for part in quant.static())
    rounding = Rounding[node.rounding]
    first = node.zero_point_first
    return quantize(x, scale, zero_point, quant.qmin, quant.qmax, rounding=rounding, zero_point_first=first)


@interprets(ops.DequantizeLinear)
def dequantize_linear(node: ops.DequantizeLinear, x: Array) -> Array:
    return dequantized(node.x, x)


@interprets(qops.QAdd)
def add(node: qops.QAdd, a: Array, b: Array) -> Array:
    return elementwise.add(a, node.a.type.quant, b, node.b.type.quant, node.quant)


@interprets(qops.QSub)
def subtract(node: qops.QSub, a: Array, b: Array) -> Array:
    return elementwise.subtract(a, node.a.type.quant, b, node.b.type.quant, node.quant)


@interprets(qops.QMul)
def multiply(node: qops.QMul, a: Array, b: Array) -> Array:
    return elementwise.multiply(a, node.a.type.quant, b, node.b.type.quant, node.quant)


@interprets(qops.QDiv)
def divide(node: qops.QDiv, a: Array, b: Array) -> Array:
    return elementwise.divide(a, node.a.type.quant, b, node.b.type.quant, node.quant)


@interprets(qops.Lookup)
def look_up(node: qops.Lookup, x: Array) -> Array:
    index = x.astype(np.int64) - node.x.type.dtype.min
    if node.axis is None:
        return node.table[index]
    return node.table[spread(np.arange(x.shape[node.axis]), x.shape, node.axis), index]


@interprets(qops.QSoftmax)
def softmax(node: qops.QSoftmax, x: Array) -> Array:
    scale, zero_point = node.quant.scalar()
    return quantized_softmax(x, node.axis, node.table, scale, zero_point, node.quant.qmin, node.quant.qmax)


@interprets(qops.Clamp)
def clamp(node: qops.Clamp, x: Array) -> Array:
    return np.clip(x.astype(np.int64), node.low, node.high)


@interprets(qops.OffsetCodes)
def offset_codes(node: qops.OffsetCodes, x: Array) -> Array:
    return x.astype(np.int64) + node.offset


def dequantized(value: Value, codes: Array) -> Array:
    """The real numbers, float32, that the codes of `value` stand for."""
    quant = value.type.quant
    if quant is None:
        raise GraphError(f"{value.type} has no scale, so its codes stand for no real numbers")
    return to_real(codes, quant)
