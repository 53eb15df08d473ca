"""Small networks for the tests of folding and estimate, built by hand: every kind of layer, no model file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from subbyte.compiler.dtype import INT64
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.pair_forms import PairTable
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps, StepForm, Unchanged
from subbyte.targets.hls.actors import Product
from subbyte.targets.hls.layers import (
    ArgMaximum,
    Combining,
    Concatenation,
    DepthwiseSums,
    Flattening,
    Frame,
    Layer,
    Mapping,
    MaxPooling,
    Network,
    Padding,
    Resizing,
    Separation,
    SumPooling,
    Sums,
    Window,
)
from subbyte.targets.hls.streams import Element

PIXEL = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 0)
BYTE = Element(-128, 127)


def frame(name: str, element: Element, channels: int, height: int = 1, width: int = 1) -> Frame:
    elements = height * width * channels
    value = Input(name, TensorType(INT64, (elements,))).out
    return Frame(name, element, height, width, channels, value, np.arange(elements))


def square(kernel: int, pad: int, stride: int = 1) -> Window:
    return Window((kernel, kernel), (stride, stride), (1, 1), (pad, pad, pad, pad), 0)


def steps(bound: int, rows: int, bits: int) -> StepForm:
    """A requantization to `bits` bits, unsigned, a row for each channel; its numbers do not matter."""
    count = (1 << bits) - 1
    at = np.sort(np.random.default_rng(bound + rows).integers(-bound, bound, (rows, count)), axis=1)
    ends = np.full(rows, bound)
    return CompareSteps(Staircase(at, np.tile(np.arange(count + 1), (rows, 1)), -ends, ends))


def sums(
    name: str,
    x: Frame,
    outputs: int,
    window: Window = PIXEL,
    weight_bits: int = 3,
    bits: int = 3,
    product: Product = Product.MULTIPLY,
    terms: int = 0,
) -> Sums:
    """A layer of products; bits 0: its sums leave as they are."""
    most = max((1 << (weight_bits - 1)) - 1, 1)
    weights = np.random.default_rng(outputs).integers(-most, most + 1, (outputs, window.taps, x.channels))
    weights.flat[0] = -most
    bound = most * window.taps * x.channels * max(-x.element.low, x.element.high) + 9
    y_element = Element(0, (1 << bits) - 1) if bits else Element(-bound, bound)
    form = steps(bound, outputs, bits) if bits else Unchanged()
    y = frame(f"{name}_out", y_element, outputs, *extents(x, window))
    bias = np.arange(outputs, dtype=np.int64) - 1
    return Sums(name, (x,), (y,), window, weights, bias, Element(-bound, bound), form, product, terms)


def extents(x: Frame, window: Window) -> tuple[int, int]:
    top, left, bottom, right = window.pads
    high = (x.height + top + bottom - (window.kernel[0] - 1) * window.dilations[0] - 1) // window.strides[0] + 1
    wide = (x.width + left + right - (window.kernel[1] - 1) * window.dilations[1] - 1) // window.strides[1] + 1
    return high, wide


def depthwise(name: str, x: Frame, window: Window) -> DepthwiseSums:
    weights = np.random.default_rng(1).integers(-3, 4, (x.channels, window.taps))
    bound = 3 * window.taps * max(-x.element.low, x.element.high)
    y = frame(f"{name}_out", Element(0, 7), x.channels, *extents(x, window))
    bias = np.zeros(x.channels, np.int64)
    form = steps(bound, x.channels, 3)
    return DepthwiseSums(name, (x,), (y,), window, weights, bias, Element(-bound, bound), form, Product.MULTIPLY, 0)


def mlp(sizes: Sequence[int], weight_bits: int = 3, bits: int = 3, input_bits: int = 8) -> Network:
    """Fully connected layers; the sums of the last leave as they are."""
    x = first = frame("x", Element(-(1 << (input_bits - 1)), (1 << (input_bits - 1)) - 1), sizes[0])
    layers: list[Layer] = []
    for number, outputs in enumerate(sizes[1:], start=1):
        layer = sums(f"gemm{number}", x, outputs, PIXEL, weight_bits, 0 if number == len(sizes) - 1 else bits)
        layers.append(layer)
        x = layer.y
    return Network("mlp", tuple(layers), (first,), (x,), ("x",), ("y",))


def residual(channels: int = 4, side: int = 5) -> Network:
    """Convolutions with a skip, and every other kind of layer behind them."""
    x = frame("x", BYTE, 3, side, side)
    first = sums("conv1", x, channels, square(3, 1))
    second = sums("conv2", first.y, channels, square(3, 1), product=Product.SHIFT, weight_bits=2, terms=1)
    total = frame("add3_out", Element(0, 7), channels, side, side)
    added = Combining("add3", (first.y, second.y), (total,), PairTable(0, 0, np.zeros((8, 8), np.int64)))
    thin = depthwise("depthwise4", total, square(3, 1))
    mapped = frame("map5_out", Element(-4, 3), channels, side, side)
    table = Mapping("map5", (thin.y,), (mapped,), np.arange(-4, 4)[None].repeat(channels, axis=0))
    halves = tuple(frame(f"split6_out{half}", mapped.element, channels // 2, side, side) for half in (0, 1))
    split = Separation("split6", (mapped,), halves)
    joined = frame("concat7_out", mapped.element, channels, side, side)
    concat = Concatenation("concat7", (halves[1], halves[0]), (joined,))
    pooled = frame("maxpool8_out", mapped.element, channels, *extents(joined, square(2, 0, 2)))
    pool = MaxPooling("maxpool8", (joined,), (pooled,), square(2, 0, 2))
    large = frame("resize9_out", mapped.element, channels, 3, 3)
    resize = Resizing("resize9", (pooled,), (large,), (0, 0, 1), (0, 1, 1))
    padded = frame("pad10_out", mapped.element, channels, 5, 5)
    pad = Padding("pad10", (large,), (padded,), Window((1, 1), (1, 1), (1, 1), (1, 1, 1, 1), 0))
    averaged = frame("averagepool11_out", Element(0, 3), channels, 5, 5)
    average = SumPooling("averagepool11", (padded,), (averaged,), square(3, 1), 0, Element(-36, 27), steps(36, 1, 2))
    whole = frame("average12_out", Element(0, 3), channels)
    mean = SumPooling("average12", (averaged,), (whole,), None, 0, Element(0, 75), steps(75, 1, 2))
    most = frame("most13_out", Element(0, 3), channels)
    best = MaxPooling("most13", (averaged,), (most,), None)
    both = frame("add14_out", Element(0, 7), channels)
    sum_of_both = Combining("add14", (whole, most), (both,), PairTable(0, 0, np.zeros((4, 4), np.int64)))
    flat = frame("flatten15_out", both.element, 2, 1, channels // 2)
    flatten = Flattening("flatten15", (both,), (flat,))
    last = sums("gemm16", flat, 5, bits=0)
    number = frame("argmax17_out", Element(0, 4), 1, 1, channels // 2)
    arg = ArgMaximum("argmax17", (last.y,), (number,), False)
    layers = (first, second, added, thin, table, split, concat, pool, resize, pad, average, mean, best, sum_of_both)
    return Network("residual", (*layers, flatten, last, arg), (x,), (number,), ("x",), ("y",))
