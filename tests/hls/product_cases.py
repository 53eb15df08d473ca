"""Actors with sums of products, random but for the ends: frames, weights and biases that reach the ends of the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm, Unchanged
from subbyte.targets.hls.actors import DepthwiseVector, MatrixVector, Multiplier, Product
from subbyte.targets.hls.products.choice import signed_digits
from subbyte.targets.hls.reference import words_of
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType
from tests.hls.actor_program import Case

BIPOLAR = Element(-1, 1, True)
MOST_BIAS = 50


def unsigned(bits: int) -> Element:
    return Element(0, (1 << bits) - 1)


def signed(bits: int) -> Element:
    return Element(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def sums_of(x: Element, weights: Codes, bias: Codes) -> Element:
    """Bounds of every sum of some of the products of an output, with its bias and without. weights: [outputs, K]."""
    ends = np.stack([weights * x.low, weights * x.high])
    low = np.minimum(ends.min(axis=0), 0).sum(axis=1) + np.minimum(bias, 0)
    high = np.maximum(ends.max(axis=0), 0).sum(axis=1) + np.maximum(bias, 0)
    return Element(int(low.min()), int(high.max()))


def frame_of_ends(stream: Stream, random: np.random.Generator) -> Codes:
    """Random codes; the first pixel is the largest code alone, the last the smallest."""
    of_type, element = stream.type, stream.type.element
    frame = random.integers(element.low, element.high + 1, (of_type.pixels, of_type.runs, of_type.channels))
    frame[0], frame[-1] = element.high, element.low
    return np.where(frame > 0, 1, -1) if element.bipolar else np.asarray(frame)


def plain_words(frame: Codes, stream: Stream) -> list[int]:
    """Words of a stream, the upper lanes of a last word 0 in outputs (y), all ones in inputs: none may count."""
    return _words(frame, stream, False)


def window_words(frame: Codes, stream: Stream) -> list[int]:
    """The same of windows in the order CHANNELS."""
    return _words(frame, stream, True)


def _words(frame: Codes, stream: Stream, channels_first: bool) -> list[int]:
    words = words_of(frame, stream.type, channels_first)
    if stream.name.startswith("y"):
        return words
    bits = stream.type.element.bits
    filled = replace(stream.type, element=unsigned(bits))
    ones = words_of(np.full(frame.shape, (1 << bits) - 1, np.int64), filled, channels_first)
    return [
        word | (ones_of_word ^ ((1 << filled.word_bits) - 1)) for word, ones_of_word in zip(words, ones, strict=True)
    ]


class Cases:
    """Gathers cases; `name` and a number name their actors."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.all: list[Case] = []
        self.random = np.random.default_rng(7)

    def matrix(
        self,
        x: Element,
        values: Sequence[int],
        shape: tuple[int, int, int],
        lanes: tuple[int, int],
        product: Product,
        steps: type[StepForm] = Unchanged,
        bias: bool = True,
        multiplier: Multiplier = Multiplier.AUTO,
    ) -> None:
        """values: what weights may be; shape: outputs, runs, channels; lanes: SIMD, PE; bias: whether there is one."""
        weights, biases = self._numbers(values, shape, bias)
        sums = sums_of(x, weights.reshape(shape[0], -1), biases)
        form, y = self._steps(steps, sums, shape[0])
        terms = signed_digits(weights) if product is Product.SHIFT else 0
        number = len(self.all)
        streams = self._streams(StreamType(x, 1, 3, shape[2], lanes[0], shape[1]), y, shape[0], lanes[1])
        numbers = (weights, biases, sums, form, product, terms, multiplier)
        actor = MatrixVector(f"{self.name}{number}", streams[:1], streams[1:], *numbers)
        self.all.append(Case(actor, self._runs(actor.x), plain_words))

    def depthwise(
        self,
        x: Element,
        values: Sequence[int],
        shape: tuple[int, int],
        lanes: int,
        product: Product,
        steps: type[StepForm] = Unchanged,
        bias: bool = True,
    ) -> None:
        """shape: channels, taps; the rest as in `matrix`."""
        weights, biases = self._numbers(values, shape, bias)
        sums = sums_of(x, weights, biases)
        form, y = self._steps(steps, sums, shape[0])
        terms = signed_digits(weights) if product is Product.SHIFT else 0
        number = len(self.all)
        streams = self._streams(StreamType(x, 2, 2, shape[0], lanes, shape[1]), y, shape[0], lanes)
        numbers = (weights, biases, sums, form, product, terms)
        actor = DepthwiseVector(f"{self.name}{number}", streams[:1], streams[1:], *numbers)
        self.all.append(Case(actor, self._runs(actor.x), window_words))

    def _numbers(self, values: Sequence[int], shape: tuple[int, ...], bias: bool) -> tuple[Codes, Codes]:
        """The first output has the largest weights and bias, the last the smallest."""
        weights = self.random.choice(np.asarray(values, np.int64), shape)
        weights[0], weights[-1] = max(values), min(values)
        biases = self.random.integers(-MOST_BIAS, MOST_BIAS + 1, shape[0])
        biases[0], biases[-1] = MOST_BIAS, -MOST_BIAS
        return weights, biases * bias

    def _streams(self, x: StreamType, y: Element, outputs: int, lanes: int) -> tuple[Stream, Stream]:
        number = len(self.all)
        return Stream(f"x{number}", x), Stream(f"y{number}", StreamType(y, x.height, x.width, outputs, lanes))

    def _runs(self, x: Stream) -> tuple[tuple[Codes], ...]:
        return tuple((frame_of_ends(x, self.random),) for _ in range(2))

    def _steps(self, form: type[StepForm], sums: Element, channels: int) -> tuple[StepForm, Element]:
        """Steps of its own for each channel."""
        random, ends = self.random, (np.full(channels, sums.low), np.full(channels, sums.high))
        if form is Unchanged:
            return Unchanged(), sums
        if form is FixedPoint:
            multiplier, offset = random.integers(1, 200, channels), random.integers(-500, 500, channels)
            at = random.integers(sums.low, sums.high + 1, (channels, 1))
            add = np.ones((channels, 1), np.int64)
            return FixedPoint(multiplier, offset, 10, -8, 6, at, add, sums.low, sums.high), signed(4)
        steps = np.sort(random.integers(sums.low, sums.high + 2, (channels, 7)))
        staircase = Staircase(steps, np.tile(np.arange(8), (channels, 1)), *ends)
        return (CompareSteps if form is CompareSteps else SearchSteps)(staircase), unsigned(3)
