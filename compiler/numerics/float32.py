"""Float islands (N8): elementary functions, and the sums, products and normalisations over them in one fixed order.

Sums run in a tree of 8 lanes, so that scalar code, SSE, AVX and NEON give the same float32 number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.numerics.arrays import Floats
from subbyte.compiler.numerics.elementary import (
    erf,
    exp,
    expm1,
    floats,
    log,
    log1p,
    maximum,
    minimum,
    power,
    reciprocal,
    rsqrt,
    sigmoid,
    sqrt,
    tanh,
)

__all__ = [
    "LANES",
    "batch_normalization",
    "erf",
    "exp",
    "expm1",
    "join_lanes",
    "layer_normalization",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "normalize",
    "power",
    "reciprocal",
    "reduce_max",
    "reduce_min",
    "rsqrt",
    "sigmoid",
    "softmax",
    "sqrt",
    "tanh",
    "tree_matmul",
    "tree_mean",
    "tree_sum",
]

LANES = 8


def join_lanes(lanes: Any) -> Floats:
    """((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7)), each sum rounded once; the lanes are the first axis.

    Source: design.md N8; the order in which 8 lanes fold to 4, 2 and 1.
    """
    four = floats(lanes[:4]) + floats(lanes[4:])
    two = four[:2] + four[2:]
    return floats(two[0] + two[1])


@np.errstate(all="ignore")
def tree_sum(x: Any, axis: int | tuple[int, ...] = -1) -> Floats:
    """The sum along `axis`; of several axes, over their elements in row-major order.

    Lane l begins at +0.0 and adds the elements k = l, l + 8, l + 16, ... in this order; `join_lanes` adds up the lanes.
    An absent element is as good as +0.0, because no lane is ever -0.0.

    Args: x: float32, any shape.
    Returns: float32, the shape of x without the axes; +0.0 for no elements.
    Source: design.md N8.
    """
    axes = tuple(sorted(k % np.ndim(x) for k in ((axis,) if isinstance(axis, int) else axis)))
    moved = np.moveaxis(floats(x), axes, range(len(axes)))
    rows = moved.reshape(-1, *moved.shape[len(axes) :]) if moved.size else np.zeros((0, *moved.shape[len(axes) :]))
    lanes = np.zeros((LANES, *rows.shape[1:]), np.float32)
    for begin in range(0, rows.shape[0], LANES):
        part = rows[begin : begin + LANES]
        lanes[: part.shape[0]] += part
    return join_lanes(lanes)


def tree_mean(x: Any, axis: int | tuple[int, ...] = -1) -> Floats:
    """f32(tree_sum(x) / f32(number of elements))."""
    total = tree_sum(x, axis)
    with np.errstate(all="ignore"):
        return floats(total / np.float32(np.size(x) // max(total.size, 1)))


@np.errstate(all="ignore")
def tree_matmul(a: Any, b: Any) -> Floats:
    """a @ b: every element is the tree_sum over k of f32(a[m, k] * b[k, n]).

    Args: a: [..., M, K], b: [..., K, N], float32; leading axes broadcast.
    Returns: float32 [..., M, N].
    Source: design.md N8.
    """
    a, b = floats(a), floats(b)
    columns, rows = np.moveaxis(a, -1, 0), np.moveaxis(b, -2, 0)
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    lanes = np.zeros((LANES, *shape), np.float32)
    for k in range(a.shape[-1]):
        lanes[k % LANES] += columns[k][..., :, None] * rows[k][..., None, :]
    return join_lanes(lanes)


def reduce_max(x: Any, axis: int | tuple[int, ...] = -1) -> Floats:
    """The largest element; NaN if there is one; a zero is +0.0."""
    return floats(np.max(floats(x), axis=axis) + np.float32(0))


def reduce_min(x: Any, axis: int | tuple[int, ...] = -1) -> Floats:
    """The smallest element; NaN if there is one; a zero is +0.0."""
    return floats(np.min(floats(x), axis=axis) + np.float32(0))


@np.errstate(all="ignore")
def softmax(x: Any, axis: int = -1) -> Floats:
    """f32(e / tree_sum(e)) with e = exp(f32(x - max(x))).

    Source: design.md N8; ONNX Softmax.
    """
    x = floats(x)
    e = exp(x - np.expand_dims(reduce_max(x, axis), axis))
    return floats(e / np.expand_dims(tree_sum(e, axis), axis))


@np.errstate(all="ignore")
def normalize(x: Any, epsilon: float, axis: int = -1, *, centred: bool = True, divides: bool = False) -> Floats:
    """f32(d * f32(1 / deviation)), or f32(d / deviation); the mean and the variance over `axis` and all axes after it.

    d = f32(x - tree_mean(x)), or x itself where not `centred`; deviation = f32(sqrt(f32(tree_mean(f32(d * d)) +
    epsilon))).

    Args: x: float32, an element or more in each row; epsilon is rounded to float32.
    Source: design.md N8; ONNX LayerNormalization, and RMSNormalization where not `centred`.
    """
    x = floats(x)
    axes = tuple(range(axis % x.ndim, x.ndim))
    d = floats(x - np.expand_dims(tree_mean(x, axes), axes)) if centred else x
    variance = np.expand_dims(tree_mean(d * d, axes), axes) + np.float32(epsilon)
    return floats(d / sqrt(variance) if divides else d * rsqrt(variance))


@np.errstate(all="ignore")
def layer_normalization(x: Any, scale: Any, bias: Any, epsilon: float, axis: int = -1) -> Floats:
    """f32(f32(normalize(x) * scale) + bias).

    Args: x: float32; scale, bias: float32, broadcast to x; a bias of None is not added.
    Source: design.md N8; ONNX LayerNormalization.
    """
    y = normalize(x, epsilon, axis) * floats(scale)
    return floats(y if bias is None else y + floats(bias))


@np.errstate(all="ignore")
def batch_normalization(x: Any, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float) -> Floats:
    """f32(f32(f32(f32(x - mean) * inverse) * scale) + bias) along axis 1.

    inverse = f32(1 / sqrt(f32(variance + epsilon))).

    Args: x: float32 [N, C, ...]; the others: float32 [C].
    Source: design.md N8; ONNX BatchNormalization, inference.
    """
    x = floats(x)
    scale, bias, mean, variance = (
        floats(values).reshape(-1, *[1] * (x.ndim - 2)) for values in (scale, bias, mean, variance)
    )
    return floats((x - mean) * rsqrt(variance + np.float32(epsilon)) * scale + bias)
