"""Rows for exact sums of products by tables of such sums: QConv of group 1 and QGemm, codes 0..3, few-valued weights.

The input is 1-bit or 2-bit codes, whatever type holds them, the weights are constants of at most four values. A few
neighbouring codes make a number of a table, whose entries are the sums of products for all weights that they may meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.common.constants import constant_of, operand, zero_point
from subbyte.targets.common.geometry import stored_bits
from subbyte.targets.common.lookup_weights import MOST_LEVELS, OUTPUTS, SEXTETS, Cells, LookupWeights, choose_cells
from subbyte.targets.common.sums import Geometry, SumOfProducts, data_of, geometry, per_output, weights_of
from subbyte.targets.common.tiles import RegisterTile, Tiles, ceil_div, padded_to, scratch_bytes
from subbyte.targets.x86.kernels_sums import Cut, accepts_sums, conv_struct
from subbyte.targets.x86.registers import MANY_TILES, REGISTERS, RESIDENT_WEIGHTS, WINDOW_BYTES
from subbyte.targets.x86.rows import row, sharing_seconds

MOST_PIXELS, MOST_VECTORS = 8, 4  # as in kernels/x86_lookup_sums.h
_MANY_THREADS = 8  # tiles that are wanted of an operation, where each has so much work:
_TILE_NS = 10000.0
_CELL_NS = 0.12  # to make a cell of the window
_WEIGHT_NS = 0.05  # to fetch a byte of weights from beyond the second cache level
_SPARE_REGISTERS = 3  # a row of the tables, what is picked of it, a mask


@dataclass(frozen=True)
class Lookup:
    """An instruction that looks bytes up.

    name: the suffix of its kernels. block: outputs of a vector; registers: how many compilers use without spills.
    sextets: it looks up in 64 entries, else in 16.
    lookup_ns, row_ns, weights_ns, step_ns: what a look-up with its addition takes, a row of a table, a vector of
        weights, a cell of all pixels. flush_ns: the end of a chunk, for each vector of 8-bit sums; finish_ns: what
        makes results of its sums. All are fitted to the times of 3x3 convolutions at 28x28 by all register tiles.
    """

    name: str
    block: int
    registers: int
    sextets: bool
    lookup_ns: float
    row_ns: float
    weights_ns: float
    step_ns: float
    flush_ns: float
    finish_ns: float
    features: frozenset[str]

    def cells(self, levels: int, input_qmax: int) -> Cells | None:
        """How codes become cells."""
        return choose_cells(levels, input_qmax, sextets=self.sextets)

    def nanoseconds(self, cells: Cells, pixels: int, vectors: int, of_pixel: int, chunks: int) -> float:
        """What a register tile of pixels by vectors takes whose window has of_pixel cells."""
        loads = ceil_div(vectors, 2) if cells.form == OUTPUTS else vectors
        step = cells.lookups * (pixels * (vectors * self.lookup_ns + self.row_ns) + loads * self.weights_ns)
        return of_pixel * (step + self.step_ns) + pixels * vectors * (chunks * self.flush_ns + self.finish_ns)


_AVX2, _AVX512 = REGISTERS["avx2"], REGISTERS["avx512"]
LOOKUPS = (
    Lookup("avx512vbmi", 64, 24, True, 0.07, 0.19, 0.34, 0.0, 0.4, 2.0, _AVX512.features | {"avx512vbmi"}),
    Lookup("avx512", 64, 24, False, 0.16, 0.08, 0.08, 0.09, 0.3, 2.0, _AVX512.features),
    Lookup("avx2", 32, 13, False, 0.09, 0.07, 0.08, 0.06, 0.9, 9.5, _AVX2.features),
)


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a call needs but the weights in their vectors."""

    cut: Cut
    weights: LookupWeights
    chunk: int
    nanoseconds: float


@dataclass(frozen=True)
class CellWindow:
    """The input of a tile as cells in scratch: its bytes by the rows and columns of the result."""

    geometry: Geometry
    cells: int

    def __call__(self, rows: int, columns: int) -> int:
        g = self.geometry
        height = (rows - 1) * g.strides[0] + g.reach[0]
        width = (columns - 1) * g.strides[1] + g.reach[1]
        return height * width * self.cells + 8  # a store of eight cells may reach beyond the last


def _lookup_weights(op: SumOfProducts, lookup: Lookup) -> LookupWeights | None:
    """The weights as they are looked up; None where they have too many values, or the input too many codes."""
    g, values = geometry(op), weights_of(op)
    high = data_of(op).type.code_range()[1]
    if not g.stays_inside:  # the padding is made of zero points
        high = max(high, zero_point(data_of(op).type))
    cells = lookup.cells(np.unique(values).size, high)
    if cells is None:
        return None
    return LookupWeights(values.reshape(*values.shape[:2], -1, g.channels), high, cells)


def _in_place(op: SumOfProducts, g: Geometry, cells: Cells) -> bool:
    """Whether the input lies in memory as cells, with all that the windows need."""
    return stored_bits(data_of(op).type) == cells.code_bits and g.stays_inside and cells.form != SEXTETS


@lru_cache(maxsize=16)
def plan(op: SumOfProducts, lookup: Lookup) -> Plan | None:
    """How `op` is computed by look-ups, in the least time; None where it cannot be."""
    weights = _lookup_weights(op, lookup)
    if weights is None or weights.chunk is None:
        return None
    g = geometry(op)
    window = None if _in_place(op, g, weights.cells) else CellWindow(g, weights.cells_of_pixel)
    cuts = ((_nanoseconds(cut, lookup, weights, window), cut) for cut in _cuts(lookup, g, weights, window))
    nanoseconds, cut = min(cuts, key=lambda each: each[0])
    return Plan(cut, weights, weights.chunk, nanoseconds)


def _cuts(lookup: Lookup, g: Geometry, weights: LookupWeights, window: CellWindow | None) -> Iterator[Cut]:
    """The ways to cut that may be the fastest: register tiles that stay in registers, tiles for several threads."""
    height, width = g.results
    vectors = ceil_div(g.outputs, lookup.block)
    for wide in range(1, min(vectors, MOST_VECTORS) + 1):
        panels = ceil_div(vectors, wide)
        last = ceil_div(g.outputs % (wide * lookup.block), lookup.block)
        for high in range(1, min(height * width, MOST_PIXELS) + 1):
            if high > 1 and high * wide + wide + _SPARE_REGISTERS > lookup.registers:
                continue
            if lookup.sextets and high in (2, 3) and height * width > 3:  # slower than the model says, by a third
                continue
            register_tile = RegisterTile(high, wide, last)
            most = min(height if height > 1 else width // high, MANY_TILES)
            for areas in range(1, most + 1):
                rows, columns = (areas, 1) if height > 1 else (1, areas)
                scratch = scratch_bytes(g.results, high, rows, columns, window)
                if areas < most and scratch > WINDOW_BYTES:
                    continue
                for tiles in sorted({1, min(panels, ceil_div(_MANY_THREADS, areas)), min(panels, _MANY_THREADS)}):
                    yield Cut(g, register_tile, Tiles(rows, columns, scratch, tiles), window is not None)


def _nanoseconds(cut: Cut, lookup: Lookup, weights: LookupWeights, window: CellWindow | None) -> float:
    """What all tiles take, and what fewer tiles than threads cost."""
    g, tiles, tile = cut.geometry, cut.tiles, cut.register_tile
    (height, width), cells = g.results, weights.cells
    runs, taps = weights.values.shape[1:3]
    of_pixel = runs * taps * weights.cells_of_pixel
    chunks = runs * ceil_div(taps * weights.cells_of_pixel, weights.chunk or 1)
    full, rest = divmod(ceil_div(g.outputs, lookup.block), tile.vectors)
    of_tile = full * lookup.nanoseconds(cells, tile.pixels, tile.vectors, of_pixel, chunks)
    if rest:
        of_tile += lookup.nanoseconds(cells, tile.pixels, rest, of_pixel, chunks)
    if height > 1:
        tall = height % tiles.rows
        sizes = ((tall, height // tiles.rows + 1), (tiles.rows - tall, height // tiles.rows))
        register_tiles = sum(areas * ceil_div(rows * width, tile.pixels) for areas, rows in sizes)
        copied = sum(areas * window(rows, width) for areas, rows in sizes if rows) if window else 0
    else:
        register_tiles, copied = ceil_div(width, tile.pixels), window(1, width) if window else 0
    areas = tiles.rows * tiles.columns
    of_weights = of_pixel * full * tile.vectors * lookup.block // (2 if cells.form == OUTPUTS else 1)
    fetched = of_weights * (areas if of_weights > RESIDENT_WEIGHTS * tiles.panels else 1)
    total = register_tiles * of_tile + tiles.panels * copied * _CELL_NS + fetched * _WEIGHT_NS
    wanted = min(_MANY_THREADS, max(1, int(total / _TILE_NS)))
    return float(g.images * total * (1 + 0.1 * max(0, wanted - areas * tiles.panels)))


def _accepts(op: SumOfProducts, lookup: Lookup, *, raw: bool) -> bool:
    if not accepts_sums(op, raw=raw):
        return False
    made = plan(op, lookup)
    return made is not None and stored_bits(data_of(op).type) in (8, made.weights.cells.code_bits)


def _struct(op: SumOfProducts, p: Plan) -> ConstantStruct:
    """The struct subbyte_x86_lookup_sums of kernels/x86_lookup_sums.h."""
    cells, channels = p.weights.cells, p.cut.geometry.channels
    zeros = np.zeros(p.weights.cells_of_pixel * cells.codes, np.int64)
    if not p.cut.geometry.stays_inside:
        zeros[:channels] = zero_point(data_of(op).type)
    of_cells = cells.of(zeros.reshape(-1, cells.codes))
    return ConstantStruct(
        "subbyte_x86_lookup_sums",
        (
            ("form", cells.form),
            ("code_bits", cells.code_bits),
            ("cells", p.weights.cells_of_pixel),
            ("zero_cell", int(of_cells[0])),
            ("zero_last", int(of_cells[-1])),
            ("chunk", p.chunk),
            ("chunks", p.weights.chunks(p.chunk)),
        ),
    )


def _call(op: SumOfProducts, lookup: Lookup) -> Call:
    p = plan(op, lookup)
    assert p is not None
    g, r, values = p.cut.geometry, op.requantization, p.weights.values
    bias = np.zeros(g.outputs, np.int64) if op.bias is None else constant_of(op.bias).astype(np.int64)
    bias = bias - zero_point(data_of(op).type) * values.sum(axis=(1, 2, 3))
    n4: tuple[Argument, ...] = ()
    if r is not None:
        shift = Integer(0) if r.shift is None else per_output("shift", r.shift, g.outputs, lookup.block)
        n4 = (per_output("multiplier", r.multiplier, g.outputs, lookup.block), shift)
    layout = f"o{lookup.block}{p.weights.cells.layout}"
    return Call(
        _symbol(lookup, raw=r is None),
        (
            operand(op, data_of(op)),
            ConstantArray("weights", p.weights.vectors(lookup.block, p.cut.register_tile.vectors), layout),
            ConstantArray("tables", p.weights.tables),
            ConstantArray("bias", as_array(padded_to(bias, 0, lookup.block), np.int32)),
            *n4,
            ResultPointer(),
            conv_struct(op, p.cut),
            _struct(op, p),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=g.images * p.cut.tiles.rows * p.cut.tiles.columns * p.cut.tiles.panels,
        scratch_bytes=p.cut.tiles.scratch_bytes,
        proof="" if r is None else "N4 in float32",
    )


def _symbol(lookup: Lookup, *, raw: bool) -> str:
    return f"subbyte_x86_sums_{'s32' if raw else 'u8'}_lookup_{lookup.name}"


def _cost(op: SumOfProducts, facts: TargetFacts, lookup: Lookup) -> float:
    """What the register tiles take; the copy of the window is little beside them."""
    del facts
    p = plan(op, lookup)
    assert p is not None
    return p.nanoseconds * 1e-9 + sharing_seconds(op.type)


def _row(op: type[Node], lookup: Lookup, storage: Storage, *, raw: bool) -> Kernel:
    made = row(
        op,
        _symbol(lookup, raw=raw),
        f"x86_lookup_sums_{lookup.name}.h",
        storage,
        partial(_call, lookup=lookup),
        partial(_accepts, lookup=lookup, raw=raw),
        f"u2, {MOST_LEVELS} weights -> {'s32' if raw else 'u8'}",
        lookup.features,
        partial(_cost, lookup=lookup),
        packed=True,
    )
    return replace(made, tile=(lookup.block,))


def _rows() -> Iterator[Kernel]:
    for lookup in LOOKUPS:
        for raw in (False, True):
            yield _row(QConv, lookup, Storage.CHANNELS_LAST, raw=raw)
            yield _row(QGemm, lookup, Storage.ROW_MAJOR, raw=raw)


ROWS = tuple(_rows())
