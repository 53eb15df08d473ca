"""Normalisations: over the last axes one operation, others written out in float32 operations.

A mean, a difference, a mean of squares, one reciprocal root.
"""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.dtype import FLOAT16, FLOAT32, DType
from subbyte.compiler.importer.codes import plain
from subbyte.compiler.importer.operator import Operator, converts
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ops_logic import Compare, Where
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.ir.shapes import Shape


def real_operand(op: Operator, x: Value) -> Value:
    """x itself, which must be floats that are computed in float32."""
    if x.type.dtype not in (FLOAT16, FLOAT32):
        raise op.unsupported(f"is applied to {x.type}; float32 and float16 are read. Cast the operand before.")
    return x


def cast_to(op: Operator, x: Value, dtype: DType) -> Value:
    """x as `dtype`; itself where it is."""
    return x if x.type.dtype == dtype else op.emit(ops.Cast(x, dtype, **op.inner))


def _unary(op: Operator, x: Value, function: str) -> Value:
    return op.emit(ops.Unary(x, function, (), **op.inner))


def centred(op: Operator, x: Value, axes: Shape) -> tuple[Value, Value]:
    """(f32(x - mean), mean) over `axes`, which stay with extent 1."""
    mean = op.emit(ops.ReduceMean(x, axes, True, **op.inner))
    return op.emit(ops.Sub(x, mean, **op.inner)), mean


def inverse_deviation(op: Operator, d: Value, axes: Shape, epsilon: float) -> Value:
    """f32(1 / sqrt(f32(mean of f32(d * d) + epsilon))) over `axes`.  Source: numerics/float32.layer_normalization."""
    squares = op.emit(ops.Mul(d, d, **op.inner))
    variance = op.emit(ops.ReduceMean(squares, axes, True, **op.inner))
    shifted = op.emit(ops.Add(variance, op.part(epsilon, d.type.dtype), **op.inner))
    return _unary(op, _unary(op, shifted, "Sqrt"), "Reciprocal")


def _scaled(op: Operator, y: Value, scale: Value, bias: Value | None) -> Value:
    """f32(f32(y * scale) + bias), both broadcast; the last node stands for the operator."""
    if bias is None:
        return op.emit(ops.Mul(y, scale, **op.marks))
    return op.emit(ops.Add(op.emit(ops.Mul(y, scale, **op.inner)), bias, **op.marks))


def _row(op: Operator, value: Value | None, shape: Shape) -> Value | None:
    """A scale or bias as one row of `shape`: as it is, or a constant broadcast to it; None where it is neither."""
    if value is None or value.type.shape == shape:
        return value
    extents = value.type.shape[max(value.type.rank - len(shape), 0) :]
    fits = all(n in (1, extent) for n, extent in zip(reversed(extents), reversed(shape), strict=False))
    if value.constant is None or math.prod(extents) != value.type.elements or not fits:
        return None
    return op.part(np.broadcast_to(value.constant.reshape(extents), shape), value.type.dtype)


def build_normalization(
    op: Operator, kind: type[Normalization], x: Value, scale: Value, bias: Value | None, axis: int, epsilon: float
) -> Value:
    """`kind` of x over `axis` and all after it; scale and bias that are no rows of x follow as operations of their own.

    The numbers are the same either way.
    """
    shape = x.type.shape[axis:]
    scale, bias = cast_to(op, scale, x.type.dtype), None if bias is None else cast_to(op, bias, x.type.dtype)
    row = _row(op, scale, shape)
    if row is None:
        return _scaled(op, op.emit(kind(x, None, None, axis, epsilon, **op.inner)), scale, bias)
    added = _row(op, bias, shape)
    if added is None and bias is not None:
        return op.emit(ops.Add(op.emit(kind(x, row, None, axis, epsilon, **op.inner)), bias, **op.marks))
    return op.emit(kind(x, row, added, axis, epsilon, **op.marks))


@converts("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def convert_layer_normalization(op: Operator) -> tuple[Value, ...]:
    """Over `axis` and all axes after it, in float32 whatever x is; RMSNormalization does not subtract the mean.

    SimplifiedLayerNormalization is ONNX Runtime's name of it, whose second output is the inverse deviation.
    """
    x, scale, bias = real_operand(op, plain(op, op.operand(0))), op.operand(1), op.optional(2)
    if op.integer("stash_type", 1) != 1:
        raise op.unsupported("computes in another type than float32 (stash_type). Export it with stash_type=1.")
    axis, epsilon = op.axis(op.integer("axis", -1), x.type.rank), op.real("epsilon", 1e-5)
    kind = LayerNormalization if op.op_type == "LayerNormalization" else RMSNormalization
    y = build_normalization(op, kind, x, scale, bias, axis, epsilon)
    if not any(op.outputs[1:]):
        return (y,)
    axes = tuple(range(axis, x.type.rank))
    wide = cast_to(op, x, FLOAT32)
    if kind is RMSNormalization:
        return y, inverse_deviation(op, wide, axes, epsilon)
    d, mean = centred(op, wide, axes)
    return y, mean, inverse_deviation(op, d, axes, epsilon)


@converts("InstanceNormalization", "GroupNormalization")
def convert_group_normalization(op: Operator) -> Value:
    """Over the channels of each group and all spatial axes; in InstanceNormalization each channel is a group.

    scale and bias are one for each channel, before opset 21 of GroupNormalization one for each group.
    """
    x, scale, bias = real_operand(op, plain(op, op.operand(0))), op.operand(1), op.operand(2)
    if x.type.rank < 3:
        raise op.broken(f"is applied to {x.type}; [N, C, spatial...] is needed.")
    n, channels = x.type.shape[:2]
    groups = channels if op.op_type == "InstanceNormalization" else op.integer("num_groups", 0)
    if groups < 1 or channels % groups or op.integer("stash_type", 1) != 1:
        raise op.broken(
            f"divides {channels} channels into {groups} groups in a type that is not float32 or not so many."
        )
    per_group = op.op_type == "GroupNormalization" and op.opset < 21
    wide = cast_to(op, x, FLOAT32)
    rows = op.emit(ops.Reshape(wide, (n, groups, x.type.elements // max(n * groups, 1)), **op.inner))
    d, _ = centred(op, rows, (2,))
    inverse = inverse_deviation(op, d, (2,), op.real("epsilon", 1e-5))
    normalized = op.emit(ops.Mul(d, inverse, **op.inner))
    along = (1, groups, 1) if per_group else (1, channels, *[1] * (x.type.rank - 2))
    scale, bias = (op.emit(ops.Reshape(cast_to(op, v, x.type.dtype), along, **op.inner)) for v in (scale, bias))
    if per_group:
        y = op.emit(ops.Mul(cast_to(op, normalized, x.type.dtype), scale, **op.inner))
        return op.emit(ops.Reshape(op.emit(ops.Add(y, bias, **op.inner)), x.type.shape, **op.marks))
    shaped = op.emit(ops.Reshape(cast_to(op, normalized, x.type.dtype), x.type.shape, **op.inner))
    return _scaled(op, shaped, scale, bias)


@converts("MeanVarianceNormalization")
def convert_mean_variance_normalization(op: Operator) -> Value:
    """f32(d / f32(sqrt(mean of f32(d * d)) + 1e-9)), d = f32(x - mean), over `axes`.  Source: ONNX's body."""
    x = real_operand(op, plain(op, op.operand(0)))
    axes = op.axes(op.integer_list("axes") or (0, 2, 3), x.type.rank)
    d, _ = centred(op, x, axes)
    variance = op.emit(ops.ReduceMean(op.emit(ops.Mul(d, d, **op.inner)), axes, True, **op.inner))
    deviation = op.emit(ops.Add(_unary(op, variance, "Sqrt"), op.part(1e-9, x.type.dtype), **op.inner))
    return op.emit(ops.Div(d, deviation, **op.marks))


@converts("LpNormalization")
def convert_lp_normalization(op: Operator) -> Value:
    """f32(x / norm), norm the sum of |x| (p=1) or the root of the sum of x * x (p=2) along `axis`; 0 where it is 0."""
    x = real_operand(op, plain(op, op.operand(0)))
    axis, p = op.axis(op.integer("axis", -1), x.type.rank), op.integer("p", 2)
    if p not in (1, 2):
        raise op.broken(f"has p {p}; 1 and 2 exist.")
    parts = _unary(op, x, "Abs") if p == 1 else op.emit(ops.Mul(x, x, **op.inner))
    total = op.emit(ops.ReduceSum(parts, (axis,), True, **op.inner))
    norm = total if p == 1 else _unary(op, total, "Sqrt")
    zero, one = op.part(0, x.type.dtype), op.part(1, x.type.dtype)
    safe = op.emit(Where(op.emit(Compare(norm, zero, "equal", **op.inner)), one, norm, **op.inner))
    return op.emit(ops.Div(x, safe, **op.marks))


@converts("LRN")
def convert_lrn(op: Operator) -> Value:
    """f32(x / f32(bias + alpha * mean) ** beta), the mean of f32(x * x) over `size` neighbouring channels.

    Neighbours beyond the first and last channel count as 0.
    """
    x = real_operand(op, plain(op, op.operand(0)))
    size, (n, channels) = op.integer("size", 0), x.type.shape[:2] if x.type.rank > 2 else (0, 0)
    if size < 1 or channels < 1:
        raise op.broken(f"sums {size} channels of {x.type}; a number above 0, and [N, C, spatial...], are needed.")
    squares = op.emit(ops.Mul(x, x, **op.inner))
    rows = op.emit(ops.Reshape(squares, (n, 1, channels, x.type.elements // (n * channels)), **op.inner))
    pads = ((size - 1) // 2, 0, size - 1 - (size - 1) // 2, 0)
    means = op.emit(ops.AveragePool(rows, (size, 1), (1, 1), pads, (1, 1), False, True, **op.inner))
    means = op.emit(ops.Reshape(means, x.type.shape, **op.inner))
    alpha, beta, bias = (op.real(name, value) for name, value in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    scaled = op.emit(ops.Mul(op.part(alpha, x.type.dtype), means, **op.inner))
    base = op.emit(ops.Add(op.part(bias, x.type.dtype), scaled, **op.inner))
    return op.emit(ops.Div(x, op.emit(ops.Pow(base, op.part(beta, x.type.dtype), **op.inner)), **op.marks))
