"""Quantization at run time: DynamicQuantizeLinear, exact sums of its codes, and ONNX Runtime's fused forms of both."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.importer.operator import MICROSOFT, Marks, Operator, converts
from subbyte.compiler.importer.qoperator import build_matmul_integer, integer_codes
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops_dynamic import DynamicQuantize, DynamicRange


def _quantized(op: Operator, x: Value, marks: Marks) -> tuple[Value, Value, Value]:
    """(codes, scale, zero point) of floats."""
    if x.type.dtype != FLOAT32:
        raise op.broken(f"quantizes {x.type}; float32 is needed.")
    scale, zero_point = op.emit_all(DynamicRange(x, **op.inner))
    return op.emit(DynamicQuantize(x, scale, zero_point, **marks)), scale, zero_point


@converts("DynamicQuantizeLinear")
def convert_dynamic_quantize(op: Operator) -> tuple[Value, ...]:
    """Outputs: uint8 codes, their scale and their zero point, both scalars."""
    return _quantized(op, op.operand(0), op.marks)


@converts("DynamicQuantizeMatMul", domain=MICROSOFT)
def convert_dynamic_quantize_matmul(op: Operator) -> Value:
    """Operands: A float32, B codes, b_scale, b_zero_point, bias: A is quantized, then as MatMulIntegerToFloat."""
    codes, scale, zero_point = _quantized(op, op.operand(0), op.inner)
    return _scaled_product(op, codes, zero_point, scale, 1, 2, 3, 4)


@converts("MatMulIntegerToFloat", domain=MICROSOFT)
def convert_matmul_integer_to_float(op: Operator) -> Value:
    """f32(f32(f32(sum) * f32(s_a * s_b)) + bias).

    Operands: A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias.
    """
    return _scaled_product(op, op.operand(0), op.optional(4), op.operand(2), 1, 3, 5, 6)


def _scaled_product(
    op: Operator, a: Value, a_zero: Value | None, a_scale: Value, b: int, b_scale: int, b_zero: int, bias: int
) -> Value:
    """The exact sum, times both scales, plus the bias where there is one; b, b_scale, b_zero, bias: operand indices."""
    right = op.operand(b)
    left = integer_codes(op, a, a_zero, None, "A")
    right = integer_codes(op, right, op.optional(b_zero), max(right.type.rank - 1, 0), "B")
    sums = build_matmul_integer(op, left, right, op.inner)
    columns = right.type.shape[-1] if right.type.rank > 1 else 1
    scale = op.emit(ops.Mul(_scale(op, a_scale, 1, "A"), _scale(op, op.operand(b_scale), columns, "B"), **op.inner))
    added = op.optional(bias)
    real = op.emit(ops.Cast(sums, FLOAT32, **op.inner))
    product = op.emit(ops.Mul(real, scale, **(op.marks if added is None else op.inner)))
    if added is None:
        return product
    if added.type.dtype != FLOAT32 or added.type.shape != (columns,):
        raise op.broken(f"has a bias {added.type}; float32[{columns}] is needed.")
    return op.emit(ops.Add(product, added, **op.marks))


def _scale(op: Operator, scale: Value, columns: int, what: str) -> Value:
    """A scale of one element as [], of one for each column as it is."""
    elements = math.prod(scale.type.shape)
    if scale.type.dtype != FLOAT32 or elements not in (1, columns) or scale.type.rank > 1:
        entries = "float32 of one element" if columns == 1 else f"float32 of one element, or of {columns},"
        raise op.broken(f"has the scale {scale.type} of {what}; {entries} is needed.")
    if scale.constant is not None:
        wrong = ~(np.isfinite(scale.constant) & (scale.constant > 0))
        if wrong.any():
            found = float(scale.constant[wrong].flat[0])
            raise op.broken(f"has {found} as a scale of {what}; scales are finite and above zero.")
    if elements == 1 and scale.type.rank:
        return op.emit(ops.Reshape(scale, (), **op.inner))
    return scale
