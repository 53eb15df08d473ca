"""What a design does cycle by cycle, with FIFOs of given depths: throughput, latency, stalls, fill of FIFOs, deadlock.

The processes form a Kahn network: what is read does not depend on when. So no clock ticks here: each process runs as
far as the words and the room it has let it, and words carry the times at which they were written and read
(processes.py has the rules). Times are maxima of sums of earlier times, hence unique, in whatever order processes run.

Source: Kahn, The semantics of a simple language for parallel programming, 1974.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.schedule.processes import Fifo, Process, Processes, processes_of

FRAMES = 4


@dataclass(frozen=True)
class Waits:
    """Cycles in which a process could not start its next iteration: for want of words, else for want of room."""

    words: int
    room: int


@dataclass(frozen=True)
class Blocked:
    """`process` waits for a word of `stream`, or for room in it, until `until` moves one."""

    process: str
    stream: str
    for_room: bool
    until: str

    def __str__(self) -> str:
        what = f"room in '{self.stream}'" if self.for_room else f"a word of '{self.stream}'"
        return f"'{self.process}' waits for {what}, which '{self.until}' {'reads' if self.for_room else 'writes'}"


@dataclass(frozen=True)
class Simulation:
    """Times in cycles from the start of the run, for each frame that was finished.

    begins: when the bus writes the frame's first word. finishes: when it has read the last word of the last output.
    waits: of all frames, by process. high_water: the most words that a FIFO held, by stream; a word leaves with the
    cycle after the one that reads it. deadlock: processes in a circle, each waiting for the next; else empty.
    """

    begins: tuple[int, ...]
    finishes: tuple[int, ...]
    waits: Mapping[str, Waits]
    high_water: Mapping[str, int]
    deadlock: tuple[Blocked, ...] = ()

    @property
    def period(self) -> int:
        """Cycles between the last two frames."""
        return self.finishes[-1] - self.finishes[-2]

    @property
    def first_latency(self) -> int:
        """Cycles that the first frame takes: those of its first word's writing and its last word's reading count."""
        return self.finishes[0] - self.begins[0] + 1

    @property
    def last_latency(self) -> int:
        """Cycles that the last frame takes; it meets FIFOs that frames before it have filled."""
        return self.finishes[-1] - self.begins[-1] + 1


def simulate(design: Design, frames: int = FRAMES, depths: Mapping[str, int] | None = None) -> Simulation:
    """Run `frames` frames through `design` with its own depths, or with `depths`; streams without one have no end."""
    return run(processes_of(design, depths), frames)


def run(network: Processes, frames: int) -> Simulation:
    """`simulate` for processes. The work grows with the words that move, not with the cycles that pass."""
    channels = [_Channel(fifo) for fifo in network.fifos]
    runners = [_Runner(process, channels, frames) for process in network.processes]
    ready = deque(runners)
    queued = [True] * len(runners)
    position = {id(runner): number for number, runner in enumerate(runners)}
    while ready:
        runner = ready.popleft()
        queued[position[id(runner)]] = False
        if not runner.run():
            continue
        for number in runner.process.inputs:
            neighbour = network.fifos[number].writer
            if not queued[neighbour]:
                queued[neighbour] = True
                ready.append(runners[neighbour])
        for number in runner.process.outputs:
            neighbour = network.fifos[number].reader
            if not queued[neighbour]:
                queued[neighbour] = True
                ready.append(runners[neighbour])
    done = min(runner.frame for runner in runners)
    from_bus = [channel for channel in channels if not network.processes[channel.fifo.writer].inputs]
    to_bus = [channel for channel in channels if not network.processes[channel.fifo.reader].outputs]
    return Simulation(
        tuple(min(channel.written[frame * channel.fifo.words] for channel in from_bus) for frame in range(done)),
        tuple(max(channel.read[(frame + 1) * channel.fifo.words - 1] for channel in to_bus) for frame in range(done)),
        {runner.process.name: Waits(runner.waited_for_words, runner.waited_for_room) for runner in runners},
        {channel.fifo.name: channel.high_water() for channel in channels},
        _circle(network, runners) if done < frames else (),
    )


class _Channel:
    """The times at which the words of a FIFO were written and read."""

    def __init__(self, fifo: Fifo) -> None:
        self.fifo = fifo
        self.written: list[int] = []
        self.read: list[int] = []

    def high_water(self) -> int:
        """The most words held: at the writing of word k, k + 1 less those read in earlier cycles."""
        if not self.written:
            return 0
        gone = np.searchsorted(np.array(self.read, np.int64), np.array(self.written, np.int64), side="left")
        return int(np.max(np.arange(1, len(self.written) + 1) - gone))


class _Runner:
    """A process on its way through its iterations; of these only those that move words are visited."""

    def __init__(self, process: Process, channels: list[_Channel], frames: int) -> None:
        self.process = process
        self.inputs = [channels[number] for number in process.inputs]
        self.outputs = [channels[number] for number in process.outputs]
        self.frames = frames
        self.frame = 0
        self.waited_for_words = 0
        self.waited_for_room = 0
        self.blocked: tuple[_Channel, bool] | None = None
        self._events = _events(process, self.inputs, self.outputs)
        self._next_event = 0
        # The last visited iteration, counted over all frames, and when it started.
        self._iteration = -1
        self._start = -1

    def run(self) -> bool:
        """Go on until blocked or done; whether any word moved."""
        events, latency, iterations = self._events, self.process.latency, self.process.iterations
        moved = False
        self.blocked = None
        while self.frame < self.frames:
            iteration, inputs, outputs = events[self._next_event]
            iteration += self.frame * iterations
            earliest = self._start + iteration - self._iteration
            with_words = earliest
            for channel in inputs:
                word = len(channel.read)
                if word == len(channel.written):
                    self.blocked = channel, False
                    return moved
                with_words = max(with_words, channel.written[word] + 1)
            start = with_words
            for channel in outputs:
                depth = channel.fifo.depth
                if depth is not None and (leaving := len(channel.written) - depth) >= 0:
                    if leaving >= len(channel.read):
                        self.blocked = channel, True
                        return moved
                    start = max(start, channel.read[leaving] + 1 - latency)
            for channel in inputs:
                channel.read.append(start)
            for channel in outputs:
                channel.written.append(start + latency)
            self.waited_for_words += with_words - earliest
            self.waited_for_room += start - with_words
            self._iteration, self._start = iteration, start
            moved = True
            self._next_event += 1
            if self._next_event == len(events):
                self._next_event = 0
                self.frame += 1
        return moved


_Event = tuple[int, tuple[_Channel, ...], tuple[_Channel, ...]]


def _events(process: Process, inputs: list[_Channel], outputs: list[_Channel]) -> list[_Event]:
    """The iterations of one frame that move words: which channels they read and write."""
    moves: dict[int, tuple[list[_Channel], list[_Channel]]] = {}
    for channel in inputs:
        for iteration in channel.fifo.reads.tolist():
            moves.setdefault(iteration, ([], []))[0].append(channel)
    for channel in outputs:
        for iteration in channel.fifo.writes.tolist():
            moves.setdefault(iteration, ([], []))[1].append(channel)
    return [(iteration, tuple(moves[iteration][0]), tuple(moves[iteration][1])) for iteration in sorted(moves)]


def _circle(network: Processes, runners: list[_Runner]) -> tuple[Blocked, ...]:
    """Processes each of which waits for the next, the last for the first.

    Whoever waits for the bus to write, or to have read, waits for a process that is done or blocked itself: in a run
    that has stopped before its end some process is blocked, and by following whom it waits for one comes back.
    """
    waiting: dict[int, tuple[Blocked, int]] = {}
    for number, runner in enumerate(runners):
        if runner.blocked is not None:
            channel, for_room = runner.blocked
            other = channel.fifo.reader if for_room else channel.fifo.writer
            name = network.processes[other].name
            waiting[number] = Blocked(runner.process.name, channel.fifo.name, for_room, name), other
    path: list[int] = []
    at = min(waiting)
    while at not in path:
        path.append(at)
        at = waiting[at][1]
    return tuple(waiting[number][0] for number in path[path.index(at) :])
