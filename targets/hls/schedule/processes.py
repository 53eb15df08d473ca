"""A design as the schedule sees it: processes that iterate, and FIFOs between them; the bus is made of processes too.

Time is counted in cycles, in integers; the same rules hold here and in the cycle mode of C simulation
(csim/include/subbyte_cycles.h). Iteration i of a process starts at s[i]:

    s[i] >= s[i - 1] + 1, and s[0] >= 0                     a cycle each; frames follow one another without a gap
    s[i] >= (when word k was written) + 1                   for each word k that iteration i reads, at s[i]
    s[i] + latency >= (when word k - depth was read) + 1    for each word k that it writes, at s[i] + latency

and starts as early as these allow. The bus writes each input, a word an iteration with latency 0, and reads each output
likewise: at most a word a cycle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.streams import Stream
from subbyte.targets.hls.trace import Iterations, Trace, trace


@dataclass(frozen=True, eq=False)
class Process:
    """An actor, or the bus at one stream. inputs, outputs: indices of FIFOs; iterations: of one frame."""

    name: str
    iterations: int
    latency: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Fifo:
    """A stream between two processes, by their indices.

    writes, reads: for each word of a frame, the iteration of its writer and of its reader. depth: None is without end.
    """

    name: str
    word_bits: int
    writer: int
    writes: Iterations
    reader: int
    reads: Iterations
    depth: int | None

    @property
    def words(self) -> int:
        """Words of one frame."""
        return len(self.writes)


@dataclass(frozen=True, eq=False)
class Processes:
    """All of a design, each process after those that it reads from."""

    processes: tuple[Process, ...]
    fifos: tuple[Fifo, ...]

    @property
    def period(self) -> int:
        """Cycles between frames where FIFOs have no end: the iterations of the slowest process."""
        return max(process.iterations for process in self.processes)

    def with_depths(self, depths: Sequence[int]) -> Processes:
        """The same with other depths, FIFO by FIFO."""
        fifos = (replace(fifo, depth=depth) for fifo, depth in zip(self.fifos, depths, strict=True))
        return replace(self, fifos=tuple(fifos))


@dataclass(frozen=True, eq=False)
class _End:
    """One end of a stream: the process and its iterations."""

    process: int
    iterations: Iterations


def processes_of(design: Design, depths: Mapping[str, int] | None = None) -> Processes:
    """The processes of `design` with its own depths, or with others; streams without a depth have no end.

    Raises GraphError where a stream lacks a writer or a reader, a trace does not fit its streams, or a depth is not
    positive.
    """
    streams = design.streams
    index = {id(stream): number for number, stream in enumerate(streams)}
    writers: dict[int, _End] = {}
    readers: dict[int, _End] = {}
    processes: list[Process] = []

    def add(name: str, of_trace: Trace, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
        _check(name, of_trace, inputs, outputs)
        for ends, side, moves, verb in (
            (readers, inputs, of_trace.reads, "reads"),
            (writers, outputs, of_trace.writes, "writes"),
        ):
            for stream, iterations in zip(side, moves, strict=True):
                number = index.get(id(stream))
                if number is None:
                    raise GraphError(f"'{name}' {verb} stream '{stream.name}', which nothing in the design writes")
                if number in ends:
                    other = processes[ends[number].process].name
                    raise GraphError(f"'{name}' {verb} stream '{stream.name}', and so does '{other}'; a FIFO has one")
                ends[number] = _End(len(processes), iterations)
        numbers = tuple(index[id(stream)] for stream in inputs), tuple(index[id(stream)] for stream in outputs)
        processes.append(Process(name, of_trace.iterations, of_trace.latency, *numbers))

    for stream in design.inputs:
        words = stream.type.words
        add(f"{stream.name}_from_bus", Trace(words, (), (np.arange(words),), 0), (), (stream,))
    for actor in design.actors:
        add(actor.name, trace(actor), actor.inputs, actor.outputs)
    for stream in design.outputs:
        words = stream.type.words
        add(f"{stream.name}_to_bus", Trace(words, (np.arange(words),), (), 0), (stream,), ())

    chosen = design.depths if depths is None else depths
    for stream in streams:
        if index[id(stream)] not in readers:
            raise GraphError(f"nothing reads stream '{stream.name}' of design '{design.name}'; leave its writer out")
        if chosen.get(stream.name, 1) < 1:
            raise GraphError(f"stream '{stream.name}' has depth {chosen[stream.name]}; a FIFO holds at least one word")
    fifos = tuple(
        Fifo(
            stream.name,
            stream.type.word_bits,
            writers[number].process,
            writers[number].iterations,
            readers[number].process,
            readers[number].iterations,
            chosen.get(stream.name),
        )
        for number, stream in enumerate(streams)
    )
    return Processes(tuple(processes), fifos)


def _check(name: str, of_trace: Trace, inputs: tuple[Stream, ...], outputs: tuple[Stream, ...]) -> None:
    """Raise GraphError unless the trace moves every word of every stream once, in order, at most one an iteration."""
    if of_trace.latency < 0 or of_trace.iterations < 1:
        raise GraphError(
            f"the trace of '{name}' has {of_trace.iterations} iterations and latency {of_trace.latency}; "
            "there is at least one iteration, and no result comes before its operands"
        )
    for side, moves, verb in ((inputs, of_trace.reads, "reads"), (outputs, of_trace.writes, "writes")):
        if len(side) != len(moves):
            raise GraphError(f"the trace of '{name}' {verb} {len(moves)} streams, the process {len(side)}")
        for stream, iterations in zip(side, moves, strict=True):
            if len(iterations) != stream.type.words:
                raise GraphError(
                    f"the trace of '{name}' {verb} {len(iterations)} words of '{stream.name}' in a frame, "
                    f"which has {stream.type.words}"
                )
            ascending = bool(np.all(iterations[1:] > iterations[:-1]))
            if not ascending or iterations[0] < 0 or iterations[-1] >= of_trace.iterations:
                raise GraphError(
                    f"the trace of '{name}' {verb} the words of '{stream.name}' in iterations that do not ascend "
                    f"strictly within 0..{of_trace.iterations - 1}; an iteration moves at most one word of a stream"
                )
