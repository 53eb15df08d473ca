"""Rows for float sums of products with codebooks: CodebookConv, CodebookMatMul."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops_codebooks import CodebookConv, CodebookMatMul
from subbyte.compiler.target import Call, ConstantArray, Integer, ResultPointer, Special, Storage, as_array
from subbyte.targets.common.constants import constant_of, is_constant, operand
from subbyte.targets.common.geometry import is_channels_last, is_row_major
from subbyte.targets.common.packing import pack_rows
from subbyte.targets.common.windows import is_spatial, spatial
from subbyte.targets.portable.rows import row
from subbyte.targets.portable.structs import conv_struct

FILTERS = 8  # SUBBYTE_CODEBOOK_FILTERS of kernels/codebooks.h


def _codebook(weights: Value, order: str) -> tuple[ConstantArray, ConstantArray]:
    """Rows [outputs][products] of packed indices, and the table."""
    quant, bits = weights.type.quant, weights.type.dtype.bits
    if quant is None or quant.levels is None:
        raise GraphError(f"{weights.type} has no levels; this kernel looks weights up")
    codes = constant_of(weights).astype(np.int64)
    rows = np.moveaxis(codes, 1, -1).reshape(codes.shape[0], -1) if order == "ohwi" else codes.T
    label = f"{order}_table{bits}[{len(quant.levels)}]"
    return ConstantArray("weights", pack_rows(rows, bits), label), ConstantArray(
        "levels", as_array(quant.levels, np.float32)
    )


def _accepts_conv(op: CodebookConv) -> bool:
    stored = is_spatial(op.x.type) and is_channels_last(op.x.type) and is_channels_last(op.type)
    return stored and (op.b is None or is_constant(op.b))


def _conv_call(op: CodebookConv) -> Call:
    depth = int(np.prod(op.w.type.shape[1:]))
    return Call(
        "subbyte_conv_codebook",
        (
            operand(op, op.x),
            *_codebook(op.w, "ohwi"),
            Integer(0) if op.b is None else ConstantArray("bias", as_array(constant_of(op.b), np.float32)),
            ResultPointer(),
            conv_struct(op),
            Integer(op.w.type.dtype.bits),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=op.type.shape[0] * spatial(op).results[0],
        scratch_bytes=depth * (4 * (1 + FILTERS) + 1),
    )


def _accepts_matmul(op: CodebookMatMul) -> bool:
    return is_row_major(op.a.type) and is_row_major(op.type)


def _matmul_call(op: CodebookMatMul) -> Call:
    depth, columns = op.b.type.shape
    return Call(
        "subbyte_matmul_codebook",
        (
            operand(op, op.a),
            *_codebook(op.b, "nk"),
            ResultPointer(),
            Integer(op.type.elements // columns),
            Integer(columns),
            Integer(depth),
            Integer(op.b.type.dtype.bits),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=columns,
        scratch_bytes=depth * (4 + 1),
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
