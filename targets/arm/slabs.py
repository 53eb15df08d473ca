"""How results are cut for kernels that lay windows out as lines, pixels across rows: kernels/arm_slabs.h."""

from __future__ import annotations

from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.targets.arm.sums import Cut, cut_into
from subbyte.targets.arm.tiles import MANY_TILES, TILE_PRODUCTS
from subbyte.targets.common.sums import SumOfProducts, geometry
from subbyte.targets.common.tiles import ceil_div

LINE_SLACK = 16  # bytes that a copy may read and write behind a line
_WINDOW_BYTES = 24 * 1024  # three quarters of the first cache level; what is made of it is smaller
_ENOUGH_AREAS = 4  # for the threads of most boards; each of them brings all weights through the first cache level


def slab_cut(
    op: SumOfProducts, pixels: int, panel: int, last_panel: int | None = None, *, reads: int, always_window: bool
) -> Cut:
    """`op` in register tiles of `pixels` by `panel` outputs, in as few register tiles as there can be.

    An area has at least `pixels` pixels, and a window that the first cache level holds where it can.
    """
    height, width = geometry(op).results
    wanted = max(1, min(MANY_TILES, multiply_accumulates(op) // TILE_PRODUCTS))
    panels = ceil_div(geometry(op).outputs, panel)

    def cut(rows: int, columns: int) -> Cut:
        missing = 1 if rows * columns >= _ENOUGH_AREAS else ceil_div(wanted, rows * columns)
        return cut_into(
            op, pixels, panel, last_panel, reads=reads, always_window=always_window,
            row_tiles=rows, column_tiles=columns, panel_tiles=min(panels, missing),
        )  # fmt: skip

    if height == 1:
        whole = max(1, width // pixels)
        cuts = [cut(1, columns) for columns in range(1, min(whole, 8 * MANY_TILES) + 1)]
    else:
        cuts = [cut(rows, 1) for rows in range(1, height + 1) if height // rows * width >= pixels]

    def worse(made: Cut) -> tuple[bool, float]:
        areas = made.tiles.rows * made.tiles.columns
        few, many = max(0, min(wanted, _ENOUGH_AREAS) - areas), max(0, areas - MANY_TILES)
        return made.tiles.scratch_bytes > _WINDOW_BYTES, register_tiles(made) * (1 + 0.1 * few + 0.01 * many)

    return min(cuts, key=worse)


def register_tiles(cut: Cut) -> int:
    """Of an image, for each panel."""
    (height, width), tiles = cut.geometry.results, cut.tiles
    if height == 1:
        return ceil_div(width, cut.pixels)
    tall = height % tiles.rows
    low = height // tiles.rows
    return tall * ceil_div((low + 1) * width, cut.pixels) + (tiles.rows - tall) * ceil_div(low * width, cut.pixels)


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
    return max(1, min(slab_bytes // tile_bytes, register_tiles(cut)))
