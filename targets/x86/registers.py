"""How sums of products are cut: register tiles of pixels by vectors of outputs, and tiles for threads and cache."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.targets.x86.levels import LEVELS

MOST_PIXELS, MOST_VECTORS, MOST_SUMS = 16, 8, 32  # as in x86_sums.h
_TILE_PRODUCTS = 1 << 19  # about a microsecond of work: what it costs to wake a thread
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


@dataclass(frozen=True)
class RegisterTile:
    """pixels neighbours in a row by vectors of outputs, a panel; the outputs beyond whole panels take last_vectors."""

    pixels: int
    vectors: int
    last_vectors: int


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def choose_register_tile(dot: Dot, width: int, outputs: int, groups: int) -> RegisterTile:
    """The fastest tile for rows of `width` pixels with `outputs` outputs, each the sum of `groups` groups of products.

    The model: two vector multiplications and two loads a cycle; a chain of four cycles from sum to sum; a few
    instructions for each sum at the end, and for each tile.
    """
    vectors_of_all = ceil_div(outputs, dot.lanes)
    best: tuple[float, RegisterTile] | None = None
    for vectors in range(1, min(vectors_of_all, MOST_VECTORS) + 1):
        full, rest = divmod(outputs, vectors * dot.lanes)
        last = ceil_div(rest, dot.lanes)
        for pixels in range(1, min(width, MOST_PIXELS) + 1):
            sums = pixels * vectors
            if sums > MOST_SUMS or (pixels > 1 and sums + vectors + 1 + dot.spare > dot.registers):
                continue
            cycles = full * _tile_cycles(dot, pixels, vectors, groups)
            if last:
                cycles += _tile_cycles(dot, pixels, last, groups)
            cycles *= ceil_div(width, pixels)
            if best is None or cycles < best[0]:
                best = (cycles, RegisterTile(pixels, vectors, last))
    assert best is not None
    return best[1]


def _tile_cycles(dot: Dot, pixels: int, vectors: int, groups: int) -> float:
    step = max(pixels * vectors * dot.instructions / 2, (pixels + vectors) / 2, 4.5) + 0.3
    return groups * step + 2.5 * pixels * vectors + 8


@dataclass(frozen=True)
class Tiles:
    """An image cut into rows x columns tiles, and the scratch memory that a tile needs for its window."""

    rows: int
    columns: int
    scratch_bytes: int


def choose_tiles(
    out_height: int, out_width: int, products_per_pixel: int, pixels: int, window_bytes: Window | None
) -> Tiles:
    """Few tiles, of some 2^19 products or more, whose windows fit into half of the first cache level where they can.

    A tile is never narrower than a register tile of `pixels`. window_bytes: None where the input is read in place.
    """
    wanted = max(1, out_height * out_width * products_per_pixel // _TILE_PRODUCTS)
    rows = min(out_height, wanted)
    columns = 1 if out_height > 1 else max(1, min(wanted, out_width // pixels))
    if window_bytes is not None:
        while rows < out_height and window_bytes(ceil_div(out_height, rows), out_width) > WINDOW_BYTES:
            rows += 1
        while out_width // (columns + 1) >= pixels and (
            window_bytes(ceil_div(out_height, rows), ceil_div(out_width, columns)) > WINDOW_BYTES
        ):
            columns += 1
        return Tiles(rows, columns, window_bytes(ceil_div(out_height, rows), ceil_div(out_width, columns)))
    return Tiles(rows, columns, 0)


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
