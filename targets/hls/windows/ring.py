"""The sliding window whose buffer is a ring of words: when it reads and writes, and how long the ring has to be.

Word k of y needs word p(k) of x, or none where its tap lies in the pads. Reading a word an iteration, and writing a
word as soon as the one before it is written and its own was read in an earlier iteration, word k is written in
    T(k) = k + max(0, max over k' <= k of p(k') + 1 - k')
and a frame takes max(words of x, T(last) + 1) iterations. p(k) - k is a sum of one term of the window's row and kernel
row and one of its column and kernel column, each of them linear, so that its maximum is found at their ends.

The ring is the shortest by which reading no word too late is shown: word j may be read as late as
    A(j) = j - 1 + min over the windows from the first that needs word j on of (T(k) - p(k)), over their words k
while the window that is being written then keeps the words from `oldest` on; room for j + 1 - oldest words at A(j), for
every j, lets the loop, which reads no later than that, write every word at its T(k).
"""

from __future__ import annotations

from functools import cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.windows.geometry import Form, Geometry

_NONE = np.int64(-(1 << 40))
"""Below every difference of word numbers: of windows that need no word of x."""


@cache
def ring_iterations(windows: Geometry) -> int:
    """max(words of x, words of y + the most that a word has to wait for)."""
    by_row, by_column = windows.tap_words
    per_row = windows.out_width * windows.window_words
    rows = _latest(windows, 0, windows.height, windows.out_height, windows.line, per_row, by_row)
    columns = _latest(windows, 1, windows.width, windows.out_width, windows.words, windows.window_words, by_column)
    wait = 0 if rows is None or columns is None else max(0, rows + columns + 1)
    return max(windows.frame, windows.windows * windows.window_words + wait)


def _latest(
    windows: Geometry, axis: int, extent: int, outputs: int, needed: int, written: int, by_tap: int
) -> int | None:
    """The largest (position * needed - output * written - tap * by_tap) over taps inside of the frame along an axis."""
    stride, dilation, pad = windows.strides[axis], windows.dilations[axis], windows.pads[axis]
    found = None
    for tap in range(windows.kernel[axis]):
        at = tap * dilation - pad
        first, last = max(0, -(at // stride)), min(outputs - 1, (extent - 1 - at) // stride)
        for output in (first, last) if first <= last else ():
            value = (output * stride + at) * needed - output * written - tap * by_tap
            found = value if found is None else max(found, value)
    return found


def _positions(windows: Geometry, axis: int, extent: int, outputs: int) -> tuple[Codes, NDArray[np.bool_]]:
    """int64 and bool [outputs, taps]: rows or columns under each tap, and which are inside of the frame."""
    starts = np.arange(outputs) * windows.strides[axis] - windows.pads[axis]
    positions = starts[:, None] + np.arange(windows.kernel[axis]) * windows.dilations[axis]
    return positions, (positions >= 0) & (positions < extent)


def row_positions(windows: Geometry) -> tuple[Codes, NDArray[np.bool_]]:
    return _positions(windows, 0, windows.height, windows.out_height)


def column_positions(windows: Geometry) -> tuple[Codes, NDArray[np.bool_]]:
    return _positions(windows, 1, windows.width, windows.out_width)


def banks(windows: Geometry) -> int:
    """Memories that hold the ring, word i in number i % banks: the taps of a word are in different ones."""
    if windows.form is not Form.ROW:
        return 1
    taps, dilation = windows.kernel[1], windows.dilations[1]
    return next(count for count in range(taps, taps * dilation + 1) if count // gcd(dilation, count) >= taps)


def used_words(windows: Geometry) -> int:
    """Words of x up to the last that a window needs."""
    rows, rows_inside = row_positions(windows)
    columns, columns_inside = column_positions(windows)
    if not rows_inside.any() or not columns_inside.any():
        return 0
    return int(rows[rows_inside].max()) * windows.line + (int(columns[columns_inside].max()) + 1) * windows.words


def oldest_words(windows: Geometry) -> Codes:
    """int64 [windows]: the first word of x that a window or one after it may need."""
    rows, columns = row_positions(windows)[0][:, :1], column_positions(windows)[0][None, :, 0]
    kept = np.maximum(rows, 0) * windows.line + np.clip(columns, 0, windows.width) * windows.words
    return np.where(rows + windows.strides[0] <= 0, 0, kept).reshape(-1)


def _waits(windows: Geometry) -> Codes:
    """int64 [windows]: the largest p(k) + 1 - k of each window, _NONE and less where it needs no word."""
    (rows, rows_inside), (columns, columns_inside) = row_positions(windows), column_positions(windows)
    by_row, by_column = windows.tap_words
    per_row = windows.out_width * windows.window_words
    row_terms = rows * windows.line - np.arange(windows.out_height)[:, None] * per_row
    row_terms = row_terms - np.arange(windows.kernel[0]) * by_row
    column_terms = columns * windows.words - np.arange(windows.out_width)[:, None] * windows.window_words
    column_terms = column_terms - np.arange(windows.kernel[1]) * by_column
    row_most = np.where(rows_inside, row_terms, _NONE).max(axis=1)
    column_most = np.where(columns_inside, column_terms, _NONE).max(axis=1)
    return np.asarray((row_most[:, None] + column_most + 1).reshape(-1))


def _last_needed(windows: Geometry) -> Codes:
    """int64 [windows]: the last word of x that each window needs, below 0 where it needs none."""
    (rows, rows_inside), (columns, columns_inside) = row_positions(windows), column_positions(windows)
    last_row = np.where(rows_inside, rows * windows.line, _NONE).max(axis=1)
    last_column = np.where(columns_inside, columns * windows.words, _NONE).max(axis=1)
    return np.asarray((last_row[:, None] + last_column + windows.words - 1).reshape(-1))


def _ends(windows: Geometry) -> Codes:
    """int64 [windows]: the iteration that writes the last word of each window."""
    waits = np.maximum.accumulate(np.maximum(_waits(windows), 0))
    return np.arange(1, windows.windows + 1) * windows.window_words - 1 + waits


@cache
def ring_words(windows: Geometry) -> int:
    """Words that the ring holds, a multiple of its banks."""
    waits, last, ends = _waits(windows), np.maximum.accumulate(_last_needed(windows)), _ends(windows)
    before = np.concatenate([[0], np.maximum.accumulate(np.maximum(waits, 0))[:-1]])
    spare = np.where(waits > _NONE // 2, np.maximum(before - waits, 0) + 1, -_NONE)  # T(k) - p(k), or less
    spare = np.minimum(np.minimum.accumulate(spare[::-1])[::-1], ring_iterations(windows) - windows.frame + 1)
    starts = np.concatenate([[0], np.maximum(last[:-1], -1) + 1])  # the words that each window is the first to need
    new = last >= starts
    starts, last, spare = starts[new], last[new], spare[new]
    count = banks(windows)
    if not starts.size:
        return count
    group = np.searchsorted(starts + spare - 1, ends, side="right") - 1  # of the latest word to be read by then
    held = np.minimum(last[group], ends + 1 - spare[group]) + 1 - oldest_words(windows)
    words = max(1, int(held[group >= 0].max(initial=1)))
    return -(-words // count) * count


def ring_writes(windows: Geometry) -> Codes:
    """int64 [words of y]: the iteration that writes each word."""
    (rows, rows_inside), (columns, columns_inside) = row_positions(windows), column_positions(windows)
    row_words = np.where(rows_inside, rows * windows.line, _NONE)[:, None, None, :, None]
    column_words = np.where(columns_inside, columns * windows.words, _NONE)[None, :, None, None, :]
    if windows.form is Form.ROW:
        needed = row_words + column_words.max(axis=-1, keepdims=True)
    else:
        needed = row_words + column_words + np.arange(windows.words)[:, None, None]
        if windows.form is Form.TAPS:
            needed = np.moveaxis(needed, 2, -1)
    needed = needed.reshape(-1)
    number = np.arange(needed.size)
    return np.asarray(number + np.maximum.accumulate(np.maximum(needed + 1 - number, 0)))


def ring_reads(windows: Geometry) -> Codes:
    """int64 [words of x]: the iteration that reads each word: the first in which the ring has room for it."""
    number = np.arange(windows.frame)
    window = np.searchsorted(oldest_words(windows), number - ring_words(windows), side="right")
    room = np.concatenate([[0], _ends(windows) + 1])[window]
    room[used_words(windows) :] = 0
    return np.asarray(number + np.maximum.accumulate(room - number))
