"""QuantizeLinear and DequantizeLinear: scale and zero point move from operands into the type of the codes."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.dtype import FLOAT16, FLOAT32, INT32, UINT8, DType
from subbyte.compiler.importer.blocks import block_params
from subbyte.compiler.importer.codes import plain, quant_params, with_quant
from subbyte.compiler.importer.operator import MICROSOFT, Marks, Operator, converts
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops_dynamic import Centre
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.affine import spread

_CODE_BITS = (2, 4, 8, 16)


def _is_code(dtype: DType) -> bool:
    return dtype.kind in ("int", "uint") and dtype.bits in _CODE_BITS


def _params(op: Operator, zero_point: Value | None, dtype: DType, shape: tuple[int, ...]) -> QuantParams:
    """The meaning of the codes: one scale, one along the attribute axis, or one for each block along it."""
    block = op.integer("block_size", 0)
    if block:
        return block_params(op, op.operand(1), zero_point, dtype, shape, block)
    return quant_params(op, op.operand(1), zero_point, dtype, shape, op.integer("axis", 1))


@converts("QuantizeLinear")
@converts("QuantizeLinear", domain=MICROSOFT)
def convert_quantize(op: Operator) -> Value:
    """The type of the codes is that of the zero point, else output_dtype, else uint8."""
    zero_point = op.optional(2)
    wanted = op.dtype_attribute("output_dtype")
    dtype = zero_point.type.dtype if zero_point is not None else (wanted or UINT8)
    if wanted is not None and wanted != dtype:
        raise op.broken(f"has output_dtype {wanted} and a zero point of type {dtype}; they are equal in ONNX.")
    if not _is_code(dtype):
        raise op.unsupported(f"makes {dtype}; int and uint of 2, 4, 8 and 16 bits are read. Quantize to one of these.")
    precision = op.dtype_attribute("precision")
    if precision not in (None, FLOAT32):
        raise op.unsupported(f"divides in {precision}; float32 is read. Export without the attribute precision.")
    x = op.operand(0)
    quant = _params(op, zero_point, dtype, x.type.shape)
    return quantized(op, x, dtype, quant, op.marks)


def quantized(op: Operator, x: Value, dtype: DType, quant: QuantParams, marks: Marks) -> Value:
    """QuantizeLinear of floats; int32 becomes float32 before, as ONNX says."""
    if x.type.dtype == INT32 and x.type.quant is None:
        x = op.emit(ops.Cast(x, FLOAT32, **op.inner))
    if x.type.dtype not in (FLOAT32, FLOAT16):
        raise op.broken(f"quantizes {x.type}; float32, float16 or int32 is needed.")
    return op.emit(ops.QuantizeLinear(x, dtype, quant, **marks))


@converts("DequantizeLinear")
@converts("DequantizeLinear", domain=MICROSOFT)
def convert_dequantize(op: Operator) -> Value:
    """The result has the type of the scale, or output_dtype (opset 23)."""
    x, scale, zero_point = op.operand(0), op.operand(1), op.optional(2)
    dtype = x.type.dtype
    if not (_is_code(dtype) or dtype == INT32):
        raise op.unsupported(f"dequantizes {x.type}; int and uint of 2, 4, 8 and 16 bits, and int32, are read.")
    result = op.dtype_attribute("output_dtype") or scale.type.dtype
    if result not in (FLOAT32, FLOAT16):
        raise op.unsupported(f"makes {result}; float32 and float16 are read. Export the model in one of these.")
    if _is_dynamic(x, scale, zero_point, result):
        return _dequantized_at_run_time(op, x, scale, zero_point)
    quant = _params(op, zero_point, dtype, x.type.shape)
    return dequantized(op, x, quant, result, op.marks)


def _is_dynamic(x: Value, scale: Value, zero_point: Value | None, result: DType) -> bool:
    """Whether 8-bit codes are read with one scale, and one zero point or none, of which one at least is computed."""
    parts = [scale] if zero_point is None else [scale, zero_point]
    is_computed = any(part.constant is None for part in parts)
    is_one = all(math.prod(part.type.shape) == 1 and part.type.rank < 2 for part in parts)
    fits = x.type.dtype.bits == 8 and all(part.type.dtype == x.type.dtype for part in parts[1:])
    return is_computed and is_one and fits and scale.type.dtype == result == FLOAT32


def _dequantized_at_run_time(op: Operator, x: Value, scale: Value, zero_point: Value | None) -> Value:
    """f32(f32(x - zero_point) * scale), as DynamicQuantizeLinear's codes are read: its scale is a tensor (N9)."""
    codes = plain(op, x)
    if zero_point is None:
        reals = op.emit(ops.Cast(codes, FLOAT32, **op.inner))
    else:
        centred = op.emit(Centre(codes, _scalar(op, zero_point), **op.inner))
        reals = op.emit(ops.DequantizeLinear(centred, FLOAT32, **op.inner))
    return op.emit(ops.Mul(reals, _scalar(op, scale), **op.marks))


def _scalar(op: Operator, value: Value) -> Value:
    """[] of a tensor of one element."""
    return op.emit(ops.Reshape(value, (), **op.inner)) if value.type.rank else value


def dequantized(op: Operator, x: Value, quant: QuantParams, dtype: DType, marks: Marks) -> Value:
    """scale * (x - zero_point) for the meaning `quant` of the codes x, whatever meaning they had."""
    if x.type.dtype == INT32 and x.constant is None:
        return _scaled_sum(op, x, quant, dtype, marks)
    return op.emit(ops.DequantizeLinear(with_quant(op, x, quant), dtype, **marks))


def _scaled_sum(op: Operator, x: Value, quant: QuantParams, dtype: DType, marks: Marks) -> Value:
    """f32(f32(x) * scale) of int32 sums that are computed: the zero point is 0."""
    scales = spread(quant.static()[0], x.type.shape, quant.axis, quant.block)
    reals = op.emit(ops.Cast(x, FLOAT32, **op.inner))
    product = ops.Mul(reals, op.part(np.asarray(scales), FLOAT32), **(marks if dtype == FLOAT32 else op.inner))
    return op.emit(product) if dtype == FLOAT32 else op.emit(ops.Cast(op.emit(product), dtype, **marks))
