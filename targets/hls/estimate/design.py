"""The estimate of a whole design: cycles, rate, latency and resources, actor by actor and FIFO by FIFO.

It is an estimate by formulas, not a synthesis result: estimate/arithmetic.py, memories.py and actors.py state them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from subbyte.targets.hls.actors import Actor, DepthwiseVector, Design, MatrixVector
from subbyte.targets.hls.estimate import actors
from subbyte.targets.hls.estimate.memories import Memory, Style, fifo
from subbyte.targets.hls.parts import Part
from subbyte.targets.hls.resources import KINDS, Resources, total
from subbyte.targets.hls.streams import Stream
from subbyte.targets.hls.trace import Trace, trace

LEAST_DEPTH = 2
"""Of a FIFO whose depth has not been chosen yet."""
NOTE = "an estimate by stated formulas, not a synthesis result"


@dataclass(frozen=True)
class ActorEstimate:
    """cycles: iterations a frame, one a cycle; depth: of its pipeline, in cycles. reads, writes: lanes of its streams.

    busy: cycles by those between two frames. waste: the share of its lanes' work that fills words up.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    cycles: int
    depth: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    busy: float
    waste: float
    resources: Resources
    memories: tuple[Memory, ...]

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "sources": list(self.sources),
            "cycles": self.cycles,
            "pipeline_depth": self.depth,
            "reads_lanes": list(self.reads),
            "writes_lanes": list(self.writes),
            "busy": round(self.busy, 4),
            "padding_waste": round(self.waste, 4),
            **self.resources.as_dict(),
            "memories": [memory.as_dict() for memory in self.memories],
        }


@dataclass(frozen=True)
class FifoEstimate:
    """A stream's FIFO. reason: why it is as deep as it is, where that was said."""

    name: str
    depth: int
    word_bits: int
    style: Style
    resources: Resources
    reason: str

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "depth": self.depth,
            "word_bits": self.word_bits,
            "style": self.style.value,
            **self.resources.as_dict(),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Estimate:
    """frame_cycles: between two frames, the iterations of the slowest actor or words on the bus; bottlenecks: who they
    are. latency_cycles: from a frame's first word in to its last word out. simulated: that was, with the FIFOs of the
    design; otherwise no FIFO is ever full.
    """

    design: str
    part: Part
    clock_mhz: float
    actors: tuple[ActorEstimate, ...]
    fifos: tuple[FifoEstimate, ...]
    frame_cycles: int
    bottlenecks: tuple[str, ...]
    latency_cycles: int
    simulated: bool
    budget: Resources

    @property
    def resources(self) -> Resources:
        return total([row.resources for row in self.actors] + [row.resources for row in self.fifos])

    @property
    def fps(self) -> float:
        return self.clock_mhz * 1e6 / self.frame_cycles

    @property
    def latency_us(self) -> float:
        return self.latency_cycles / self.clock_mhz

    @property
    def shares(self) -> dict[str, float]:
        """Of the part, by resource; those that it has none of are left out."""
        pairs = zip(KINDS, self.resources.counts, self.part.resources.counts, strict=True)
        return {kind: count / most for kind, count, most in pairs if most}

    @property
    def limit(self) -> str:
        """The resource of the largest share."""
        return max(self.shares, key=lambda kind: self.shares[kind])

    @property
    def fits(self) -> bool:
        return self.resources.within(self.budget)

    def as_dict(self) -> dict[str, object]:
        """What report/estimate.json holds; keys are kept from release to release."""
        return {
            "note": NOTE,
            "design": self.design,
            "part": self.part.full_name,
            "clock_mhz": self.clock_mhz,
            "initiation_interval": 1,
            "frame_cycles": self.frame_cycles,
            "frames_per_second": round(self.fps, 3),
            "latency_cycles": self.latency_cycles,
            "latency_us": round(self.latency_us, 4),
            "latency_is_simulated": self.simulated,
            "bottlenecks": list(self.bottlenecks),
            "resources": self.resources.as_dict(),
            "available": self.part.resources.as_dict(),
            "budget": self.budget.as_dict(),
            "shares": {kind: round(share, 4) for kind, share in self.shares.items()},
            "limit": self.limit,
            "fits": self.fits,
            "actors": [row.as_dict() for row in self.actors],
            "fifos": [row.as_dict() for row in self.fifos],
        }


def estimate(
    design: Design,
    part: Part,
    clock_mhz: float,
    budget: Resources | None = None,
    reasons: Mapping[str, str] | None = None,
    latency_cycles: int | None = None,
) -> Estimate:
    """What `design` takes of `part` and how fast it is at `clock_mhz`.

    budget: of the part; None for all of it. reasons: why FIFOs are as deep as they are, by stream. latency_cycles: as
    the schedule simulated it.
    """
    traces = {actor.name: trace(actor) for actor in design.actors}
    bus = {f"input {stream.name}": stream.type.words for stream in design.inputs}
    bus |= {f"output {stream.name}": stream.type.words for stream in design.outputs}
    cycles = {name: of.iterations for name, of in traces.items()} | bus
    frame_cycles = max(cycles.values())
    rows = tuple(_row(actor, traces[actor.name], frame_cycles) for actor in design.actors)
    fifos = tuple(_fifo(stream, design.depths, reasons or {}) for stream in design.streams)
    return Estimate(
        design.name,
        part,
        clock_mhz,
        rows,
        fifos,
        frame_cycles,
        tuple(name for name, count in cycles.items() if count == frame_cycles),
        unstalled_latency(design, traces) if latency_cycles is None else latency_cycles,
        latency_cycles is not None,
        part.resources if budget is None else budget,
    )


def _row(actor: Actor, found: Trace, frame_cycles: int) -> ActorEstimate:
    logic = actors.cost(actor)
    return ActorEstimate(
        actor.name,
        type(actor).__name__,
        actor.sources,
        found.iterations,
        found.latency,
        tuple(stream.type.lanes for stream in actor.inputs),
        tuple(stream.type.lanes for stream in actor.outputs),
        found.iterations / frame_cycles,
        padding_waste(actor, found.iterations),
        logic.all,
        tuple(memory for memory in logic.memories if memory.style is not Style.WIRES),
    )


def padding_waste(actor: Actor, iterations: int) -> float:
    """The share of products, or of codes that are read, that only fill words up."""
    match actor:
        case MatrixVector(x=x, y=y):
            return 1 - y.type.pixels * actor.weights.size / (iterations * x.type.lanes * y.type.lanes)
        case DepthwiseVector(x=x, y=y):
            return 1 - y.type.pixels * actor.weights.size / (iterations * x.type.lanes)
    return 1 - actor.x.type.elements / (actor.x.type.words * actor.x.type.lanes)


def _fifo(stream: Stream, depths: Mapping[str, int], reasons: Mapping[str, str]) -> FifoEstimate:
    depth, bits = depths.get(stream.name, LEAST_DEPTH), stream.type.word_bits
    held = fifo(depth, bits)
    return FifoEstimate(stream.name, depth, bits, held.style, held.resources, reasons.get(stream.name, ""))


def unstalled_latency(design: Design, traces: Mapping[str, Trace]) -> int:
    """Cycles of a frame alone where no FIFO is ever full: every iteration starts as soon as its words are there.

    With a(k) the cycle in which word k is written, iteration i that reads word k starts no sooner than a(k) + 1, and a
    cycle after the iteration before it: start(i) = i + max over k read up to i of (a(k) + 1 - iteration of k).
    """
    written = {stream.name: np.arange(stream.type.words) for stream in design.inputs}
    for actor in design.actors:
        found = traces[actor.name]
        waits = np.zeros(found.iterations, np.int64)
        for stream, reads in zip(actor.inputs, found.reads, strict=True):
            np.maximum.at(waits, reads, written[stream.name] + 1 - reads)
        starts = np.arange(found.iterations) + np.maximum.accumulate(waits)
        for stream, writes in zip(actor.outputs, found.writes, strict=True):
            written[stream.name] = starts[writes] + found.latency
    return max(int(written[stream.name].max()) + 2 for stream in design.outputs)
