"""How images are cut: register tiles of pixels by vectors of outputs, tiles for threads and cache, whole multiples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def padded_to(values: NDArray[Any], axis: int, multiple: int) -> NDArray[Any]:
    """`values` with zeros behind, up to a multiple along `axis`."""
    missing = -values.shape[axis] % multiple
    return np.pad(values, [(0, missing if k == axis else 0) for k in range(values.ndim)])


@dataclass(frozen=True)
class RegisterTile:
    """pixels neighbours in a row by vectors of outputs, a panel; the outputs beyond whole panels take last_vectors."""

    pixels: int
    vectors: int
    last_vectors: int


@dataclass(frozen=True)
class Tiles:
    """An image cut into rows x columns areas, each into panels, and the scratch memory that the window of one needs.

    Columns are cut between register tiles; what is left of a row beyond whole register tiles belongs to the last.
    """

    rows: int
    columns: int
    scratch_bytes: int
    panels: int = 1


def scratch_bytes(
    results: tuple[int, int], pixels: int, rows: int, columns: int, window: Callable[[int, int], int] | None
) -> int:
    """Of the largest window, for results [height, width] in rows x columns areas of whole register tiles.

    window: its bytes by the rows and columns of its results; None where the input is read in place.
    """
    if window is None:
        return 0
    widest = min(ceil_div(results[1] // pixels, columns) * pixels + results[1] % pixels, results[1])
    return window(ceil_div(results[0], rows), widest)
