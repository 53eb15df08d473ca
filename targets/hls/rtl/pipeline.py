"""A pipeline with one handshake at its end: all its registers move together, in every cycle in which the last is free.

A beat is what an iteration leaves in a stage. Bubbles move as beats do, so results leave even where no input comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from subbyte.targets.hls.rtl.netlist import Netlist, Signal, address_bits
from subbyte.targets.hls.rtl.numbers import Number
from subbyte.targets.hls.streams import StreamType


@dataclass(frozen=True)
class Beat:
    """valid: an iteration is in this stage; first, last: it begins, ends the sums of one word of the output."""

    valid: Signal
    first: Signal
    last: Signal


@dataclass(frozen=True)
class InputPort:
    """A stream that the module reads."""

    data: Signal
    valid: Signal


class Pipeline:
    """The stages of a module behind its issue of iterations; `stages` counts them."""

    def __init__(self, netlist: Netlist) -> None:
        self.netlist = netlist
        self.stages = 0
        self.advance = netlist.declare("advance", 1)
        self._rows: dict[str, Signal] = {}

    def hold(self, value: Signal, name: str) -> Signal:
        return self.netlist.held(value, self.advance, name)

    def hold_number(self, number: Number, name: str) -> Number:
        return Number(self.hold(number.signal, name), number.range)

    def next(self, beat: Beat) -> Beat:
        """The beat one stage later; what that stage holds are the registers made with `hold`."""
        self.stages += 1
        n = self.stages
        valid = self.netlist.held(beat.valid, self.advance, f"valid_{n}", reset=0)
        constant = {self.netlist.true.name, self.netlist.false.name}
        first, last = (
            flag if flag.name in constant else self.hold(flag, f"{name}_{n}")
            for name, flag in (("first", beat.first), ("last", beat.last))
        )
        return Beat(valid, first, last)

    def row(self, beat: Beat, rows: int) -> Signal:
        """Which of `rows` words of a pixel the beat works for, counted by the words that have left its stage."""
        if beat.valid.name not in self._rows:
            leaves = self.netlist.all_of(self.advance, beat.valid, beat.last)
            self._rows[beat.valid.name], _ = counter(self.netlist, f"row_{self.stages}", rows, leaves)
        return self._rows[beat.valid.name]

    def table(self, name: str, words: Sequence[int], width: int, address: Callable[[], Signal]) -> Signal:
        """words[address] one stage later, from a ROM; a constant where all words are the same."""
        if len(set(words)) == 1:
            return self.netlist.constant(words[0], width)
        memory = self.netlist.rom(f"{name}_rom", words, width)
        return self.hold(self.netlist.load(memory, address()), name)

    def by_row(self, name: str, words: Sequence[int], width: int, beat: Beat) -> Signal:
        """The word of the beat's row, for the stage that follows `beat`."""
        return self.table(name, words, width, lambda: self.row(beat, len(words)))

    def finish(self, data: Signal, beat: Beat, index: int = 0) -> None:
        """Makes `data` of the last stage the output, and the handshake that moves the pipeline.

        beat: of that stage; its registers are the output's.
        """
        ready = self.netlist.input(f"out{index}_ready", 1)
        free = self.netlist.any_of(self.netlist.inverse(beat.valid), ready)
        self.netlist.define(self.advance, free)
        self.netlist.output(f"out{index}_data", data)
        self.netlist.output(f"out{index}_valid", beat.valid)


def input_port(netlist: Netlist, index: int, of_type: StreamType) -> InputPort:
    """The data and valid of input `index`; `Netlist.output` of its ready is the caller's."""
    return InputPort(netlist.input(f"in{index}_data", of_type.word_bits), netlist.input(f"in{index}_valid", 1))


def lanes_of(netlist: Netlist, word: Signal, lanes: int) -> list[Signal]:
    width = word.width // lanes
    return [netlist.extract(word, lane * width, width) for lane in range(lanes)]


def counter(netlist: Netlist, name: str, count: int, step: Signal) -> tuple[Signal, Signal]:
    """(number, whether it is the last) of 0, 1, ..., count - 1, 0, ..., one further where `step`."""
    if count == 1:
        return netlist.false, netlist.true
    width = address_bits(count)
    number = netlist.register(name, width)
    last = netlist.equals(number, count - 1)
    following = netlist.add(number, netlist.constant(1, width))
    if count != 1 << width:
        following = netlist.choose(last, netlist.constant(0, width), following)
    netlist.drive(number, following, step, reset=0)
    return number, last
