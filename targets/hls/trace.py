"""When an actor reads and writes: for each stream, in which iteration of its loop the words of one frame move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Actor

Iterations = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trace:
    """One frame of an actor's loop; the next frame begins `iterations` later, by the same pattern.

    reads: for each input, the iteration in which each of its words is read, ascending; writes: likewise for outputs.
    latency: cycles from an iteration's reads to its writes: the depth of the pipeline.
    """

    iterations: int
    reads: tuple[Iterations, ...]
    writes: tuple[Iterations, ...]
    latency: int


@singledispatch
def trace(actor: Actor) -> Trace:
    """The trace of `actor`; registered beside the C++ of each kind of actor, whose loops it says."""
    raise GraphError(f"actor '{actor.name}' is a {type(actor).__name__}, which has no trace")
