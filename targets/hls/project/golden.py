"""Golden vectors: what every stream of a design carries, sample by sample, as words in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Actor, Design, Fork, SlidingWindow, WindowOrder
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes, Stream, StreamType

Frames = Codes | Callable[[int], Codes]

STREAM_BYTES = 8 << 20
"""Of a stream inside a design the first samples are kept that take no more, at least one: windows of large images."""


@dataclass(frozen=True, eq=False)
class Golden:
    """Samples and the streams whose frames are known; those of the design's inputs must be, others may.

    frames: by stream name int64 [samples, pixels, runs, channels], or a function from the sample to [pixels, runs,
    channels]. Streams that are left out are computed by `reference` from what comes before them.
    """

    samples: int
    frames: Mapping[str, Frames]

    def frame(self, stream: Stream, sample: int) -> Codes | None:
        """The frame of a stream; None where it is not known.  Raises GraphError: it does not fit the stream."""
        known = self.frames.get(stream.name)
        if known is None:
            return None
        codes = np.asarray(known(sample) if callable(known) else known[sample], np.int64)
        shape = (stream.type.pixels, stream.type.runs, stream.type.channels)
        element = stream.type.element
        if codes.shape != shape:
            raise GraphError(
                f"the golden frame of stream '{stream.name}' is {list(codes.shape)}; its pixels, runs and channels are "
                f"{list(shape)}"
            )
        if codes.size and (codes.min() < element.low or codes.max() > element.high):
            raise GraphError(
                f"the golden frame of stream '{stream.name}' holds the codes {codes.min()}..{codes.max()}; its lanes "
                f"carry {element.low}..{element.high}"
            )
        return codes


def golden_words(design: Design, golden: Golden) -> dict[str, bytes]:
    """The words of every stream, one sample after the other: ceil(word bits / 8) bytes each, lowest first.

    Of inputs and outputs those of all samples; of other streams as many as `kept_samples` says.
    Raises GraphError: there are no samples, a stream is named that the design lacks, an input has no frames.
    """
    unknown = sorted(set(golden.frames) - {stream.name for stream in design.streams})
    if golden.samples < 1 or unknown:
        found = f"frames of unknown streams: {', '.join(unknown)}" if unknown else f"{golden.samples} samples"
        raise GraphError(f"the golden vectors of '{design.name}' have {found}; known streams and a sample are needed")
    ordered_by_channels = channels_first(design)
    kept = kept_samples(design, golden.samples)
    words: dict[str, list[bytes]] = {stream.name: [] for stream in design.streams}
    for sample in range(golden.samples):
        wanted = frozenset(name for name, count in kept.items() if sample < count)
        for stream, frame in frames_of(design, golden, sample, wanted).items():
            if stream.name in wanted:
                words[stream.name].append(word_bytes(frame, stream.type, stream.name in ordered_by_channels))
    return {name: b"".join(parts) for name, parts in words.items()}


def kept_samples(design: Design, samples: int) -> dict[str, int]:
    """For each stream how many samples its file has."""
    border = frozenset(design.inputs + design.outputs)
    return {
        stream.name: samples if stream in border else max(1, min(samples, STREAM_BYTES // frame_bytes(stream.type)))
        for stream in design.streams
    }


def frame_bytes(of_type: StreamType) -> int:
    """Of a frame's words in a file."""
    return of_type.words * -(-of_type.word_bits // 8)


def frames_of(design: Design, golden: Golden, sample: int, wanted: frozenset[str] | None = None) -> dict[Stream, Codes]:
    """The frames of streams for one sample, in the order of `design.streams`: at least of those called `wanted`."""
    wanted = frozenset(stream.name for stream in design.streams) if wanted is None else wanted
    computed = _actors_to_compute(design, golden, wanted)
    frames: dict[Stream, Codes] = {}

    def keep(stream: Stream) -> None:
        frame = golden.frame(stream, sample)
        if frame is not None:
            frames[stream] = frame

    for stream in design.inputs:
        keep(stream)
        if stream not in frames:
            raise GraphError(f"stream '{stream.name}' comes from the bus and has no golden frames")
    for actor in design.actors:
        for stream in actor.outputs:
            keep(stream)
        if actor in computed:
            for stream, frame in zip(actor.outputs, reference(actor, *(frames[x] for x in actor.inputs)), strict=True):
                frames.setdefault(stream, frame)
    return {stream: frames[stream] for stream in design.streams if stream in frames}


def _actors_to_compute(design: Design, golden: Golden, wanted: frozenset[str]) -> set[Actor]:
    """The actors whose references are needed for the frames of the wanted streams."""
    needed, found = set(wanted), set()
    for actor in reversed(design.actors):
        if any(stream.name in needed and stream.name not in golden.frames for stream in actor.outputs):
            found.add(actor)
            needed |= {stream.name for stream in actor.inputs}
    return found


def channels_first(design: Design) -> frozenset[str]:
    """The streams whose words come in the order CHANNELS: windows in it, and copies of them."""
    found: set[str] = set()
    for actor in design.actors:
        match actor:
            case SlidingWindow(order=WindowOrder.CHANNELS, taps_per_word=1):
                found.add(actor.y.name)
            case Fork() if actor.x.name in found:
                found |= {stream.name for stream in actor.outputs}
    return frozenset(found)


def word_bytes(frame: Codes, of_type: StreamType, channels_first: bool = False) -> bytes:
    """`words_of(frame, of_type, channels_first)`, each word as ceil(word bits / 8) bytes, lowest first."""
    lanes, bits, per_run = of_type.lanes, of_type.element.bits, of_type.words_per_run
    padded = np.zeros((of_type.pixels, of_type.runs, per_run * lanes), np.int64)
    padded[:, :, : of_type.channels] = of_type.element.encode(frame.reshape(of_type.pixels, of_type.runs, -1))
    words = padded.reshape(of_type.pixels, of_type.runs, per_run, lanes)
    if channels_first:
        words = words.transpose(0, 2, 1, 3)
    octets = words.reshape(-1, lanes, 1).astype("<i8").view(np.uint8)[:, :, : -(-bits // 8)]
    digits = np.unpackbits(octets, axis=2, count=bits, bitorder="little")
    return np.packbits(digits.reshape(len(digits), -1), axis=1, bitorder="little").tobytes()
