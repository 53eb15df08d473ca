"""Rows for floats times weights in blocks: WeightOnlyMatMul, the lanes of N8's tree in a register each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.qops_blocks import WeightOnlyMatMul
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.common.constants import operand
from subbyte.targets.common.packing_blocks import blocks_of, is_packable, pack_blocks, quant_of_blocks
from subbyte.targets.common.tiles import ceil_div
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import row

_TREE = 8  # lanes of N8, which code k of a row goes round
_TREE_AND_GROUP = 16  # codes of 2 bits in a group
_ROWS = {"avx512": 3, "avx2": 1}  # of a register tile, 8 registers each
_RATES = {"avx512": 30.0, "avx2": 12.0}  # products a nanosecond
_TILE_PRODUCTS = 1 << 16  # some microseconds of work


def _accepts(op: WeightOnlyMatMul) -> bool:
    """Blocks of whole turns round the tree, or one block."""
    block = quant_of_blocks(op.b).block or 1
    return is_packable(op) and (block % _TREE == 0 or block >= op.b.type.shape[0])


def _call(op: WeightOnlyMatMul, isa: str) -> Call:
    depth, columns = op.b.type.shape
    rows, lanes = op.type.elements // columns, REGISTERS[isa].bytes // 4
    own = blocks_of(op.b)
    blocks = replace(own, block=ceil_div(own.block, _TREE) * _TREE)
    pitch = ceil_div(blocks.block, _TREE_AND_GROUP) * _TREE_AND_GROUP if blocks.bits == 2 else blocks.block
    panels = ceil_div(columns, lanes)
    in_tile = max(1, min(_TILE_PRODUCTS // (lanes * depth * rows), panels))
    copied = pitch != blocks.block or depth % blocks.block != 0
    struct = ConstantStruct(
        "subbyte_x86_float_blocks",
        (
            ("rows", rows),
            ("columns", columns),
            ("depth", depth),
            ("block", blocks.block),
            ("pitch", pitch),
            ("bits", blocks.bits),
            ("groups", blocks.groups),
            ("row_tile", min(rows, _ROWS[isa])),
            ("panels", in_tile),
            ("copied", int(copied)),
            ("zeros", blocks.zeros),
            ("zero", blocks.zero),
        ),
    )
    weights = as_array(pack_blocks(blocks, lanes, 1), np.uint8)
    return Call(
        f"subbyte_x86_float_blocks_{isa}",
        (
            operand(op, op.a),
            ConstantArray("weights", weights, f"blocks_{blocks.bits}bit_o{lanes}k4"),
            ResultPointer(),
            struct,
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=ceil_div(panels, in_tile),
        scratch_bytes=4 * rows * ceil_div(depth, blocks.block) * pitch if copied else 0,
    )


def _cost(op: WeightOnlyMatMul, facts: TargetFacts, isa: str) -> float:
    del facts
    return multiply_accumulates(op) / _RATES[isa] * 1e-9


def _rows() -> Iterator[Kernel]:
    for isa, registers in REGISTERS.items():
        yield row(
            WeightOnlyMatMul, f"subbyte_x86_float_blocks_{isa}", f"x86_float_blocks_{isa}.h", Storage.ROW_MAJOR,
            partial(_call, isa=isa), _accepts, "f32, codes of up to 8 bits in blocks -> f32", registers.features,
            partial(_cost, isa=isa),
        )  # fmt: skip


ROWS = tuple(_rows())
