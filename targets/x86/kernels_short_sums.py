"""Rows for exact sums of products that are added in 16 bits first, for instruction sets without VNNI.

`vpmaddubsw` adds pairs of products in 16 bits; widening them to 32 bits, as kernels_sums.py does for every four
products, costs as much as multiplying. Two ways save it, each where the weights at hand prove that no lane overflows:

* short: weights of few bits, in the order of kernels_sums.py; as many groups of products are added as every lane holds.
* bundles: weights of 8 bits. bundles.py says which fours of products may be added, for each vector of outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.numerics.accumulate import flush_interval_of_weights
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
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import stored_bits
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.sums import Geometry, SumOfProducts, bias_of, data_of, geometry, per_output, weights_of
from subbyte.targets.common.tiles import RegisterTile, ceil_div, padded_to
from subbyte.targets.x86.bundles import FOUR, Bundles, pack_bundles
from subbyte.targets.x86.kernels_sums import Cut, accepts_sums, conv_struct
from subbyte.targets.x86.packing import layout_id, pack_weights
from subbyte.targets.x86.registers import REGISTERS, Dot, Window, choose_tiles
from subbyte.targets.x86.rows import row

_AVX2, _AVX512 = REGISTERS["avx2"].features, REGISTERS["avx512"].features

# Rates on the scale of dots.py: of groups whose sums are never widened, and of fours that are widened one by one.
SHORT = (
    Dot("avx512_short", 16, FOUR, 32, 2, 2, 260.0, _AVX512),
    Dot("avx2_short", 8, FOUR, 16, 2, 2, 130.0, _AVX2),
)
BUNDLES = (
    Dot("avx512_bundles", 16, FOUR, 32, 3, 3, 160.0, _AVX512),
    Dot("avx2_bundles", 8, FOUR, 16, 3, 3, 80.0, _AVX2),
)
_MOST_PIXELS = {"avx512_bundles": 16, "avx2_bundles": 10}
_SHORT_VECTORS, _SHORT_PIXELS = 4, 14  # the most of a register tile
_WIDENING = 2.5  # groups whose time it takes to widen the sums of a register tile
_BUNDLE_TIME = (4 * 0.69, 2 * 0.8, 1.0)  # bundles of 4, 2 and 1 fours, where one four by itself takes 1
_SAMPLE_VECTORS = 2  # of outputs, for costs


@dataclass(frozen=True)
class Held:
    """What is added in 16 bits before it is widened: `runs` whole runs or, where that is 1, `groups` groups of one."""

    runs: int
    groups: int


@remembered
def held(op: SumOfProducts) -> Held | None:
    """The most that every lane holds, for the weights at hand and all codes of the input; None where a pair overflows.

    The groups of a run are cut into equal blocks.
    """
    weights = weights_of(op)
    if weights.min(initial=0) < -128 or weights.max(initial=0) > 127:
        return None
    low, high = data_of(op).type.code_range()
    outputs, runs, _ = weights.shape
    grouped = padded_to(weights, 2, FOUR)
    groups = grouped.shape[2] // FOUR
    lanes = grouped.reshape(outputs, runs * groups, 2, 2).transpose(0, 2, 1, 3).reshape(2 * outputs, runs * groups, 2)
    try:
        steps = flush_interval_of_weights(lanes, min(low, 0), high, 16, signed=True)
    except NumericsError:
        return None
    if steps >= 2 * groups:
        return Held(steps // groups, groups)
    return Held(1, ceil_div(groups, ceil_div(groups, steps)))


def _in_window(op: SumOfProducts, g: Geometry, *, whole: bool) -> bool:
    """Whether the input must be copied: it has padding, or shares bytes, or a read of four codes would leave it."""
    products = g.runs[1]
    beyond = products % FOUR != 0 if whole else products < FOUR
    return stored_bits(data_of(op).type) < 8 or not g.stays_inside or beyond


def _cut(op: SumOfProducts, dot: Dot, tile: RegisterTile, *, whole: bool) -> Cut:
    g = geometry(op)
    in_window = _in_window(op, g, whole=whole)
    window = Window(g.strides, g.reach, g.channels, dot) if in_window else None
    runs, products = g.runs
    panels = ceil_div(g.outputs, tile.vectors * dot.lanes)
    weight_bytes = g.outputs * runs * ceil_div(products, FOUR) * FOUR
    tiles = choose_tiles(*g.results, g.outputs * runs * products, tile.pixels, window, panels, weight_bytes)
    return Cut(g, tile, tiles, in_window)


def cut_short(op: SumOfProducts, dot: Dot) -> Cut:
    """The register tile that takes the least time: two products, or two loads, a cycle, and something for each tile."""
    g = geometry(op)
    groups = g.runs[0] * ceil_div(g.runs[1], FOUR)
    width, vectors_of_all = g.results[1], ceil_div(g.outputs, dot.lanes)

    def cycles(pixels: int, vectors: int) -> float:
        step = max(0.6 * pixels * vectors, 0.56 * (pixels + vectors)) + 0.3
        return groups * step + 3.5 * pixels * vectors + 8

    def time(tile: tuple[int, int]) -> float:
        pixels, vectors = tile
        full, last = divmod(vectors_of_all, vectors)
        return ceil_div(width, pixels) * (full * cycles(*tile) + (cycles(pixels, last) if last else 0.0))

    pixels, vectors = min(
        (
            (pixels, vectors)
            for vectors in range(1, min(vectors_of_all, _SHORT_VECTORS) + 1)
            for pixels in range(1, min(width, _SHORT_PIXELS) + 1)
            if pixels * vectors + vectors + dot.spare <= dot.registers or pixels == 1
        ),
        key=time,
    )
    last = ceil_div(g.outputs % (vectors * dot.lanes), dot.lanes)
    return _cut(op, dot, RegisterTile(pixels, vectors, last), whole=True)


def cut_bundles(op: SumOfProducts, dot: Dot) -> Cut:
    """Panels of one vector, with the pixels that cover a row in the least time."""
    g = geometry(op)
    width = g.results[1]
    groups = g.runs[0] * ceil_div(g.runs[1], FOUR)

    def cycles(pixels: int) -> float:
        step = max(0.8 * pixels, 0.5 * (pixels + 2)) + 0.4  # of a four: multiplications, loads
        return ceil_div(width, pixels) * (groups * step + 2.5 * pixels + 12)

    pixels = min(range(1, min(width, _MOST_PIXELS[dot.name]) + 1), key=cycles)
    return _cut(op, dot, RegisterTile(pixels, 1, int(g.outputs % dot.lanes > 0)), whole=False)


def _bias(op: SumOfProducts, weights: NDArray[np.int64], lanes: int) -> ConstantArray:
    """The bias, with the terms of the input's zero point."""
    return ConstantArray("bias", as_array(padded_to(bias_of(op, weights), 0, lanes), np.int32))


def _n4(op: SumOfProducts, lanes: int) -> tuple[Argument, ...]:
    """multiplier and shift, where there is a requantization."""
    r = op.requantization
    if r is None:
        return ()
    outputs = geometry(op).outputs
    shift = Integer(0) if r.shift is None else per_output("shift", r.shift, outputs, lanes)
    return per_output("multiplier", r.multiplier, outputs, lanes), shift


def _made(op: SumOfProducts, dot: Dot, cut: Cut, constants: tuple[Argument, ...], struct: ConstantStruct) -> Call:
    raw = op.requantization is None
    return Call(
        _symbol(dot, raw=raw),
        (
            operand(op, data_of(op)),
            *constants,
            ResultPointer(),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=cut.geometry.images * cut.tiles.rows * cut.tiles.columns * cut.tiles.panels,
        scratch_bytes=cut.tiles.scratch_bytes,
        proof="" if raw else "N4 in float32",
    )


def _call_short(op: SumOfProducts, dot: Dot) -> Call:
    cut, most, weights = cut_short(op, dot), held(op), weights_of(op)
    if most is None:
        raise NumericsError(f"{op.label} has weights whose pairs overflow 16 bits; '{dot.name}' does not multiply them")
    # A Dot of this name does not saturate: its pairs were proved not to, so the weights are packed as they are.
    packed = pack_weights(weights, dot, cut.register_tile.vectors, data_of(op).type.code_range()[1])
    constants: tuple[Argument, ...] = (
        ConstantArray("weights", as_array(packed.main, np.int8), layout_id(dot.lanes, FOUR)),
        _bias(op, weights, dot.lanes),
        *_n4(op, dot.lanes),
    )
    return _made(op, dot, cut, constants, conv_struct(op, cut, (most.runs, most.groups)))


def _pitch(cut: Cut) -> int:
    """Codes from a row of the window, or of the input where that is read in place, to the next."""
    g = cut.geometry
    if not cut.in_window:
        return g.extents[1] * g.channels
    pixels, width = cut.register_tile.pixels, g.results[1]
    widest = ceil_div(width // pixels, cut.tiles.columns) * pixels + width % pixels
    return ((widest - 1) * g.strides[1] + g.reach[1]) * g.channels


def places_in_window(packed: Bundles, cut: Cut) -> NDArray[np.int64]:
    """Where fours begin, in codes from the first of a window."""
    g = cut.geometry
    taps = 1 if g.dilations[1] == 1 else g.kernel[1]
    run, code = packed.places.astype(np.int64).T
    row, column = run // taps * g.dilations[0], run % taps * g.dilations[1]
    places: NDArray[np.int64] = row * _pitch(cut) + column * g.channels + code
    return places


def _call_bundles(op: SumOfProducts, dot: Dot) -> Call:
    cut, weights = cut_bundles(op, dot), weights_of(op)
    packed = pack_bundles(weights, dot.lanes, data_of(op).type.code_range()[1])
    constants: tuple[Argument, ...] = (
        ConstantArray("weights", as_array(packed.weights, np.int8), f"o{dot.lanes}k{FOUR} in bundles"),
        ConstantArray("bundles_of", as_array(packed.of, np.int32)),
        ConstantArray("bundles_at", as_array(places_in_window(packed, cut), np.int32)),
        _bias(op, weights, dot.lanes),
        *_n4(op, dot.lanes),
    )
    return _made(op, dot, cut, constants, conv_struct(op, cut))


def _symbol(dot: Dot, *, raw: bool) -> str:
    return f"subbyte_x86_sums_u8s8{'s32' if raw else 'u8'}_{dot.name}"


def _accepts_short(op: SumOfProducts, *, raw: bool) -> bool:
    return accepts_sums(op, raw=raw) and held(op) is not None


def _accepts_bundles(op: SumOfProducts, *, raw: bool) -> bool:
    if not accepts_sums(op, raw=raw):
        return False
    weights = weights_of(op)
    return bool(weights.min(initial=0) >= -128 and weights.max(initial=0) <= 127)


def _cost_short(op: SumOfProducts, facts: TargetFacts, dot: Dot) -> float:
    del facts
    most = held(op)
    groups = 1 if most is None else most.runs * most.groups
    return multiply_accumulates(op) * (1 + _WIDENING / groups) / dot.rate * 1e-9


@remembered
def _time_of_four(op: SumOfProducts, dot: Dot) -> float:
    """The time of four products in bundles, by the bundles of a few vectors of outputs; 1 for fours by themselves."""
    weights = weights_of(op)
    vectors = ceil_div(len(weights), dot.lanes)
    some = [vectors // 2 * dot.lanes + i for i in range(dot.lanes)] + list(range((_SAMPLE_VECTORS - 1) * dot.lanes))
    sample = weights[sorted({i for i in some if i < len(weights)})]
    packed = pack_bundles(sample, dot.lanes, data_of(op).type.code_range()[1])
    time = float(np.dot(packed.count, _BUNDLE_TIME))
    fours = packed.of.shape[0] * sample.shape[1] * sample.shape[2] / FOUR
    return float(time / fours)


def _cost_bundles(op: SumOfProducts, facts: TargetFacts, dot: Dot) -> float:
    del facts
    pixels = cut_bundles(op, dot).register_tile.pixels
    loads = max(1.0, 0.6 * (pixels + 2) / pixels)
    time: float = _time_of_four(op, dot)
    return multiply_accumulates(op) * time * loads / dot.rate * 1e-9


def _rows() -> Iterator[Kernel]:
    for dots, call, accepts, cost in (
        (SHORT, _call_short, _accepts_short, _cost_short),
        (BUNDLES, _call_bundles, _accepts_bundles, _cost_bundles),
    ):
        for dot in dots:
            for raw in (False, True):
                kinds: tuple[tuple[type[Node], Storage], ...] = (
                    (QConv, Storage.CHANNELS_LAST),
                    (QGemm, Storage.ROW_MAJOR),
                )
                for op, storage in kinds:
                    made = row(
                        op,
                        _symbol(dot, raw=raw),
                        f"x86_sums_{dot.name}.h",
                        storage,
                        partial(call, dot=dot),
                        partial(accepts, raw=raw),
                        f"u8 s8 -> {'s32' if raw else 'u8'}",
                        dot.features,
                        partial(cost, dot=dot),
                        packed=True,
                    )
                    yield replace(made, tile=(dot.lanes, dot.group))


ROWS = tuple(_rows())
