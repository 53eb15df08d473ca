"""The sliding window that writes all taps in a word: lines and registers, shifted once in every step of a scan.

Pixel (r, c) of the frame is step r * scan_width + c. Window (i, j) is complete in step
    S(i, j) = (i * stride_y - pad_top + reach_y) * scan_width + j * stride_x - pad_left + reach_x,
its last tap's, where the scan is wide enough for every window to have a step of its own:
    scan_width = max(width, ceil(((windows of a row - 1) * stride_x + 1) / stride_y)),
which is above the width only where pads make rows of windows longer than those of the frame. An iteration is a step;
steps begin with the first window or pixel and end with the last.
"""

from __future__ import annotations

import numpy as np

from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.windows.geometry import Geometry


def scan_width(windows: Geometry) -> int:
    across = (windows.out_width - 1) * windows.strides[1]
    return max(windows.width, -(-(across + 1) // windows.strides[0]))


def _step(windows: Geometry, row: int, column: int) -> int:
    """In which window (row, column) is complete."""
    down = row * windows.strides[0] - windows.pads[0] + windows.reach[0]
    return down * scan_width(windows) + column * windows.strides[1] - windows.pads[1] + windows.reach[1]


def first_step(windows: Geometry) -> int:
    return min(0, _step(windows, 0, 0))


def scan_iterations(windows: Geometry) -> int:
    last_pixel = (windows.height - 1) * scan_width(windows) + windows.width - 1
    last = max(last_pixel, _step(windows, windows.out_height - 1, windows.out_width - 1))
    return last - first_step(windows) + 1


def scan_lines(windows: Geometry) -> int:
    """Rows of the frame that are kept beside the registers."""
    return windows.reach[0]


def scan_registers(windows: Geometry) -> int:
    """Pixels that are kept in registers."""
    return windows.kernel[0] * (windows.reach[1] + 1)


def scan_reads(windows: Geometry) -> Codes:
    """int64 [words of x]: the iteration that reads each pixel."""
    rows = np.arange(windows.height)[:, None] * scan_width(windows)
    return np.asarray((rows + np.arange(windows.width)).reshape(-1) - first_step(windows))


def scan_writes(windows: Geometry) -> Codes:
    """int64 [words of y]: the iteration that writes each window."""
    rows = np.arange(windows.out_height)[:, None] * windows.strides[0] * scan_width(windows)
    columns = np.arange(windows.out_width) * windows.strides[1]
    return np.asarray((rows + columns).reshape(-1) + _step(windows, 0, 0) - first_step(windows))
