"""Rows for float sums of products with codebooks: CodebookConv, CodebookMatMul."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops_codebooks import CodebookConv, CodebookMatMul
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.target import Call, ConstantArray, Integer, ResultPointer, Special, Storage, as_array
from subbyte.targets.common.constants import constant_of, is_constant, operand
from subbyte.targets.common.geometry import is_channels_last, is_row_major, pieces
from subbyte.targets.common.packing import pack_rows
from subbyte.targets.common.windows import is_spatial, spatial
from subbyte.targets.portable.rows import row
from subbyte.targets.portable.structs import conv_struct

OUTPUTS = 32  # SUBBYTE_OUTPUTS of kernels/float_sums.h


def _codebook(
    weights: Value, order: str, group: int = 1
) -> tuple[ConstantArray, ConstantArray, ConstantArray | Integer]:
    """Rows of packed indices, each what one input is multiplied with, the table, and scales, null where it has them."""
    quant, bits = weights.type.quant, weights.type.dtype.bits
    if quant is None or quant.levels is None:
        raise GraphError(f"{weights.type} has no levels; this kernel looks weights up")
    codes = constant_of(weights).astype(np.int64)
    if order == "ghwio":  # [O, I / G, kernel...] -> [G, kernel..., I / G, O / G]
        apart = codes.reshape(group, codes.shape[0] // group, *codes.shape[1:])
        codes = np.moveaxis(apart, (1, 2), (-1, -2))
    label = f"{order}_table{bits}[{len(quant.levels)}]"
    table = as_array(quant.levels, np.float32)
    scales: ConstantArray | Integer = Integer(0)
    if quant.axis is None:
        table = as_array(to_real(np.arange(table.size), quant), np.float32)
    else:
        scales = ConstantArray("scales", as_array(quant.static()[0], np.float32))
    return ConstantArray("weights", pack_rows(codes, bits), label), ConstantArray("levels", table), scales


def _accepts_conv(op: CodebookConv) -> bool:
    stored = is_spatial(op.x.type) and is_channels_last(op.x.type) and is_channels_last(op.type)
    return stored and (op.b is None or is_constant(op.b))


def _conv_call(op: CodebookConv) -> Call:
    return Call(
        "subbyte_conv_codebook",
        (
            operand(op, op.x),
            *_codebook(op.w, "ghwio", op.group),
            Integer(0) if op.b is None else ConstantArray("bias", as_array(constant_of(op.b), np.float32)),
            ResultPointer(),
            conv_struct(op),
            Integer(op.w.type.dtype.bits),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=op.type.shape[0] * spatial(op).results[0],
    )


def _accepts_matmul(op: CodebookMatMul) -> bool:
    return is_row_major(op.a.type) and is_row_major(op.type)


def _matmul_call(op: CodebookMatMul) -> Call:
    depth, columns = op.b.type.shape
    return Call(
        "subbyte_matmul_codebook",
        (
            operand(op, op.a),
            *_codebook(op.b, "kn")[:2],
            ResultPointer(),
            Integer(op.type.elements // columns),
            Integer(columns),
            Integer(depth),
            Integer(op.b.type.dtype.bits),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(columns, OUTPUTS),
    )


ROWS = (
    row(
        CodebookConv, "subbyte_conv_codebook", "codebooks.h", Storage.CHANNELS_LAST, _conv_call, _accepts_conv,
        "f32, indices into a table of f32 -> f32",
    ),
    row(
        CodebookMatMul, "subbyte_matmul_codebook", "codebooks.h", Storage.ROW_MAJOR, _matmul_call, _accepts_matmul,
        "f32, indices into a table of f32 -> f32",
    ),
)  # fmt: skip
