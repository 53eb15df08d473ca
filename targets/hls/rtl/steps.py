"""Step forms as the last stages of a pipeline: finished sums in, codes out, all lanes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm, Unchanged
from subbyte.targets.hls.rtl.lane_products import packed
from subbyte.targets.hls.rtl.netlist import Netlist, Signal
from subbyte.targets.hls.rtl.numbers import Number, at_least, constant, extended, multiplied, spanning, total
from subbyte.targets.hls.rtl.pipeline import Beat, Pipeline, lanes_of
from subbyte.targets.hls.streams import Codes, Element, StreamType

AT_ONCE = 3  # so many comparisons and the code they give fit in one stage


@dataclass(frozen=True)
class Finished:
    """sums: of each lane, in the registers of the stage `beat`, every valid beat of which is a word of `y`.

    before: the beat a stage earlier, where ROMs are read whose words belong to `beat`.
    """

    pipeline: Pipeline
    sums: tuple[Number, ...]
    before: Beat
    beat: Beat
    y: StreamType

    def lanes(self, name: str, values: Codes, element: Element, beat: Beat) -> list[list[Number]]:
        return by_lane(self.pipeline, self.y, name, values, element, beat)


def by_lane(
    pipeline: Pipeline, y: StreamType, name: str, values: Codes, element: Element, beat: Beat
) -> list[list[Number]]:
    """For each lane of y its channel's numbers, a stage behind `beat`; values: int64 [1 or channels, n]."""
    pe, rows, n = y.lanes, y.words_per_pixel, values.shape[1]
    if n == 0:
        return [[] for _ in range(pe)]
    bits = element.encode(per_channel(values, rows * pe, y.channels)).reshape(rows, -1)
    words = [packed(row, element.bits) for row in bits.tolist()]
    word = pipeline.by_row(name, words, pe * n * element.bits, beat)
    numbers = [Number(lane, element) for lane in lanes_of(pipeline.netlist, word, pe * n)]
    return [numbers[lane * n : (lane + 1) * n] for lane in range(pe)]


def per_channel(values: Codes, count: int, channels: int) -> Codes:
    """[1 or channels, ...] -> [count, ...]: a row for each channel, then the last one's again."""
    return np.asarray(
        np.broadcast_to(values, (channels, *values.shape[1:]))[np.minimum(np.arange(count), channels - 1)]
    )


@singledispatch
def steps(form: StepForm, finished: Finished) -> tuple[list[Signal], Beat, Beat]:
    """(the bits of y's lanes, the beat a stage before them, their beat)."""
    raise UnsupportedError(f"the step form {type(form).__name__} has C++ but no SystemVerilog; the C++ project has it.")


@steps.register
def unchanged(form: Unchanged, finished: Finished) -> tuple[list[Signal], Beat, Beat]:
    netlist, bits = finished.pipeline.netlist, finished.y.element.bits
    return [extended(netlist, one, bits) for one in finished.sums], finished.before, finished.beat


@steps.register
def compare_steps(form: CompareSteps, finished: Finished) -> tuple[list[Signal], Beat, Beat]:
    """All comparisons at once; reached steps come before the others, so a code is the xor of what each step changes."""
    pipeline, beat = finished.pipeline, finished.beat
    netlist = pipeline.netlist
    limits = finished.lanes("limits", form.staircase.steps, _span(form.staircase.steps), finished.before)
    reached = [
        [at_least(netlist, one, limit) for limit in lane] for one, lane in zip(finished.sums, limits, strict=True)
    ]
    before, here = finished.before, beat
    if form.staircase.count > AT_ONCE:
        reached = [[pipeline.hold(bit, "reached") for bit in lane] for lane in reached]
        before, here = here, pipeline.next(here)
    bits = finished.y.element.encode(form.staircase.codes)
    changes = np.concatenate([bits[:, :1], bits[:, 1:] ^ bits[:, :-1]], axis=1)
    element = Element(0, (1 << finished.y.element.bits) - 1)
    codes = []
    for lane, (first, *others) in zip(reached, finished.lanes("changes", changes, element, before), strict=True):
        gated = [
            netlist.all_of(netlist.replicate(bit, element.bits), change.signal)
            for bit, change in zip(lane, others, strict=True)
        ]
        codes.append(pipeline.hold(netlist.exclusive(first.signal, *gated), "code"))
    return codes, here, pipeline.next(here)


@steps.register
def search_steps(form: SearchSteps, finished: Finished) -> tuple[list[Signal], Beat, Beat]:
    """A stage for each bit of the number of steps reached, highest first; a table of codes last."""
    pipeline, netlist, y = finished.pipeline, finished.pipeline.netlist, finished.y
    staircase = form.staircase
    count = staircase.count.bit_length()
    limits = _filled(staircase, count)
    sums, beat = list(finished.sums), finished.beat
    found: list[Signal | None] = [None] * y.lanes
    for stage in range(count):
        middles = limits[:, (1 << (count - stage - 1)) - 1 :: 1 << (count - stage)]
        for lane in range(y.lanes):
            limit = _looked_up(finished, f"limit_{stage}", middles, _span(limits), lane, found[lane], beat)
            bit = at_least(netlist, sums[lane], limit)
            prefix = found[lane]
            following = bit if prefix is None else netlist.concat([bit, prefix])
            found[lane] = pipeline.hold(following, "reached")
            sums[lane] = pipeline.hold_number(sums[lane], "sum")
        beat = pipeline.next(beat)
    padded = np.concatenate(
        [staircase.codes, np.repeat(staircase.codes[:, -1:], (1 << count) - staircase.count - 1, 1)], 1
    )
    raw = Element(0, (1 << y.element.bits) - 1)
    codes = [
        pipeline.hold(
            _looked_up(finished, "codes", y.element.encode(padded), raw, lane, found[lane], beat).signal, "code"
        )
        for lane in range(y.lanes)
    ]
    return codes, beat, pipeline.next(beat)


def _filled(staircase: Staircase, count: int) -> Codes:
    """Steps [rows, 2**count - 1], those that a row lacks above every sum."""
    missing = (1 << count) - 1 - staircase.count
    return np.concatenate([staircase.steps, np.repeat(staircase.high[:, None] + 1, missing, axis=1)], axis=1)


def _looked_up(
    finished: Finished, name: str, table: Codes, element: Element, lane: int, index: Signal | None, beat: Beat
) -> Number:
    """table[channel of the lane][index] at once; table: int64 [1 or channels, power of two]; index None: of one."""
    netlist, y = finished.pipeline.netlist, finished.y
    rows = y.words_per_pixel if table.shape[0] > 1 else 1
    of_lane = per_channel(table, y.words_per_pixel * y.lanes, y.channels)[lane :: y.lanes][:rows]
    words = element.encode(of_lane).reshape(-1).tolist()
    if len(set(words)) == 1:
        return Number(netlist.constant(words[0], element.bits), element)
    address = [] if index is None else [index]
    if rows > 1:
        address.append(finished.pipeline.row(beat, rows))
    memory = netlist.rom(f"{name}_rom", words, element.bits)
    return Number(netlist.load(memory, netlist.concat(address)), element)


@steps.register
def fixed_point(form: FixedPoint, finished: Finished) -> tuple[list[Signal], Beat, Beat]:
    """A stage to saturate sums, where that is narrower; one for products and comparisons with exceptions, one for
    offsets, one to round, shift and limit."""
    pipeline, netlist = finished.pipeline, finished.pipeline.netlist
    before, beat = finished.before, finished.beat
    multiplier, offset = form.multiplier.reshape(-1, 1), form.offset.reshape(-1, 1)
    low, high = form.ends
    sums = list(finished.sums)
    if any(one.range.low < low or one.range.high > high for one in sums):
        sums = [pipeline.hold_number(_clamped(netlist, one, low, high), "saturated") for one in sums]
        before, beat = beat, pipeline.next(beat)
    factors = finished.lanes("multiplier", multiplier, _span(multiplier), before)
    products = [
        pipeline.hold_number(multiplied(netlist, one, factor, "scaled"), "scaled")
        for one, (factor,) in zip(sums, factors, strict=True)
    ]
    added = bool(form.add.any())
    exceptions = finished.lanes("exceptions", form.at, _span(form.at), before) if added else [[]] * len(sums)
    hits = [
        [pipeline.hold(_equal(netlist, one, at), "hit") for at in lane]
        for one, lane in zip(sums, exceptions, strict=True)
    ]
    offsets = finished.lanes("offset", offset, _span(offset), beat)
    additions = finished.lanes("additions", form.add, _span(form.add), beat) if added else [[]] * len(sums)
    beat = pipeline.next(beat)
    moved = [
        pipeline.hold_number(total(netlist, [product, shift]), "moved")
        for product, (shift,) in zip(products, offsets, strict=True)
    ]
    corrections = []
    for hit, lane in zip(hits, additions, strict=True):
        gated = [
            Number(netlist.all_of(netlist.replicate(bit, one.range.bits), one.signal), one.range)
            for bit, one in zip(hit, lane, strict=True)
        ]
        corrections.append([pipeline.hold_number(total(netlist, gated), "correction")] if gated else [])
    ties: list[list[Number]] = [[] for _ in moved]
    if form.tie is not None:
        tie = form.tie.reshape(-1, 1)
        ties = finished.lanes("tie", tie, _span(tie), beat)
    beat = pipeline.next(beat)
    codes = []
    for number, tie_of_lane, correction in zip(moved, ties, corrections, strict=True):
        limited = _clamped(netlist, _rounded(netlist, number, form, tie_of_lane), form.low, form.high)
        code = total(netlist, [limited, *correction])
        codes.append(pipeline.hold(extended(netlist, code, finished.y.element.bits), "code"))
    return codes, beat, pipeline.next(beat)


def _rounded(netlist: Netlist, p: Number, form: FixedPoint, tie: Sequence[Number]) -> Number:
    """(p + r) >> shift."""
    if not tie:
        return _shifted_right(netlist, p, form.shift)
    odd = netlist.extract(extended(netlist, p, form.shift + 1), form.shift, 1)
    away = odd if form.ties_to == 0 else netlist.inverse(odd)
    more = [Number(netlist.all_of(one.signal, netlist.replicate(away, one.range.bits)), one.range) for one in tie]
    return _shifted_right(netlist, total(netlist, [p, *more, constant(netlist, form.half)]), form.shift)


def _span(values: Codes) -> Element:
    """The range of values, with 0."""
    return spanning(int(values.min(initial=0)), int(values.max(initial=0)))


def _equal(netlist: Netlist, a: Number, b: Number) -> Signal:
    span = spanning(min(a.range.low, b.range.low), max(a.range.high, b.range.high))
    return netlist.compare("eq", extended(netlist, a, span.bits), extended(netlist, b, span.bits))


def _shifted_right(netlist: Netlist, number: Number, shift: int) -> Number:
    """floor(number / 2**shift)."""
    span = Element(number.range.low >> shift, number.range.high >> shift)
    return Number(netlist.extract(extended(netlist, number, span.bits + shift), shift, span.bits), span)


def _clamped(netlist: Netlist, number: Number, low: int, high: int) -> Number:
    span = Element(low, high)
    result = extended(netlist, number, span.bits)
    if number.range.high > high:
        above = at_least(netlist, number, constant(netlist, high + 1))
        result = netlist.choose(above, netlist.constant(high, span.bits), result)
    if number.range.low < low:
        inside = at_least(netlist, number, constant(netlist, low))
        result = netlist.choose(inside, result, netlist.constant(low, span.bits))
    return Number(result, span)
