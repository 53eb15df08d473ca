"""Schedules that repeat: each process starts its iterations of one frame `period` cycles after those of the one before.

Such a schedule gives every iteration i of every process a start s[i], and s[i] + f * period in frame f, so that the
rules of processes.py hold. With starts taken relative to their iterations, u[i] = s[i] - i, they are differences:

    u[i] >= u[i - 1]                                   u[first] >= u[last] - (period - iterations)
    u_reader[k] >= u_writer[k] + (writes[k] + latency + 1 - reads[k])                        for word k of a FIFO
    u_writer[k] >= u_reader[k - depth] + (reads[k - depth] + 1 - latency - writes[k])        words count through frames

Why these schedules decide all:

*Enough.* Where one exists, a design that starts everything as early as it can keeps up with it: by induction over the
order of events, each is a maximum over events that are no later than the schedule (shifted to begin after the first
cycles) has them. So it needs at most `period` cycles a frame in the long run, and no process ever waits forever: it is
free of deadlock, residual paths included, for any number of frames.
*Necessary.* Without one, by the theory of difference constraints, rules form a circle that says of some iteration that
it starts later than itself; gone through n times it makes frame f + n * k later than n * (k * period + 1) cycles after
frame f: throughput is lost, or, where k is 0, nothing moves at all.

So whether depths keep a throughput is decided without running frames: find least and greatest starts, with one
iteration of the slowest process held at 0, by relaxing one process after the other until nothing changes. Arithmetic is
of integers; a process is an array of the iterations that move words.

Source: Baccelli, Cohen, Olsder, Quadrat, Synchronization and Linearity, 1992, chapters 2 and 3; Cormen, Leiserson,
Rivest, Stein, Introduction to Algorithms, section 24.4 (difference constraints).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from subbyte.targets.hls.schedule.processes import Processes

Starts = NDArray[np.int64]
UNKNOWN = 1 << 60
"""Beyond every start: what is not reached yet is -UNKNOWN as a least start and UNKNOWN as a greatest."""


@dataclass(frozen=True, eq=False)
class Link:
    """A FIFO: `written` and `read` are the places of its words among the starts of its writer and of its reader.

    data: writes + latency + 1 - reads. room: reads + 1 - latency, of which writes are taken off word by word.
    """

    writer: int
    reader: int
    written: NDArray[np.int64]
    read: NDArray[np.int64]
    data: NDArray[np.int64]
    writes: NDArray[np.int64]
    room: NDArray[np.int64]

    @property
    def words(self) -> int:
        return len(self.data)


@dataclass(eq=False)
class Work:
    """A count of array elements that may still be worked on: a limit on time that is the same on every machine."""

    left: int

    def spend(self, elements: int) -> None:
        self.left -= elements + 2000  # what calls cost beside their elements

    @property
    def exhausted(self) -> bool:
        return self.left < 0


class Periodic:
    """The rules of a network with a period; depths, words by FIFO, may be None: without end."""

    def __init__(self, network: Processes, period: int | None = None) -> None:
        self.network = network
        self.period = network.period if period is None else period
        moves: list[list[NDArray[np.int64]]] = [[] for _ in network.processes]
        for fifo in network.fifos:
            moves[fifo.writer].append(fifo.writes)
            moves[fifo.reader].append(fifo.reads)
        moving = [np.unique(np.concatenate(of_process)) for of_process in moves]
        self.sizes = [len(iterations) for iterations in moving]
        self.slack = [self.period - process.iterations for process in network.processes]
        self.links: list[Link] = []
        for fifo in network.fifos:
            latency = network.processes[fifo.writer].latency
            self.links.append(
                Link(
                    fifo.writer,
                    fifo.reader,
                    np.searchsorted(moving[fifo.writer], fifo.writes),
                    np.searchsorted(moving[fifo.reader], fifo.reads),
                    fifo.writes + latency + 1 - fifo.reads,
                    fifo.writes,
                    fifo.reads + 1 - latency,
                )
            )

    def elements(self) -> int:
        """Array elements that relaxing every process once touches."""
        return sum(self.sizes) + 2 * sum(link.words for link in self.links)

    # Closures: starts of one process that satisfy its own rules, from ones that need not -----------------------------

    def raised(self, process: int, starts: Starts) -> Starts:
        """The least starts of `process` that are nowhere below `starts`."""
        closed = np.maximum.accumulate(starts)
        return np.asarray(np.maximum(closed, closed[-1] - self.slack[process]))

    def lowered(self, process: int, starts: Starts) -> Starts:
        """The greatest starts of `process` that are nowhere above `starts`."""
        closed = np.minimum.accumulate(starts[::-1])[::-1]
        return np.asarray(np.minimum(closed, closed[0] + self.slack[process]))

    # Bounds that a FIFO puts on one of its ends ----------------------------------------------------------------------

    def least_reads(self, number: int, writer: Starts) -> Starts:
        """For each word the least start of the reader, by the starts of the writer."""
        link = self.links[number]
        return np.asarray(writer[link.written] + link.data)

    def greatest_writes(self, number: int, reader: Starts) -> Starts:
        link = self.links[number]
        return np.asarray(reader[link.read] - link.data)

    def least_writes(self, number: int, reader: Starts, depth: int) -> Starts:
        """For each word the least start of the writer, so that the place of word k - depth is free."""
        link = self.links[number]
        free = reader[link.read] + link.room
        frames, words = divmod(depth, link.words)
        earlier = np.concatenate((free[link.words - words :] - self.period, free[: link.words - words]))
        return np.asarray(earlier - frames * self.period - link.writes)

    def greatest_reads(self, number: int, writer: Starts, depth: int) -> Starts:
        link = self.links[number]
        wanted = writer[link.written] + link.writes
        frames, words = divmod(depth, link.words)
        later = np.concatenate((wanted[words:], wanted[:words] + self.period))
        return np.asarray(later + frames * self.period - link.room)

    # Schedules -------------------------------------------------------------------------------------------------------

    def fill(self, number: int, writer: Starts, reader: Starts, ahead: bool = False) -> int:
        """The least depth by which no word of the FIFO is written before it has a place.

        ahead: it has one before the iteration starts that writes it, `latency` cycles earlier.
        """
        link = self.links[number]
        # Word m of frame 0 leaves its place at gone[m]; word k comes at come[k]: it wants k - depth < leavers.
        latency = self.network.processes[link.writer].latency
        gone = reader[link.read] + link.room + (latency if ahead else 0)
        come = writer[link.written] + link.writes
        frames = (come - gone[0]) // self.period
        leavers = frames * link.words + np.searchsorted(gone, come - frames * self.period, side="right")
        return int(np.max(np.arange(1, link.words + 1) - leavers))

    def relax(
        self,
        starts: list[Starts],
        limits: Sequence[Starts],
        depths: Sequence[int | None],
        processes: Iterable[int],
        work: Work,
        *,
        rising: bool,
    ) -> bool:
        """Raise (else lower) `starts`, from `processes` on, until all rules hold: to the least (greatest) schedule.

        False, and then `starts` is of no use, where it would go beyond `limits` or the work is exhausted before.
        """
        ready = deque(processes)
        queued = set(ready)
        while ready:
            if work.exhausted:
                return False
            process = ready.popleft()
            queued.discard(process)
            new = self._relaxed(process, starts, depths, work, rising)
            if np.array_equal(new, starts[process]):
                continue
            if bool(np.any(new > limits[process] if rising else new < limits[process])):
                return False
            starts[process] = new
            for other in self._affected(process, depths, rising):
                if other not in queued:
                    queued.add(other)
                    ready.append(other)
        return True

    def _relaxed(
        self, process: int, starts: Sequence[Starts], depths: Sequence[int | None], work: Work, rising: bool
    ) -> Starts:
        """The starts of `process` that all rules about it allow, by those of its neighbours."""
        node, fifos = self.network.processes[process], self.network.fifos
        stricter = np.maximum if rising else np.minimum
        new = starts[process].copy()
        for number in node.inputs:
            depth, place, writer = depths[number], self.links[number].read, starts[fifos[number].writer]
            if rising:
                new[place] = stricter(new[place], self.least_reads(number, writer))
            elif depth is not None:
                new[place] = stricter(new[place], self.greatest_reads(number, writer, depth))
            work.spend(4 * len(place))
        for number in node.outputs:
            depth, place, reader = depths[number], self.links[number].written, starts[fifos[number].reader]
            if not rising:
                new[place] = stricter(new[place], self.greatest_writes(number, reader))
            elif depth is not None:
                new[place] = stricter(new[place], self.least_writes(number, reader, depth))
            work.spend(4 * len(place))
        work.spend(3 * len(new))
        return self.raised(process, new) if rising else self.lowered(process, new)

    def _affected(self, process: int, depths: Sequence[int | None], rising: bool) -> Iterable[int]:
        """Who has a rule about `process`: words bind readers from below and writers from above, room the other way."""
        node, fifos = self.network.processes[process], self.network.fifos
        for number in node.outputs:
            if rising or depths[number] is not None:
                yield fifos[number].reader
        for number in node.inputs:
            if not rising or depths[number] is not None:
                yield fifos[number].writer


def first_frame(network: Processes, work: Work) -> list[Starts] | None:
    """When the iterations of the first frame start, each as early as it can, for the depths of the FIFOs.

    It is a schedule whose period is so long that frames do not meet. None where the work does not suffice; so it ends
    too where the frame cannot be run.
    """
    longest = sum(process.iterations for process in network.processes)
    longest += sum(fifo.words * (network.processes[fifo.writer].latency + 2) for fifo in network.fifos)
    alone = Periodic(network, 2 * longest)
    starts = [np.zeros(size, np.int64) for size in alone.sizes]
    limits = [np.full(size, longest, np.int64) for size in alone.sizes]
    depths = [fifo.depth for fifo in network.fifos]
    return starts if alone.relax(starts, limits, depths, range(len(starts)), work, rising=True) else None


def frame_can_be_run(network: Processes, work: Work) -> bool:
    """Whether it was found, within the work, that a frame is run to its end with the depths of the FIFOs.

    Without latencies every rule says that one iteration is after another, by a cycle or more: times that satisfy all of
    them are an order in which each finds its words and its room.
    """
    without = (replace(process, latency=0) for process in network.processes)
    return first_frame(replace(network, processes=tuple(without)), work) is not None
