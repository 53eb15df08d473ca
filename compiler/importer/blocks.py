"""Scales for blocks of codes: the attribute block_size of QuantizeLinear and DequantizeLinear, and MatMulNBits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT16, FLOAT32, UINT8, DType
from subbyte.compiler.importer.codes import known_constant
from subbyte.compiler.importer.operator import MICROSOFT, Operator, converts
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.qops_blocks import QBlockGemm, QuantizeBlocks
from subbyte.compiler.ir.types import QuantParams, TensorType

_EIGHT_BIT_ACTIVATIONS = 4  # of the attribute accuracy_level


def block_params(
    op: Operator, scale: Value, zero_point: Value | None, dtype: DType, shape: tuple[int, ...], block: int
) -> QuantParams:
    """Scale and zero point of codes of `dtype` and `shape` in blocks along the attribute axis, checked.

    Both have the rank of the codes, and ceil(extent / block) entries along the axis.
    """
    axis = op.axis(op.integer("axis", 1), len(shape))
    if block < 1:
        raise op.broken(f"has block_size {block}; 1 or more is needed.")
    scales = known_constant(op, scale, "scale")
    expected = tuple(-(-extent // block) if k == axis else extent for k, extent in enumerate(shape))
    found = {"scale": scale, "zero point": zero_point}
    for what, value in found.items():
        if value is not None and value.type.shape != expected:
            raise op.broken(
                f"has a {what} of shape {list(value.type.shape)} for {dtype}{list(shape)} in blocks of {block} along "
                f"axis {axis}; {list(expected)} is needed."
            )
    if scale.type.dtype not in (FLOAT16, FLOAT32):
        raise op.broken(f"has a scale of type {scale.type.dtype}; float32 or float16 is needed.")
    if zero_point is not None and zero_point.type.dtype != dtype:
        raise op.broken(f"has a zero point of type {zero_point.type.dtype} for codes of type {dtype}; they are equal.")
    zeros = np.zeros(expected, np.int64) if zero_point is None else known_constant(op, zero_point, "zero point")
    if dtype.bits > 16 and zeros.any():
        raise op.broken(f"has zero points that are not 0 for codes of type {dtype}; they must be 0.")
    return _params(op, scales, zeros, dtype, axis, block)


def _params(
    op: Operator, scales: NDArray[Any], zeros: NDArray[Any], dtype: DType, axis: int, block: int
) -> QuantParams:
    """Scales of weights may be negative or zero (ir.types.QuantParams); what QuantizeLinear divides by may not."""
    positive = op.op_type == "QuantizeLinear"
    wrong = ~np.isfinite(scales) | (positive & (scales <= 0))
    if wrong.any():
        expected = "scales of blocks are finite" + (" and above zero" if positive else "")
        raise op.broken(f"has {float(scales[wrong].flat[0])} as a scale; {expected}.")
    return QuantParams(scales.astype(np.float32), zeros.astype(np.int64), dtype.min, dtype.max, axis, block)


@converts("MatMulNBits", domain=MICROSOFT)
def convert_matmul_nbits(op: Operator) -> Value:
    """Operands: A [..., K], B packed [N, blocks, bytes], scales [N * blocks], zero_points, g_idx, bias [N].

    A times the dequantized weights (N11); with accuracy_level 4, A in blocks of 8-bit codes, summed as integers (N10).
    """
    if op.optional(4) is not None:
        raise op.unsupported("has g_idx, an order of its rows; weights in their own order are read. Export without it.")
    if op.integer("weight_prepacked", 0):
        raise op.unsupported("has weights in the layout of a device; the layout of the operator is read. Export anew.")
    a, bias = op.operand(0), op.optional(5)
    b = _packed_weights(op)
    depth, columns = b.type.shape
    if a.type.dtype not in (FLOAT32, FLOAT16) or a.type.rank < 2 or a.type.shape[-1] != depth:
        raise op.broken(f"multiplies {a.type}; float32 or float16 [..., M, {depth}] is needed.")
    if bias is not None and (bias.type.shape, bias.type.dtype) != ((columns,), a.type.dtype):
        raise op.broken(f"has a bias {bias.type}; {a.type.dtype}[{columns}] is needed.")
    marks = op.marks if bias is None else op.inner
    if op.integer("accuracy_level", 0) == _EIGHT_BIT_ACTIVATIONS:
        product = _product_of_codes(op, a, b, marks)
    else:
        weights = op.emit(ops.DequantizeLinear(b, a.type.dtype, **op.inner))
        product = op.emit(ops.MatMul(a, weights, **marks))
    return product if bias is None else op.emit(ops.Add(product, bias, **op.marks))


def _product_of_codes(op: Operator, a: Value, b: Value, marks: Any) -> Value:
    """N10 over blocks of A that are quantized at run time; float16 widens before, and is rounded to after."""
    block = op.integer("block_size", 0)
    if a.type.dtype == FLOAT32:
        codes, scales = op.emit_all(QuantizeBlocks(a, block, **op.inner))
        return op.emit(QBlockGemm(codes, scales, b, **marks))
    wide = op.emit(ops.Cast(a, FLOAT32, **op.inner))
    codes, scales = op.emit_all(QuantizeBlocks(wide, block, **op.inner))
    return op.emit(ops.Cast(op.emit(QBlockGemm(codes, scales, b, **op.inner)), FLOAT16, **marks))


def _packed_weights(op: Operator) -> Value:
    """B as codes [K, N] in blocks along K: the first code of a byte in its lowest bits."""
    depth, columns, block = (op.integer(name, 0) for name in ("K", "N", "block_size"))
    bits = op.integer("bits", 4)
    if bits not in (2, 4, 8):
        raise op.unsupported(f"has weights of {bits} bits; 2, 4 and 8 are read. Quantize to one of these.")
    if depth < 1 or columns < 1 or block < 16 or block & (block - 1):
        raise op.broken(
            f"has K {depth}, N {columns} and block_size {block}; extents above zero, and a power of two of at least 16 "
            "as block_size, are needed."
        )
    op.check_folded_size((columns, depth), 1)
    blocks, zero_bytes = -(-depth // block), -(-(-(-depth // block) * bits) // 8)
    packed = _bytes(op, 1, "B", columns * blocks * (block * bits // 8))
    codes = _unpacked(packed.reshape(columns, -1), bits)[:, :depth]
    scales = known_constant(op, op.operand(2), "scale")
    if op.operand(2).type.dtype not in (FLOAT32, FLOAT16) or scales.size != columns * blocks:
        raise op.broken(
            f"has scales {op.operand(2).type} for {columns} columns of {blocks} blocks each; "
            f"float32 or float16 with {columns * blocks} entries is needed."
        )
    if op.optional(3) is None:
        zeros = np.full((columns, blocks), 1 << (bits - 1), np.uint8)
    else:
        zeros = _unpacked(_bytes(op, 3, "zero_points", columns * zero_bytes).reshape(columns, -1), bits)[:, :blocks]
    dtype = DType("uint", bits)
    quant = _params(op, scales.reshape(columns, blocks).T, zeros.T, dtype, 0, block)
    held = np.ascontiguousarray(codes.T).astype(dtype.numpy)
    return Constant(held, TensorType(dtype, held.shape, quant), **op.inner).out


def _bytes(op: Operator, index: int, what: str, size: int) -> NDArray[np.uint8]:
    """A constant operand of `size` bytes."""
    value = op.operand(index)
    if value.type.dtype != UINT8:
        raise op.unsupported(f"has {what} of type {value.type}; packed uint8 is read. Quantize with integers.")
    if value.type.elements != size:
        raise op.broken(f"has {what} of type {value.type}; its K, N, bits and block_size ask for {size} bytes.")
    return known_constant(op, value, what)


def _unpacked(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """[rows, bytes] -> [rows, bytes * 8 / bits]."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return codes.astype(np.uint8).reshape(packed.shape[0], -1)
