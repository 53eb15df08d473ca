"""Rows for float sums of products: Conv, ConvTranspose, MatMul, Gemm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops import Conv, ConvTranspose, Gemm, MatMul
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    as_array,
)
from subbyte.targets.common.c_types import is_real, type_code
from subbyte.targets.common.constants import constant_of, is_constant, operand
from subbyte.targets.common.geometry import broadcast_strides, is_channels_last, is_row_major, pieces, stored_strides
from subbyte.targets.common.windows import is_spatial, spatial
from subbyte.targets.portable.rows import row
from subbyte.targets.portable.structs import conv_struct

OUTPUTS = 32  # SUBBYTE_OUTPUTS of kernels/float_sums.h

# Convolutions ---------------------------------------------------------------------------------------------------------


def _weights(op: Conv | ConvTranspose) -> NDArray[np.float32]:
    """[group, kernel..., inputs, outputs] of each group, in float32."""
    w = constant_of(op.w).astype(np.float32)
    split = w.reshape(op.group, w.shape[0] // op.group, *w.shape[1:])
    first, second = (-1, -2) if isinstance(op, Conv) else (-2, -1)  # [G, O / G, I, ...] or [G, I, O / G, ...]
    return np.moveaxis(split, (1, 2), (first, second))


def _accepts_conv(op: Conv | ConvTranspose) -> bool:
    return (
        is_real(op.type.dtype)
        and is_spatial(op.x.type)
        and is_channels_last(op.x.type)
        and is_channels_last(op.type)
        and is_constant(op.w)
        and (op.b is None or is_constant(op.b))
    )


def _conv_call(op: Conv | ConvTranspose) -> Call:
    bias = Integer(0) if op.b is None else ConstantArray("bias", as_array(constant_of(op.b), np.float32))
    return Call(
        "subbyte_conv_floats",
        (
            operand(op, op.x),
            ConstantArray("weights", as_array(_weights(op), np.float32), "ghwio"),
            bias,
            ResultPointer(),
            conv_struct(op),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=op.type.shape[0] * spatial(op).results[0],
    )


# Matrix products ------------------------------------------------------------------------------------------------------


def _starts(of_type: TensorType, batches: Sequence[int], role: str) -> ConstantArray:
    """Where the matrix that each batch takes begins."""
    own = of_type.shape[:-2]
    size = of_type.shape[-1] * of_type.shape[-2]
    starts = np.arange(int(np.prod(own)), dtype=np.int64).reshape(own) * size
    return ConstantArray(role, as_array(np.broadcast_to(starts, batches).reshape(-1), np.int32))


def _accepts_matmul(op: MatMul | Gemm) -> bool:
    types = [value.type for value in op.operands]
    return is_real(op.type.dtype) and all(map(is_row_major, (*types, op.type)))


def _matmul_call(op: MatMul | Gemm) -> Call:
    a_row, a_depth = stored_strides(op.a.type)[-2:]
    b_depth, b_column = stored_strides(op.b.type)[-2:]
    rows, columns = op.type.shape[-2:]
    depth = op.a.type.shape[-1]
    c: Value | None = None
    alpha = beta = 1.0
    if isinstance(op, Gemm):
        c, alpha, beta = op.c, float(np.float32(op.alpha)), float(np.float32(op.beta))
        if op.transpose_a:
            a_row, a_depth, depth = a_depth, a_row, op.a.type.shape[0]
        if op.transpose_b:
            b_depth, b_column = b_column, b_depth
    c_row, c_column = (0, 0) if c is None else broadcast_strides(c.type, 2)
    fields = (
        ("type", type_code(op.type.dtype)),
        ("rows", rows),
        ("columns", columns),
        ("depth", depth),
        ("a_row", a_row),
        ("a_depth", a_depth),
        ("b_depth", b_depth),
        ("b_column", b_column),
        ("c_row", c_row),
        ("c_column", c_column),
        ("alpha", alpha),
        ("beta", beta),
    )
    return Call(
        "subbyte_matmul_floats",
        (
            operand(op, op.a),
            operand(op, op.b),
            Integer(0) if c is None else operand(op, c),
            ResultPointer(),
            _starts(op.a.type, op.type.shape[:-2], "matrices_of_a"),
            _starts(op.b.type, op.type.shape[:-2], "matrices_of_b"),
            ConstantStruct("subbyte_matmul", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=op.type.elements // columns * pieces(columns, OUTPUTS),
    )


def _rows() -> Iterator[Kernel]:
    says, header = "f32 f16 -> the same", "float_sums.h"
    convolutions: tuple[type[Node], ...] = (Conv, ConvTranspose)
    for op in convolutions:
        yield row(op, "subbyte_conv_floats", header, Storage.CHANNELS_LAST, _conv_call, _accepts_conv, says)
    products: tuple[type[Node], ...] = (MatMul, Gemm)
    for op in products:
        yield row(op, "subbyte_matmul_floats", header, Storage.ROW_MAJOR, _matmul_call, _accepts_matmul, says)


ROWS = tuple(_rows())
