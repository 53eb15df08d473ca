"""The actors of a design: processes that read words from streams and write words to streams, forever, frame by frame.

Every actor is one loop nest with an initiation interval of 1: each iteration takes a cycle, reads at most one word of
each input and writes at most one word to each output. What the loop does in which iteration is part of its contract,
since cycles, FIFO depths and the freedom from deadlock follow from it (trace.py); its header does just that.

`sources` are the ONNX nodes an actor computes. Each kind of actor has, registered by its type, a `trace` (trace.py), an
`instance` (instance.py: its C++) and a `reference` (reference.py: what it computes, in NumPy).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from subbyte.compiler.numerics.pair_forms import PairForm
from subbyte.compiler.numerics.step_forms import StepForm
from subbyte.targets.hls.streams import Codes, Element, Stream


@dataclass(frozen=True, eq=False)
class Actor:
    """A process. name: a C identifier, unique in the design; inputs and outputs: in the order of its C++ arguments."""

    name: str
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    sources: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def x(self) -> Stream:
        """The first input."""
        return self.inputs[0]

    @property
    def y(self) -> Stream:
        """The first output."""
        return self.outputs[0]


# Windows --------------------------------------------------------------------------------------------------------------


class WindowOrder(Enum):
    """TAPS: for each tap all words of its channels. CHANNELS: for each word of channels all its taps."""

    TAPS = "taps"
    CHANNELS = "channels"


@dataclass(frozen=True, eq=False)
class SlidingWindow(Actor):
    """x: a frame -> y: for each position of the kernel the pixels under it, kernel rows first.

    A buffer of lines holds what windows still need; pixels outside the frame have `pad_code` in every channel.
    taps_per_word 1: y has a run for each tap (TAPS), or its words in the order channel word, tap (CHANNELS; y.type has
    the same number of words), in lanes of x. taps_per_word kernel width, or all taps: TAPS alone, a run is that many
    taps with all their channels, all in one word; x has all channels in a word.
    kernel, strides, dilations: rows, columns; pads: top, left, bottom, right.
    One iteration reads a word where the buffer has room for it and writes a word of the next window where its pixels
    were read before; with all taps in a word it reads a pixel and writes the window that this one completes. The order
    of both is fixed by the geometry alone (windows/ring.py, windows/scan.py).
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    pad_code: int
    order: WindowOrder
    taps_per_word: int = 1


@dataclass(frozen=True, eq=False)
class WindowMax(Actor):
    """x: windows in the order CHANNELS, `taps` words each -> y: the largest code of each channel.

    Iterations: words of x; the last of each `taps` writes.
    """

    taps: int


@dataclass(frozen=True, eq=False)
class WindowSum(Actor):
    """x: windows in the order CHANNELS -> y: steps(sum of the window + bias), lane by lane; as WindowMax.

    bias: what zero points add to each sum. sums: the sums that can occur.
    """

    taps: int
    bias: int
    sums: Element
    steps: StepForm


@dataclass(frozen=True, eq=False)
class GlobalMax(Actor):
    """x: a frame -> y: one pixel, the largest code of each channel.

    Iterations: words of x; those of the last pixel write.
    """


@dataclass(frozen=True, eq=False)
class GlobalSum(Actor):
    """x: a frame -> y: one pixel, steps(sum over all pixels + bias); as GlobalMax, bias and sums as in WindowSum."""

    bias: int
    sums: Element
    steps: StepForm


@dataclass(frozen=True, eq=False)
class Resize(Actor):
    """x: a frame -> y: y[r][c] = x[rows[r]][columns[c]], both ascending: nearest neighbours.

    A line buffer holds one row. For each output row: where it is another input row, rows before that one are read and
    dropped, a word an iteration; then it is read, and the output row written as soon as no word of it has to wait (both
    in the same iterations); where it is the same input row, it is written alone. Unread rows at the end are read last.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]


# Sums of products -----------------------------------------------------------------------------------------------------


class Product(Enum):
    """How a lane multiplies.

    MULTIPLY: by a multiplier. XNOR: by XNOR and a count of ones; both factors are bipolar. ADD: by adding, leaving
    out or subtracting; weights are -1, 0, 1. SHIFT: by shifts and adds; weights are sums of few powers of two.
    """

    MULTIPLY = "multiply"
    XNOR = "xnor"
    ADD = "add"
    SHIFT = "shift"


class Multiplier(Enum):
    """What the multipliers of MULTIPLY are made of: the HLS tool's choice, DSP slices, or LUTs."""

    AUTO = "auto"
    DSP = "dsp"
    FABRIC = "fabric"


@dataclass(frozen=True, eq=False)
class MatrixVector(Actor):
    """For each pixel: y[o] = steps(sum over runs r and channels c of x[r][c] * weights[o][r][c] + bias[o]).

    SIMD = lanes of x, PE = lanes of y; SF = words of x a pixel, NF = words of y a pixel.
    Iterations: for pixel: for nf < NF: for sf < SF; nf 0 reads word sf of x and keeps it; sf SF - 1 writes word nf.

    weights: int64 [outputs, runs, channels], zero point taken off; bias: int64 [outputs], zero points of x in it.
    sums: every partial and finished sum, bias included. terms: of SHIFT, the most signed powers of two in a weight.
    multiplier: of MULTIPLY, what it is made of.
    """

    weights: Codes
    bias: Codes
    sums: Element
    steps: StepForm
    product: Product
    terms: int = 0
    multiplier: Multiplier = Multiplier.AUTO


@dataclass(frozen=True, eq=False)
class DepthwiseVector(Actor):
    """For each pixel and channel c: y[c] = steps(sum over taps t of x[c][t] * weights[c][t] + bias[c]).

    x: windows in the order CHANNELS. Lanes of x and y are equal.
    Iterations: words of x; the last of each `taps` writes.
    weights: int64 [channels, taps]; the rest as MatrixVector.
    """

    weights: Codes
    bias: Codes
    sums: Element
    steps: StepForm
    product: Product
    terms: int = 0
    multiplier: Multiplier = Multiplier.AUTO


# Codes one by one -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MapCodes(Actor):
    """y = table[x - low of x's element], lane by lane. table: int64 [1 or channels, codes]. Iterations: words of x."""

    table: Codes


@dataclass(frozen=True, eq=False)
class CombineCodes(Actor):
    """y = form(a, b), lane by lane, of two streams of the same shape and lanes. Iterations: words; each reads both."""

    form: PairForm


@dataclass(frozen=True, eq=False)
class ArgMaxCodes(Actor):
    """y: for each pixel the number of its channel with the largest code; of several the first, or the `last`.

    Iterations: words of x; the last of each pixel writes one code in a word of one lane.
    """

    last: bool = False


# Movement -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fork(Actor):
    """Every word of x to every output. Iterations: words of x."""


@dataclass(frozen=True, eq=False)
class Convert(Actor):
    """The codes of x in words of y: other lanes, and where runs end elsewhere (a flattened frame), other words.

    An iteration reads the next word where fewer than a word of y is held and x has words left, and writes a word where
    enough is held (after what it has read), or a run of y ends; both may happen in one iteration.
    """


@dataclass(frozen=True, eq=False)
class ConcatChannels(Actor):
    """For each pixel the channels of all inputs, one after the other. Lanes are equal and divide all channels.

    Iterations: words of y; each reads the input it comes from.
    """


@dataclass(frozen=True, eq=False)
class SplitChannels(Actor):
    """For each pixel the first channels to the first output, the next to the second, ...; as ConcatChannels."""


@dataclass(frozen=True, eq=False)
class Design:
    """All actors, each after those it reads from; the streams that come from the bus and go to it; depths of FIFOs.

    depths: words by stream name; those that are missing have not been chosen yet.
    """

    name: str
    actors: tuple[Actor, ...]
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    depths: dict[str, int] = field(default_factory=dict)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Every stream once: those from the bus, then as actors write them."""
        return self.inputs + tuple(stream for actor in self.actors for stream in actor.outputs)
