"""Rows for weights in blocks times codes of activations: QBlockGemm, and QuantizeBlocks, which makes such codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

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
from subbyte.targets.common.blocks import scale_step, scales_of, zero_of
from subbyte.targets.common.c_types import is_signed_byte, is_unsigned_byte
from subbyte.targets.common.constants import operand, zero_point
from subbyte.targets.common.geometry import is_row_major
from subbyte.targets.common.packing_blocks import (
    Blocks,
    blocks_of,
    fits_int32,
    groups_in_run,
    is_packable,
    pack_blocks,
    quant_of_blocks,
    stored_bits,
)
from subbyte.targets.common.tiles import ceil_div
from subbyte.targets.x86.dots import AVX2, AVX512
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, row

_TILE_PRODUCTS = 1 << 19  # about a microsecond of work
_MOST_ROWS, _MOST_VECTORS, _MOST_SUMS = 8, 4, 32  # of a register tile, as in kernels/x86_blocks.h
_GRAIN = 16  # SUBBYTE_X86_GRAIN of kernels/x86_blocks.h
_STREAM = 45.0  # bytes of weights a nanosecond from beyond the second cache level


KNOBS = (
    KernelKnob("rows", "rows whose sums are in registers together", tuple(range(1, _MOST_ROWS + 1))),
    KernelKnob("vectors", "vectors of columns of each of them", tuple(range(1, _MOST_VECTORS + 1))),
    KernelKnob("panels", "pieces of so many columns that are a tile for a thread", (1, 2, 4, 8, 16, 32)),
)


@dataclass(frozen=True)
class Instruction:
    """How products become sums. most_rows: of a register tile; vectors: of a panel, for one row and for more.

    rate: products a nanosecond at full speed. words: added in lanes of 16 bits first.
    """

    name: str
    isa: str
    most_rows: int
    vectors: tuple[int, int]
    rate: float
    words: bool
    features: frozenset[str]

    @property
    def lanes(self) -> int:
        return REGISTERS[self.isa].bytes // 4


INSTRUCTIONS = (
    Instruction("avx512vnni", "avx512", 4, (4, 4), 400.0, False, AVX512 | {"avx512vnni"}),
    Instruction("avxvnni", "avx2", 4, (2, 2), 190.0, False, AVX2 | {"avxvnni"}),
    Instruction("avx512", "avx512", 5, (4, 2), 290.0, True, AVX512),
    Instruction("avx2", "avx2", 3, (2, 2), 150.0, True, AVX2),
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
    vectors = asked.get("vectors", min(instruction.vectors[rows > 1], ceil_div(columns, instruction.lanes)))
    wide = vectors * instruction.lanes
    panels = max(1, min(_TILE_PRODUCTS // (wide * depth * rows), ceil_div(columns, wide)))
    in_tile = asked.get("rows", ceil_div(rows, ceil_div(rows, instruction.most_rows)))
    return Cut(in_tile, vectors, asked.get("panels", panels))


def _fits(op: QBlockGemm, setting: Mapping[str, int], instruction: Instruction) -> bool:
    """Whether there are as many rows, columns and sums in registers."""
    columns, cut = op.b.type.shape[1], _cut(op, instruction, setting)
    panels = ceil_div(columns, cut.vectors * instruction.lanes)
    return (
        cut.rows <= op.type.elements // columns
        and cut.vectors <= ceil_div(columns, instruction.lanes)
        and cut.panels <= panels
        and cut.rows * cut.vectors * (2 if instruction.words else 1) <= _MOST_SUMS
    )


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
def plan(op: QBlockGemm, instruction: Instruction, setting: Setting = ()) -> Plan:
    """Choose the tiles, and say what the zero points take off each sum.

    sum (a - a_zero)(b - b_zero) = sum a b - b_zero sum a - a_zero (sum b - n b_zero), a made signed by the kernel.
    """
    blocks, flip = blocks_of(op.b), 128 if is_unsigned_byte(op.a.type.dtype) else 0
    depth, columns = op.b.type.shape
    factor = -1 if op.a_zero is not None else flip - zero_point(op.a.type)
    if factor:
        zeros = (
            blocks.zero if blocks.zero_points is None else np.repeat(blocks.zero_points, blocks.block, axis=0)[:depth]
        )
        terms = factor * np.add.reduceat(blocks.codes - zeros, np.arange(0, depth, blocks.block), axis=0)
        blocks = replace(blocks, terms=terms)
    return Plan(blocks, flip, op.type.elements // columns, _cut(op, instruction, dict(setting)))


def _accepts(op: QBlockGemm) -> bool:
    is_byte = is_signed_byte(op.a.type.dtype) or is_unsigned_byte(op.a.type.dtype)
    return is_byte and is_packable(op) and fits_int32(op)


def _call(op: QBlockGemm, instruction: Instruction, **knobs: int) -> Call:
    p = plan(op, instruction, setting_of(knobs))
    depth, columns = op.b.type.shape
    wide, b = p.cut.vectors * instruction.lanes, p.blocks
    largest_code = (1 << op.b.type.dtype.bits) - 1
    struct = ConstantStruct(
        "subbyte_x86_blocks",
        (
            ("rows", p.rows),
            ("columns", columns),
            ("depth", depth),
            ("block", b.block),
            ("bits", b.bits),
            ("groups", b.groups),
            ("vectors", p.cut.vectors),
            ("last_vectors", ceil_div(columns % wide, instruction.lanes)),
            ("row_tile", p.cut.rows),
            ("panels", p.cut.panels),
            ("run", groups_in_run(b.bits, largest_code) if instruction.words else b.groups),
            ("flip", p.flip),
            ("copied", int(p.copied)),
            ("a_scale_step", scale_step(op)),
            ("zeros", b.zeros),
            ("zero", b.zero),
            ("terms", 0 if b.terms is None else 1 if op.a_zero is None else 2),
        ),
    )
    return Call(
        f"subbyte_x86_gemm_blocks_{instruction.name}",
        (
            operand(op, op.a),
            scales_of(op),
            zero_of(op),
            ConstantArray(
                "weights", as_array(pack_blocks(b, instruction.lanes, p.cut.vectors), np.uint8),
                f"blocks_{b.bits}bit_o{instruction.lanes}k4",
            ),
            ResultPointer(),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=ceil_div(ceil_div(columns, wide), p.cut.panels),
        scratch_bytes=p.scratch_bytes,
    )  # fmt: skip


def _cost(op: QBlockGemm, facts: TargetFacts, instruction: Instruction) -> float:
    """The products, or the weights from memory where there are few rows."""
    del facts
    streamed = op.b.type.elements * stored_bits(op.b.type.dtype.bits) / 8 + 4 * quant_of_blocks(op.b).static()[0].size
    return max(multiply_accumulates(op) / instruction.rate, streamed / _STREAM) * 1e-9


def _accepts_quantize(op: QuantizeBlocks) -> bool:
    return all(map(is_row_major, (op.x.type, *op.types))) and op.x.type.elements > 0


def _quantize_call(op: QuantizeBlocks, isa: str) -> Call:
    depth = op.x.type.shape[-1]
    return Call(
        f"subbyte_x86_quantize_blocks_{isa}",
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
            QBlockGemm, f"subbyte_x86_gemm_blocks_{instruction.name}", f"x86_blocks_{instruction.name}.h",
            Storage.ROW_MAJOR, partial(_call, instruction=instruction), _accepts,
            "u8 s8, codes of up to 8 bits in blocks -> f32", instruction.features,
            partial(_cost, instruction=instruction),
        )  # fmt: skip
        yield replace(made, tile=(instruction.lanes, 4), knobs=KNOBS, fits=partial(_fits, instruction=instruction))
    for isa, registers in REGISTERS.items():
        yield row(
            QuantizeBlocks, f"subbyte_x86_quantize_blocks_{isa}", f"x86_quantize_blocks_{isa}.h", Storage.ROW_MAJOR,
            partial(_quantize_call, isa=isa), _accepts_quantize, "f32 -> s8 and a scale for each block",
            registers.features, cost_at(registers.bytes / 16),
        )  # fmt: skip


ROWS = tuple(_rows())
