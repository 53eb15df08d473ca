"""What pools and reductions mean, on floats and on codes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import exact, ops, qops
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.ir.interpret_sums import centred
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.windows import Windows
from subbyte.compiler.numerics import elementwise, float32

Array = NDArray[Any]


def windows_of(node: ops.MaxPool | ops.AveragePool | qops.QAveragePool) -> Windows:
    """The windows of a pool."""
    return Windows(node.x.type.shape[2:], node.type.shape[2:], node.kernel, node.strides, node.pads, node.dilations)


@interprets(ops.MaxPool)
def max_pool(node: ops.MaxPool, x: Array) -> Array:
    windows = windows_of(node)
    lowest = -np.inf if node.x.type.dtype.is_float else node.x.type.dtype.min
    elements = [
        np.where(inside, element, x.dtype.type(lowest))
        for element, inside in zip(windows.positions(x), windows.inside(), strict=True)
    ]
    return _largest(np.stack(elements), (0,))


@interprets(ops.AveragePool)
def average_pool(node: ops.AveragePool, x: Array) -> Array:
    """The padding holds +0.0, which adds nothing to a lane of the tree: no lane is ever -0.0."""
    windows = windows_of(node)
    total = float32.tree_sum(np.stack([*windows.positions(x.astype(np.float32))]), axis=0)
    return total / windows.counts(with_pads=node.count_include_pad).astype(np.float32)


@interprets(qops.QAveragePool)
def average_pool_codes(node: qops.QAveragePool, x: Array) -> Array:
    windows = windows_of(node)
    total = np.zeros(node.type.shape, np.int64)
    for element in windows.positions(centred(node.x, x)):
        total += element
    return elementwise.average(total, windows.counts(with_pads=node.count_include_pad), _scale(node.x), node.quant)


@interprets(ops.ReduceSum)
def reduce_sum(node: ops.ReduceSum, x: Array) -> Array:
    if node.type.dtype.is_float:
        return float32.tree_sum(x, node.axes).reshape(node.type.shape)
    return exact.wrap(x.sum(axis=node.axes, dtype=np.int64, keepdims=node.keepdims), node.type.dtype)


@interprets(ops.ReduceMean)
def reduce_mean(node: ops.ReduceMean, x: Array) -> Array:
    if node.type.dtype.is_float:
        return float32.tree_mean(x, node.axes).reshape(node.type.shape)
    total = x.sum(axis=node.axes, dtype=np.int64, keepdims=node.keepdims)
    return exact.divide(total, np.array(_reduced(node), np.int64))


@interprets(ops.ReduceProd)
def reduce_product(node: ops.ReduceProd, x: Array) -> Array:
    """One factor after the other, k row-major over the reduced axes."""
    kept = [axis for axis in range(x.ndim) if axis not in node.axes]
    factors = x.transpose(*node.axes, *kept).reshape(-1, *(x.shape[axis] for axis in kept))
    if node.type.dtype.is_float:
        product = np.ones(factors.shape[1:], np.float32)
        for factor in factors:
            product = product * factor.astype(np.float32)
        return product.reshape(node.type.shape)
    wide = np.uint64 if x.dtype.kind == "u" else np.int64
    return exact.wrap(np.prod(factors.astype(wide), axis=0, dtype=wide), node.type.dtype).reshape(node.type.shape)


@interprets(ops.ReduceMax)
def reduce_max(node: ops.ReduceMax, x: Array) -> Array:
    return _largest(x, node.axes).reshape(node.type.shape)


@interprets(ops.ReduceMin)
def reduce_min(node: ops.ReduceMin, x: Array) -> Array:
    smallest: Array = float32.reduce_min(x, node.axes) if node.type.dtype.is_float else np.min(x, axis=node.axes)
    return smallest.reshape(node.type.shape)


@interprets(qops.QReduceSum)
def reduce_sum_codes(node: qops.QReduceSum, x: Array) -> Array:
    total = centred(node.x, x).sum(axis=node.axes, keepdims=node.keepdims)
    return elementwise.reduce_sum(total, _scale(node.x), node.quant)


@interprets(qops.QReduceMean)
def reduce_mean_codes(node: qops.QReduceMean, x: Array) -> Array:
    total = centred(node.x, x).sum(axis=node.axes, keepdims=node.keepdims)
    return elementwise.average(total, _reduced(node), _scale(node.x), node.quant)


def _largest(x: Array, axes: tuple[int, ...]) -> Array:
    """The largest element; of floats NaN where there is one, and +0.0 for a zero; of bools whether one is true."""
    return float32.reduce_max(x, axes) if x.dtype in (np.float16, np.float32) else np.max(x, axis=axes)


def _reduced(node: ops.ReduceMean | qops.QReduceMean) -> int:
    """How many elements one result is made of."""
    return math.prod(node.x.type.shape[axis] for axis in node.axes)


def _scale(value: Value) -> np.float32:
    """The one scale of a tensor of codes."""
    quant = value.type.quant
    if quant is None:
        raise GraphError(f"{value.type} has no scale, so its codes stand for no real numbers")
    return np.float32(quant.scalar()[0])
