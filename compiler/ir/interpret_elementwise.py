"""What elementwise operations on floats and plain integers mean, and casts between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT64, DType
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir import exact, ops
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.numerics import float32
from subbyte.compiler.numerics.unary import leaky_relu, unary

Array = NDArray[Any]
Operation = Callable[[Array, Array], Array]


@interprets(ops.Add)
def add(node: ops.Add, a: Array, b: Array) -> Array:
    return _binary(node, np.add, a, b)


@interprets(ops.Sub)
def subtract(node: ops.Sub, a: Array, b: Array) -> Array:
    return _binary(node, np.subtract, a, b)


@interprets(ops.Mul)
def multiply(node: ops.Mul, a: Array, b: Array) -> Array:
    return _binary(node, np.multiply, a, b)


@interprets(ops.Div)
def divide(node: ops.Div, a: Array, b: Array) -> Array:
    if node.type.dtype.is_float:
        return _binary(node, np.divide, a, b)
    if not b.all():
        raise ModelError(f"{node.label} divides integers by 0, which has no result; only floats may be divided by 0")
    return exact.wrap(exact.divide(*_wide(a, b)), node.type.dtype)


@interprets(ops.Pow)
def power(node: ops.Pow, a: Array, b: Array) -> Array:
    if node.type.dtype == FLOAT64:
        raise UnsupportedError(f"{node.label} of float64 is not defined; cast its operands to float32")
    if node.type.dtype.is_float:
        return float32.power(a, b)
    if (b < 0).any():
        raise ModelError(f"{node.label} raises integers to a negative power, which is no integer; cast them to float32")
    return _binary(node, np.power, a, b)


@interprets(ops.Minimum)
def minimum(node: ops.Minimum, a: Array, b: Array) -> Array:
    return np.where((b < a) | (b != b), b, a)  # b != b: NaN


@interprets(ops.Maximum)
def maximum(node: ops.Maximum, a: Array, b: Array) -> Array:
    return np.where((b > a) | (b != b), b, a)  # b != b: NaN


@interprets(ops.PRelu)
def prelu(node: ops.PRelu, x: Array, slope: Array) -> Array:
    return leaky_relu(x, slope)


@interprets(ops.Unary)
def apply_function(node: ops.Unary, x: Array) -> Array:
    return unary(node.function, x, node.parameters)


@interprets(ops.Cast)
def cast(node: ops.Cast, x: Array) -> Array:
    source, target = node.x.type.dtype, node.dtype
    if target.kind == "bool":
        return np.not_equal(x, 0)
    if target.is_float or source.kind == "bool":
        return x.astype(target.numpy)
    if source.is_float:
        return _saturated(x, target)
    return exact.wrap(x, target)


@interprets(ops.Softmax)
def softmax(node: ops.Softmax, x: Array) -> Array:
    return float32.softmax(x, node.axis)


@interprets(ops.LogSoftmax)
def log_softmax(node: ops.LogSoftmax, x: Array) -> Array:
    wide = x.astype(np.float32)
    less = wide - np.expand_dims(float32.reduce_max(wide, node.axis), node.axis)
    return less - np.expand_dims(float32.log(float32.tree_sum(float32.exp(less), node.axis)), node.axis)


@interprets(ops.BatchNormalization)
def batch_normalization(
    node: ops.BatchNormalization, x: Array, scale: Array, bias: Array, mean: Array, variance: Array
) -> Array:
    return float32.batch_normalization(x, scale, bias, mean, variance, node.epsilon)


def _binary(node: ops.Binary, operation: Operation, a: Array, b: Array) -> Array:
    """Floats: in float32, or float64 where they are; integers: modulo 2^bits."""
    if node.type.dtype == FLOAT64:
        return operation(a, b)
    if node.type.dtype.is_float:
        return operation(a.astype(np.float32), b.astype(np.float32))
    return exact.wrap(operation(*_wide(a, b)), node.type.dtype)


def _wide(a: Array, b: Array) -> tuple[Array, Array]:
    """Integers in 64 bits, in which they are added and multiplied modulo 2^64."""
    wide = np.uint64 if a.dtype.kind == "u" else np.int64
    return a.astype(wide), b.astype(wide)


def _saturated(x: Array, dtype: DType) -> Array:
    """Floats toward zero, NaN to 0, what lies outside the range of `dtype` to its end."""
    whole = np.trunc(np.where(np.isnan(x), 0, x).astype(np.float64))
    low, high = dtype.numpy.type(dtype.min), dtype.numpy.type(dtype.max)
    inside = (whole >= float(low)) & (whole < float(high))  # the high end itself may not be a float
    return np.where(inside, np.where(inside, whole, 0).astype(dtype.numpy), np.where(whole < 0, low, high))
