"""What a sliding window takes: its buffer, selections between memories and pads, and counters that say what is next."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.targets.hls.actors import SlidingWindow, WindowOrder
from subbyte.targets.hls.estimate import actors, arithmetic
from subbyte.targets.hls.estimate import coefficients as c
from subbyte.targets.hls.estimate.arithmetic import Logic, index_bits, whole
from subbyte.targets.hls.estimate.memories import ram
from subbyte.targets.hls.layers import Window
from subbyte.targets.hls.resources import Resources
from subbyte.targets.hls.streams import StreamType
from subbyte.targets.hls.windows.sliding_window import window_buffer, window_iterations

COUNTERS = 7
"""Of a window, as long as the number of a word: row, column, the place to write, those to read, and what kernel row,
kernel column and word in it, which are short, take together."""


@dataclass(frozen=True)
class WindowWork:
    """As layers.Work, with memories and logic apart."""

    cycles: int
    logic: Logic
    first: int
    tail: int
    needs: float


def sliding_window(x: StreamType, window: Window, order: WindowOrder, taps_per_word: int) -> WindowWork:
    """Of windows over x.

    The buffer's memories and registers; for each tap of a word a selection between its pixel and the pad, and one
    between the memories where any of them may have it; 7 counters that number the words of a frame.
    """
    cycles, buffer = window_iterations(x, window, order, taps_per_word), window_buffer(x, window, order, taps_per_word)
    number_bits = index_bits(x.words) + 2
    luts = whole(c.LUT_PER_COUNTER_BIT * number_bits) * COUNTERS
    luts += whole(c.LUT_PER_SELECTED_BIT * buffer.taps * x.word_bits)
    if buffer.crossed:
        luts += buffer.taps * arithmetic.selection_luts(buffer.memories, x.word_bits)
    ffs = number_bits * COUNTERS + buffer.registers * x.word_bits
    lines = (ram("lines", buffer.memories, buffer.length, x.word_bits),) if buffer.memories else ()
    logic = actors.control(cycles, 2) + Logic(Resources(lut=luts, ff=ffs), lines)
    pixels = min(_first(x, window), x.pixels)
    first = min(pixels * x.words_per_pixel + 1, cycles)
    return WindowWork(cycles, logic, first, _words(x, window, taps_per_word) + 1, pixels / x.pixels)


def _first(x: StreamType, window: Window) -> int:
    """Pixels of x up to the last that the first window needs."""
    rows, columns = (
        max(0, (taps - 1) * dilation - pad)
        for taps, dilation, pad in zip(window.kernel, window.dilations, window.pads[:2], strict=True)
    )
    return rows * x.width + columns + 1


def _words(x: StreamType, window: Window, taps_per_word: int) -> int:
    """Words of a window."""
    return window.kernel[0] * window.kernel[1] // taps_per_word * (x.words_per_run if taps_per_word == 1 else 1)


@actors.cost.register
def _(actor: SlidingWindow) -> Logic:
    window = Window(actor.kernel, actor.strides, actor.dilations, actor.pads, actor.pad_code)
    return sliding_window(actor.x.type, window, actor.order, actor.taps_per_word).logic
