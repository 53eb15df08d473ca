"""What each kind of actor takes: its loop's control, its arithmetic and its memories, by lanes and words of streams.

Every formula is a function of plain numbers, so that layers are costed by the same ones before they are expanded
(layers.py). Control of a loop of n iterations: PROCESS + (1.5 LUT, 1 FF) for each bit of its counters + 3 LUT a stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from math import gcd

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.step_forms import StepForm
from subbyte.targets.hls.actors import (
    Actor,
    ArgMaxCodes,
    CombineCodes,
    ConcatChannels,
    Convert,
    DepthwiseVector,
    Fork,
    GlobalMax,
    GlobalSum,
    MapCodes,
    MatrixVector,
    Resize,
    SplitChannels,
    WindowMax,
    WindowSum,
)
from subbyte.targets.hls.estimate import arithmetic
from subbyte.targets.hls.estimate import coefficients as c
from subbyte.targets.hls.estimate.arithmetic import Factor, Logic, factor_of, index_bits, whole
from subbyte.targets.hls.estimate.memories import Memory, ram, rom
from subbyte.targets.hls.resources import Resources
from subbyte.targets.hls.streams import Codes, Element, Stream
from subbyte.targets.hls.trace import trace
from subbyte.targets.hls.windows.resize import resize_iterations


def control(iterations: int, streams: int) -> Logic:
    """The loop of a process of so many iterations, and its ends of so many streams."""
    bits = index_bits(iterations)
    return Logic(
        Resources(
            lut=c.PROCESS_LUT + whole(c.LUT_PER_COUNTER_BIT * bits) + c.LUT_PER_STREAM * streams,
            ff=c.PROCESS_FF + whole(c.FF_PER_COUNTER_BIT * bits),
        )
    )


@dataclass(frozen=True, eq=False)
class SumsOf:
    """What the cost of sums of products depends on, beside their folding."""

    factor: Factor
    x: Element
    y: Element
    sums: Element
    steps: StepForm
    bias_bits: int

    @classmethod
    def of(cls, actor: MatrixVector | DepthwiseVector) -> SumsOf:
        factor = factor_of(actor.product, actor.x.type.element, actor.weights, actor.terms, actor.multiplier)
        return cls.given(factor, actor.x, actor.y, actor.sums, actor.steps, actor.bias)

    @classmethod
    def given(cls, factor: Factor, x: Stream, y: Stream, sums: Element, steps: StepForm, bias: Codes) -> SumsOf:
        bias_bits = arithmetic.bits_of(int(bias.min()), int(bias.max())) if bias.any() else 0
        return cls(factor, x.type.element, y.type.element, sums, steps, bias_bits)


def matrix_vector(of: SumsOf, simd: int, pe: int, words: int, folds: int, pixels: int) -> Logic:
    """PE sums of SIMD products a cycle, `words` cycles for each of `folds` words of outputs.

    ROM: PE of words * folds by SIMD * W bits. The words of a pixel are kept in a RAM where folds are above 1, the sums
    in registers where words are.
    """
    constant = words * folds == 1
    logic = control(pixels * words * folds, 2)
    logic += Logic(arithmetic.dot_product(of.factor, simd, constant) * pe)
    logic += _accumulators(of, pe, words)
    memories: list[Memory] = [rom("weights", pe, words * folds, simd * of.factor.weight_bits)]
    if of.bias_bits:
        memories.append(rom("bias", pe, folds, of.bias_bits))
    if folds > 1:
        memories.append(ram("kept words", 1, words, simd * of.x.bits))
    return logic + Logic(memories=tuple(memories)) + arithmetic.steps(of.steps, of.sums, of.y, pe, folds)


def depthwise_vector(of: SumsOf, lanes: int, taps: int, folds: int, pixels: int) -> Logic:
    """A product in each lane a cycle, `taps` cycles for each of `folds` words of channels; one ROM for all lanes."""
    logic = control(pixels * folds * taps, 2)
    logic += Logic(arithmetic.dot_product(of.factor, 1, folds * taps == 1) * lanes)
    logic += _accumulators(of, lanes, taps)
    memories: list[Memory] = [rom("weights", 1, folds * taps, lanes * of.factor.weight_bits)]
    if of.bias_bits:
        memories.append(rom("bias", lanes, folds, of.bias_bits))
    return logic + Logic(memories=tuple(memories)) + arithmetic.steps(of.steps, of.sums, of.y, lanes, folds)


def _accumulators(of: SumsOf, lanes: int, words: int) -> Logic:
    """An adder and a register for each sum; with one word a sum, the bias alone is added."""
    if words == 1 and not of.bias_bits:
        return Logic(Resources(ff=of.sums.bits * lanes))
    return Logic(arithmetic.adder(of.sums.bits) * lanes)


def window_max(element: Element, lanes: int, iterations: int) -> Logic:
    return control(iterations, 2) + Logic(arithmetic.larger(element.bits) * lanes)


def window_sum(sums: Element, steps: StepForm, y: Element, lanes: int, iterations: int) -> Logic:
    adders = Logic(arithmetic.adder(sums.bits) * lanes)
    return control(iterations, 2) + adders + arithmetic.steps(steps, sums, y, lanes, 1)


def global_max(element: Element, lanes: int, words: int, iterations: int) -> Logic:
    """As window_max, the best of each word of channels in a RAM."""
    kept = ram("best codes", 1, words, lanes * element.bits)
    return window_max(element, lanes, iterations) + Logic(memories=(kept,))


def global_sum(sums: Element, steps: StepForm, y: Element, lanes: int, words: int, iterations: int) -> Logic:
    kept = ram("sums", 1, words, lanes * sums.bits)
    return window_sum(sums, steps, y, lanes, iterations) + Logic(memories=(kept,))


def resize(word_bits: int, row_words: int, iterations: int, entries: int) -> Logic:
    """A line of words, and the rows and columns that outputs are read from as a table of `entries` bits."""
    line = ram("line", 1, row_words, word_bits)
    turns = rom("repeats", 1, entries, 1)
    return control(iterations, 2) + Logic(memories=(line, turns))


def map_codes(rows: int, entries: int, y: Element, lanes: int, words: int, iterations: int) -> Logic:
    return control(iterations, 2) + arithmetic.table(rows, entries, y.bits, lanes, words)


def arg_max(element: Element, y: Element, lanes: int, iterations: int) -> Logic:
    """A tree of comparisons over the lanes and one with the best so far, each keeping the code and its number."""
    each = arithmetic.larger(element.bits)
    each += Resources(lut=whole(c.LUT_PER_SELECTED_BIT * y.bits), ff=y.bits)
    return control(iterations, 2) + Logic(each * lanes)


def fork(word_bits: int, outputs: int, iterations: int) -> Logic:
    return control(iterations, 1 + outputs) + Logic(Resources(ff=word_bits))


def join(word_bits: int, parts: int, iterations: int) -> Logic:
    """Concat: a selection between words; Split the same control, words go everywhere."""
    luts = arithmetic.selection_luts(parts, word_bits)
    return control(iterations, 1 + parts) + Logic(Resources(lut=luts, ff=word_bits))


def convert(bits: int, unit: int, x_lanes: int, y_lanes: int, iterations: int) -> Logic:
    """Units held in registers: units of x + units of y - 1. Fewer than a word of y are held before a word of x goes
    behind them, so each register takes one of min(units of x, units of y) units, or moves up."""
    x_units, y_units = x_lanes // unit, y_lanes // unit
    room = x_units + y_units - 1
    luts = arithmetic.selection_luts(min(x_units, y_units) + 1, room * unit * bits)
    counter = 2 * index_bits(room + 1)
    return control(iterations, 2) + Logic(
        Resources(lut=luts + whole(c.LUT_PER_COUNTER_BIT * counter), ff=room * unit * bits + counter)
    )


@singledispatch
def cost(actor: Actor) -> Logic:
    """The resources of `actor`, its FIFOs left out."""
    raise GraphError(f"actor '{actor.name}' is a {type(actor).__name__}, which has no cost")


@cost.register
def _(actor: MatrixVector) -> Logic:
    x, y = actor.x.type, actor.y.type
    return matrix_vector(SumsOf.of(actor), x.lanes, y.lanes, x.words_per_pixel, y.words_per_pixel, y.pixels)


@cost.register
def _(actor: DepthwiseVector) -> Logic:
    y = actor.y.type
    return depthwise_vector(SumsOf.of(actor), y.lanes, actor.weights.shape[1], y.words_per_pixel, y.pixels)


@cost.register
def _(actor: WindowMax) -> Logic:
    return window_max(actor.x.type.element, actor.x.type.lanes, actor.x.type.words)


@cost.register
def _(actor: WindowSum) -> Logic:
    return window_sum(actor.sums, actor.steps, actor.y.type.element, actor.x.type.lanes, actor.x.type.words)


@cost.register
def _(actor: GlobalMax) -> Logic:
    x = actor.x.type
    return global_max(x.element, x.lanes, x.words_per_pixel, x.words)


@cost.register
def _(actor: GlobalSum) -> Logic:
    x = actor.x.type
    return global_sum(actor.sums, actor.steps, actor.y.type.element, x.lanes, x.words_per_pixel, x.words)


@cost.register
def _(actor: MapCodes) -> Logic:
    x = actor.x.type
    rows, entries = actor.table.shape
    return map_codes(rows, entries, actor.y.type.element, x.lanes, x.words_per_pixel, x.words)


@cost.register
def _(actor: CombineCodes) -> Logic:
    a, b = (stream.type for stream in actor.inputs)
    pairs = arithmetic.pair(actor.form, a.element, b.element, actor.y.type.element, a.lanes)
    return control(a.words, 3) + pairs


@cost.register
def _(actor: ArgMaxCodes) -> Logic:
    x = actor.x.type
    return arg_max(x.element, actor.y.type.element, x.lanes, x.words)


@cost.register
def _(actor: Fork) -> Logic:
    return fork(actor.x.type.word_bits, len(actor.outputs), actor.x.type.words)


@cost.register
def _(actor: ConcatChannels) -> Logic:
    return join(actor.y.type.word_bits, len(actor.inputs), actor.y.type.words)


@cost.register
def _(actor: Convert) -> Logic:
    x, y = actor.x.type, actor.y.type
    unit = gcd(x.lanes, x.channels, y.lanes, y.channels)
    return convert(x.element.bits, unit, x.lanes, y.lanes, trace(actor).iterations)


@cost.register
def _(actor: Resize) -> Logic:
    x = actor.x.type
    row_words = x.width * x.words_per_pixel
    repeats = len(actor.rows) + len(actor.columns)
    return resize(x.word_bits, row_words, resize_iterations(x, actor.rows, actor.columns), repeats)


@cost.register
def _(actor: SplitChannels) -> Logic:
    return join(actor.x.type.word_bits, len(actor.outputs), actor.x.type.words)
