"""Rows for weights in blocks: WeightOnlyMatMul, QuantizeBlocks, QBlockGemm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops_blocks import QBlockGemm, QuantizeBlocks, WeightOnlyMatMul
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    ResultPointer,
    Special,
    Storage,
    as_array,
)
from subbyte.targets.common.blocks import largest_activation, scale_step, scales_of, zero_of
from subbyte.targets.common.c_types import is_short_code, type_code
from subbyte.targets.common.constants import constant_of, is_constant, operand, zero_point
from subbyte.targets.common.geometry import is_row_major
from subbyte.targets.common.packing import pack_rows
from subbyte.targets.portable.rows import row

_LARGEST_WEIGHT = 255  # of 8 bits, less its zero point


@dataclass(frozen=True, eq=False)
class PackedBlocks:
    """Weights as kernels/blocks.h reads them."""

    bits: int
    block: int
    codes: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zero_points: NDArray[np.uint8]

    def arrays(self) -> tuple[ConstantArray, ConstantArray, ConstantArray]:
        return (
            ConstantArray("weights", self.codes, f"nk_{self.bits}bit"),
            ConstantArray("weight_scales", self.scales, "n_blocks"),
            ConstantArray("weight_zero_points", self.zero_points, "n_blocks"),
        )


def pack(b: Value) -> PackedBlocks:
    """Codes less the least code of their type, by column, each in the bits of its type."""
    quant, dtype = b.type.quant, b.type.dtype
    if quant is None or quant.block is None:
        raise GraphError(f"{b.type} has no blocks; this kernel packs weights in blocks")
    codes = pack_rows((constant_of(b).astype(np.int64) - dtype.min).T, dtype.bits)
    scales, zeros = quant.static()
    moved = zeros.T - dtype.min
    if (moved == moved[0, 0]).all():
        moved = moved[:1, :1]
    return PackedBlocks(dtype.bits, quant.block, codes, as_array(scales.T, np.float32), as_array(moved, np.uint8))


def _is_packable(op: WeightOnlyMatMul | QBlockGemm) -> bool:
    b = op.b.type
    return (
        is_constant(op.b)
        and b.dtype.kind in ("int", "uint")
        and b.dtype.bits <= 8
        and all(is_row_major(of_type) for of_type in (*(v.type for v in op.operands if v != op.b), op.type))
    )


def _struct(op: WeightOnlyMatMul | QBlockGemm, packed: PackedBlocks, data: tuple[int, int, int, int]) -> ConstantStruct:
    depth, columns = op.b.type.shape
    numbers = (
        op.type.elements // columns,
        columns,
        depth,
        packed.block,
        packed.bits,
        int(packed.zero_points.size == 1),
        *data,
    )
    names = (
        "rows", "columns", "depth", "block", "bits", "one_zero_point", "a_type", "a_zero", "a_scale_step", "run",
    )  # fmt: skip
    return ConstantStruct("subbyte_blocks", tuple(zip(names, numbers, strict=True)))


def _weight_only_call(op: WeightOnlyMatMul) -> Call:
    packed = pack(op.b)
    depth, columns = op.b.type.shape
    return Call(
        "subbyte_matmul_packed",
        (
            operand(op, op.a),
            *packed.arrays(),
            ResultPointer(),
            _struct(op, packed, (type_code(op.a.type.dtype), 0, 0, 1)),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=columns,
        scratch_bytes=(4 + 1) * depth,
    )


def _accepts_gemm(op: QBlockGemm) -> bool:
    return _is_packable(op) and is_short_code(op.a.type.dtype)


def _gemm_call(op: QBlockGemm) -> Call:
    packed = pack(op.b)
    depth, columns = op.b.type.shape
    data = (
        type_code(op.a.type.dtype),
        0 if op.a_zero is not None else zero_point(op.a.type),
        scale_step(op),
        INT32.max // max(largest_activation(op) * _LARGEST_WEIGHT, 1),
    )
    return Call(
        "subbyte_gemm_blocks",
        (
            operand(op, op.a),
            scales_of(op),
            zero_of(op),
            *packed.arrays(),
            ResultPointer(),
            _struct(op, packed, data),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=columns,
        scratch_bytes=(2 + 1) * depth,
    )


def _accepts_quantize(op: QuantizeBlocks) -> bool:
    return all(map(is_row_major, (op.x.type, *op.types)))


def _quantize_call(op: QuantizeBlocks) -> Call:
    x = op.x.type
    return Call(
        "subbyte_quantize_blocks",
        (
            operand(op, op.x),
            ResultPointer(0),
            ResultPointer(1),
            Integer(x.shape[-1]),
            Integer(op.block),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=x.elements // x.shape[-1],
    )


ROWS = (
    row(
        WeightOnlyMatMul, "subbyte_matmul_packed", "blocks.h", Storage.ROW_MAJOR, _weight_only_call, _is_packable,
        "f32, codes of up to 8 bits in blocks -> f32",
    ),
    row(
        QBlockGemm, "subbyte_gemm_blocks", "blocks.h", Storage.ROW_MAJOR, _gemm_call, _accepts_gemm,
        "codes, codes of up to 8 bits in blocks -> f32",
    ),
    row(
        QuantizeBlocks, "subbyte_quantize_blocks", "blocks.h", Storage.ROW_MAJOR, _quantize_call, _accepts_quantize,
        "f32 -> s8 and a scale for each block",
    ),
)  # fmt: skip
