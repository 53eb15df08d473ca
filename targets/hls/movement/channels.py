"""ConcatChannels and SplitChannels: channels joined and dealt out word by word (kernels/subbyte_hls_movement.h)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import ConcatChannels, SplitChannels
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes, Stream
from subbyte.targets.hls.trace import Iterations, Trace, trace


def check_parts(name: str, whole: Stream, parts: tuple[Stream, ...]) -> None:
    """Raise GraphError where the parts are not the channels of `whole`, in words of the same lanes without padding."""
    one_run = whole.type.runs == 1 and whole.type.channels == sum(part.type.channels for part in parts)
    for part in parts:
        same = replace(part.type, channels=whole.type.channels) == whole.type
        if not one_run or not same or part.type.channels % part.type.lanes:
            raise GraphError(
                f"actor '{name}' has the whole {whole.type} and a part {part.type} of "
                f"{[other.type.channels for other in parts]} channels; parts add up to the channels of the whole, all "
                f"have the same pixels, codes and lanes, and lanes divide the channels of each"
            )


def words_of_parts(whole: Stream, parts: tuple[Stream, ...]) -> tuple[Iterations, ...]:
    """For each part the iterations that move its words, in a loop over the words of the whole."""
    starts = np.cumsum([0, *(part.type.words_per_pixel for part in parts)])
    pixels = np.arange(whole.type.pixels)[:, None] * whole.type.words_per_pixel
    return tuple((pixels + np.arange(*bounds)).reshape(-1) for bounds in pairwise(starts))


def _instance(function: str, whole: Stream, parts: tuple[Stream, ...], arguments: list[str], comment: str) -> Instance:
    words = ", ".join(str(part.type.words_per_pixel) for part in parts)
    return Instance(
        headers=("subbyte_hls_movement.h",),
        body=f"subbyte_hls::{function}<{whole.type.pixels}, {whole.type.word_bits}, {words}>({', '.join(arguments)});",
        comment=(f"{comment} of {' + '.join(str(part.type.channels) for part in parts)} channels",),
    )


@trace.register
def trace_concat(actor: ConcatChannels) -> Trace:
    check_parts(actor.name, actor.y, actor.inputs)
    words = actor.y.type.words
    return Trace(words, words_of_parts(actor.y, actor.inputs), (np.arange(words),), 1)


@instance.register
def instance_concat(actor: ConcatChannels) -> Instance:
    check_parts(actor.name, actor.y, actor.inputs)
    streams = ["out0", *(f"in{number}" for number in range(len(actor.inputs)))]
    return _instance("concat_channels", actor.y, actor.inputs, streams, "each pixel joined")


@reference.register
def reference_concat(actor: ConcatChannels, *inputs: Codes) -> tuple[Codes, ...]:
    return (np.concatenate(inputs, axis=-1),)


@trace.register
def trace_split(actor: SplitChannels) -> Trace:
    check_parts(actor.name, actor.x, actor.outputs)
    words = actor.x.type.words
    return Trace(words, (np.arange(words),), words_of_parts(actor.x, actor.outputs), 1)


@instance.register
def instance_split(actor: SplitChannels) -> Instance:
    check_parts(actor.name, actor.x, actor.outputs)
    streams = ["in0", *(f"out{number}" for number in range(len(actor.outputs)))]
    return _instance("split_channels", actor.x, actor.outputs, streams, "each pixel dealt out to parts")


@reference.register
def reference_split(actor: SplitChannels, x: Codes) -> tuple[Codes, ...]:
    ends = np.cumsum([output.type.channels for output in actor.outputs])
    return tuple(np.split(x, ends[:-1], axis=-1))
