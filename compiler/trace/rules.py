"""The enclosure of each float operation: its exact result, and a bound on the error of float32 engines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret_registry import interpretation_of
from subbyte.compiler.ir.interpret_windows import windows_of
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_indexing import Expand, GatherElements, GatherND
from subbyte.compiler.ir.ops_logic import Where
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.ir.windows import Windows, spatial
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.numerics.resize import linear_taps
from subbyte.compiler.trace.enclosure import EXTRA, LIBRARY, SMALLEST, Doubles, Enclosure, U, encloses, gamma

Array = NDArray[Any]


# Codes to reals -------------------------------------------------------------------------------------------------------


def real_numbers(codes: Array, quant: QuantParams, scale: Any = None, zero_point: Any = None) -> Doubles:
    """scale * (code - zero point) without a rounding: 24 and at most 29 bits are no more than float64 holds.

    scale, zero_point: those of run-time values.
    """
    static = quant.static() if quant.is_static else (scale, zero_point)
    scales, zeros = (
        spread(np.asarray(one, np.float64), codes.shape, quant.axis, quant.block) if np.ndim(one) else np.float64(one)
        for one in static
    )
    units = codes.astype(np.float64) - zeros if quant.levels is None else np.asarray(quant.levels, np.float64)[codes]
    return np.asarray(units * scales, np.float64)


@encloses(ops.DequantizeLinear)
def dequantized(node: ops.DequantizeLinear, codes: Array, *run_time: Any) -> Enclosure:
    """One rounding of the product, and one of a difference beyond 2^24."""
    quant = node.x.type.quant
    assert quant is not None, "a DequantizeLinear reads codes with a scale"
    if run_time:
        parts = iter(run_time)
        scale = next(parts).real if not isinstance(quant.scale, np.ndarray) else quant.scale
        zero = next(parts) if not isinstance(quant.zero_point, np.ndarray) else quant.zero_point
        real = real_numbers(codes, quant, scale, zero)
    else:
        real = real_numbers(codes, quant)
    return Enclosure(real, np.zeros(real.shape)).widened(2, np.abs(real))


@encloses(ops.Cast)
def cast(node: ops.Cast, x: Any) -> Enclosure:
    if not node.dtype.is_float or node.dtype.bits < 32:
        raise UnsupportedError(f"{node.label} to {node.dtype} has no known bound on its error")
    if isinstance(x, Enclosure):
        return x.widened(1, x.largest)
    real = x.astype(np.float64)
    return Enclosure.exact(real).widened(1, np.abs(real))


# Sums of products -----------------------------------------------------------------------------------------------------


def _products(a: Enclosure, b: Enclosure, terms: int, multiply: Callable[[Array, Array], Array]) -> Enclosure:
    """Sums of `terms` products of a and b: |computed - exact| <= sum (A * B - |a| * |b|) + gamma * sum A * B.

    multiply: the sums, linear in both. A and B are the largest magnitudes of a and b. Where their errors are small
    multiples r, s of |a| and |b|, as of codes, A * B - |a| * |b| <= (r + s + r * s) * |a| * |b|, and one sum of
    magnitudes serves both terms: in float32, which is within 2^-9 of it for 2^14 terms.
    """
    real = multiply(a.real, b.real)
    ratios = [one.ratio() for one in (a, b)]
    if max(ratios) > 2.0**-12 or terms > 2**14:
        sizes = multiply(a.largest, b.largest)
        carried = np.maximum(sizes - multiply(np.abs(a.real), np.abs(b.real)), 0)
        return Enclosure(real, carried).widened(terms + EXTRA, sizes)
    magnitudes = [np.abs(one.real).astype(np.float32) for one in (a, b)]
    sizes = multiply(*magnitudes).astype(np.float64) * (1 + 2.0**-8)
    carried = (sum(ratios) + math.prod(ratios)) * sizes
    zeros = Enclosure(real, carried + terms * 16 * SMALLEST * sum(float(one.largest.max(initial=0)) for one in (a, b)))
    return zeros.widened(terms + EXTRA, sizes)


@encloses(ops.MatMul)
def matmul(node: ops.MatMul, a: Enclosure, b: Enclosure) -> Enclosure:
    return _products(a, b, node.a.type.shape[-1], np.matmul)


@encloses(ops.Gemm)
def gemm(node: ops.Gemm, a: Enclosure, b: Enclosure, c: Enclosure | None = None) -> Enclosure:
    left = Enclosure(a.real.T, a.error.T) if node.transpose_a else a
    right = Enclosure(b.real.T, b.error.T) if node.transpose_b else b
    product = _products(left, right, left.real.shape[1], np.matmul)
    alpha, beta = float(np.float32(node.alpha)), float(np.float32(node.beta))
    scaled = Enclosure(alpha * product.real, abs(alpha) * product.error).widened(1, abs(alpha) * product.largest)
    if c is None:
        return scaled
    return _sum(scaled, Enclosure(beta * c.real, abs(beta) * c.error).widened(1, abs(beta) * c.largest), 1)


@encloses(ops.Conv)
def convolution(node: ops.Conv, x: Enclosure, w: Enclosure, b: Enclosure | None = None) -> Enclosure:
    windows = Windows(x.real.shape[2:], node.type.shape[2:], w.real.shape[2:], node.strides, node.pads, node.dilations)
    n, group, channels, outputs = x.real.shape[0], node.group, w.real.shape[1], w.real.shape[0] // node.group

    def multiply(of_x: Array, of_w: Array) -> Array:
        """[N, G, O / G, windows], summed one kernel position after the other."""
        taps = of_w.reshape(group, outputs, channels, -1)
        parts = (part.reshape(n, group, channels, -1) for part in windows.positions(of_x))
        total = sum(taps[..., q] @ part for q, part in enumerate(parts))
        return np.asarray(total).reshape(node.type.shape)

    return _biased(_products(x, w, channels * math.prod(windows.kernel), multiply), b)


@encloses(ops.ConvTranspose)
def transposed_convolution(
    node: ops.ConvTranspose, x: Enclosure, w: Enclosure, b: Enclosure | None = None
) -> Enclosure:
    """Scattered: each x[c, i] adds x * w[c, o, q] at i * stride + q * dilation - pad_begin."""
    n, channels = x.real.shape[:2]
    kernel, result, group, outputs = w.real.shape[2:], node.type.shape[2:], node.group, w.real.shape[1]
    axes = list(
        zip(x.real.shape[2:], node.strides, node.dilations, kernel, node.pads[: len(kernel)], result, strict=True)
    )
    whole = [max((e - 1) * s + (k - 1) * d + 1, begin + y) for e, s, d, k, begin, y in axes]

    def multiply(of_x: Array, of_w: Array) -> Array:
        flat = of_x.reshape(n, group, channels // group, -1)
        total = np.zeros((n, group * outputs, *whole), of_x.dtype)
        for q in np.ndindex(*kernel):
            taps = of_w[(..., *q)].reshape(group, channels // group, outputs).swapaxes(1, 2)
            part = (taps @ flat).reshape(n, group * outputs, *of_x.shape[2:])
            at = (slice(i * d, i * d + (e - 1) * s + 1, s) for i, (e, s, d, *_) in zip(q, axes, strict=True))
            total[spatial(at)] += part
        return np.asarray(total[spatial(slice(begin, begin + y) for *_, begin, y in axes)])

    return _biased(_products(x, w, channels // group * math.prod(kernel), multiply), b)


def _biased(total: Enclosure, b: Enclosure | None) -> Enclosure:
    """With a bias for each channel; its rounding, and those of the sum that it is one more term of."""
    if b is None:
        return total
    along = (-1, *[1] * (total.real.ndim - 2))
    return _sum(total, Enclosure(b.real.reshape(along), b.error.reshape(along)), EXTRA)


# Elementwise ----------------------------------------------------------------------------------------------------------


def _sum(a: Enclosure, b: Enclosure, roundings: int, sign: int = 1) -> Enclosure:
    return Enclosure(a.real + sign * b.real, a.error + b.error).widened(roundings, a.largest + b.largest)


@encloses(ops.Add)
def add(node: ops.Add, a: Enclosure, b: Enclosure) -> Enclosure:
    return _sum(a, b, EXTRA)


@encloses(ops.Sub)
def subtract(node: ops.Sub, a: Enclosure, b: Enclosure) -> Enclosure:
    return _sum(a, b, EXTRA, -1)


@encloses(ops.Mul)
def multiply(node: ops.Mul, a: Enclosure, b: Enclosure) -> Enclosure:
    real = a.real * b.real
    carried = np.abs(a.real) * b.error + np.abs(b.real) * a.error + a.error * b.error
    return Enclosure(real, carried).widened(EXTRA, np.abs(real) + carried)


@encloses(ops.Div)
def divide(node: ops.Div, a: Enclosure, b: Enclosure) -> Enclosure:
    real = a.real / b.real
    least = np.abs(b.real) - b.error
    carried = np.where(least > 0, (a.error + np.abs(real) * b.error) / least, np.inf)
    return Enclosure(real, carried).widened(EXTRA, np.abs(real) + carried)


@encloses(ops.Pow)
def power(node: ops.Pow, a: Enclosure, b: Enclosure) -> Enclosure:
    """Of a constant whole exponent n >= 1: |(a + e)^n - a^n| <= n * e * (|a| + e)^(n - 1)."""
    exponent = np.unique(b.real)
    if node.b.constant is None or exponent.size != 1 or exponent[0] < 1 or exponent[0] != np.rint(exponent[0]):
        raise UnsupportedError(f"{node.label} has no known bound on its float32 error; a square has one")
    n = float(exponent[0])
    real, carried = a.real**n, n * a.error * a.largest ** (n - 1)
    return Enclosure(real, carried).widened(LIBRARY, np.abs(real) + carried)


@encloses(ops.Minimum)
def minimum(node: ops.Minimum, a: Enclosure, b: Enclosure) -> Enclosure:
    return _selected(np.minimum(a.real, b.real), a, b)


@encloses(ops.Maximum)
def maximum(node: ops.Maximum, a: Enclosure, b: Enclosure) -> Enclosure:
    return _selected(np.maximum(a.real, b.real), a, b)


def _selected(real: Doubles, a: Enclosure, b: Enclosure) -> Enclosure:
    return Enclosure(real, np.broadcast_to(np.maximum(a.error, b.error), real.shape))


@encloses(Where)
def where(node: Where, condition: Array, a: Enclosure, b: Enclosure) -> Enclosure:
    return Enclosure(np.where(condition, a.real, b.real), np.where(condition, a.error, b.error))


@encloses(ops.PRelu)
def parametric_relu(node: ops.PRelu, x: Enclosure, slope: Enclosure) -> Enclosure:
    steepest = np.maximum(1, slope.largest)
    real = np.where(x.real < 0, slope.real * x.real, x.real)
    return Enclosure(real, x.error * steepest + slope.error * x.largest).widened(EXTRA, np.abs(real))


@encloses(ops.BatchNormalization)
def batch_normalization(
    node: ops.BatchNormalization, x: Enclosure, scale: Enclosure, bias: Enclosure, mean: Enclosure, variance: Enclosure
) -> Enclosure:
    """(x - mean) * gain + bias, as written or as x * gain + (bias - mean * gain): 8 roundings of a term at most."""
    along = (-1, *[1] * (x.real.ndim - 2))
    epsilon = float(np.float32(node.epsilon))
    gain = (scale.real / np.sqrt(variance.real + epsilon)).reshape(along)
    shift, middle = bias.real.reshape(along), mean.real.reshape(along)
    magnitude = (x.largest + np.abs(middle)) * np.abs(gain) + np.abs(shift)
    return Enclosure((x.real - middle) * gain + shift, x.error * np.abs(gain)).widened(8 + EXTRA, magnitude)


@encloses(ops.Softmax)
def softmax(node: ops.Softmax, x: Enclosure) -> Enclosure:
    """y = e / sum e, e = exp(d), d = x - max(x): relative errors of e from those of d, the sum's from its terms'.

    LIBRARY roundings are granted to exp. N7's table and division are within (n + 2) * 2^-31 of y <= 1.
    """
    axis, n = node.axis, x.real.shape[node.axis]
    distance = x.real - x.real.max(axis=axis, keepdims=True)
    power = np.exp(distance)
    y = power / power.sum(axis=axis, keepdims=True)
    moved = x.error + x.error.max(axis=axis, keepdims=True) + U * np.abs(distance)
    relative = np.expm1(moved) + gamma(LIBRARY)
    of_sum = (y * relative).sum(axis=axis, keepdims=True)
    error = y * (relative + of_sum) * (1 + 2 * of_sum) + (n + 2) * 2.0**-31
    return Enclosure(y, error).widened(n + EXTRA, y)


# Windows and reductions -----------------------------------------------------------------------------------------------


@encloses(ops.AveragePool)
def average_pool(node: ops.AveragePool, x: Enclosure) -> Enclosure:
    windows = windows_of(node)
    counts = windows.counts(with_pads=node.count_include_pad)

    def mean(part: Doubles) -> Doubles:
        return np.asarray(sum(windows.positions(part)) / counts)

    return Enclosure(mean(x.real), mean(x.error)).widened(math.prod(node.kernel) + EXTRA, mean(x.largest))


@encloses(ops.ReduceSum, ops.ReduceMean)
def reduce(node: ops.Reduce, x: Enclosure) -> Enclosure:
    terms = math.prod(x.real.shape[axis] for axis in node.axes)
    divisor = terms if isinstance(node, ops.ReduceMean) else 1

    def total(part: Doubles) -> Doubles:
        return np.asarray(part.sum(axis=node.axes).reshape(node.type.shape) / divisor)

    return Enclosure(total(x.real), total(x.error)).widened(terms + EXTRA, total(x.largest))


@encloses(ops.MaxPool)
def max_pool(node: ops.MaxPool, x: Enclosure) -> Enclosure:
    largest = interpretation_of(node)
    return Enclosure(np.asarray(largest(node, x.real)), np.asarray(largest(node, x.error)))


@encloses(ops.ReduceMax, ops.ReduceMin)
def extreme(node: ops.Reduce, x: Enclosure) -> Enclosure:
    choose = np.max if isinstance(node, ops.ReduceMax) else np.min
    real, error = choose(x.real, axis=node.axes), np.max(x.error, axis=node.axes)
    return Enclosure(np.reshape(real, node.type.shape), np.reshape(error, node.type.shape))


@encloses(ops.ResizeLinear)
def resize_linear(node: ops.ResizeLinear, x: Enclosure) -> Enclosure:
    """The weights are float32 numbers of the compiler's; each axis rounds three times."""
    real, error, size = x.real, x.error, x.largest
    axes = 0
    for axis, (extent, scale) in enumerate(zip(node.sizes, node.scales, strict=True)):
        if (extent, scale) == (real.shape[axis], 1.0):
            continue
        lower, upper, weight = linear_taps(node.coordinates, extent, real.shape[axis], scale)
        along = weight.astype(np.float64).reshape([-1 if k == axis else 1 for k in range(real.ndim)])
        real, error, size = (
            (1 - along) * part.take(lower, axis=axis) + along * part.take(upper, axis=axis)
            for part in (real, error, size)
        )
        axes += 1
    return Enclosure(real, error).widened(3 * axes + EXTRA, size)


# Data movement --------------------------------------------------------------------------------------------------------


@encloses(
    ops.Reshape, ops.Transpose, ops.Concat, ops.Split, ops.Slice, ops.Pad, ops.Gather, ops.DepthToSpace,
    ops.SpaceToDepth, ops.ResizeNearest, Expand, GatherElements, GatherND,
)  # fmt: skip
def move(node: Node, *operands: Any) -> tuple[Enclosure, ...]:
    """Elements change places, and their errors with them; what a Pad adds has none."""
    function = interpretation_of(node)
    real = function(node, *(o.real if isinstance(o, Enclosure) else o for o in operands))
    still = node.replace(value=0) if isinstance(node, ops.Pad) else node
    error = function(still, *(o.error if isinstance(o, Enclosure) else o for o in operands))
    reals, errors = (each if isinstance(each, tuple) else (each,) for each in (real, error))
    return tuple(Enclosure(np.asarray(r), np.asarray(e)) for r, e in zip(reals, errors, strict=True))
