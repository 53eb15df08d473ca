"""Rows for exact sums of products by `sdot` and `smmla`: QConv of group 1 and QGemm, weights of 8, 4, 2 and 1 bits.

Weights of at most 16 values may be stored as indices of 4, 2 or 1 bits, and become bytes in registers as they are
multiplied. That takes instructions, which the pixels of a register tile share, and saves bytes of memory: it pays where
weights come from beyond the second cache level for few pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.target import Argument, Call, Kernel, KernelKnob, Storage, TargetFacts
from subbyte.targets.arm.packing_dots import STORED_BITS, Order, levels_of, pack_weights, stored_bits
from subbyte.targets.arm.rows import CYCLE, NEON, in_order, row, sharing_seconds
from subbyte.targets.arm.sums import Cut, accepts_sums, cut_into, fits_tiles, sums_call, with_weights
from subbyte.targets.arm.tiles import PANEL_PIECES, PIECES
from subbyte.targets.common import geometry as shapes
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.sums import SumOfProducts, data_of, geometry, weights_of
from subbyte.targets.common.tiles import ceil_div

MOST_PIXELS, MOST_VECTORS, MOST_SUMS = 8, 8, 24  # as in kernels/arm_sums_*.h
_REGISTERS = 32
_EXPANDING = {
    8: (2, 0.0),
    4: (5, 2.0),
    2: (6, 1.5),
    1: (8, 1.25),
}  # registers beside sums and inputs; operations a vector
_CHAIN = 3.0  # cycles from a sum to the next that is added to it


@dataclass(frozen=True)
class Instruction:
    """What multiplies.

    name: the suffix of its kernels. at_a_time: pixels of one register of inputs. order: of the weights.
    step: products that a step of the inner loop adds to each sum.
    """

    name: str
    at_a_time: int
    order: Order
    step: int
    features: frozenset[str]

    def fits_registers(self, bits: int, pixels: int, vectors: int) -> bool:
        """Whether sums of pixels by vectors of 4 outputs stay in registers, beside what adding to them needs."""
        if pixels % self.at_a_time or pixels * vectors > MOST_SUMS:
            return False
        return pixels * vectors + pixels // self.at_a_time + _EXPANDING[bits][0] <= _REGISTERS

    def cycles(self, bits: int, pixels: int, vectors: int, *, ordered: bool) -> float:
        """Of a step of the inner loop, by the models of Cortex-A55 and of Neoverse N1 and N2."""
        of_weights = vectors * 4 * self.step // 16  # vectors of weights
        operations = of_weights * (pixels // self.at_a_time + _EXPANDING[bits][1])
        loads = of_weights * bits / 8 + pixels
        if self.at_a_time > 1:
            operations += pixels // self.at_a_time
        if ordered:
            return operations + 2 * loads
        return max(operations / 2, loads / 2, _CHAIN * self.step / self.order.group)


SDOT = Instruction("sdot", 1, Order(4, 4, 4), 16, NEON | {"aarch64", "dotprod"})
SMMLA = Instruction("smmla", 2, Order(2, 8, 8), 8, NEON | {"aarch64", "dotprod", "i8mm"})
INSTRUCTIONS = (SMMLA, SDOT)

KNOBS = (
    KernelKnob("pixels", "neighbours in a row whose sums are in registers together", tuple(range(1, MOST_PIXELS + 1))),
    KernelKnob("vectors", "vectors of four outputs of each of them", tuple(range(1, MOST_VECTORS + 1))),
    KernelKnob("row_tiles", "pieces that the rows of an image are cut into", PIECES),
    KernelKnob("column_tiles", "pieces that its columns are cut into", PIECES),
    KernelKnob("panel_tiles", "pieces that its outputs are cut into, each with its own weights", PANEL_PIECES),
)


@dataclass(frozen=True)
class Form:
    """A kernel: its instruction, and how many bits a weight is stored in."""

    instruction: Instruction
    bits: int

    @property
    def order(self) -> Order:
        """Of the weights: vectors of 16 products in a step share bytes, so runs are padded to whole steps."""
        order = self.instruction.order
        return order if self.bits == 8 else replace(order, padded=self.instruction.step)

    def least_vectors(self, op: SumOfProducts) -> int:
        """A panel has a multiple of so many vectors of four outputs: weights and codes that share bytes fill bytes."""
        of_step = 4 * self.instruction.step // 16  # vectors of weights for one vector of outputs
        of_bytes = max(1, 8 // self.bits // of_step)
        results = 8 if op.requantization is None else shapes.stored_bits(op.type)
        return math.lcm(of_bytes, 4 if results == 1 else 1)


@remembered
def _bits_of(op: SumOfProducts, reads: int) -> int:
    """The bits that a weight of `op` may be stored in."""
    return stored_bits(levels_of(weights_of(op), reads).size)


def _panel(op: SumOfProducts, form: Form, vectors: int) -> tuple[int, int]:
    """(outputs of a panel, of the last that is not whole): as many vectors as asked for, and no more than there are."""
    unit = 4 * form.least_vectors(op)
    outputs = geometry(op).outputs
    return 4 * vectors, ceil_div(outputs % (4 * vectors), unit) * unit


def _tile_cycles(op: SumOfProducts, form: Form, pixels: int, vectors: int, *, ordered: bool) -> float:
    """Of all register tiles of pixels by vectors, weights in the first cache level."""
    g = geometry(op)
    runs, products = g.runs
    steps = runs * products / form.instruction.step
    panel, last = _panel(op, form, vectors)
    whole, rest = divmod(g.outputs, panel)
    finish = 12.0 if ordered else 4.0

    def of_panel(wide: int) -> float:
        step = form.instruction.cycles(form.bits, pixels, wide, ordered=ordered)
        return steps * step + pixels * wide * finish + 15.0

    cycles = whole * of_panel(vectors) + (of_panel(last // 4) if rest else 0.0)
    return cycles * g.images * g.results[0] * ceil_div(g.results[1], pixels)


@lru_cache(maxsize=256)
def _register_tile(op: SumOfProducts, form: Form, pixels: int | None, vectors: int | None) -> tuple[int, int]:
    """(pixels, vectors) of the fastest register tile, those that are asked for given."""
    least, g = form.least_vectors(op), geometry(op)
    most = min(MOST_VECTORS, ceil_div(ceil_div(g.outputs, 4), least) * least)
    at_a_time = form.instruction.at_a_time
    best: tuple[float, tuple[int, int]] | None = None
    for wide in range(least, max(most, least) + 1, least) if vectors is None else (vectors,):
        for long in range(at_a_time, min(g.results[1], MOST_PIXELS) + 1, at_a_time) if pixels is None else (pixels,):
            if form.instruction.fits_registers(form.bits, long, wide):
                cycles = _tile_cycles(op, form, long, wide, ordered=False)
                if best is None or cycles < best[0]:
                    best = (cycles, (long, wide))
    return (pixels or at_a_time, vectors or least) if best is None else best[1]


def _cut(op: SumOfProducts, form: Form, **asked: int) -> Cut:
    """How `op` is cut: as `asked` by the names of the knobs, else chosen."""
    pixels, vectors = _register_tile(op, form, asked.get("pixels"), asked.get("vectors"))
    panel, last = _panel(op, form, vectors)
    return cut_into(
        op,
        pixels,
        panel,
        last or None,
        reads=form.instruction.order.group,
        row_tiles=asked.get("row_tiles"),
        column_tiles=asked.get("column_tiles"),
        panel_tiles=asked.get("panel_tiles"),
    )


def _fits(op: SumOfProducts, setting: Mapping[str, int], form: Form) -> bool:
    """Whether the register tile fits into an area, into registers and into whole bytes, and no piece is empty."""
    cut = _cut(op, form, **setting)
    vectors = cut.panel // 4
    return (
        form.instruction.fits_registers(form.bits, cut.pixels, vectors)
        and vectors % form.least_vectors(op) == 0
        and fits_tiles(cut)
    )


@lru_cache(maxsize=8)
def _packed(op: SumOfProducts, form: Form, panel: int, last_panel: int) -> tuple[Argument, Argument]:
    weights = weights_of(op)
    levels = None if form.bits == 8 else levels_of(weights, form.instruction.order.group)
    return pack_weights(weights, form.order, panel, last_panel, levels)


def _symbol(form: Form, *, raw: bool) -> str:
    return f"subbyte_arm_{'raw_' if raw else ''}sums_{form.instruction.name}_w{form.bits}"


def _call(op: SumOfProducts, form: Form, **knobs: int) -> Call:
    cut = _cut(op, form, **knobs)
    return sums_call(
        _symbol(form, raw=op.requantization is None), op, cut, _packed(op, form, cut.panel, cut.last_panel)
    )


def _accepts(op: SumOfProducts, form: Form, *, raw: bool) -> bool:
    """What accepts_sums says, of as few values as the bits hold and no fewer; pixels enough for the instruction."""
    if not accepts_sums(op, raw=raw) or geometry(op).results[1] < form.instruction.at_a_time:
        return False
    return form.bits == 8 or _bits_of(op, form.instruction.order.group) == form.bits


def _cost(op: SumOfProducts, facts: TargetFacts, form: Form) -> float:
    """The register tiles, or the weights from where they lie, for each area; and the windows."""
    ordered = in_order(facts)
    cut = _cut(op, form)
    g, tiles = cut.geometry, cut.tiles
    runs, products = g.runs
    cycles = _tile_cycles(op, form, cut.pixels, cut.panel // 4, ordered=ordered)
    weight_bytes = g.outputs * runs * products * form.bits / 8
    areas = g.images * tiles.rows * tiles.columns
    cycles = with_weights(cycles, cut, weight_bytes, facts)
    copied = areas * tiles.scratch_bytes * (0.3 if ordered else 0.1)
    shared = sharing_seconds(data_of(op).type, tiles.panels) + sharing_seconds(op.type)
    return (cycles + copied) * CYCLE + shared


def _row(op: type[Node], form: Form, storage: Storage, *, raw: bool) -> Kernel:
    made = row(
        op,
        _symbol(form, raw=raw),
        f"arm_sums_{form.instruction.name}.h",
        storage,
        partial(_call, form=form),
        partial(_accepts, form=form, raw=raw),
        f"b8 s{form.bits} -> {'s32' if raw else 'b8'}",
        partial(_cost, form=form),
        packed=True,
        features=form.instruction.features,
    )
    order = form.instruction.order
    return replace(made, tile=(order.outputs, order.group), knobs=KNOBS, fits=partial(_fits, form=form))


def _rows() -> Iterator[Kernel]:
    for instruction in INSTRUCTIONS:
        for bits in STORED_BITS:
            for raw in (False, True):
                yield _row(QConv, Form(instruction, bits), Storage.CHANNELS_LAST, raw=raw)
                yield _row(QGemm, Form(instruction, bits), Storage.ROW_MAJOR, raw=raw)


ROWS = tuple(_rows())
