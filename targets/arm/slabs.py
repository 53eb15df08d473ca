"""How much stands behind the window of kernels that lay windows out as lines: kernels/arm_slabs.h."""

from __future__ import annotations

from subbyte.targets.arm.sums import Cut
from subbyte.targets.common.tiles import ceil_div

LINE_SLACK = 16  # bytes that a copy may read and write behind a line


def is_pointwise(cut: Cut) -> bool:
    return cut.geometry.kernel == (1, 1)


def window_pixels(cut: Cut) -> int:
    """Of the largest window of an area: subbyte_arm_window_rows times subbyte_arm_window_columns."""
    g, tiles = cut.geometry, cut.tiles
    whole = g.results[1] // cut.pixels
    widest = min(ceil_div(whole, tiles.columns) * cut.pixels + g.results[1] - whole * cut.pixels, g.results[1])
    rows = (ceil_div(g.results[0], tiles.rows) - 1) * g.strides[0] + g.reach[0]
    return rows * ((widest - 1) * g.strides[1] + g.reach[1])


def slab_tiles(cut: Cut, tile_bytes: int, slab_bytes: int) -> int:
    """Register tiles whose windows, of tile_bytes each, are laid out at a time: so many bytes, or all there are."""
    areas = ceil_div(cut.geometry.results[0] * cut.geometry.results[1], cut.pixels)
    return max(1, min(slab_bytes // tile_bytes, areas))
