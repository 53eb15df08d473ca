"""Convert as a module: codes are held until they fill a word of y.

Codes move in units, the most codes that always stay together. An iteration reads where fewer units are held than the
next word of y takes, and writes where that many are held then. Stage 1 holds the word that is written.
"""

from __future__ import annotations

from subbyte.targets.hls.actors import Convert
from subbyte.targets.hls.movement.convert import check_convert, unit_of
from subbyte.targets.hls.rtl.netlist import Netlist, Signal
from subbyte.targets.hls.rtl.numbers import Number, at_least, extended, total
from subbyte.targets.hls.rtl.pipeline import Beat, Pipeline, counter, input_port
from subbyte.targets.hls.rtl.rtl import Rtl, module_of, rtl
from subbyte.targets.hls.streams import Element, StreamType


@rtl.register
def convert(actor: Convert) -> Rtl:
    check_convert(actor)
    x, y = actor.x.type, actor.y.type
    unit = unit_of(x, y)
    bits = unit * x.element.bits
    in_x, in_y = x.lanes // unit, y.lanes // unit
    netlist = module_of(actor)
    pipeline = Pipeline(netlist)
    port = input_port(netlist, 0, x)
    issue = netlist.declare("issue", 1)
    step = netlist.all_of(pipeline.advance, issue)

    reads, writes = netlist.declare("reads", 1), netlist.declare("writes", 1)
    comes = _units(netlist, "x_word", x, unit, netlist.all_of(step, reads))
    goes = _units(netlist, "y_word", y, unit, netlist.all_of(step, writes))
    capacity = max(in_x, in_y) - 1
    room = capacity + in_x
    held = Number(netlist.constant(0, 1), Element(0, 0))
    if capacity:
        held = Number(netlist.register("held", Element(0, capacity).bits), Element(0, capacity))
    netlist.define(reads, netlist.inverse(at_least(netlist, held, goes)))
    netlist.define(issue, netlist.any_of(port.valid, netlist.inverse(reads)))
    netlist.output("in0_ready", netlist.all_of(pipeline.advance, reads))

    # What is held after the read, the oldest unit in the lowest bits, and what the write leaves of it.
    word = _first_units(netlist, port.data, comes, in_x, x.channels // unit % in_x, bits)
    codes, count = word, comes
    if capacity:
        kept = netlist.register("codes", capacity * bits)
        placed = [
            _at(
                netlist,
                netlist.concat([netlist.extract(kept, 0, place * bits), word] if place else [word]),
                room * bits,
            )
            for place in range(in_y)
        ]
        codes = netlist.choose(reads, netlist.pick(placed, held.signal), _at(netlist, kept, room * bits))
        after = total(netlist, [held, comes])
        count = Number(
            netlist.choose(reads, after.signal, extended(netlist, held, after.range.bits)), Element(0, after.range.high)
        )
    netlist.define(writes, at_least(netlist, count, goes))
    if capacity:
        tail = y.channels // unit % in_y or in_y
        left = _behind(netlist, codes, in_y * bits, capacity * bits)
        if tail != in_y:
            of_tail = _behind(netlist, codes, tail * bits, capacity * bits)
            left = netlist.choose(netlist.equals(goes.signal, in_y), left, of_tail)
        netlist.drive(kept, netlist.choose(writes, left, _at(netlist, codes, capacity * bits)), step, reset=0)
        width = count.range.bits
        less = netlist.add(count.signal, netlist.inverse(extended(netlist, goes, width)), netlist.constant(1, width))
        remaining = netlist.choose(writes, less, count.signal)
        netlist.drive(held.signal, _at(netlist, remaining, held.signal.width), step, reset=0)

    beat = pipeline.next(Beat(netlist.all_of(issue, writes), netlist.true, netlist.true))
    full = _at(netlist, codes, in_y * bits)
    pipeline.finish(
        pipeline.hold(_first_units(netlist, full, goes, in_y, y.channels // unit % in_y, bits), "word"), beat
    )
    return Rtl(netlist, pipeline.stages)


def _units(netlist: Netlist, name: str, of_type: StreamType, unit: int, step: Signal) -> Number:
    """How many units the next word has: fewer in the last of a run where lanes do not divide it."""
    whole = of_type.lanes // unit
    tail = of_type.channels // unit % whole
    span = Element(0, whole)
    if tail == 0:
        return Number(netlist.constant(whole, span.bits), span)
    _, last = counter(netlist, name, of_type.words_per_run, step)
    return Number(netlist.choose(last, netlist.constant(tail, span.bits), netlist.constant(whole, span.bits)), span)


def _first_units(netlist: Netlist, word: Signal, count: Number, whole: int, tail: int, bits: int) -> Signal:
    """The word, with bits 0 behind `tail` units where count is not `whole`; tail 0: it always is."""
    if tail == 0:
        return word
    gate = netlist.replicate(netlist.equals(count.signal, whole), (whole - tail) * bits)
    low = netlist.extract(word, 0, tail * bits)
    return netlist.concat([low, netlist.all_of(netlist.extract(word, tail * bits, (whole - tail) * bits), gate)])


def _at(netlist: Netlist, signal: Signal, width: int) -> Signal:
    """The signal in `width` bits, with bits 0 above."""
    if width <= signal.width:
        return netlist.extract(signal, 0, width)
    return netlist.concat([signal, netlist.constant(0, width - signal.width)])


def _behind(netlist: Netlist, signal: Signal, low: int, width: int) -> Signal:
    """`width` bits from bit `low` on, with bits 0 above the signal's last."""
    if low >= signal.width:
        return netlist.constant(0, width)
    return _at(netlist, netlist.extract(signal, low, signal.width - low), width)
