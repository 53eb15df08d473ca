"""What a layer takes under a fold, before it is expanded, by the formulas of the actors that it will become.

The FIFOs between layers and the Converts where widths differ depend on two layers at once: `conversion` has those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache, singledispatch
from math import gcd

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls import layers as of
from subbyte.targets.hls.actors import Convert, Multiplier, WindowOrder
from subbyte.targets.hls.estimate import actors, arithmetic
from subbyte.targets.hls.estimate.actors import SumsOf
from subbyte.targets.hls.estimate.arithmetic import factor_of
from subbyte.targets.hls.estimate.memories import ceiling, fifo
from subbyte.targets.hls.estimate.windows import sliding_window
from subbyte.targets.hls.expand import input_lanes, output_lanes, taps_per_word
from subbyte.targets.hls.layers import Fold, Frame, Layer, Window
from subbyte.targets.hls.resources import NONE, Resources
from subbyte.targets.hls.streams import Stream, StreamType
from subbyte.targets.hls.trace import trace
from subbyte.targets.hls.windows.resize import delay, resize_iterations


@dataclass(frozen=True)
class Work:
    """A layer under a fold.

    cycles: iterations of its busiest actor. first: cycles from the first word in to the first word out, where words
    come as fast as they are taken; tail: likewise from the last word in to the last word out. needs: the share of a
    frame that is in before the first word is out, the same under every fold.
    """

    cycles: int
    resources: Resources
    first: int
    tail: int
    needs: float


def layer_cycles(layer: Layer, fold: Fold) -> int:
    """Iterations a frame of the busiest actor that `layer` becomes, its Converts left out (`conversion`)."""
    return layer_work(layer, fold).cycles


def layer_resources(layer: Layer, fold: Fold) -> Resources:
    """The resources of the actors that `layer` becomes, and of the FIFO between its window and its sums."""
    return layer_work(layer, fold).resources


@singledispatch
def layer_work(layer: Layer, fold: Fold) -> Work:
    """Cycles, resources and delays of `layer` under `fold`."""
    raise GraphError(f"layer '{layer.name}' is a {type(layer).__name__}, which has no cost")


WINDOW_FIFO_DEPTH = 2


def _words(frame: Frame, lanes: int) -> int:
    return frame.pixels * ceiling(frame.channels, lanes)


def _behind_window(layer: Layer, window: Window, order: WindowOrder, lanes: int, taps: int, reader: Work) -> Work:
    """`reader`, and before it the sliding window that feeds it with words of `lanes` codes of `taps` taps each."""
    if window.is_pixel:
        return reader
    before = _window(layer.x, window, order, lanes, taps)
    between = fifo(WINDOW_FIFO_DEPTH, lanes * taps * layer.x.element.bits).resources
    return Work(
        max(before.cycles, reader.cycles),
        before.resources + between + reader.resources,
        before.first + reader.first,
        _windows_left(layer, window) * -(-max(before.cycles, reader.cycles) // layer.y.pixels) + reader.tail,
        before.needs,
    )


def _windows_left(layer: Layer, window: Window) -> int:
    """Windows that are still to be written when the last pixel is in: a row is while that row comes, but its last."""
    (high, wide), (top, left) = window.kernel, window.pads[:2]
    rows, columns = (
        sum(position * stride - pad + (taps - 1) * dilation >= extent - 1 for position in range(positions))
        for positions, stride, pad, taps, dilation, extent in (
            (layer.y.height, window.strides[0], top, high, window.dilations[0], layer.x.height),
            (layer.y.width, window.strides[1], left, wide, window.dilations[1], layer.x.width),
        )
    )
    return max(rows - 1, 0) * layer.y.width + max(columns, 1)


def _window(x: Frame, window: Window, order: WindowOrder, lanes: int, taps: int) -> Work:
    of_type = StreamType(x.element, x.height, x.width, x.channels, lanes)
    found = sliding_window(of_type, window, order, taps)
    return Work(found.cycles, found.logic.all, found.first, found.tail, found.needs)


@lru_cache(maxsize=1024)
def _sums_of(layer: of.Sums | of.DepthwiseSums, made_of: Multiplier) -> SumsOf:
    factor = factor_of(layer.product, layer.x.element, layer.weights, layer.terms, made_of)
    x, y = (Stream("", StreamType(frame.element, 1, 1, 1, 1)) for frame in (layer.x, layer.y))
    return SumsOf.given(factor, x, y, layer.sums, layer.steps, layer.bias)


@layer_work.register
def _(layer: of.Sums, fold: Fold) -> Work:
    taps = taps_per_word(layer.window, fold)
    lanes, pe = input_lanes(layer, fold), output_lanes(layer, fold)
    words = layer.window.taps // taps * ceiling(layer.x.channels * taps, lanes * taps)
    folds = ceiling(layer.y.channels, pe)
    logic = actors.matrix_vector(_sums_of(layer, fold.multiplier), lanes * taps, pe, words, folds, layer.y.pixels)
    sums = Work(layer.y.pixels * words * folds, logic.all, words, (folds - 1) * words + 1, 1 / layer.x.pixels)
    return _behind_window(layer, layer.window, WindowOrder.TAPS, lanes, taps, sums)


@layer_work.register
def _(layer: of.DepthwiseSums, fold: Fold) -> Work:
    lanes, taps = input_lanes(layer, fold), layer.window.taps
    folds = ceiling(layer.y.channels, lanes)
    logic = actors.depthwise_vector(_sums_of(layer, fold.multiplier), lanes, taps, folds, layer.y.pixels)
    sums = Work(layer.y.pixels * folds * taps, logic.all, taps, 1, 0.0)
    return _behind_window(layer, layer.window, WindowOrder.CHANNELS, lanes, 1, sums)


@layer_work.register
def _(layer: of.MaxPooling, fold: Fold) -> Work:
    lanes, element = input_lanes(layer, fold), layer.x.element
    per_pixel = ceiling(layer.x.channels, lanes)
    if layer.window is None:
        words = layer.x.pixels * per_pixel
        logic = actors.global_max(element, lanes, per_pixel, words)
        return Work(words, logic.all, words - per_pixel + 1, 1, 1.0)
    words = layer.y.pixels * per_pixel * layer.window.taps
    pool = Work(words, actors.window_max(element, lanes, words).all, layer.window.taps, 1, 0.0)
    return _behind_window(layer, layer.window, WindowOrder.CHANNELS, lanes, 1, pool)


@layer_work.register
def _(layer: of.SumPooling, fold: Fold) -> Work:
    lanes, y = input_lanes(layer, fold), layer.y.element
    per_pixel = ceiling(layer.x.channels, lanes)
    if layer.window is None:
        words = layer.x.pixels * per_pixel
        logic = actors.global_sum(layer.sums, layer.steps, y, lanes, per_pixel, words)
        return Work(words, logic.all, words - per_pixel + 1, 1, 1.0)
    words = layer.y.pixels * per_pixel * layer.window.taps
    logic = actors.window_sum(layer.sums, layer.steps, y, lanes, words)
    return _behind_window(
        layer, layer.window, WindowOrder.CHANNELS, lanes, 1, Work(words, logic.all, layer.window.taps, 1, 0.0)
    )


@layer_work.register
def _(layer: of.Padding, fold: Fold) -> Work:
    return _window(layer.x, layer.window, WindowOrder.TAPS, input_lanes(layer, fold), 1)


@layer_work.register
def _(layer: of.Mapping, fold: Fold) -> Work:
    lanes = input_lanes(layer, fold)
    rows, entries = layer.table.shape
    words = _words(layer.x, lanes)
    logic = actors.map_codes(rows, entries, layer.y.element, lanes, ceiling(layer.x.channels, lanes), words)
    return Work(words, logic.all, 1, 1, 0.0)


@layer_work.register
def _(layer: of.Combining, fold: Fold) -> Work:
    lanes = input_lanes(layer, fold)
    a, b = (frame.element for frame in layer.inputs)
    words = _words(layer.x, lanes)
    logic = actors.control(words, 3) + arithmetic.pair(layer.form, a, b, layer.y.element, lanes)
    return Work(words, logic.all, 1, 1, 0.0)


@layer_work.register
def _(layer: of.Resizing, fold: Fold) -> Work:
    frame, lanes = layer.x, input_lanes(layer, fold)
    x = StreamType(frame.element, frame.height, frame.width, frame.channels, lanes)
    cycles = resize_iterations(x, layer.rows, layer.columns)
    line, of_y = x.width * x.words_per_run, layer.y.width * x.words_per_run
    logic = actors.resize(x.word_bits, line, cycles, len(layer.rows) + len(layer.columns))
    first = layer.rows[0] * line + delay(x, layer.columns)
    repeats = layer.rows.count(layer.rows[-1]) - 1
    behind = repeats * of_y + max(0, delay(x, layer.columns) + of_y - line)  # what is read of the last row in use
    unused = (x.height - 1 - layer.rows[-1]) * line
    return Work(cycles, logic.all, first + 1, 1 if unused else behind, layer.rows[0] / x.height)


@layer_work.register
def _(layer: of.ArgMaximum, fold: Fold) -> Work:
    lanes = input_lanes(layer, fold)
    words = _words(layer.x, lanes)
    logic = actors.arg_max(layer.x.element, layer.y.element, lanes, words)
    return Work(words, logic.all, ceiling(layer.x.channels, lanes), 1, 0.0)


@layer_work.register
def _(layer: of.Concatenation, fold: Fold) -> Work:
    lanes = input_lanes(layer, fold)
    words = _words(layer.y, lanes)
    return Work(words, actors.join(lanes * layer.y.element.bits, len(layer.inputs), words).all, 1, 1, 0.0)


@layer_work.register
def _(layer: of.Separation, fold: Fold) -> Work:
    lanes = input_lanes(layer, fold)
    words = _words(layer.x, lanes)
    return Work(words, actors.join(lanes * layer.x.element.bits, len(layer.outputs), words).all, 1, 1, 0.0)


@layer_work.register
def _(layer: of.Flattening, fold: Fold) -> Work:
    """Nothing by itself: its Convert depends on the layers on both sides (`conversion`)."""
    return Work(0, NONE, 0, 0, 0.0)


@cache
def conversion(x: StreamType, y: StreamType) -> tuple[int, Resources]:
    """Cycles and resources of a Convert from x to y.

    Where their runs end together each run goes the same way as the first.
    """
    alike = (x.channels, x.runs, x.pixels) == (y.channels, y.runs, y.pixels)
    runs = x.pixels * x.runs if alike else 1
    one = (replace(x, height=1, width=1, runs=1), replace(y, height=1, width=1, runs=1)) if alike else (x, y)
    cycles = runs * trace(Convert("", (Stream("", one[0]),), (Stream("", one[1]),))).iterations
    unit = gcd(x.lanes, x.channels, y.lanes, y.channels)
    return cycles, actors.convert(x.element.bits, unit, x.lanes, y.lanes, cycles).all
