"""Rows for exact sums of products by tables of partial sums in memory: kernels/arm_partial_sums.h, NEON alone.

The input has codes of at most 3 bits, whatever type holds them; the weights are any constant bytes.
docs/partial-sums.md is about the idea.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.target import Call, ConstantArray, ConstantStruct, Kernel, Storage, TargetFacts
from subbyte.targets.arm.partial_sums import MOST_CELLS, ROW_BYTES, Blocks, Cells, PartialWeights, cells_for
from subbyte.targets.arm.rows import AARCH32, AARCH64, CYCLE, row, sharing_seconds
from subbyte.targets.arm.sums import Cut, accepts_sums, sums_call
from subbyte.targets.arm.tiles import LINE
from subbyte.targets.common.constants import zero_point
from subbyte.targets.common.geometry import stored_bits
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.sums import Geometry, SumOfProducts, data_of, geometry, weights_of
from subbyte.targets.common.tiles import Tiles, ceil_div

_PIXELS = 4  # areas are padded to a multiple: SUBBYTE_ARM_PARTIAL_PIXELS
_SLOT_BYTES = 2
_BEYOND = 8  # slots that may be written behind a plane: SUBBYTE_ARM_PARTIAL_BEYOND
_TABLES = 2 * 64 * 16 * MOST_CELLS  # bytes of the tables of a block
_WEIGHTS = ROW_BYTES * (6 * MOST_CELLS + 8)  # of its weights as they are expanded
_SUMS_BYTES = 128 * 1024  # that the second cache level holds beside a window
_MANY_THREADS = 4
_MANY_BLOCKS = 6  # ways to cut a run that are tried, of the largest blocks that fit
_L1_BYTES = 32 * 1024
_OTHER_ROWS = 1.15  # what rows cost that are not loaded as the core prefers
_TILE_CYCLES = 50_000  # of work for each of so many threads


@dataclass(frozen=True)
class Pipeline:
    """Cycles of a core.

    lookup: of the rows of a cell for a pixel, both halves; block: to add the sums of a block of a pixel to its sums.
    row: to build one of the tables; weight: to expand a weight of a panel. cell: to make one of the window.
    result: to make one of its sum. missing: for each block of a pixel whose sums are not in the first cache level.
    split: rows are faster as two loads at constant distances than as a pair.
    Source: llvm-mca 19 for the loops of arm_partial_*.h (benchmarks/arm); for the A7 the instructions of the A9, those
        of registers counted twice.
    """

    lookup: float
    block: float
    row: float
    weight: float
    cell: float
    result: float
    missing: float
    split: bool


_PIPELINES = {
    "cortex-a7": Pipeline(9.0, 20.0, 6.0, 20.0, 4.0, 9.0, 8.0, False),
    "cortex-a9": Pipeline(5.0, 3.5, 2.5, 9.0, 1.5, 6.7, 6.0, False),
    "cortex-a55": Pipeline(4.5, 15.0, 4.0, 15.0, 2.2, 5.0, 4.0, True),
    "cortex-a72": Pipeline(2.42, 4.8, 4.0, 7.0, 1.0, 2.1, 2.0, True),
    "neoverse-n1": Pipeline(1.15, 8.3, 2.0, 4.0, 0.7, 1.4, 1.0, True),
    "neoverse-n2": Pipeline(1.15, 8.3, 2.0, 4.0, 0.7, 1.4, 1.0, True),
}
_IN_ORDER = Pipeline(4.94, 11.5, 3.9, 16.0, 2.2, 5.2, 4.0, False)  # cortex-a53


def _pipeline(core: str) -> Pipeline:
    return _PIPELINES.get(core, _IN_ORDER)


@dataclass(frozen=True)
class Shape:
    """A sum of products put into blocks: as many of so many `runs` of `run` cells, cells_of_pixel of a pixel."""

    cells: Cells
    joined: bool
    blocks: Blocks
    runs: int
    run: int
    cells_of_pixel: int

    @property
    def largest(self) -> int:
        """Cells of the largest block."""
        return self.blocks.largest(self.run)


@dataclass(frozen=True)
class Plan:
    """How a sum is computed, how its image is cut, and the cycles that takes."""

    shape: Shape
    tiles: Tiles
    cycles: float


def _input_qmax(op: SumOfProducts) -> int | None:
    """The largest code that a window holds; None where one may be negative."""
    data = data_of(op).type
    low, high = data.code_range()
    if not geometry(op).stays_inside:  # the padding is made of zero points
        low, high = min(low, zero_point(data)), max(high, zero_point(data))
    return high if low >= 0 else None


def _weights(op: SumOfProducts, cells: Cells, joined: bool, input_qmax: int) -> PartialWeights:
    g, values = geometry(op), weights_of(op)
    return PartialWeights(values.reshape(len(values), *g.kernel, g.channels), input_qmax, cells, joined)


def _is_joined(g: Geometry, cells: Cells) -> bool:
    """Whether the cells of a row of the kernel stand side by side in the window."""
    return g.dilations[1] == 1 and ceil_div(g.channels, cells.codes) <= MOST_CELLS


@remembered
def plan(op: SumOfProducts, core: str) -> Plan | None:
    """The fastest way for a core that fits; None where there is none."""
    input_qmax = _input_qmax(op)
    if input_qmax is None:
        return None
    g, best = geometry(op), None
    for cells in cells_for(input_qmax):
        joined = _is_joined(g, cells)
        weights = _weights(op, cells, joined, input_qmax)
        for wide in (False, True):
            counts = sorted({ceil_div(weights.run, size) for size in range(1, min(MOST_CELLS, weights.run) + 1)})
            fitting = [blocks for blocks in (Blocks(count, wide) for count in counts) if weights.fits(blocks)]
            for blocks in fitting[:_MANY_BLOCKS]:
                shape = Shape(cells, joined, blocks, weights.runs, weights.run, weights.cells_of_pixel)
                for tiles in _tilings(g, shape):
                    cycles = _cycles(g, shape, tiles, core)
                    if best is None or cycles < best.cycles:
                        best = Plan(shape, tiles, cycles)
    return best


@dataclass(frozen=True)
class Parts:
    """Bytes of the parts of scratch, in their order."""

    tables: int
    weights: int
    places: int
    sums: int
    unpacked: int
    window: int

    @property
    def all(self) -> int:
        return self.tables + self.weights + self.places + self.sums + self.unpacked + self.window


def _lines(size: int) -> int:
    return ceil_div(size, LINE) * LINE


def _reach(results: int, kernel: int, stride: int, dilation: int) -> int:
    """Rows or columns of a window: subbyte_arm_partial_reach."""
    return results if kernel == 1 else (results - 1) * stride + (kernel - 1) * dilation + 1


def _parts(g: Geometry, shape: Shape, tiles: Tiles, packed: bool = False) -> Parts:
    """For the largest area; packed: codes of the input share bytes."""
    rows, columns = _largest_area(g, tiles)
    pixels = ceil_div(rows * columns, _PIXELS) * _PIXELS
    high = _reach(rows, g.kernel[0], g.strides[0], g.dilations[0])
    broad = _reach(columns, g.kernel[1], g.strides[1], g.dilations[1])
    of_plane, planes = (shape.cells_of_pixel, 1) if shape.joined else (shape.largest, shape.blocks.count)
    window = planes * (high * broad * of_plane + _BEYOND)
    unpacked = min(g.extents[1], broad * g.strides[1]) * g.channels if packed else 0
    return Parts(_TABLES, _WEIGHTS, _lines(4 * pixels), 64 * pixels, _lines(unpacked), _lines(_SLOT_BYTES * window))


def _largest_area(g: Geometry, tiles: Tiles) -> tuple[int, int]:
    """Rows and columns of the largest area."""
    height, width = g.results
    pixels = min(_PIXELS, width)
    if tiles.columns == 1:
        return ceil_div(height, tiles.rows), width
    return ceil_div(height, tiles.rows), ceil_div(width // pixels, tiles.columns) * pixels + width % pixels


def _tilings(g: Geometry, shape: Shape) -> Iterator[Tiles]:
    """Areas of whole rows, or parts of the only one, whose sums stay near; outputs in one piece or many."""
    height, width = g.results
    panels = ceil_div(g.outputs, shape.blocks.panel)
    most = height if height > 1 else max(1, width // _PIXELS)
    for areas in sorted({ceil_div(most, size) for size in range(1, most + 1)}):
        rows, columns = (areas, 1) if height > 1 else (1, areas)
        sums = _parts(g, shape, Tiles(rows, columns, 0)).sums
        if sums > _SUMS_BYTES and areas < most:
            continue
        for pieces in sorted({1, min(panels, ceil_div(_MANY_THREADS, areas))}):
            yield Tiles(rows, columns, 0, pieces)
        if areas >= 4 * _MANY_THREADS and sums <= _SUMS_BYTES // 8:
            break


def _cycles(g: Geometry, shape: Shape, tiles: Tiles, core: str) -> float:
    """Of all tiles one after the other, and a tenth for every tile that threads would miss."""
    p = _pipeline(core)
    height, width = g.results
    areas = tiles.rows * tiles.columns
    own = _parts(g, shape, tiles)
    rows = shape.cells.rows
    panels, last = divmod(g.outputs, shape.blocks.panel)
    of_last = 0.0 if not last else 0.55 if last <= shape.blocks.panel // 2 else 1.0  # of the time of a whole panel
    of_pixel = shape.runs * shape.run
    near = own.sums + shape.largest * rows * ROW_BYTES <= _L1_BYTES
    add = of_pixel * p.lookup + shape.runs * shape.blocks.count * (p.block + (0 if near else p.missing))
    build = areas * of_pixel * (rows * p.row + shape.cells.codes * p.weight)
    high, broad = _largest_area(g, tiles)
    of_window = _reach(high, g.kernel[0], g.strides[0], g.dilations[0])
    of_window *= _reach(broad, g.kernel[1], g.strides[1], g.dilations[1])
    window = areas * tiles.panels * of_window * shape.cells_of_pixel * p.cell
    total = height * width * (add * (panels + of_last) + g.outputs * p.result)
    total += build * (panels + bool(last)) + window
    wanted = min(_MANY_THREADS, max(1, int(g.images * total / _TILE_CYCLES)))
    return float(g.images * total * (1 + 0.1 * max(0, wanted - g.images * areas * tiles.panels)))


def _accepts(op: SumOfProducts, *, core: str, raw: bool) -> bool:
    return accepts_sums(op, raw=raw) and plan(op, core) is not None


@lru_cache(maxsize=16)
def _packed(op: SumOfProducts, shape: Shape) -> tuple[ConstantArray, ConstantArray, tuple[int, int, int, int]]:
    """The weights, their levels, and offset, start, weight_bits and panel_bytes of the struct."""
    weights = _weights(op, shape.cells, shape.joined, _input_qmax(op) or 0)
    blocks, bits = shape.blocks, weights.weight_bits
    packed = weights.packed(blocks)
    layout = f"o{blocks.panel}k{shape.cells.codes}x{blocks.count}_{bits}bit"
    numbers = (weights.offset(blocks), weights.start(blocks), bits, packed.shape[1])
    return ConstantArray("weights", packed, layout), ConstantArray("levels", weights.levels), numbers


def _struct(
    op: SumOfProducts, p: Plan, parts: Parts, numbers: tuple[int, int, int, int], *, split: bool
) -> ConstantStruct:
    """The struct subbyte_arm_partial_sums of kernels/arm_partial_cells.h."""
    shape, g = p.shape, geometry(op)
    cells, joined, count = shape.cells, shape.joined, shape.blocks.count
    left = g.channels - (shape.cells_of_pixel - 1) * cells.codes  # channels of the last cell
    offset, start, weight_bits, panel_bytes = numbers
    return ConstantStruct(
        "subbyte_arm_partial_sums",
        (
            ("code_bits", cells.bits),
            ("codes", cells.codes),
            ("split", int(split)),
            ("wide", int(shape.blocks.wide)),
            ("cells", shape.cells_of_pixel),
            ("planes", 1 if joined else count),
            ("of_plane", shape.cells_of_pixel if joined else shape.largest),
            ("side", g.kernel[1] if joined else 1),
            ("parts", count if joined else 1),
            ("zero_cell", 0 if g.stays_inside else cells.of(zero_point(data_of(op).type))),
            ("last_mask", (1 << (cells.bits * left)) - 1),
            ("offset", offset),
            ("start", start),
            ("weight_bits", weight_bits),
            ("panel_bytes", panel_bytes),
            ("x_bytes", data_of(op).type.bytes),
            ("tables_bytes", parts.tables),
            ("weights_bytes", parts.weights),
            ("places_bytes", parts.places),
            ("sums_bytes", parts.sums),
            ("unpacked_bytes", parts.unpacked),
        ),
    )


def _call(op: SumOfProducts, core: str, split: bool) -> Call:
    p = plan(op, core)
    assert p is not None
    g, panel = geometry(op), p.shape.blocks.panel
    parts = _parts(g, p.shape, p.tiles, stored_bits(data_of(op).type) < 8)
    tiles = replace(p.tiles, scratch_bytes=parts.all)
    cut = Cut(g, min(_PIXELS, g.results[1]), panel, 0 if g.outputs % panel == 0 else panel, tiles, False, 0)
    weights, levels, numbers = _packed(op, p.shape)
    struct = _struct(op, p, parts, numbers, split=split)
    return sums_call(_symbol(raw=op.requantization is None, split=split), op, cut, (weights, levels), (struct,))


def _symbol(*, raw: bool, split: bool) -> str:
    return f"subbyte_arm_sums{'_s32' if raw else ''}_partial{'_split' if split else ''}"


def _cost(op: SumOfProducts, facts: TargetFacts, core: str, split: bool) -> float:
    """The cycles of the plan on the core at hand; rows are loaded in pairs, or apart, as it prefers."""
    p = plan(op, core)
    assert p is not None
    cycles = _cycles(geometry(op), p.shape, p.tiles, facts.core)
    shared = sharing_seconds(data_of(op).type, p.tiles.panels) + sharing_seconds(op.type)
    return cycles * (1.0 if _pipeline(facts.core).split == split else _OTHER_ROWS) * CYCLE + shared


def _rows() -> Iterator[Kernel]:
    variants = (("cortex-a53", False, AARCH64), ("cortex-a72", True, AARCH64), ("cortex-a7", False, AARCH32))
    for core, split, features in variants:
        for raw in (False, True):
            kinds: tuple[tuple[type[Node], Storage], ...] = (
                (QConv, Storage.CHANNELS_LAST),
                (QGemm, Storage.ROW_MAJOR),
            )
            for op, storage in kinds:
                made = row(
                    op,
                    _symbol(raw=raw, split=split),
                    "arm_partial_sums.h",
                    storage,
                    partial(_call, core=core, split=split),
                    partial(_accepts, core=core, raw=raw),
                    f"u3 s8 -> {'s32' if raw else 'b8'}",
                    partial(_cost, core=core, split=split),
                    packed=True,
                    features=features,
                )
                yield replace(made, tile=(_PIXELS, ROW_BYTES))


ROWS = tuple(_rows())
