"""Rows for exact sums of products with constant weights: QConv of group 1 as an implicit matrix product, and QGemm.

A matrix product a [M, K] @ b [K, N] is the convolution 1x1 of an image of one row, M pixels wide, with K channels and N
outputs; so is a convolution 1x1 without strides and pads, whose pixels are one row, images and all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    KernelKnob,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.compiler.tuning import Setting, setting_of
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import operand, zero_point
from subbyte.targets.common.geometry import stored_bits
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.sums import (
    Geometry,
    SumOfProducts,
    bias_of,
    data_of,
    geometry,
    is_sum_of_products,
    may_reach_int32,
    per_output,
    weights_of,
)
from subbyte.targets.common.tiles import RegisterTile, Tiles, ceil_div, padded_to, scratch_bytes
from subbyte.targets.x86.dots import DOTS, WORDS
from subbyte.targets.x86.packing import PackedWeights, layout_id, pack_weights
from subbyte.targets.x86.registers import (
    MOST_PIXELS,
    MOST_VECTORS,
    PANEL_PIECES,
    PIECES,
    Dot,
    Window,
    choose_register_tile,
    choose_tiles,
    fits_registers,
)
from subbyte.targets.x86.rows import is_unsigned_grid, row, sharing_seconds

_RESIDENT_WORDS = 16 * 1024  # bytes of weights that stay in the first cache level beside a window


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a call needs, for one instruction."""

    geometry: Geometry
    dot: Dot
    register_tile: RegisterTile
    tiles: Tiles
    in_window: bool
    packed: PackedWeights
    bias: NDArray[np.int32]


KNOBS = (
    KernelKnob("pixels", "neighbours in a row whose sums are in registers together", tuple(range(1, MOST_PIXELS + 1))),
    KernelKnob("vectors", "vectors of outputs of each of them", tuple(range(1, MOST_VECTORS + 1))),
    KernelKnob("row_tiles", "pieces that the rows of an image are cut into", PIECES),
    KernelKnob("column_tiles", "pieces that its columns are cut into", PIECES),
    KernelKnob("panel_tiles", "pieces that its outputs are cut into, each with its own weights", PANEL_PIECES),
)


def _fits(op: SumOfProducts, setting: Mapping[str, int], dot: Dot) -> bool:
    """Whether the register tile fits into an area and into the registers, and no piece is empty."""
    p = _cut(op, dot, **setting)
    g, pixels, vectors = p.geometry, p.register_tile.pixels, p.register_tile.vectors
    return (
        fits_registers(dot, pixels, vectors)
        and p.tiles.rows <= g.results[0]
        and p.tiles.columns * pixels <= g.results[1]
        and p.tiles.panels <= ceil_div(g.outputs, vectors * dot.lanes)
    )


@dataclass(frozen=True)
class Cut:
    """A convolution, and how it is cut for one instruction."""

    geometry: Geometry
    register_tile: RegisterTile
    tiles: Tiles
    in_window: bool


def _cut(op: SumOfProducts, dot: Dot, **asked: int) -> Cut:
    """The register tile and the tiles for `op`: as `asked` by the names of the knobs, else chosen."""
    g = geometry(op)
    runs, products = g.runs
    groups = runs * ceil_div(products, dot.group)
    register_tile = choose_register_tile(
        dot, g.results[1], g.outputs, groups, asked.get("pixels"), asked.get("vectors")
    )
    in_window = dot.words or stored_bits(data_of(op).type) < 8 or not g.stays_inside or products % dot.group != 0
    window = Window(g.strides, g.reach, g.channels, dot) if in_window else None
    pixels, panel_outputs = register_tile.pixels, register_tile.vectors * dot.lanes
    panels, weights = ceil_div(g.outputs, panel_outputs), g.outputs * groups * dot.group
    tiles = choose_tiles(*g.results, g.outputs * runs * products, pixels, window, panels, weights)
    rows, columns = asked.get("row_tiles", tiles.rows), asked.get("column_tiles", tiles.columns)
    scratch = scratch_bytes(g.results, pixels, rows, columns, window)
    tiles = Tiles(rows, columns, scratch, asked.get("panel_tiles", tiles.panels))
    return Cut(g, register_tile, tiles, in_window)


@lru_cache(maxsize=8)
def plan(op: SumOfProducts, dot: Dot, setting: Setting = ()) -> Plan:
    """Pack the weights and fold the zero point of the input into the bias; choose the tiles."""
    cut = _cut(op, dot, **dict(setting))
    weights = weights_of(op)
    bias = bias_of(op, weights)
    return Plan(
        cut.geometry,
        dot,
        cut.register_tile,
        cut.tiles,
        cut.in_window,
        pack_weights(weights, dot, cut.register_tile.vectors, data_of(op).type.code_range()[1]),
        padded_to(bias, 0, dot.lanes).astype(np.int32),
    )


def conv_struct(op: SumOfProducts, cut: Cut, held: tuple[int, int] = (0, 0)) -> ConstantStruct:
    """The struct subbyte_x86_conv of kernels/x86_sums.h; held: its runs and groups of that name."""
    g, r = cut.geometry, op.requantization
    return ConstantStruct(
        "subbyte_x86_conv",
        (
            ("height", g.extents[0]),
            ("width", g.extents[1]),
            ("channels", g.channels),
            ("out_height", g.results[0]),
            ("out_width", g.results[1]),
            ("outputs", g.outputs),
            ("kernel_height", g.kernel[0]),
            ("kernel_width", g.kernel[1]),
            ("stride_height", g.strides[0]),
            ("stride_width", g.strides[1]),
            ("dilation_height", g.dilations[0]),
            ("dilation_width", g.dilations[1]),
            ("pad_top", g.begins[0]),
            ("pad_left", g.begins[1]),
            ("row_tiles", cut.tiles.rows),
            ("column_tiles", cut.tiles.columns),
            ("panel_tiles", cut.tiles.panels),
            ("pixels", cut.register_tile.pixels),
            ("vectors", cut.register_tile.vectors),
            ("last_vectors", cut.register_tile.last_vectors),
            ("window", int(cut.in_window)),
            ("x_zero", zero_point(data_of(op).type)),
            ("y_zero", 0 if r is None else r.zero_point),
            ("qmin", 0 if r is None else r.qmin),
            ("qmax", 0 if r is None else r.qmax),
            ("wide", int(may_reach_int32(op))),
            ("x_bits", stored_bits(data_of(op).type)),
            ("y_bits", 8 if r is None else stored_bits(op.type)),
            ("held_runs", held[0]),
            ("held_groups", held[1]),
        ),
    )


def _stored(packed: NDArray[np.int8], dot: Dot) -> NDArray[Any]:
    """The bytes of packed weights as the kernel reads them: each weight takes two where `dot` is WORDS."""
    return as_array(packed.astype("<i2").view(np.int8) if dot is WORDS else packed, np.int8)


def _call(op: SumOfProducts, dot: Dot, **knobs: int) -> Call:
    p = plan(op, dot, setting_of(knobs))
    r = op.requantization
    null = Integer(0)
    n4: tuple[Argument, ...] = ()
    if r is not None:
        shift = null if r.shift is None else per_output("shift", r.shift, p.geometry.outputs, dot.lanes)
        n4 = (per_output("multiplier", r.multiplier, p.geometry.outputs, dot.lanes), shift)
    more: tuple[Argument, ...] = (null, null, null)
    if p.packed.more.size:
        more = (
            ConstantArray("more_of", as_array(p.packed.more_of, np.int32)),
            ConstantArray("more_at", as_array(p.packed.more_at, np.int32)),
            ConstantArray("more_weights", _stored(p.packed.more, dot), layout_id(dot.lanes, dot.group)),
        )
    return Call(
        _symbol(dot, raw=r is None),
        (
            operand(op, data_of(op)),
            ConstantArray("weights", _stored(p.packed.main, dot), layout_id(dot.lanes, dot.group)),
            ConstantArray("bias", as_array(p.bias, np.int32)),
            *n4,
            *more,
            ResultPointer(),
            conv_struct(op, Cut(p.geometry, p.register_tile, p.tiles, p.in_window)),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=p.geometry.images * p.tiles.rows * p.tiles.columns * p.tiles.panels,
        scratch_bytes=p.tiles.scratch_bytes,
        proof="" if r is None else "N4 in float32",
    )


def _symbol(dot: Dot, *, raw: bool) -> str:
    return f"subbyte_x86_sums_u8s8{'s32' if raw else 'u8'}_{dot.name}"


def accepts_sums(op: SumOfProducts, *, raw: bool) -> bool:
    """As is_sum_of_products, from unsigned bytes to unsigned bytes; with `raw` to the sums themselves."""
    return (
        is_unsigned_grid(data_of(op).type) and (raw or is_unsigned_byte(op.dtype)) and is_sum_of_products(op, raw=raw)
    )


def _accepts(op: SumOfProducts, dot: Dot, *, raw: bool) -> bool:
    """What accepts_sums says; for WORDS also weights that stay in the first cache level."""
    if not accepts_sums(op, raw=raw):
        return False
    return dot is not WORDS or 2 * weights_of(op).size <= _RESIDENT_WORDS


@remembered
def _rests(op: SumOfProducts, dot: Dot) -> float:
    """How many products are left of weights, to one that is not."""
    packed = plan(op, dot).packed
    return packed.more.size / packed.main.size


def _cost(op: SumOfProducts, facts: TargetFacts, dot: Dot) -> float:
    """The products, and those that are left of weights which the instruction does not take at once; shared bytes.

    Neighbouring tiles copy rows of the input once more: the copy is counted for each row of the kernel.
    """
    del facts
    weights = weights_of(op)
    whole = not dot.saturates and weights.min() >= -128 and weights.max() <= 127  # no need to pack them for that
    rests = 0.0 if whole else _rests(op, dot)
    shared = sharing_seconds(data_of(op).type, geometry(op).kernel[0]) + sharing_seconds(op.type)
    return multiply_accumulates(op) * (1 + rests) / dot.rate * 1e-9 + shared


def _row(op: type[Node], dot: Dot, storage: Storage, *, raw: bool) -> Kernel:
    made = row(
        op,
        _symbol(dot, raw=raw),
        f"x86_sums_{dot.name}.h",
        storage,
        partial(_call, dot=dot),
        partial(_accepts, dot=dot, raw=raw),
        f"u8 s8 -> {'s32' if raw else 'u8'}",
        dot.features,
        partial(_cost, dot=dot),
        packed=True,
    )
    return replace(made, tile=(dot.lanes, dot.group), knobs=KNOBS, fits=partial(_fits, dot=dot))


def _rows() -> Iterator[Kernel]:
    for dot in (*DOTS, WORDS):
        for raw in (False, True):
            yield _row(QConv, dot, Storage.CHANNELS_LAST, raw=raw)
            yield _row(QGemm, dot, Storage.ROW_MAJOR, raw=raw)


ROWS = tuple(_rows())
