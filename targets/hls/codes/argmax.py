"""ArgMaxCodes: the channel of each pixel's largest code (kernels/subbyte_hls_argmax.h)."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import ArgMaxCodes
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes, StreamType
from subbyte.targets.hls.texts import sign
from subbyte.targets.hls.trace import Trace, trace


def check_argmax(actor: ArgMaxCodes) -> None:
    """Raise GraphError where y is not a stream of one channel number a pixel."""
    x, y = actor.x.type, actor.y.type
    fits = y.element.low <= 0 and y.element.high >= x.channels - 1
    if x.runs != 1 or y != StreamType(y.element, x.height, x.width, 1, 1) or not fits:
        raise GraphError(
            f"actor '{actor.name}' writes the channel of the largest code of {x} to {y}; needed are pixels of one run "
            f"there and one code a pixel here, which holds 0 to {x.channels - 1}"
        )


@trace.register
def trace_argmax(actor: ArgMaxCodes) -> Trace:
    """Latency: a comparison for each level of the tree over lanes, one with the best so far, the write."""
    check_argmax(actor)
    x = actor.x.type
    ends = np.arange(1, x.pixels + 1) * x.words_per_pixel - 1
    return Trace(x.words, (np.arange(x.words),), (ends,), (x.lanes - 1).bit_length() + 2)


@instance.register
def instance_argmax(actor: ArgMaxCodes) -> Instance:
    check_argmax(actor)
    x, y = actor.x.type, actor.y.type
    last = "true" if actor.last else "false"
    arguments = f"{x.pixels}, {x.channels}, {x.lanes}, {x.element.bits}, {sign(x.element)}, {last}, {y.element.bits}"
    return Instance(
        headers=("subbyte_hls_argmax.h",),
        body=f"subbyte_hls::argmax_codes<{arguments}>(in0, out0);",
        comment=(f"y = the channel of the largest of {x.channels} codes, the {'last' if actor.last else 'first'} one",),
    )


@reference.register
def reference_argmax(actor: ArgMaxCodes, x: Codes) -> tuple[Codes, ...]:
    channels = x.shape[-1]
    best = channels - 1 - x[..., ::-1].argmax(axis=-1) if actor.last else x.argmax(axis=-1)
    return (best[..., None].astype(np.int64),)
