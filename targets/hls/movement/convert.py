"""Convert: the same codes in words of other lanes and runs of other lengths (kernels/subbyte_hls_movement.h)."""

from __future__ import annotations

from math import gcd

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Convert
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes, StreamType
from subbyte.targets.hls.trace import Iterations, Trace, trace


def codes_after_words(stream: StreamType) -> Iterations:
    """[words]: how many codes of a frame are in its words up to and with each one."""
    in_run = np.minimum(np.arange(1, stream.words_per_run + 1) * stream.lanes, stream.channels)
    return (np.arange(stream.pixels * stream.runs)[:, None] * stream.channels + in_run).reshape(-1)


def unit_of(x: StreamType, y: StreamType) -> int:
    """The most codes that always stay together: words and runs of both streams end between such units."""
    return gcd(x.lanes, x.channels, y.lanes, y.channels)


def check_convert(actor: Convert) -> None:
    """Raise GraphError where x and y have other codes, or not as many."""
    x, y = actor.x.type, actor.y.type
    if x.element != y.element or x.elements != y.elements:
        raise GraphError(f"actor '{actor.name}' puts {x} into the words of {y}: not the same codes, or not as many")


@trace.register
def trace_convert(actor: Convert) -> Trace:
    """Word m of y needs words up to needed[m] of x: an iteration for each that is new, the last of them writes m."""
    check_convert(actor)
    needed = np.searchsorted(codes_after_words(actor.x.type), codes_after_words(actor.y.type)) + 1
    new = np.diff(needed, prepend=0)
    ends = np.maximum(new, 1).cumsum()
    reads = np.arange(actor.x.type.words) + np.repeat(ends - needed, new)
    return Trace(int(ends[-1]), (reads,), (ends - 1,), 1)


@instance.register
def instance_convert(actor: Convert) -> Instance:
    iterations = trace_convert(actor).iterations
    x, y = actor.x.type, actor.y.type
    arguments = f"{x.element.bits}, {unit_of(x, y)}, {x.channels}, {x.lanes}, {y.channels}, {y.lanes}"
    before, after = (f"runs of {s.channels} codes in {s.words} words of {s.lanes}" for s in (x, y))
    return Instance(
        headers=("subbyte_hls_movement.h",),
        body=f"subbyte_hls::convert<{iterations}, {arguments}>(in0, out0);",
        comment=(f"{before} to {after}",),
    )


@reference.register
def reference_convert(actor: Convert, x: Codes) -> tuple[Codes, ...]:
    y = actor.y.type
    return (x.reshape(y.pixels, y.runs, y.channels),)
