"""What actors compute, in NumPy: the meaning that their C++ and RTL are compared with."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Actor
from subbyte.targets.hls.streams import Codes, StreamType


@singledispatch
def reference(actor: Actor, *inputs: Codes) -> tuple[Codes, ...]:
    """The frames that `actor` writes for one frame of each input.

    Frames are int64 [pixels, runs, channels]: the codes of a stream in its order. Windows in the order CHANNELS are
    [pixels, taps, channels] all the same; only their words come in another order (`words_of`).
    """
    raise GraphError(f"actor '{actor.name}' is a {type(actor).__name__}, which has no reference")


def words_of(frame: Codes, of_type: StreamType, channels_first: bool = False) -> list[int]:
    """The words of a frame as nonnegative integers, padding lanes 0.

    channels_first: windows in the order CHANNELS: for each word of channels all runs (taps).
    """
    lanes, per_run = of_type.lanes, of_type.words_per_run
    padded = np.zeros((of_type.pixels, of_type.runs, per_run * lanes), np.int64)
    padded[:, :, : of_type.channels] = of_type.element.encode(frame.reshape(of_type.pixels, of_type.runs, -1))
    words = padded.reshape(of_type.pixels, of_type.runs, per_run, lanes)
    if channels_first:
        words = words.transpose(0, 2, 1, 3)
    rows = words.reshape(-1, lanes).tolist()
    bits = of_type.element.bits
    return [sum(code << (bits * lane) for lane, code in enumerate(row)) for row in rows]


def frame_of(words: list[int], of_type: StreamType, channels_first: bool = False) -> Codes:
    """The inverse of `words_of`: int64 [pixels, runs, channels]."""
    lanes, bits, per_run = of_type.lanes, of_type.element.bits, of_type.words_per_run
    mask = (1 << bits) - 1
    raw = np.array([[(word >> (bits * lane)) & mask for lane in range(lanes)] for word in words], np.int64)
    if channels_first:
        split = raw.reshape(of_type.pixels, per_run, of_type.runs, lanes).transpose(0, 2, 1, 3)
    else:
        split = raw.reshape(of_type.pixels, of_type.runs, per_run, lanes)
    return of_type.element.decode(split.reshape(of_type.pixels, of_type.runs, -1)[:, :, : of_type.channels])
