"""How sums of products are cut on Arm: register tiles of pixels by outputs, and tiles for threads and cache."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.targets.common.tiles import Tiles, ceil_div, scratch_bytes

PIECES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 56, 64, 96, 112, 128, 224)  # knobs may ask for
PANEL_PIECES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LINE = 64  # bytes; scratch begins at a multiple, and so does what stands in it behind the window
TILE_PRODUCTS = 1 << 17  # some ten microseconds of work, ten times what it costs to wake a thread
RESIDENT_WEIGHTS = 128 * 1024  # that the second cache level keeps beside other things
MANY_TILES = 16  # enough that a handful of threads end together
WINDOW_BYTES = 16 * 1024  # half of the first cache level; the other half is for weights


@dataclass(frozen=True)
class Window:
    """The input of a tile as copied to scratch: its bytes by the rows and columns of the result.

    The twin of subbyte_arm_window_bytes in kernels/arm_conv.h: whole lines, so that more may stand behind it.
    """

    strides: tuple[int, int]
    reach: tuple[int, int]  # rows and columns that one pixel needs
    channels: int
    beyond: int  # bytes that may be read behind it

    def __call__(self, rows: int, columns: int) -> int:
        height = (rows - 1) * self.strides[0] + self.reach[0]
        width = (columns - 1) * self.strides[1] + self.reach[1]
        return ceil_div(height * width * self.channels + self.beyond, LINE) * LINE


def choose_tiles(
    results: tuple[int, int],
    products: int,
    pixels: int,
    window: Window | None,
    panels: int,
    weight_bytes: int,
    window_bytes: int = WINDOW_BYTES,
) -> Tiles:
    """How results [height, width] of `products` products a pixel, in `panels` panels of outputs, are cut.

    Few tiles, of some 2^17 products at least, whose windows fit into half of the first cache level where they can.
    Weights that leave no room in the second level are cut into panels that do, so that they come from beyond it once;
    and so are the outputs where there are too few pixels for many threads.
    window: None where the input is read in place; window_bytes: what it should not exceed.
    """
    height, width = results
    wanted = max(1, height * width * products // TILE_PRODUCTS)
    panel_tiles = max(1, min(panels, weight_bytes // RESIDENT_WEIGHTS))
    areas = ceil_div(min(wanted, MANY_TILES), panel_tiles)
    rows = min(height, areas)
    whole = max(1, width // pixels)
    columns = 1 if height > 1 else _columns(whole, areas)
    if window is not None:
        while rows < height and scratch_bytes(results, pixels, rows, 1, window) > window_bytes:
            rows += 1
        while columns < whole and scratch_bytes(results, pixels, rows, columns, window) > window_bytes:
            columns = _columns(whole, columns + 1)
    missing = ceil_div(min(wanted, MANY_TILES), rows * columns)
    return Tiles(
        rows, columns, scratch_bytes(results, pixels, rows, columns, window), max(panel_tiles, min(panels, missing))
    )


def _columns(register_tiles: int, least: int) -> int:
    """In how many equal parts, `least` or more, so many register tiles are cut."""
    return next(
        (n for n in range(min(least, register_tiles), register_tiles) if register_tiles % n == 0), register_tiles
    )
