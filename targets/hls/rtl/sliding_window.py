"""SlidingWindow as a module: a ring of words of x, and counters that say which of them is next.

The loop is that of kernels/subbyte_hls_sliding_window.h, `sliding_window`: an iteration reads a word where the ring has
room and writes a word that was read before. Rows are counted in words of a row of the frame and columns in words of a
pixel, so that the number of a tap's word is their sum. Stage 1 holds the word of the ring, stage 2 that or the pad.
"""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.errors import UnsupportedError
from subbyte.targets.hls.actors import SlidingWindow
from subbyte.targets.hls.rtl.lane_products import packed
from subbyte.targets.hls.rtl.netlist import Netlist, Signal, address_bits
from subbyte.targets.hls.rtl.numbers import Number, at_least, constant, extended, spanning, total
from subbyte.targets.hls.rtl.pipeline import Beat, Pipeline, input_port
from subbyte.targets.hls.rtl.rtl import Rtl, module_of, rtl
from subbyte.targets.hls.streams import Element
from subbyte.targets.hls.windows.geometry import Form, Geometry
from subbyte.targets.hls.windows.ring import ring_words, used_words
from subbyte.targets.hls.windows.sliding_window import geometry_of


@dataclass(frozen=True)
class Place:
    """Where a tap is: words of rows above it and of columns to its left, and its slot in the ring."""

    row: Number
    column: Number
    slot: Signal


@dataclass(frozen=True)
class Move:
    """So many words down and to the right."""

    row: int
    column: int
    words: int = 0


@rtl.register
def sliding_window(actor: SlidingWindow) -> Rtl:
    windows, x = geometry_of(actor), actor.x.type
    if windows.form not in (Form.TAPS, Form.CHANNELS):
        raise UnsupportedError(
            f"actor '{actor.name}' writes {actor.taps_per_word} taps in a word, and SystemVerilog has windows of one "
            "tap a word; fold the layer behind it so that it takes one tap a cycle, or use the C++ project."
        )
    netlist = module_of(actor)
    pipeline = Pipeline(netlist)
    port = input_port(netlist, 0, x)
    issue = netlist.declare("issue", 1)
    step = netlist.all_of(pipeline.advance, issue)
    restart = netlist.declare("restart", 1)  # the iteration is the last of its frame
    ring = _Ring(netlist, windows, step, restart)

    reads, writes = ring.reads, ring.writes
    netlist.define(issue, netlist.any_of(port.valid, netlist.inverse(reads)))
    netlist.output("in0_ready", netlist.all_of(pipeline.advance, reads))
    netlist.define(restart, netlist.all_of(ring.all_read, ring.all_written))

    words = netlist.ram("ring", ring.capacity, x.word_bits)
    netlist.store(words, ring.next_slot, port.data, netlist.all_of(step, reads, ring.keeps))
    beat = Beat(netlist.all_of(issue, writes), netlist.true, netlist.true)
    word = pipeline.hold(netlist.load(words, ring.tap.slot), "word")
    inside = pipeline.hold(ring.inside, "inside")
    last_fold = pipeline.hold(ring.last_fold, "last_fold")
    beat = pipeline.next(beat)

    code = int(x.element.encode(actor.pad_code))
    whole = netlist.constant(packed([code] * x.lanes, x.element.bits), x.word_bits)
    tail = x.channels - (x.words_per_run - 1) * x.lanes
    pad = netlist.choose(last_fold, netlist.constant(packed([code] * tail, x.element.bits), x.word_bits), whole)
    held = pipeline.hold(netlist.choose(inside, word, pad), "written")
    beat = pipeline.next(beat)
    pipeline.finish(held, beat)
    return Rtl(netlist, pipeline.stages)


class _Ring:
    """The state of a frame: words read, the window and the tap that are written next.

    reads, writes: what this iteration does. all_read, all_written: whether nothing is left after it.
    """

    def __init__(self, netlist: Netlist, windows: Geometry, step: Signal, restart: Signal) -> None:
        self.netlist, self.windows, self.step, self.restart = netlist, windows, step, restart
        self.capacity = ring_words(windows)
        self.rows = spanning(
            -windows.pads[0] * windows.line,
            (windows.out_height * windows.strides[0] + windows.reach[0] - windows.pads[0]) * windows.line,
        )
        self.columns = spanning(
            -windows.pads[1] * windows.words,
            ((windows.out_width - 1) * windows.strides[1] + windows.reach[1] - windows.pads[1]) * windows.words,
        )
        self.reads, self.writes = netlist.declare("reads", 1), netlist.declare("writes", 1)
        self.finished = netlist.register("finished", 1)

        # The tap, and the counters of its window.
        window, self.tap = self._place("window"), self._place("tap")
        height, width = windows.kernel
        self.fold, self.last_fold = self._counter("fold", windows.words)
        self.tap_column, last_column = self._counter("tap_column", width)
        self.tap_row, last_row = self._counter("tap_row", height)
        self.out_column, last_out_column = self._counter("out_column", windows.out_width)
        self.out_row, last_out_row = self._counter("out_row", windows.out_height)
        last_tap = netlist.all_of(last_column, last_row)
        last_word = netlist.all_of(last_tap, self.last_fold)
        channels_first = windows.form is Form.CHANNELS
        self._count(self.fold, self.last_fold, last_tap if channels_first else netlist.true)
        next_tap = netlist.true if channels_first else self.last_fold
        self._count(self.tap_column, last_column, next_tap)
        self._count(self.tap_row, last_row, netlist.all_of(next_tap, last_column))
        self._count(self.out_column, last_out_column, last_word)
        self._count(self.out_row, last_out_row, netlist.all_of(last_word, last_out_column))

        # The next window, and the next tap of this one.
        across = (windows.out_width - 1) * windows.strides[1] * windows.words
        following = self._moved(
            "next_window",
            window,
            (last_out_column, Move(windows.strides[0] * windows.line, -across)),
            (netlist.true, Move(0, windows.strides[1] * windows.words)),
        )
        down, right = windows.dilations[0] * windows.line, windows.dilations[1] * windows.words
        back_up, back_left = -windows.reach[0] * windows.line, -windows.reach[1] * windows.words
        to_first_word = 1 - windows.words
        if channels_first:
            moves = [
                (netlist.inverse(last_column), Move(0, right)),
                (netlist.inverse(last_row), Move(down, back_left)),
                (netlist.true, Move(back_up, back_left, 1)),
            ]
        else:
            moves = [
                (netlist.inverse(self.last_fold), Move(0, 0, 1)),
                (netlist.inverse(last_column), Move(0, right, to_first_word)),
                (netlist.true, Move(down, back_left, to_first_word)),
            ]
        tap = self._moved("next_tap", self.tap, *moves)
        moves_window = netlist.all_of(self.writes, last_word)
        self._keep(window, following, moves_window)
        self._keep(self.tap, self._either(last_word, following, tap), self.writes)
        last_window = netlist.all_of(last_out_column, last_out_row)
        ends = netlist.all_of(moves_window, last_window)
        self.all_written = netlist.any_of(self.finished, ends)
        netlist.drive(self.finished, netlist.choose(restart, netlist.false, self.all_written), step, reset=0)

        self._reader(following, moves_window)

    # The words of x ---------------------------------------------------------------------------------------------------

    def _reader(self, following: Place, moves_window: Signal) -> None:
        netlist, windows = self.netlist, self.windows
        used = used_words(windows)
        count = Number(netlist.register("words", address_bits(windows.frame + 1)), Element(0, windows.frame))
        self.next_slot = netlist.register("slot", address_bits(self.capacity))
        oldest = Number(netlist.register("oldest", address_bits(windows.frame + 1)), Element(0, windows.frame))
        self.keeps = netlist.inverse(at_least(netlist, count, constant(netlist, used)))
        limit = total(netlist, [oldest, constant(netlist, self.capacity)])
        room = netlist.any_of(
            self.finished, netlist.inverse(self.keeps), netlist.inverse(at_least(netlist, count, limit))
        )
        exhausted = netlist.equals(count.signal, windows.frame)
        netlist.define(self.reads, netlist.all_of(netlist.inverse(exhausted), room))
        reads_last = netlist.all_of(self.reads, netlist.equals(count.signal, windows.frame - 1))
        self.all_read = netlist.any_of(exhausted, reads_last)

        self.inside = self._inside(self.tap)
        fold = Number(self.fold, Element(0, max(windows.words - 1, 1)))
        word = total(netlist, [self.tap.row, self.tap.column, fold])
        there = netlist.inverse(at_least(netlist, word, count))
        writable = netlist.any_of(netlist.inverse(self.inside), there)
        netlist.define(self.writes, netlist.all_of(netlist.inverse(self.finished), writable))

        one = netlist.constant(1, count.signal.width)
        self._state(count.signal, netlist.add(count.signal, one), self.reads, 0)
        self._state(self.next_slot, self._around(self.next_slot, [(netlist.true, 1)]), self.reads, 0)
        self._state(oldest.signal, self._oldest(following, oldest.signal.width), moves_window, 0)

    def _inside(self, place: Place) -> Signal:
        """Whether the tap is in the frame."""
        netlist, windows = self.netlist, self.windows
        checks = [netlist.true]
        for number, end in ((place.row, windows.frame), (place.column, windows.line)):
            if number.range.low < 0:
                checks.append(at_least(netlist, number, constant(netlist, 0)))
            if number.range.high >= end:
                checks.append(netlist.inverse(at_least(netlist, number, constant(netlist, end))))
        return netlist.all_of(*checks)

    def _oldest(self, place: Place, width: int) -> Signal:
        """The first word that the window at `place`, or one after it, may need."""
        netlist, windows = self.netlist, self.windows
        zero = netlist.constant(0, width)
        line = self._at_least_zero(place.row, width)
        column = self._at_least_zero(place.column, width)
        if place.column.range.high > windows.line:
            beyond = at_least(netlist, place.column, constant(netlist, windows.line))
            column = netlist.choose(beyond, netlist.constant(windows.line, width), column)
        oldest = netlist.add(line, column)
        reach = -windows.strides[0] * windows.line
        if place.row.range.low <= reach:
            needed = at_least(netlist, place.row, constant(netlist, reach + 1))
            oldest = netlist.choose(needed, oldest, zero)
        return oldest

    def _at_least_zero(self, number: Number, width: int) -> Signal:
        netlist = self.netlist
        bits = extended(netlist, number, width)
        if number.range.low >= 0:
            return bits
        return netlist.choose(at_least(netlist, number, constant(netlist, 0)), bits, netlist.constant(0, width))

    # State ------------------------------------------------------------------------------------------------------------

    def _state(self, register: Signal, following: Signal, moves: Signal, start: int) -> None:
        """`following` where the iteration moves it; `start` behind the last iteration of a frame, and after reset."""
        netlist = self.netlist
        enable = netlist.all_of(self.step, netlist.any_of(moves, self.restart))
        value = netlist.choose(self.restart, netlist.constant(start, register.width), following)
        netlist.drive(register, value, enable, reset=start)

    def _counter(self, name: str, count: int) -> tuple[Signal, Signal]:
        """(number, whether it is the last) of 0 .. count - 1; `_count` says when it steps."""
        netlist = self.netlist
        if count == 1:
            return netlist.false, netlist.true
        number = netlist.register(name, address_bits(count))
        return number, netlist.equals(number, count - 1)

    def _count(self, number: Signal, last: Signal, steps: Signal) -> None:
        netlist = self.netlist
        if number != netlist.false:
            zero, one = netlist.constant(0, number.width), netlist.constant(1, number.width)
            following = netlist.choose(last, zero, netlist.add(number, one))
            self._state(number, following, netlist.all_of(self.writes, steps), 0)

    def _place(self, name: str) -> Place:
        """Registers of a place; `_keep` drives them."""
        netlist = self.netlist
        return Place(
            Number(netlist.register(f"{name}_row_words", self.rows.bits), self.rows),
            Number(netlist.register(f"{name}_column_words", self.columns.bits), self.columns),
            netlist.register(f"{name}_slot", address_bits(self.capacity)),
        )

    def _keep(self, registers: Place, following: Place, moves: Signal) -> None:
        """They start at the first tap of the first window, in the pads."""
        row, column = -self.windows.pads[0] * self.windows.line, -self.windows.pads[1] * self.windows.words
        self._state(registers.row.signal, following.row.signal, moves, row)
        self._state(registers.column.signal, following.column.signal, moves, column)
        self._state(registers.slot, following.slot, moves, (row + column) % self.capacity)

    def _either(self, condition: Signal, one: Place, other: Place) -> Place:
        netlist = self.netlist
        return Place(
            Number(netlist.choose(condition, one.row.signal, other.row.signal), self.rows),
            Number(netlist.choose(condition, one.column.signal, other.column.signal), self.columns),
            netlist.choose(condition, one.slot, other.slot),
        )

    def _moved(self, name: str, place: Place, *moves: tuple[Signal, Move]) -> Place:
        """The place moved by the first of `moves` whose condition holds."""
        row = self._plus(place.row.signal, [(when, move.row) for when, move in moves])
        column = self._plus(place.column.signal, [(when, move.column) for when, move in moves])
        steps = [(when, (move.row + move.column + move.words) % self.capacity) for when, move in moves]
        return Place(Number(row, self.rows), Number(column, self.columns), self._around(place.slot, steps))

    def _plus(self, signal: Signal, steps: list[tuple[Signal, int]]) -> Signal:
        return self.netlist.add(signal, self._first(steps, signal.width)) if any(by for _, by in steps) else signal

    def _around(self, slot: Signal, steps: list[tuple[Signal, int]]) -> Signal:
        """(slot + step) % capacity, for steps below it."""
        netlist, capacity = self.netlist, self.capacity
        if 1 << slot.width == capacity:
            return self._plus(slot, steps)
        wide = netlist.concat([slot, netlist.false])
        moved = netlist.add(wide, self._first(steps, wide.width))
        less = netlist.add(moved, netlist.constant(-capacity, wide.width))
        beyond = netlist.compare("uge", moved, netlist.constant(capacity, wide.width))
        return netlist.extract(netlist.choose(beyond, less, moved), 0, slot.width)

    def _first(self, steps: list[tuple[Signal, int]], width: int) -> Signal:
        """The number of the first step whose condition holds; the last one's always does."""
        found = self.netlist.constant(steps[-1][1], width)
        for when, by in reversed(steps[:-1]):
            found = self.netlist.choose(when, self.netlist.constant(by, width), found)
        return found
