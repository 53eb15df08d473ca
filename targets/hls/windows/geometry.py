"""Where windows lie on a frame: positions, outputs, and the order in which a sliding window writes its words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import SlidingWindow, WindowOrder
from subbyte.targets.hls.layers import Window
from subbyte.targets.hls.streams import StreamType


class Form(Enum):
    """What a word of windows holds. TAPS, CHANNELS: a word of x, in either order; ROW: a row of the kernel; ALL: all.

    One-dimensional kernels (1 x n, n x 1) whose words hold more than one tap are ALL.
    """

    TAPS = "taps"
    CHANNELS = "channels"
    ROW = "row"
    ALL = "all"


@dataclass(frozen=True)
class Geometry:
    """height, width: of the frame, in pixels of `words` words; kernel to pads: as in layers.Window."""

    height: int
    width: int
    words: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    form: Form

    @property
    def line(self) -> int:
        """Words of a row of the frame."""
        return self.width * self.words

    @property
    def frame(self) -> int:
        """Words of the frame."""
        return self.height * self.line

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last."""
        return ((self.kernel[0] - 1) * self.dilations[0], (self.kernel[1] - 1) * self.dilations[1])

    @property
    def out_height(self) -> int:
        return (self.height + self.pads[0] + self.pads[2] - self.reach[0] - 1) // self.strides[0] + 1

    @property
    def out_width(self) -> int:
        return (self.width + self.pads[1] + self.pads[3] - self.reach[1] - 1) // self.strides[1] + 1

    @property
    def windows(self) -> int:
        return self.out_height * self.out_width

    @property
    def window_words(self) -> int:
        """Words that are written for a window."""
        match self.form:
            case Form.ROW:
                return self.kernel[0]
            case Form.ALL:
                return 1
        return self.kernel[0] * self.kernel[1] * self.words

    @property
    def tap_words(self) -> tuple[int, int]:
        """How many words later a tap is written than the one above, and than the one to its left (its first word)."""
        match self.form:
            case Form.TAPS:
                return self.kernel[1] * self.words, self.words
            case Form.CHANNELS:
                return self.kernel[1], 1
            case Form.ROW:
                return 1, 0
        return 0, 0


def geometry(x: StreamType, window: Window | SlidingWindow, order: WindowOrder, taps_per_word: int) -> Geometry:
    """Of windows over x.

    Raises: GraphError: the words of x or of the windows cannot be so, or there are no windows.
    """
    kernel, taps = window.kernel, window.kernel[0] * window.kernel[1]
    if min(*kernel, *window.strides, *window.dilations) < 1 or min(window.pads) < 0:
        raise GraphError(
            f"windows {kernel} by strides {window.strides}, dilations {window.dilations} and pads {window.pads} do not "
            f"exist; pads are at least 0, all else at least 1"
        )
    outside = not x.element.low <= window.pad_code <= x.element.high or (x.element.bipolar and window.pad_code == 0)
    if any(window.pads) and outside:
        raise GraphError(f"windows are padded with {window.pad_code}, which is no code of {x.element}")
    if taps_per_word == 1:
        form = Form.TAPS if order is WindowOrder.TAPS else Form.CHANNELS
    elif taps_per_word not in (kernel[1], taps) or order is not WindowOrder.TAPS or x.lanes != x.channels:
        raise GraphError(
            f"windows {kernel} over words of {x.lanes} of {x.channels} codes come with {taps_per_word} taps in a word "
            f"in the order {order.value}; more than one tap needs all channels in a word of x, the order taps, and a "
            f"row of the kernel or all of it"
        )
    else:
        form = Form.ALL if taps_per_word == taps else Form.ROW
    found = Geometry(x.height, x.width, x.words_per_run, kernel, window.strides, window.dilations, window.pads, form)
    if x.runs != 1 or found.out_height < 1 or found.out_width < 1:
        raise GraphError(f"there are no windows {kernel} with pads {window.pads} over {x}")
    return found
