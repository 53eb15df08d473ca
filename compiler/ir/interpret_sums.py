"""What sums of products of codes mean: exact integers (N3), then one requantization (N4)."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import exact, qops
from subbyte.compiler.ir.exact import Integers
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.windows import Windows, spatial
from subbyte.compiler.numerics.affine import spread, to_integers
from subbyte.compiler.numerics.requantize import requantize

Array = NDArray[Any]
Sums = qops.QConv | qops.QConvTranspose | qops.QGemm


def centred(value: Value, codes: Array) -> Integers:
    """Codes less their zero point, or the levels of a codebook; codes without quantization stand for themselves."""
    quant = value.type.quant
    return codes.astype(np.int64) if quant is None else to_integers(codes, quant)


@interprets(qops.QConv)
def convolve(node: qops.QConv, x: Array, w: Array, bias: Array | None = None) -> Array:
    """One kernel position after the other: x under it [N, G, C / G, P], times w there [G, O / G, C / G], summed."""
    windows = Windows(x.shape[2:], node.type.shape[2:], w.shape[2:], node.strides, node.pads, node.dilations)
    signal, weights = exact.factors(centred(node.x, x), centred(node.w, w), math.prod(w.shape[1:]))
    outputs, inputs = w.shape[0] // node.group, w.shape[1]
    by_group = weights.reshape(node.group, outputs, inputs, -1).transpose(3, 0, 1, 2)
    total = np.zeros((x.shape[0], node.group, outputs, math.prod(windows.windows)), signal.dtype)
    for there, under in zip(by_group, windows.positions(signal), strict=True):
        total += _multiply(there, under.reshape(x.shape[0], node.group, inputs, -1))
    return _finished(node, total.astype(np.int64).reshape(node.type.shape), bias, axis=1)


@interprets(qops.QConvTranspose)
def convolve_transposed(node: qops.QConvTranspose, x: Array, w: Array, bias: Array | None = None) -> Array:
    """One kernel position q after the other: x times w there adds to i * stride + q * dilation; pads are cropped."""
    inputs = w.shape[0] // node.group
    signal, weights = exact.factors(centred(node.x, x), centred(node.w, w), inputs * math.prod(w.shape[2:]))
    extents, kernel, result = x.shape[2:], w.shape[2:], node.type.shape[2:]
    begins = node.pads[: len(kernel)]
    steps = zip(extents, kernel, node.strides, node.dilations, begins, result, strict=True)
    reach = [max((e - 1) * s + (k - 1) * d + 1, begin + y) for e, k, s, d, begin, y in steps]
    total = np.zeros((*node.type.shape[:2], *reach), signal.dtype)
    by_group = weights.reshape(node.group, inputs, w.shape[1], -1).transpose(3, 0, 2, 1)  # [positions, G, O / G, C / G]
    under = signal.reshape(x.shape[0], node.group, inputs, -1)
    for q, there in zip(itertools.product(*map(range, kernel)), by_group, strict=True):
        product = _multiply(there, under).reshape(*node.type.shape[:2], *extents)
        places = zip(q, node.dilations, node.strides, extents, strict=True)
        total[spatial(slice(k * d, k * d + s * (e - 1) + 1, s) for k, d, s, e in places)] += product
    cropped = total[spatial(slice(begin, begin + extent) for begin, extent in zip(begins, result, strict=True))]
    return _finished(node, cropped.astype(np.int64), bias, axis=1)


@interprets(qops.QGemm)
def multiply_matrices(node: qops.QGemm, a: Array, b: Array, bias: Array | None = None) -> Array:
    return _finished(node, exact.matmul(centred(node.a, a), centred(node.b, b)), bias, axis=-1)


def _multiply(w: Array, x: Array) -> Array:
    """w [G, O, C] @ x [N, G, C, P]: [N, G, O, P]; depthwise without a matrix product for each channel."""
    return w * x if w.shape[2] == 1 else np.matmul(w, x)


def _finished(node: Sums, total: Integers, bias: Array | None, axis: int) -> Array:
    """Bias and requantization along `axis`; without a requantization the sum itself, wrapped to the dtype."""
    if bias is not None:
        total = exact.add(total, spread(bias.astype(np.int64), total.shape, axis % total.ndim))
    if node.requantization is None:
        return exact.wrap(total, node.dtype)
    return requantize(total, node.requantization, axis)
