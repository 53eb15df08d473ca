"""Depths of FIFOs: the smallest with which a design runs at the rate of its slowest process, no cycle lost.

1. A schedule with that rate (periodic.py) is built in one sweep over the processes. The slowest one never pauses; those
   that feed it start each iteration as late as they can, the rest as early as they can, so that words wait little. What
   FIFOs hold under this schedule are sufficient depths, found in a time that grows with the words of a frame.
2. Each FIFO in turn gets the least depth for which, the others being as they are, a schedule with that rate exists: by
   bisection, each question answered by relaxation. Fewer words elsewhere can only make a FIFO need more, so after one
   round no single depth can be less. Which FIFOs come first decides where words wait: of a few orders the one with the
   fewest bits is taken. Where designs are too large for all questions, the depths of step 1 stay; the limit counts
   work, not seconds, so that the same depths come out on every machine.
3. One frame is put in order. The rules of time let a process start an iteration while the place of its word is still
   taken, as long as it is free `latency` cycles later; on a residual path that may hang upon the iteration itself. Then
   neither the simulation nor the cycle mode starts it, nor need the hardware: FIFOs of such a circle get more places.

So two proofs hold for the chosen depths. The rate: a schedule with it exists. Freedom from deadlock, residual paths
included: there is an order in which all iterations of a frame find their words and their room; the FIFOs are empty
after it as before it, so every further frame can be run in the same order; and whether processes that wait for words
and room come to their end does not depend on the order in which they are run (Kahn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.schedule.periodic import UNKNOWN, Periodic, Starts, Work, first_frame, frame_can_be_run
from subbyte.targets.hls.schedule.processes import Processes, processes_of
from subbyte.targets.hls.schedule.simulate import run

LEAST = 2
"""A word's place is free again two cycles after it is written: one place would let only every other cycle write."""

WORK = 300_000_000
"""Array elements that each search, for smaller depths and for an order, may work on: a second or some."""

ROOMY = 4
"""How many times the depths of a schedule a search may start from."""

LARGE = 1_000_000
"""Words a frame above which no frame is simulated word by word to find a circle."""


@dataclass(frozen=True)
class Depth:
    """A FIFO of `words` words.

    smallest: it has no more than two, or it was shown that with one less, all others kept, the design is slower.
    reason: what its words wait for.
    """

    words: int
    word_bits: int
    smallest: bool
    reason: str

    @property
    def bits(self) -> int:
        return self.words * self.word_bits


@dataclass(frozen=True)
class Depths:
    """Depths by stream, and the cycles between frames that they keep.

    first_latency: cycles from the first word that the bus writes to the last that it reads, both counted, of the first
    frame; None where the design is too large to work them out.
    """

    period: int
    fifos: Mapping[str, Depth]
    first_latency: int | None

    @property
    def words(self) -> dict[str, int]:
        return {name: depth.words for name, depth in self.fifos.items()}

    @property
    def bits(self) -> int:
        return sum(depth.bits for depth in self.fifos.values())


def choose_depths(design: Design) -> Design:
    """`design` with the depths of `depths_of`."""
    return replace(design, depths=depths_of(design).words)


def depths_of(design: Design, work: int = WORK, order_work: int = WORK, large: int = LARGE) -> Depths:
    """The smallest depths that keep the rate of the slowest process, with their reasons; see the module.

    work, order_work: array elements that each search of steps 2 and 3 may work on. large: words a frame above which,
    where step 3 finds no order, FIFOs get the places that the schedule of step 1, which is one, wants before its
    iterations start.
    """
    network = processes_of(design, {})
    periodic = Periodic(network)
    schedules = _schedules(periodic)
    sufficient = [
        [
            max(LEAST, periodic.fill(number, schedule[fifo.writer], schedule[fifo.reader]))
            for number, fifo in enumerate(network.fifos)
        ]
        for schedule in schedules
    ]
    depths, smallest = _smallest(periodic, sufficient, work)
    if _widen(periodic, depths, schedules[0], Work(order_work), large):
        smallest = [depth == LEAST for depth in depths]
    return Depths(
        network.period,
        {
            fifo.name: Depth(depth, fifo.word_bits, smallest, _reason(network, number, depth))
            for number, (fifo, depth, smallest) in enumerate(zip(network.fifos, depths, smallest, strict=True))
        },
        _first_latency(network.with_depths(depths), Work(order_work)),
    )


def _first_latency(network: Processes, work: Work) -> int | None:
    starts = first_frame(network, work)
    if starts is None:
        return None
    ends = [
        int(starts[fifo.reader][-1] + fifo.reads[-1])
        for fifo in network.fifos
        if not network.processes[fifo.reader].outputs
    ]
    begins = [
        int(starts[fifo.writer][0] + fifo.writes[0])
        for fifo in network.fifos
        if not network.processes[fifo.writer].inputs
    ]
    return max(ends) - min(begins) + 1


def _bits(network: Processes, depths: Sequence[int]) -> int:
    return sum(depth * fifo.word_bits for depth, fifo in zip(depths, network.fifos, strict=True))


# Step 1: schedules by one sweep ---------------------------------------------------------------------------------------


def _schedules(periodic: Periodic) -> list[list[Starts]]:
    """Schedules for FIFOs without end; two where some processes are beside the way through the slowest.

    Those that neither feed the slowest nor are fed by it start as early as they can in the first schedule, as late as
    they can in the second; what nothing in the schedule feeds, as another input's bus, starts late in both.
    """
    network = periodic.network
    starts: dict[int, Starts] = {}
    feeding: set[int] = set()
    fed: set[int] = set()
    for anchor in _anchors(network):
        starts[anchor] = np.zeros(periodic.sizes[anchor], np.int64)
        feeding |= _reached(network, anchor, upward=True)
        fed |= _reached(network, anchor, upward=False)
    for number in sorted(feeding - set(starts), reverse=True):
        starts[number] = _latest(periodic, starts, number)
    # Whatever is fed by what has starts gets them after it; then whatever feeds it, before; then its other readers, ...
    unfed: set[int] = set()
    while len(starts) < len(network.processes):
        for number, process in enumerate(network.processes):
            if number not in starts and any(network.fifos[fifo].writer in starts for fifo in process.inputs):
                starts[number] = _earliest(periodic, starts, number)
        for number, process in reversed(list(enumerate(network.processes))):
            if number not in starts and any(network.fifos[fifo].reader in starts for fifo in process.outputs):
                starts[number] = _latest(periodic, starts, number)
                unfed.add(number)
    later = dict(starts)
    beside = [number for number in starts if network.processes[number].outputs and number not in feeding | fed | unfed]
    for number in sorted(beside, reverse=True):
        later[number] = _latest(periodic, later, number)
    return [[each[number] for number in range(len(each))] for each in ([starts, later] if beside else [starts])]


def _latest(periodic: Periodic, starts: Mapping[int, Starts], process: int) -> Starts:
    """The latest starts of `process` that are in time for those of its readers that have starts."""
    new = np.full(periodic.sizes[process], UNKNOWN, np.int64)
    for number in periodic.network.processes[process].outputs:
        reader = periodic.network.fifos[number].reader
        if reader in starts:
            place = periodic.links[number].written
            new[place] = np.minimum(new[place], periodic.greatest_writes(number, starts[reader]))
    return periodic.lowered(process, new)


def _earliest(periodic: Periodic, starts: Mapping[int, Starts], process: int) -> Starts:
    """The earliest starts of `process` after the words of those of its writers that have starts."""
    new = np.full(periodic.sizes[process], -UNKNOWN, np.int64)
    for number in periodic.network.processes[process].inputs:
        writer = periodic.network.fifos[number].writer
        if writer in starts:
            place = periodic.links[number].read
            new[place] = np.maximum(new[place], periodic.least_reads(number, starts[writer]))
    return periodic.raised(process, new)


def _anchors(network: Processes) -> list[int]:
    """The slowest process of each connected part of the network."""
    part = list(range(len(network.processes)))
    for _ in network.processes:
        for fifo in network.fifos:
            part[fifo.writer] = part[fifo.reader] = min(part[fifo.writer], part[fifo.reader])
    slowest: dict[int, int] = {}
    for number, process in enumerate(network.processes):
        if part[number] not in slowest or process.iterations > network.processes[slowest[part[number]]].iterations:
            slowest[part[number]] = number
    return sorted(slowest.values())


def _reached(network: Processes, start: int, upward: bool) -> set[int]:
    """`start` and all that feed it, or that it feeds."""
    found, path = {start}, [start]
    while path:
        process = network.processes[path.pop()]
        for number in process.inputs if upward else process.outputs:
            other = network.fifos[number].writer if upward else network.fifos[number].reader
            if other not in found:
                found.add(other)
                path.append(other)
    return found


# Step 2: one FIFO after the other -------------------------------------------------------------------------------------


def _smallest(periodic: Periodic, sufficient: list[list[int]], work: int) -> tuple[list[int], list[bool]]:
    """The fewest bits of several searches: the depths, and for each whether it is known to be the least.

    Searches start from each of the `sufficient` depths, the FIFOs with the most bits first. From depths that are ROOMY
    times as large, words may wait elsewhere than in the schedule, as where they are narrow: two more searches start
    there, one with the widest words first and one against the flow, unless the work was exhausted before.
    """
    fifos = periodic.network.fifos
    by_bits = sorted(range(len(fifos)), key=lambda number: -sufficient[0][number] * fifos[number].word_bits)
    by_width = sorted(range(len(fifos)), key=lambda number: -fifos[number].word_bits)
    against = list(reversed(range(len(fifos))))
    roomy = [ROOMY * depth for depth in sufficient[0]]
    found: list[tuple[list[int], list[bool]]] = []
    for start, order in [(depths, by_bits) for depths in sufficient] + [(roomy, by_width), (roomy, against)]:
        left = Work(work)
        depths = list(start)
        found.append((depths, _shrink(periodic, depths, order, left)))
        if left.exhausted:
            break
    return min(found, key=lambda each: _bits(periodic.network, each[0]))


def _shrink(periodic: Periodic, depths: list[int], order: Sequence[int], work: Work) -> list[bool]:
    """Make `depths` smaller in place, one after the other in this order; for each whether it is known to be the least.

    Where the work is exhausted, those whose turn has not come stay.
    """
    fifos = periodic.network.fifos
    smallest = [depth == LEAST for depth in depths]
    least, greatest = _extremes(periodic)
    everybody = range(len(least))
    if not periodic.relax(least, greatest, depths, everybody, work, rising=True):
        return smallest
    if not periodic.relax(greatest, least, depths, everybody, work, rising=False):
        return smallest
    for number in order:
        fifo = fifos[number]
        enough = depths[number]
        # A writer as late and a reader as early as any schedule has them want this much.
        needed = max(LEAST, periodic.fill(number, greatest[fifo.writer], least[fifo.reader]))
        proved = True
        while needed < enough and not work.exhausted:
            tried = (needed + enough) // 2
            depths[number] = tried
            trial = list(least)
            limited = Work(work.left // 8)
            before = limited.left
            good = periodic.relax(trial, greatest, depths, (fifo.writer,), limited, rising=True)
            work.left -= before - limited.left
            if good:
                least = trial
                enough = min(tried, max(LEAST, periodic.fill(number, least[fifo.writer], least[fifo.reader])))
                lower = list(greatest)
                depths[number] = enough
                if periodic.relax(lower, least, depths, (fifo.reader,), work, rising=False):
                    greatest = lower
            else:
                proved = not limited.exhausted
                needed = tried + 1
        depths[number] = enough
        smallest[number] = proved and needed >= enough
    return smallest


def _extremes(periodic: Periodic) -> tuple[list[Starts], list[Starts]]:
    """Least and greatest starts of which nothing is known but that the slowest process of each part begins at 0."""
    least = [np.full(size, -UNKNOWN, np.int64) for size in periodic.sizes]
    greatest = [np.full(size, UNKNOWN, np.int64) for size in periodic.sizes]
    for anchor in _anchors(periodic.network):
        least[anchor][:] = 0
        greatest[anchor][:] = periodic.slack[anchor]
        greatest[anchor][0] = 0
    return least, greatest


# Step 3: an order of iterations ---------------------------------------------------------------------------------------


def _widen(periodic: Periodic, depths: list[int], schedule: list[Starts], work: Work, large: int) -> bool:
    """Make `depths` larger in place until a frame can be run to its end; whether any was too small for that."""
    network = periodic.network
    fifos = network.fifos
    if frame_can_be_run(network.with_depths(depths), work):
        return False
    if sum(fifo.words for fifo in fifos) > large:
        for number, fifo in enumerate(fifos):
            ahead = periodic.fill(number, schedule[fifo.writer], schedule[fifo.reader], ahead=True)
            depths[number] = max(depths[number], ahead)
        return True
    widened = False
    while circle := run(network.with_depths(depths), frames=1).deadlock:
        stuck = {blocked.stream for blocked in circle if blocked.for_room}
        narrowest = min(
            (number for number, fifo in enumerate(fifos) if fifo.name in stuck),
            key=lambda number: fifos[number].word_bits,
        )
        depths[narrowest] += 1
        widened = True
    return widened


# Reasons --------------------------------------------------------------------------------------------------------------


def _reason(network: Processes, number: int, depth: int) -> str:
    """What the words of a FIFO wait for."""
    fifo = network.fifos[number]
    if depth <= LEAST:
        return "a word leaves while the next comes"
    reader = network.processes[fifo.reader]
    for other in reader.inputs:
        if other == number:
            continue
        shared = _reached(network, fifo.writer, upward=True) & _reached(
            network, network.fifos[other].writer, upward=True
        )
        if shared:
            fork = network.processes[max(shared)].name
            return (
                f"'{reader.name}' takes its words with those of '{network.fifos[other].name}', "
                f"which come later from '{fork}'"
            )
    writer = network.processes[fifo.writer]
    return f"'{writer.name}' writes words closer together, at times, than '{reader.name}' reads them"
