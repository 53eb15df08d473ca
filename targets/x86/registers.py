"""How sums of products are cut: register tiles of pixels by vectors of outputs, and tiles for threads and cache."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.targets.common.tiles import RegisterTile, Tiles, ceil_div, scratch_bytes
from subbyte.targets.x86.levels import LEVELS

PIECES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 56, 64, 96, 112, 128, 224)  # knobs may ask for
PANEL_PIECES = (1, 2, 3, 4, 6, 8, 12, 16)
MOST_PIXELS, MOST_VECTORS, MOST_SUMS = 16, 8, 32  # as in x86_sums.h
TILE_PRODUCTS = 1 << 19  # about a microsecond of work: what it costs to wake a thread
_TILE_WEIGHTS = 64 * 1024  # as long as that takes from beyond the second cache level
RESIDENT_WEIGHTS = 256 * 1024  # that the second cache level keeps beside other things
MANY_TILES = 16  # enough that a handful of threads end together
WINDOW_BYTES = 24 * 1024  # half of the first cache level; the other half is for weights


@dataclass(frozen=True)
class Registers:
    """The vector registers of an instruction set: how wide they are, and what the processor must have."""

    bytes: int
    features: frozenset[str]


REGISTERS = {
    "avx512": Registers(64, LEVELS["x86-64-v4"]),
    "avx2": Registers(32, LEVELS["x86-64-v3"]),
}


@dataclass(frozen=True)
class Dot:
    """An instruction sequence that adds products to 32-bit lanes.

    name: the suffix of its kernels. lanes: sums in a register; group: products a lane gains at a time.
    registers: how many there are; spare: those it needs beside sums, weights and inputs.
    instructions: a vector of `group` products; rate: products a nanosecond at full speed, for costs.
    """

    name: str
    lanes: int
    group: int
    registers: int
    spare: int
    instructions: int
    rate: float
    features: frozenset[str]

    @property
    def saturates(self) -> bool:
        """Two products are added in 16 bits."""
        return self.name.endswith("maddubs")

    @property
    def words(self) -> bool:
        """The products are of 16-bit integers."""
        return self.group == 2

    @property
    def cell_bytes(self) -> int:
        """Bytes of an input code as the instruction reads it."""
        return 4 // self.group


def fits_registers(dot: Dot, pixels: int, vectors: int) -> bool:
    """Whether the sums of a register tile stay in registers, beside what adding to them needs."""
    sums = pixels * vectors
    return sums <= MOST_SUMS and (pixels == 1 or sums + vectors + 1 + dot.spare <= dot.registers)


def choose_register_tile(
    dot: Dot, width: int, outputs: int, groups: int, pixels: int | None = None, vectors: int | None = None
) -> RegisterTile:
    """The fastest tile for rows of `width` pixels with `outputs` outputs, each the sum of `groups` groups of products.

    pixels, vectors: those of the tile, where they are not to be chosen; it may then be none that fits.

    The model: two vector multiplications and two loads a cycle; a chain of four cycles from sum to sum; a few
    instructions for each sum at the end, and for each tile.
    """
    most = min(ceil_div(outputs, dot.lanes), MOST_VECTORS)
    best: tuple[float, RegisterTile] | None = None
    for wide in range(1, most + 1) if vectors is None else (vectors,):
        full, rest = divmod(outputs, wide * dot.lanes)
        last = ceil_div(rest, dot.lanes)
        for long in range(1, min(width, MOST_PIXELS) + 1) if pixels is None else (pixels,):
            if not fits_registers(dot, long, wide):
                continue
            cycles = full * _tile_cycles(dot, long, wide, groups)
            if last:
                cycles += _tile_cycles(dot, long, last, groups)
            cycles *= ceil_div(width, long)
            if best is None or cycles < best[0]:
                best = (cycles, RegisterTile(long, wide, last))
    if best is None:
        chosen = vectors or 1
        return RegisterTile(pixels or 1, chosen, ceil_div(outputs % (chosen * dot.lanes), dot.lanes))
    return best[1]


def _tile_cycles(dot: Dot, pixels: int, vectors: int, groups: int) -> float:
    step = max(pixels * vectors * dot.instructions / 2, (pixels + vectors) / 2, 4.5) + 0.3
    return groups * step + 2.5 * pixels * vectors + 8


def choose_tiles(
    height: int,
    width: int,
    products: int,
    pixels: int,
    window: Window | None,
    panels: int = 1,
    weight_bytes: int = 0,
) -> Tiles:
    """How results [height, width] of `products` products a pixel, in `panels` panels of outputs, are cut.

    Few tiles, of some 2^19 products or 64 KiB of weights at least, whose windows fit into half of the first cache level
    where they can. Weights that leave no room in the second level are cut into panels that do, so that they come from
    beyond it once; and so are the outputs where there are too few pixels for many threads.
    window: None where the input is read in place.
    """
    results = (height, width)
    wanted = max(1, height * width * products // TILE_PRODUCTS, weight_bytes // _TILE_WEIGHTS)
    panel_tiles = max(1, min(panels, weight_bytes // RESIDENT_WEIGHTS))
    areas = wanted if panel_tiles == 1 else ceil_div(min(wanted, MANY_TILES), panel_tiles)
    rows = min(height, areas)
    whole = max(1, width // pixels)
    columns = 1 if height > 1 else _columns(whole, areas)
    if window is not None:
        while rows < height and scratch_bytes(results, pixels, rows, 1, window) > WINDOW_BYTES:
            rows += 1
        while columns < whole and scratch_bytes(results, pixels, rows, columns, window) > WINDOW_BYTES:
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


@dataclass(frozen=True)
class Window:
    """The input of a tile as copied to scratch: its bytes by the rows and columns of the result."""

    strides: tuple[int, int]
    reach: tuple[int, int]  # rows and columns that one pixel needs
    channels: int
    dot: Dot

    def __call__(self, rows: int, columns: int) -> int:
        height = (rows - 1) * self.strides[0] + self.reach[0]
        width = (columns - 1) * self.strides[1] + self.reach[1]
        return (height * width * self.channels + self.dot.group) * self.dot.cell_bytes
