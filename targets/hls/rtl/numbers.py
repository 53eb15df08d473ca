"""Integers in a netlist: signals with the range that they are proved to stay in, so that no width is a guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from subbyte.targets.hls.rtl.netlist import Netlist, Signal
from subbyte.targets.hls.streams import Element


@dataclass(frozen=True)
class Number:
    """A signal whose bits are an integer of `range`, two's complement where that has negatives; range.bits wide."""

    signal: Signal
    range: Element


def spanning(low: int, high: int) -> Element:
    return Element(min(low, high), max(low, high))


def decoded(netlist: Netlist, lane: Signal, element: Element) -> Number:
    """The code in a lane's bits; a bipolar lane is -1 or +1 in two bits."""
    if element.bipolar:
        return Number(netlist.concat([netlist.true, netlist.inverse(lane)]), Element(-1, 1))
    return Number(lane, element)


def extended(netlist: Netlist, number: Number, width: int) -> Signal:
    """The lowest `width` bits of the number, however many it has."""
    signal = number.signal
    if width <= signal.width:
        return netlist.extract(signal, 0, width)
    missing = width - signal.width
    if number.range.signed:
        sign = netlist.extract(signal, signal.width - 1, 1)
        return netlist.concat([signal, netlist.replicate(sign, missing)])
    return netlist.concat([signal, netlist.constant(0, missing)])


def total(netlist: Netlist, terms: Sequence[Number]) -> Number:
    """Their sum."""
    span = spanning(sum(term.range.low for term in terms), sum(term.range.high for term in terms))
    return Number(netlist.add(*(extended(netlist, term, span.bits) for term in terms)), span)


def multiplied(netlist: Netlist, a: Number, b: Number, name: str) -> Number:
    """Their product, by one signed multiplier with factors of their own widths."""
    ends = [x * y for x in (a.range.low, a.range.high) for y in (b.range.low, b.range.high)]
    span = spanning(min(ends), max(ends))
    factors = [_with_sign(netlist, factor) for factor in (a, b)]
    return Number(netlist.written("$signed({{0}}) * $signed({{1}})", factors, span.bits, name), span)


def _with_sign(netlist: Netlist, number: Number) -> Signal:
    return extended(netlist, number, number.range.bits + (not number.range.signed))


def at_least(netlist: Netlist, number: Number, limit: Number) -> Signal:
    """Whether number >= limit."""
    signed = number.range.signed or limit.range.signed
    width = max(one.range.bits + (signed and not one.range.signed) for one in (number, limit))
    sides = [extended(netlist, one, width) for one in (number, limit)]
    return netlist.compare("sge" if signed else "uge", sides[0], sides[1])


def constant(netlist: Netlist, value: int) -> Number:
    span = Element(value, value)
    return Number(netlist.constant(value, span.bits), span)
