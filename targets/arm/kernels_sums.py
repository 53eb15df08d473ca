"""Rows for exact sums of products with constant weights by multiplications of bytes: kernels/arm_sums.h, NEON alone.

Two products of bytes are added in a lane of 16 bits and then widened, which is one instruction of three. The weights at
hand often prove that more fit: then sums stay in 16 bits for a block of groups, and widening is seldom. That is so for
weights of few bits, which are stored as bytes here: a load is all they need, for 2 to 8 times their space.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.numerics.accumulate import flush_interval_of_weights
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    Integer,
    Kernel,
    KernelKnob,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.compiler.tuning import Setting, setting_of
from subbyte.targets.arm.rows import AARCH32, AARCH64, CYCLE, row, sharing_seconds
from subbyte.targets.arm.sums import (
    Cut,
    accepts_sums,
    cut_into,
    fits_tiles,
    has_byte_weights,
    input_range,
    places,
    sums_call,
    widest,
    with_weights,
)
from subbyte.targets.arm.tiles import PANEL_PIECES, PIECES
from subbyte.targets.common.geometry import stored_bits
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.sums import SumOfProducts, data_of, geometry, weights_of
from subbyte.targets.common.tiles import ceil_div, padded_to

GROUP = 16  # codes of a register
MOST_SUMS, MOST_PIXELS, MOST_OUTPUTS = 16, 8, 8  # of a register tile, as in arm_sums.h
MOST_CHAINS = 4  # as in arm_sums_in_turn.h
_REGISTERS = {"aarch64": 32, "aarch32": 16}
_CHAINS = 4  # sums that hide how long a multiplication takes
_LEAST_PIECE = 6  # groups that repay what it takes to widen all sums of a register tile at once
KNOBS = (
    KernelKnob("pixels", "neighbours in a row whose sums are in registers together", tuple(range(1, MOST_PIXELS + 1))),
    KernelKnob("outputs", "outputs of each of them", tuple(range(1, MOST_OUTPUTS + 1))),
    KernelKnob("row_tiles", "pieces that the rows of an image are cut into", PIECES),
    KernelKnob("column_tiles", "pieces that its columns are cut into", PIECES),
    KernelKnob("panel_tiles", "pieces that its outputs are cut into, each with its own weights", PANEL_PIECES),
)


@dataclass(frozen=True)
class Adding:
    """How the products of a run of `groups` groups are added in 16 bits: see struct subbyte_arm_sums."""

    groups: int
    runs: int
    piece: int
    pieces: int
    gathered: bool

    @property
    def flushes(self) -> int:
        """How often the 16-bit sums of a register tile are widened; for pieces."""
        return ceil_div(self.runs * ceil_div(self.groups, self.piece), self.pieces)


@dataclass(frozen=True)
class Pipeline:
    """Cycles of a core: of a multiplication, of widening a sum beside it, of a load, of each group, of a result.

    Source: llvm-mca 19 for the inner loops of arm_sums.h (benchmarks/arm.py); twice those of the A53 for the A7, whose
    data path is half as wide.
    """

    multiply: float
    widen: float
    load: float
    group: float
    result: float


_PIPELINES = {
    "cortex-a7": Pipeline(2.0, 2.0, 2.0, 5.0, 20.0),
    "cortex-a9": Pipeline(1.0, 1.0, 0.0, 4.5, 13.0),
    "cortex-a72": Pipeline(1.0, 0.0, 0.0, 0.1, 4.0),
    "neoverse-n1": Pipeline(1.0, 0.0, 0.0, 0.1, 4.0),
    "neoverse-n2": Pipeline(0.75, 0.0, 0.0, 0.1, 3.0),
}
_CHOSEN_FOR = {"aarch64": "cortex-a53", "aarch32": "cortex-a7"}  # register tiles; others do with them
_IN_ORDER = Pipeline(1.0, 1.0, 1.0, 3.0, 9.0)  # cortex-a53 and cortex-a55


@remembered
def held(op: SumOfProducts, gathered: bool = False) -> int:
    """How many groups of products a lane of 16 bits holds, for the weights at hand and all codes; 0: not even one."""
    weights = grouped(weights_of(op), gathered)
    outputs, runs, groups = weights.shape[:3]
    lanes = weights.reshape(outputs, runs * groups, 2, 8).transpose(0, 3, 1, 2).reshape(outputs * 8, runs * groups, 2)
    try:
        return flush_interval_of_weights(lanes, *input_range(op), 16, signed=True)
    except NumericsError:
        return 0


def grouped(weights: NDArray[np.int64], gathered: bool) -> NDArray[np.int64]:
    """[outputs, runs, products] -> [outputs, runs, groups, 16], padded with zeros; gathered, all runs are one."""
    padded = padded_to(weights.reshape(len(weights), 1, -1) if gathered else weights, 2, GROUP)
    return padded.reshape(*padded.shape[:2], -1, GROUP)


def without_rests(weights: NDArray[np.int64], low: int) -> NDArray[np.int64]:
    """The weights as bytes such that both products of every lane of 16 bits may be added.

    Args: weights: [..., 16], -255..254; low: the least byte that they are multiplied with.
    Of bytes, only -128 * -128 + -128 * -128 = 2^15 overflows: there the second weight becomes -127. What is missing, -1
    of one weight in 2^17, or what zero points of weights have moved beyond bytes, is for another group.
    """
    pairs = np.clip(weights, -128, 127).reshape(*weights.shape[:-1], 2, 8)
    if low == -128:
        pairs[..., 1, :] += (pairs == -128).all(axis=-2)
    return pairs.reshape(weights.shape)


@remembered
def _share_of_rests(op: SumOfProducts, gathered: bool) -> float:
    """Further groups for what is missing, to one group, of panels of four outputs."""
    weights = grouped(weights_of(op), gathered)
    rests = (weights != without_rests(weights, input_range(op)[0])).any(axis=-1)
    return float(padded_to(rests, 0, 4).reshape(-1, 4, *rests.shape[1:]).any(axis=1).mean())


def _addings(op: SumOfProducts) -> Iterator[Adding]:
    """The ways that the weights admit: by group, and by pieces that fit 16 bits where they are long enough."""
    runs, products = geometry(op).runs
    apart, together = (runs, ceil_div(products, GROUP)), (1, ceil_div(runs * products, GROUP))
    for gathered, (runs, groups) in ((False, apart), (True, together)):
        if gathered and groups >= math.prod(apart):
            continue
        yield Adding(groups, runs, 0, 0, gathered)
        most = held(op, gathered) if has_byte_weights(op) else 0
        if most >= max(1, min(runs * groups, _LEAST_PIECE)):
            piece = min(groups, ceil_div(groups, ceil_div(groups, most)))
            pieces = min(most // groups, runs) if most >= groups else 1
            yield Adding(groups, runs, piece, pieces, gathered)


def _fits_registers(adding: Adding, pixels: int, outputs: int, state: str) -> bool:
    """Whether sums, codes, products and weights are in registers together."""
    sums = pixels * outputs
    if sums == 1:
        return True
    held = max(pixels, outputs)  # codes or weights, whichever are more, stay while the others come
    if adding.piece:
        needed = sums + (max(pixels + 3, held + 1) if state == "aarch32" else pixels + 2)
    elif state == "aarch64":
        needed = sums + 2 * held + 2
    else:  # three steps at a time
        unit = min(2, outputs) if pixels == 1 else 1
        needed = sums + 3 * unit * pixels + pixels + 2 * unit
        if unit * pixels > MOST_CHAINS:
            return False
    return sums <= MOST_SUMS and needed <= _REGISTERS[state]


def _fits_bytes(op: SumOfProducts, outputs: int) -> bool:
    """Whether the codes of so many outputs of a pixel are whole bytes in memory."""
    return outputs * stored_bits(op.type) % 8 == 0


def _cycles(op: SumOfProducts, adding: Adding, pixels: int, outputs: int, state: str, pipeline: Pipeline) -> float:
    """Of all register tiles, without the window."""
    g = geometry(op)

    groups = adding.runs * adding.groups * (1.0 if adding.piece else 1.0 + _share_of_rests(op, adding.gathered))
    widened = 3 * adding.flushes if adding.piece else groups  # flushed, they come from memory and go there

    def tile(summed: int) -> float:
        sums = pixels * summed
        step = 2 * pipeline.multiply * sums + pipeline.load * (pixels + summed) + pipeline.group
        if max(pixels, summed) < _CHAINS and (state == "aarch64" or adding.piece):
            step *= 1.25  # sums wait for themselves
        return groups * step + (pipeline.widen * widened + pipeline.result) * sums + 10

    full, rest = divmod(g.outputs, outputs)
    rows = g.images * g.results[0]
    gathered = g.results[1] * g.runs[0] * ceil_div(g.runs[1], GROUP) * 4.0 if adding.gathered else 0.0
    return rows * (gathered + ceil_div(g.results[1], pixels) * (full * tile(outputs) + (tile(rest) if rest else 0.0)))


@dataclass(frozen=True)
class Choice:
    """A register tile, and how its products are added."""

    pixels: int
    outputs: int
    adding: Adding
    cycles: float


def _choose(op: SumOfProducts, state: str, core: str, pixels: int | None, outputs: int | None) -> Choice:
    """The fastest of those that fit into registers; pixels, outputs: as asked for, where they are."""
    g, pipeline = geometry(op), _PIPELINES.get(core, _IN_ORDER)
    tiles = [
        (adding, long, wide)
        for adding in _addings(op)
        for long in (range(1, min(MOST_PIXELS, g.results[1]) + 1) if pixels is None else (pixels,))
        for wide in (range(1, min(MOST_OUTPUTS, g.outputs) + 1) if outputs is None else (outputs,))
        if _fits_registers(adding, long, wide, state) and _fits_bytes(op, wide)
    ]
    if not tiles:  # of what is asked for none fits, or the eight outputs of a byte do not
        tiles = [(next(_addings(op)), pixels or 1, outputs or 8 // stored_bits(op.type))]
    choices = [
        Choice(long, wide, adding, _cycles(op, adding, long, wide, state, pipeline)) for adding, long, wide in tiles
    ]
    return min(choices, key=lambda choice: choice.cycles)


@lru_cache(maxsize=64)
def _cut(op: SumOfProducts, state: str, setting: Setting = ()) -> tuple[Cut, Adding]:
    asked = dict(setting)
    choice = _choose(op, state, _CHOSEN_FOR[state], asked.get("pixels"), asked.get("outputs"))
    cut = cut_into(
        op,
        choice.pixels,
        choice.outputs,
        geometry(op).outputs % choice.outputs,
        reads=GROUP,
        row_tiles=asked.get("row_tiles"),
        column_tiles=asked.get("column_tiles"),
        panel_tiles=asked.get("panel_tiles"),
    )
    if choice.adding.gathered:
        cut = replace(cut, free_bytes=(widest(cut) * choice.adding.groups + 1) * GROUP)
    return cut, choice.adding


def _fits(op: SumOfProducts, setting: Mapping[str, int], state: str) -> bool:
    """Whether the register tile fits into an area and into the registers, and no piece is empty."""
    cut, adding = _cut(op, state, setting_of(setting))
    return (
        cut.pixels <= cut.geometry.results[1]
        and cut.panel <= cut.geometry.outputs
        and _fits_registers(adding, cut.pixels, cut.panel, state)
        and _fits_bytes(op, cut.panel)
        and fits_tiles(cut)
    )


def _packed(weights: NDArray[np.int64], panel: int) -> NDArray[np.int8]:
    """[outputs, runs, groups, 16] -> [panels][runs][groups][outputs][16], of the last panel those that are left."""
    panels = [weights[i : i + panel].transpose(1, 2, 0, 3).reshape(-1) for i in range(0, len(weights), panel)]
    return as_array(np.concatenate(panels), np.int8)


def _rests(rests: NDArray[np.int64], cut: Cut, adding: Adding) -> tuple[Argument, ...]:
    """rest_of, rest_at and rests of struct subbyte_arm_sums; rests [outputs, runs, groups, 16]. Null without any."""
    if not rests.any():
        return (Integer(0),) * 3
    places_of = np.arange(adding.groups) * GROUP if adding.gathered else places(cut, GROUP)
    panels = padded_to(rests.reshape(len(rests), -1, GROUP), 0, cut.panel).reshape(-1, cut.panel, len(places_of), GROUP)
    panel, group = np.nonzero(panels.any(axis=(1, 3)))
    return (
        ConstantArray("rest_of", as_array(np.searchsorted(panel, np.arange(len(panels) + 1)), np.int32)),
        ConstantArray("rest_at", as_array(places_of[group], np.int32)),
        ConstantArray("rests", as_array(panels[panel, :, group], np.int8), f"o{cut.panel}k{GROUP}"),
    )


def _call(op: SumOfProducts, state: str, **knobs: int) -> Call:
    cut, adding = _cut(op, state, setting_of(knobs))
    weights = grouped(weights_of(op), adding.gathered)
    main = weights if adding.piece else without_rests(weights, input_range(op)[0])
    constants = (
        ConstantArray("weights", _packed(main, cut.panel), f"o{cut.panel}k{GROUP}"),
        *_rests(weights - main, cut, adding),
    )
    more = tuple(map(Integer, (adding.groups, adding.piece, adding.pieces, int(adding.gathered))))
    return sums_call(_symbol(raw=op.requantization is None), op, cut, constants, more)


def _symbol(*, raw: bool) -> str:
    return f"subbyte_arm_sums_s8s8{'s32' if raw else ''}"


def _cost(op: SumOfProducts, facts: TargetFacts, state: str) -> float:
    """Cycles of all register tiles with the weights that come to them, and of the codes that share bytes."""
    shared = sharing_seconds(data_of(op).type, geometry(op).kernel[0]) + sharing_seconds(op.type)
    cycles = _choose(op, state, facts.core, None, None).cycles
    return with_weights(cycles, _cut(op, state)[0], weights_of(op).size, facts) * CYCLE + shared


def _rows() -> Iterator[Kernel]:
    for state, features in (("aarch64", AARCH64), ("aarch32", AARCH32)):
        for raw in (False, True):
            kinds: tuple[tuple[type[Node], Storage], ...] = (
                (QConv, Storage.CHANNELS_LAST),
                (QGemm, Storage.ROW_MAJOR),
            )
            for op, storage in kinds:
                made = row(
                    op,
                    _symbol(raw=raw),
                    "arm_sums.h",
                    storage,
                    partial(_call, state=state),
                    partial(accepts_sums, raw=raw, beyond_bytes=True),
                    f"b8 s8 -> {'s32' if raw else 'b8'}",
                    partial(_cost, state=state),
                    packed=True,
                    features=features,
                )
                yield replace(made, tile=(1, GROUP), knobs=KNOBS, fits=partial(_fits, state=state))


ROWS = tuple(_rows())
