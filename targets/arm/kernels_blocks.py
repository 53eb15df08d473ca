"""Rows for weights in blocks times codes of activations: QBlockGemm, and QuantizeBlocks, which makes such codes.

For 64 bits: N10 is float32 arithmetic, which vectors of 32-bit Arm do not do as IEEE has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from subbyte.compiler.dtype import INT16
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.qops_blocks import QBlockGemm, QuantizeBlocks
from subbyte.compiler.target import (
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
from subbyte.targets.arm.rows import AARCH64, CYCLE, cost_at, in_order, row
from subbyte.targets.arm.tiles import TILE_PRODUCTS
from subbyte.targets.common.blocks import scale_step, scales_of, zero_of
from subbyte.targets.common.c_types import is_signed_byte, is_unsigned_byte
from subbyte.targets.common.constants import operand, zero_point
from subbyte.targets.common.geometry import is_row_major
from subbyte.targets.common.packing_blocks import (
    Blocks,
    blocks_of,
    fits_int32,
    is_packable,
    pack_blocks,
    quant_of_blocks,
    stored_bits,
)
from subbyte.targets.common.tiles import ceil_div

_LANES, _GRAIN = 4, 16  # columns of a vector; codes that are read at a time
_MOST_ROWS, _MOST_VECTORS, _MOST_SUMS = 4, 8, 16  # of a register tile, as in kernels/arm_blocks.h
_FROM_MEMORY = {True: 2.0, False: 4.0}  # bytes of weights a cycle, by whether the pipeline is in order

KNOBS = (
    KernelKnob("rows", "rows whose sums are in registers together", tuple(range(1, _MOST_ROWS + 1))),
    KernelKnob("vectors", "vectors of four columns of each of them", tuple(range(1, _MOST_VECTORS + 1))),
    KernelKnob("panels", "pieces of so many columns that are a tile for a thread", (1, 2, 4, 8, 16, 32)),
)


@dataclass(frozen=True)
class Instruction:
    """How products become sums.

    vectors: of a panel, for one row and for more; sums: of a register tile, at most. rates: products a cycle in order,
    and out of it.
    """

    name: str
    vectors: tuple[int, int]
    sums: int
    rates: tuple[float, float]
    features: frozenset[str]


INSTRUCTIONS = (
    Instruction("sdot", (8, 4), 16, (4.5, 12.0), AARCH64 | {"dotprod"}),
    Instruction("neon", (4, 2), 4, (2.5, 6.0), AARCH64),
)


@dataclass(frozen=True)
class Cut:
    """rows by vectors of columns, a panel, are a register tile; so many panels are a tile."""

    rows: int
    vectors: int
    panels: int


def _cut(op: QBlockGemm, instruction: Instruction, asked: Mapping[str, int]) -> Cut:
    """As `asked` by the names of the knobs, else chosen: register tiles of about equally many rows."""
    depth, columns = op.b.type.shape
    rows = op.type.elements // columns
    vectors = asked.get("vectors", min(instruction.vectors[rows > 1], ceil_div(columns, _LANES)))
    wide = vectors * _LANES
    most = max(1, min(_MOST_ROWS, instruction.sums // vectors))
    in_tile = asked.get("rows", ceil_div(rows, ceil_div(rows, most)))
    panels = max(1, min(TILE_PRODUCTS // (wide * depth * rows), ceil_div(columns, wide)))
    return Cut(in_tile, vectors, asked.get("panels", panels))


def _fits(op: QBlockGemm, setting: Mapping[str, int], instruction: Instruction) -> bool:
    """Whether there are as many rows and columns, and the sums are in registers."""
    columns, cut = op.b.type.shape[1], _cut(op, instruction, setting)
    return (
        cut.rows <= op.type.elements // columns
        and cut.vectors <= ceil_div(columns, _LANES)
        and cut.panels <= ceil_div(columns, cut.vectors * _LANES)
        and cut.rows * cut.vectors <= min(instruction.sums, _MOST_SUMS)
    )


def _signed(b: Blocks) -> Blocks:
    """Codes and zero points of 8 bits less 128, so that codes are signed bytes; others are as they were."""
    if b.bits < 8:
        return b
    zeros = None if b.zero_points is None else b.zero_points - 128
    return replace(b, codes=b.codes - 128, zero=b.zero - 128 if zeros is None else 0, zero_points=zeros)


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a call needs, for one instruction."""

    blocks: Blocks
    flip: int
    rows: int
    cut: Cut

    @property
    def copied(self) -> bool:
        """Whether codes of activations are read from a copy of theirs."""
        return bool(self.flip) or self.blocks.block % _GRAIN != 0 or self.blocks.codes.shape[0] % self.blocks.block != 0

    @property
    def scratch_bytes(self) -> int:
        blocks: int = self.blocks.scales.shape[0]
        pitch = ceil_div(self.blocks.block, _GRAIN) * _GRAIN
        return self.rows * blocks * ((4 if self.blocks.zeros else 0) + (pitch if self.copied else 0))


@lru_cache(maxsize=8)
def _plan(op: QBlockGemm, instruction: Instruction, setting: Setting = ()) -> Plan:
    """Choose the tiles, and say what the zero points take off each sum.

    sum (a - a_zero)(b - b_zero) = sum a b - b_zero sum a - a_zero (sum b - n b_zero), a made signed by the kernel.
    """
    blocks, flip = blocks_of(op.b), 0x80 if is_unsigned_byte(op.a.type.dtype) else 0
    depth, columns = op.b.type.shape
    factor = -1 if op.a_zero is not None else flip - zero_point(op.a.type)
    if factor:
        zeros = (
            blocks.zero if blocks.zero_points is None else np.repeat(blocks.zero_points, blocks.block, axis=0)[:depth]
        )
        terms = factor * np.add.reduceat(blocks.codes - zeros, np.arange(0, depth, blocks.block), axis=0)
        blocks = replace(blocks, terms=terms)
    return Plan(_signed(blocks), flip, op.type.elements // columns, _cut(op, instruction, dict(setting)))


def _accepts(op: QBlockGemm) -> bool:
    is_byte = is_signed_byte(op.a.type.dtype) or is_unsigned_byte(op.a.type.dtype)
    return is_byte and is_packable(op) and fits_int32(op)


def _call(op: QBlockGemm, instruction: Instruction, **knobs: int) -> Call:
    p = _plan(op, instruction, setting_of(knobs))
    depth, columns = op.b.type.shape
    wide, b = p.cut.vectors * _LANES, p.blocks
    largest = 128 if b.bits == 8 else (1 << op.b.type.dtype.bits) - 1
    struct = ConstantStruct(
        "subbyte_arm_blocks",
        (
            ("rows", p.rows),
            ("columns", columns),
            ("depth", depth),
            ("block", b.block),
            ("bits", b.bits),
            ("groups", b.groups),
            ("vectors", p.cut.vectors),
            ("last_vectors", ceil_div(columns % wide, _LANES)),
            ("row_tile", p.cut.rows),
            ("panels", p.cut.panels),
            ("run", int(INT16.max) // (4 * 128 * largest)),
            ("flip", p.flip),
            ("copied", int(p.copied)),
            ("a_scale_step", scale_step(op)),
            ("zeros", b.zeros),
            ("zero", b.zero),
            ("terms", 0 if b.terms is None else 1 if op.a_zero is None else 2),
        ),
    )
    weights = as_array(pack_blocks(b, _LANES, p.cut.vectors), np.uint8)
    return Call(
        f"subbyte_arm_gemm_blocks_{instruction.name}",
        (
            operand(op, op.a),
            scales_of(op),
            zero_of(op),
            ConstantArray("weights", weights, f"blocks_{b.bits}bit_o{_LANES}k4"),
            ResultPointer(),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=ceil_div(ceil_div(columns, wide), p.cut.panels),
        scratch_bytes=p.scratch_bytes,
    )


def _cost(op: QBlockGemm, facts: TargetFacts, instruction: Instruction) -> float:
    """The products, or the weights from memory where rows are few; both in turn in a pipeline that is in order."""
    ordered = in_order(facts)
    streamed = op.b.type.elements * stored_bits(op.b.type.dtype.bits) / 8 + 4 * quant_of_blocks(op.b).static()[0].size
    coming = streamed / _FROM_MEMORY[ordered]
    cycles = multiply_accumulates(op) / instruction.rates[not ordered]
    return (cycles + coming if ordered else max(cycles, coming)) * CYCLE


def _accepts_quantize(op: QuantizeBlocks) -> bool:
    return all(map(is_row_major, (op.x.type, *op.types))) and op.x.type.elements > 0


def _quantize_call(op: QuantizeBlocks) -> Call:
    depth = op.x.type.shape[-1]
    return Call(
        "subbyte_arm_quantize_blocks",
        (
            operand(op, op.x),
            ResultPointer(0),
            ResultPointer(1),
            Integer(depth),
            Integer(op.block),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=op.x.type.elements // depth,
        proof="N2 in float32",
    )


def _rows() -> Iterator[Kernel]:
    for instruction in INSTRUCTIONS:
        made = row(
            QBlockGemm,
            f"subbyte_arm_gemm_blocks_{instruction.name}",
            "arm_blocks.h",
            Storage.ROW_MAJOR,
            partial(_call, instruction=instruction),
            _accepts,
            "b8, codes of up to 8 bits in blocks -> f32",
            partial(_cost, instruction=instruction),
            features=instruction.features,
        )
        yield replace(made, tile=(_LANES, 4), knobs=KNOBS, fits=partial(_fits, instruction=instruction))
    yield row(
        QuantizeBlocks,
        "subbyte_arm_quantize_blocks",
        "arm_blocks.h",
        Storage.ROW_MAJOR,
        _quantize_call,
        _accepts_quantize,
        "f32 -> s8 and a scale for each block",
        cost_at(4.0, 3.0),
        features=AARCH64,
    )


ROWS = tuple(_rows())
