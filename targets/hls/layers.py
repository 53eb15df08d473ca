"""A network before it is folded: layers over frames of codes, with all numbers in them and no word widths yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from subbyte.compiler.ir.node import Value
from subbyte.compiler.numerics.pair_forms import PairForm
from subbyte.compiler.numerics.step_forms import StepForm
from subbyte.targets.hls.actors import Multiplier, Product
from subbyte.targets.hls.streams import Codes, Element


@dataclass(frozen=True, eq=False)
class Frame:
    """A tensor as a frame of height x width pixels of `channels` codes.

    name: a C identifier, unique in the network. value: the tensor; order: as in streams.Stream.
    """

    name: str
    element: Element
    height: int
    width: int
    channels: int
    value: Value
    order: Codes

    @property
    def pixels(self) -> int:
        return self.height * self.width


@dataclass(frozen=True, eq=False)
class Layer:
    """One operation over frames. name: a C identifier, unique in the network; sources: its ONNX nodes."""

    name: str
    inputs: tuple[Frame, ...]
    outputs: tuple[Frame, ...]
    sources: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def x(self) -> Frame:
        return self.inputs[0]

    @property
    def y(self) -> Frame:
        return self.outputs[0]


@dataclass(frozen=True)
class Window:
    """Where a kernel looks: rows, columns; pads top, left, bottom, right, filled with `pad_code`."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    pad_code: int

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def is_pixel(self) -> bool:
        """Whether the windows are the pixels themselves, in order."""
        return self.taps == 1 and self.strides == (1, 1) and not any(self.pads)


@dataclass(frozen=True, eq=False)
class Sums(Layer):
    """A convolution or matrix product: weights int64 [outputs, taps, channels]; the rest as actors.MatrixVector."""

    window: Window
    weights: Codes
    bias: Codes
    sums: Element
    steps: StepForm
    product: Product
    terms: int


@dataclass(frozen=True, eq=False)
class DepthwiseSums(Layer):
    """A convolution of each channel by itself: weights int64 [channels, taps]; the rest as actors.DepthwiseVector."""

    window: Window
    weights: Codes
    bias: Codes
    sums: Element
    steps: StepForm
    product: Product
    terms: int


@dataclass(frozen=True, eq=False)
class MaxPooling(Layer):
    """The largest code under each window; window None: of the whole frame."""

    window: Window | None


@dataclass(frozen=True, eq=False)
class SumPooling(Layer):
    """steps(sum + bias) under each window, or of the whole frame: averages and sums."""

    window: Window | None
    bias: int
    sums: Element
    steps: StepForm


@dataclass(frozen=True, eq=False)
class Mapping(Layer):
    """table[code - low], a table for all channels or one each: int64 [1 or channels, codes]."""

    table: Codes


@dataclass(frozen=True, eq=False)
class Combining(Layer):
    """form(a, b) of two frames of one shape."""

    form: PairForm


@dataclass(frozen=True, eq=False)
class Resizing(Layer):
    """Nearest neighbours: y[r][c] = x[rows[r]][columns[c]]."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Padding(Layer):
    """Pixels of `pad_code` around a frame, by a window of one tap."""

    window: Window


@dataclass(frozen=True, eq=False)
class ArgMaximum(Layer):
    """The number of the channel with the largest code; of several the first, or the `last`."""

    last: bool


@dataclass(frozen=True, eq=False)
class Concatenation(Layer):
    """The channels of all inputs, one after the other."""


@dataclass(frozen=True, eq=False)
class Separation(Layer):
    """The channels of the input, dealt to the outputs one after the other."""


@dataclass(frozen=True, eq=False)
class Flattening(Layer):
    """The same codes in the same order, as pixels of another shape."""


@dataclass(frozen=True, eq=False)
class Network:
    """Layers, each after those it reads from, between frames from outside and frames to outside.

    input_names, output_names: of the ONNX graph, in the order of `inputs` and `outputs`.
    """

    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[Frame, ...]
    outputs: tuple[Frame, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


@dataclass(frozen=True)
class Fold:
    """How many lanes a layer works on at once, and what its multipliers are made of.

    simd: codes of its input that a cycle takes (of one tap's channels; of all its channels where taps is above 1).
    pe: outputs that a cycle works on; 1 where a layer has no products. taps: taps that a cycle takes: 1, the width of
    the kernel, or all.
    """

    simd: int = 1
    pe: int = 1
    taps: int = 1
    multiplier: Multiplier = Multiplier.AUTO
