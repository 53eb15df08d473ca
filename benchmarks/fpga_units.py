"""Actors with random numbers in them, for the calibration of estimates and for the tests of SystemVerilog."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm, Unchanged
from subbyte.targets.hls.actors import (
    Convert,
    DepthwiseVector,
    Design,
    Fork,
    MatrixVector,
    Product,
    SlidingWindow,
    WindowMax,
    WindowOrder,
)
from subbyte.targets.hls.products.choice import signed_digits
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType

BIPOLAR = Element(-1, 1, True)


@dataclass
class Maker:
    """Makes actors, numbered as they come."""

    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))
    count: int = 0

    def matrix_vector(
        self,
        x: Element,
        values: tuple[int, ...],
        product: Product,
        channels: int,
        outputs: int,
        simd: int,
        pe: int,
        steps: str,
        runs: int = 1,
        pixels: int = 3,
        rows: bool = True,
    ) -> MatrixVector:
        """values: which weights may be; rows: steps of their own for each channel."""
        self.count += 1
        weights = self.random.choice(np.array(values, np.int64), (outputs, runs, channels))
        weights[0], weights[-1] = max(values), min(values)
        bias = self.random.integers(-20, 21, outputs)
        sums = bounds(x, weights, bias)
        form, y = self.steps(steps, sums, outputs if rows else 1)
        x_type = StreamType(x, 1, pixels, channels, simd, runs)
        y_type = StreamType(y, 1, pixels, outputs, pe)
        return MatrixVector(
            f"unit_{self.count}",
            (Stream(f"x_{self.count}", x_type),),
            (Stream(f"y_{self.count}", y_type),),
            weights,
            bias,
            sums,
            form,
            product,
            signed_digits(weights) if product is Product.SHIFT else 0,
        )

    def sliding_window(
        self,
        frame: tuple[int, int, int],
        lanes: int,
        kernel: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilations: tuple[int, int] = (1, 1),
        order: WindowOrder = WindowOrder.TAPS,
    ) -> SlidingWindow:
        """frame: height, width, channels."""
        self.count += 1
        x = StreamType(Element(-4, 3), *frame, lanes)
        height, width = (
            (frame[at] + pads[at] + pads[at + 2] - (kernel[at] - 1) * dilations[at] - 1) // strides[at] + 1
            for at in (0, 1)
        )
        y = StreamType(x.element, height, width, frame[2], lanes, kernel[0] * kernel[1])
        streams = (Stream(f"x_{self.count}", x),), (Stream(f"y_{self.count}", y),)
        return SlidingWindow(f"unit_{self.count}", *streams, kernel, strides, dilations, pads, -3, order)

    def depthwise(
        self, x: Element, values: tuple[int, ...], product: Product, channels: int, taps: int, lanes: int, steps: str
    ) -> DepthwiseVector:
        """values: which weights may be."""
        self.count += 1
        weights = self.random.choice(np.array(values, np.int64), (channels, taps))
        bias = self.random.integers(-20, 21, channels)
        sums = bounds(x, weights, bias)
        form, y = self.steps(steps, sums, channels)
        streams = (
            (Stream(f"{name}_{self.count}", StreamType(element, 1, 3, channels, lanes, runs)),)
            for name, element, runs in (("x", x, taps), ("y", y, 1))
        )
        terms = signed_digits(weights) if product is Product.SHIFT else 0
        return DepthwiseVector(f"unit_{self.count}", *streams, weights, bias, sums, form, product, terms)

    def window_max(self, x: Element, channels: int, taps: int, lanes: int) -> WindowMax:
        self.count += 1
        streams = (
            (Stream(f"{name}_{self.count}", StreamType(x, 1, 3, channels, lanes, runs)),)
            for name, runs in (("x", taps), ("y", 1))
        )
        return WindowMax(f"unit_{self.count}", *streams, taps)

    def convert(self, x: tuple[int, int, int, int], y: tuple[int, int, int, int]) -> Convert:
        """x, y: pixels, runs, channels, lanes."""
        self.count += 1
        streams = [
            (Stream(f"{name}_{self.count}", StreamType(Element(-2, 1), 1, pixels, channels, lanes, runs)),)
            for name, (pixels, runs, channels, lanes) in (("x", x), ("y", y))
        ]
        return Convert(f"unit_{self.count}", *streams)

    def fork(self, outputs: int) -> Fork:
        self.count += 1
        of_type = StreamType(Element(0, 5), 2, 2, 5, 3)
        copies = tuple(Stream(f"y_{self.count}_{number}", of_type) for number in range(outputs))
        return Fork(f"unit_{self.count}", (Stream(f"x_{self.count}", of_type),), copies)

    def design(self) -> Design:
        """A convolution, its frame flattened, a matrix product: windows and words of other lanes between FIFOs."""
        window = self.sliding_window((4, 5, 3), 3, (3, 3), pads=(1, 1, 1, 1))
        first = self.matrix_vector(
            window.x.type.element, (-3, 2), Product.MULTIPLY, 3, 4, 3, 2, "compare 7", runs=9, pixels=20
        )
        flat = self.convert((20, 1, 4, 2), (1, 1, 80, 5))
        second = self.matrix_vector(first.y.type.element, (-1, 0, 1), Product.ADD, 80, 3, 5, 3, "unchanged", pixels=1)
        flattened = replace(second.x, type=replace(second.x.type, height=1))
        first = replace(first, inputs=window.outputs, outputs=(replace(first.y, type=_same(first.y.type, 4, 5)),))
        flat = replace(flat, inputs=first.outputs, outputs=(flattened,))
        second = replace(second, inputs=flat.outputs)
        depths = {window.y.name: 2, first.y.name: 1, flattened.name: 5}
        return Design("chain", (window, first, flat, second), window.inputs, second.outputs, depths)

    def steps(self, kind: str, sums: Element, rows: int) -> tuple[StepForm, Element]:
        """kind: unchanged, fixed, or compare or search and a number of steps; and the codes they give.

        With "rising" at the end codes count up from 0, as those of a plain requantization do.
        """
        if kind == "unchanged":
            return Unchanged(), sums
        if kind.startswith("fixed"):
            ties = {"fixed": None, "fixed live": None, "fixed even": 0, "fixed odd": 1}[kind]
            ends = (self.random.integers(-40, 200, rows), self.random.integers(-500, 500, rows))
            live = (sums.low // 2, sums.high // 3) if kind == "fixed live" else None
            at = self.random.integers(*((sums.low, sums.high + 1) if live is None else live), (rows, 2))
            tie = None if ties is None else self.random.integers(1, 100, rows)
            add = np.tile([1, -1], (rows, 1))
            form = FixedPoint(*ends, 9, -7, 6, at, add, sums.low, sums.high, ties, tie, live)
            return form, Element(-8, 7)
        name, count, *rising = kind.split()
        limits = np.sort(self.random.integers(sums.low, sums.high + 2, (rows, int(count))), axis=1)
        codes = self.random.integers(-8, 8, (rows, int(count) + 1))
        y = Element(-8, 7)
        if rising:
            codes = np.tile(np.arange(int(count) + 1), (rows, 1))
            y = Element(0, int(count))
        stairs = Staircase(limits, codes, np.full(rows, sums.low), np.full(rows, sums.high))
        return (CompareSteps if name == "compare" else SearchSteps)(stairs), y

    def frame(self, of_type: StreamType) -> Codes:
        """Random codes; the first pixel has the largest alone, the last the smallest."""
        element = of_type.element
        frame = self.random.integers(element.low, element.high + 1, (of_type.pixels, of_type.runs, of_type.channels))
        frame[0], frame[-1] = element.high, element.low
        return np.where(frame > 0, 1, -1) if element.bipolar else np.asarray(frame)


def bounds(x: Element, weights: Codes, bias: Codes) -> Element:
    """Every partial and finished sum."""
    ends = np.stack([weights * x.low, weights * x.high]).reshape(2, weights.shape[0], -1)
    low = np.minimum(ends.min(axis=0), 0).sum(axis=1) + np.minimum(bias, 0)
    high = np.maximum(ends.max(axis=0), 0).sum(axis=1) + np.maximum(bias, 0)
    return Element(int(low.min()), int(high.max()))


def _same(of_type: StreamType, height: int, width: int) -> StreamType:
    return replace(of_type, height=height, width=width)
