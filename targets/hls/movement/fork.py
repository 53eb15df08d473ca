"""Fork: every word to several readers (kernels/subbyte_hls_movement.h)."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Fork
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.trace import Trace, trace


def check_fork(actor: Fork) -> None:
    """Raise GraphError where an output is not a copy of the input."""
    for output in actor.outputs:
        if output.type != actor.x.type:
            raise GraphError(f"actor '{actor.name}' copies {actor.x.type} to '{output.name}', which is {output.type}")


@trace.register
def trace_fork(actor: Fork) -> Trace:
    check_fork(actor)
    words = np.arange(actor.x.type.words)
    return Trace(actor.x.type.words, (words,), (words,) * len(actor.outputs), 1)


@instance.register
def instance_fork(actor: Fork) -> Instance:
    check_fork(actor)
    outputs = ", ".join(f"out{number}" for number in range(len(actor.outputs)))
    return Instance(
        headers=("subbyte_hls_movement.h",),
        body=f"subbyte_hls::fork<{actor.x.type.words}, {actor.x.type.word_bits}>(in0, {outputs});",
        comment=(f"every word to {len(actor.outputs)} streams",),
    )


@reference.register
def reference_fork(actor: Fork, x: Codes) -> tuple[Codes, ...]:
    return (x,) * len(actor.outputs)
