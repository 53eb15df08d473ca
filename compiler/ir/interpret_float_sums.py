"""What sums of products of floats mean: float32 in the tree of 8 lanes, in the order that ops.py writes down (N8)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.ir.windows import Windows, spatial
from subbyte.compiler.numerics.float32 import tree_matmul, tree_sum

Array = NDArray[Any]


@interprets(ops.MatMul)
def multiply_matrices(node: ops.MatMul, a: Array, b: Array) -> Array:
    return tree_matmul(a, b)


@interprets(ops.Gemm)
def multiply_and_add(node: ops.Gemm, a: Array, b: Array, c: Array | None = None) -> Array:
    product = tree_matmul(a.T if node.transpose_a else a, b.T if node.transpose_b else b)
    if node.alpha != 1:
        product = np.float32(node.alpha) * product
    if c is None:
        return product
    wide = c.astype(np.float32)
    return product + (wide if node.beta == 1 else np.float32(node.beta) * wide)


@interprets(ops.Conv)
def convolve(node: ops.Conv, x: Array, w: Array, b: Array | None = None) -> Array:
    windows = Windows(x.shape[2:], node.type.shape[2:], w.shape[2:], node.strides, node.pads, node.dilations)
    weights = w.reshape(node.group, w.shape[0] // node.group, w.shape[1], -1).transpose(0, 3, 2, 1)
    return _convolved(node, windows.positions(x), windows.inside(), weights, b)


@interprets(ops.ConvTranspose)
def convolve_transposed(node: ops.ConvTranspose, x: Array, w: Array, b: Array | None = None) -> Array:
    weights = w.reshape(node.group, w.shape[0] // node.group, w.shape[1], -1).transpose(0, 3, 1, 2)
    present = np.ones((1, 1, *x.shape[2:]), np.bool_)
    return _convolved(node, _gathered(node, x), _gathered(node, present), weights, b)


def _gathered(node: ops.ConvTranspose, x: Array) -> Iterator[Array]:
    """For each kernel position q, row-major: x at i = (p + pad_begin - q * dilation) / stride for all p, zeros where
    there is no such i: [N, C, spatial... of the result].

    The elements of x stand `stride` apart, behind dilation * (kernel - 1) zeros, so that no index is negative.
    """
    kernel, result, strides = node.w.type.shape[2:], node.type.shape[2:], node.strides
    begins = node.pads[: len(kernel)]
    lead = [d * (k - 1) for d, k in zip(node.dilations, kernel, strict=True)]
    reach = [begin + extent for begin, extent in zip(begins, result, strict=True)]
    padded = np.zeros((*x.shape[:2], *(before + extent for before, extent in zip(lead, reach, strict=True))), x.dtype)
    fitting = [min(e, -(-r // s)) for e, r, s in zip(x.shape[2:], reach, strides, strict=True)]
    places = zip(lead, fitting, strides, strict=True)
    padded[spatial(slice(b, b + (e - 1) * s + 1, s) for b, e, s in places)] = x[spatial(map(slice, fitting))]
    for q in itertools.product(*map(range, kernel)):
        starts = [b - i * d + before for b, i, d, before in zip(begins, q, node.dilations, lead, strict=True)]
        yield padded[spatial(slice(start, start + extent) for start, extent in zip(starts, result, strict=True))]


def _convolved(
    node: ops.Conv | ops.ConvTranspose,
    positions: Iterable[Array],
    inside: Iterable[Array],
    weights: Array,
    b: Array | None,
) -> Array:
    """Sums over k = kernel position * (C / G) + channel, one matrix product for each group, then the bias.

    Args:
        positions: for each kernel position, x under it [N, C, windows...], zeros where there is no element of x.
        inside: for each kernel position, where there is one [1, 1, windows...].
        weights: [G, kernel positions, C / G, O / G].
    """
    group, count, channels, outputs = weights.shape
    n, k = node.type.shape[0], count * channels
    columns = np.stack([x.reshape(n, group, channels, -1) for x in positions]).transpose(1, 2, 4, 0, 3)
    rows, matrix = columns.reshape(n, group, -1, k), weights.reshape(group, k, outputs)
    if np.isfinite(weights).all():  # then what is left out may as well be 0 * w: no lane is ever -0.0
        total = tree_matmul(rows, matrix)
    else:
        there = np.repeat(np.stack([mask.reshape(-1) for mask in inside], axis=-1), channels, axis=-1)
        products = rows[..., None].astype(np.float32) * matrix[:, None].astype(np.float32)
        total = tree_sum(np.where(there[..., None], products, np.float32(0)), axis=-2)
    result = np.swapaxes(total, 2, 3).reshape(node.type.shape)
    return result if b is None else result + b.astype(np.float32).reshape(-1, *[1] * (result.ndim - 2))
