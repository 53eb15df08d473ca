"""QONNX: Quant (IntQuant), BipolarQuant and Trunc, which quantize and dequantize in one operator.

The operators live in three domains, with or without an opset_import for them, and mean the same in each.
Source: qonnx 1.0, custom_op/general: intquant.py, bipolar_quant.py, trunc.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, DType
from subbyte.compiler.importer.operator import Converter, Operator, converts
from subbyte.compiler.importer.qonnx_grid import bit_width, code_type, flag, known, qonnx_grid, rounding_mode
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.arrays import Floats
from subbyte.compiler.numerics.rounding import Rounding, apply_rounding

_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
_MAX_BITS = 32  # of constants: biases
_MAX_RUN_TIME_BITS = 16  # of what is computed
_MAX_TRUNC_BITS = 16


def _converts(*operators: str) -> Callable[[Converter], Converter]:
    """Register a converter in every domain of QONNX."""

    def register(function: Converter) -> Converter:
        for domain in _DOMAINS:
            converts(*operators, domain=domain)(function)
        return function

    return register


@_converts("Quant", "IntQuant")
def convert_quant(op: Operator) -> Value:
    """(round(clamp(f32(x / scale) + zeropt)) - zeropt) * scale; signed with one bit: +1 where x >= 0, else -1.

    The clamp comes before the rounding in QONNX; its bounds are whole and every rounding is monotone, so N2's order
    gives the same codes.
    """
    x = _real(op)
    bits = bit_width(op, 3, "bit width", _MAX_RUN_TIME_BITS if x.constant is None else _MAX_BITS)
    if "narrow" not in op.attributes:
        raise op.broken(
            "has no attribute 'narrow', and QONNX's documentation and code differ in its default. Write it."
        )
    signed = flag(op, "signed", True)
    dtype, qmin, qmax = code_type(bits, signed, flag(op, "narrow", False))
    quant = qonnx_grid(op, 1, 2, dtype, x.type.shape).replace(qmin=qmin, qmax=qmax)
    rounding = rounding_mode(op, "ROUND")
    if dtype == BIPOLAR:
        rounding = Rounding.BIPOLAR
        if quant.static()[1].any():
            raise op.unsupported("adds a zero point to bipolar codes; only 0 is read. Export it with zero point 0.")
    return _fake_quantized(op, x, dtype, quant, rounding)


@_converts("BipolarQuant")
def convert_bipolar_quant(op: Operator) -> Value:
    """scale where x >= 0, else -scale."""
    x = _real(op)
    quant = qonnx_grid(op, 1, None, BIPOLAR, x.type.shape)
    return _fake_quantized(op, x, BIPOLAR, quant, Rounding.BIPOLAR)


@_converts("Trunc")
def convert_trunc(op: Operator) -> Value:
    """Codes of in_bits lose their low bits: round(rne(x / scale + zeropt) / 2^k), dequantized.

    Version 1 (5 operands): k = in_bits - out_bits, and the result is (code - zeropt) * scale.
    Version 2 (6 operands): k = rne(log2(out_scale / scale)), the codes are clamped to out_bits, and the result is
    (code - zeropt / 2^k) * out_scale.
    x holds codes of in_bits: signed ones, or unsigned where x cannot be negative; what lies beyond them saturates.
    Version 1 does not clamp: where the rounding goes up, the largest codes need one bit more.
    """
    second = len(op.operands) > 5
    x = _real(op)
    in_bits = bit_width(op, 3, "input bit width", _MAX_TRUNC_BITS)
    out_bits = bit_width(op, 5 if second else 4, "output bit width", _MAX_TRUNC_BITS)
    given, _, _ = code_type(in_bits, not _is_never_negative(x), False, bipolar=False)
    quant = qonnx_grid(op, 1, 2, given, x.type.shape)
    scale, zero_point = quant.static()
    if scale.ndim:
        raise op.unsupported("has scales along an axis; one for the whole tensor is read. Quantize it per tensor.")
    if second:
        shift, out, dtype = _second_trunc(op, quant, out_bits)
        every = np.clip(_shifted_codes(op, given, shift), out.qmin, out.qmax)
    else:
        shift = in_bits - out_bits
        if shift < 0:
            raise op.broken(f"truncates {in_bits} bits to {out_bits}; a result has at most the bits of its operand.")
        every = _shifted_codes(op, given, shift)
        reach = range(min(int(every.min()), int(zero_point)), max(int(every.max()), int(zero_point)) + 1)
        fits = (DType(given.kind, bits) for bits in range(out_bits, in_bits + 2))
        dtype = next(one for one in fits if one.min <= reach[0] and reach[-1] <= one.max)
        out = QuantParams(scale, zero_point, int(every.min()), int(every.max()))
    codes = op.emit(ops.QuantizeLinear(x, given, quant, "HALF_EVEN", bool(zero_point), **op.inner))
    truncated = op.emit(qops.Lookup(codes, every.astype(dtype.numpy), dtype, out, **op.inner))
    return op.emit(ops.DequantizeLinear(truncated, FLOAT32, **op.marks))


def _second_trunc(op: Operator, quant: QuantParams, out_bits: int) -> tuple[int, QuantParams, DType]:
    """(shift, meaning of the result's codes, their type) of version 2."""
    scale, zero_point = quant.scalar()
    dtype, qmin, qmax = code_type(out_bits, flag(op, "signed", True), flag(op, "narrow", False), bipolar=False)
    given = qonnx_grid(op, 4, None, dtype, op.operand(0).type.shape)
    if not given.is_per_tensor:
        raise op.unsupported("has output scales along an axis; one for the whole tensor is read. Quantize per tensor.")
    out = given.scalar()[0]
    shift = round(math.log2(np.float32(out) / np.float32(scale)))
    if shift < 0:
        raise op.unsupported(
            f"multiplies its codes by 2^{-shift}: its output scale is below its scale. Quantize with Quant instead."
        )
    if zero_point % (1 << shift):
        raise op.unsupported(
            f"shifts the zero point {zero_point} by {shift} bits, which leaves no whole number. Use zero point 0."
        )
    return shift, QuantParams(np.array(out, np.float32), np.array(zero_point >> shift), qmin, qmax), dtype


def _shifted_codes(op: Operator, given: DType, shift: int) -> Floats:
    """round(code / 2^shift) for every code of `given`, in order."""
    every = np.arange(given.min, given.max + 1).astype(np.float32)
    return apply_rounding(every / np.float32(1 << shift), rounding_mode(op, "FLOOR"))


def _fake_quantized(op: Operator, x: Value, dtype: DType, quant: QuantParams, rounding: Rounding) -> Value:
    """Quantize and dequantize; a zero point of 0 may as well be added after the rounding."""
    first = bool(quant.static()[1].any())
    codes = op.emit(ops.QuantizeLinear(x, dtype, quant, rounding.name, first, **op.inner))
    return op.emit(ops.DequantizeLinear(codes, FLOAT32, **op.marks))


def _real(op: Operator) -> Value:
    x = op.operand(0)
    if x.type.dtype != FLOAT32:
        raise op.broken(f"quantizes {x.type}; float32 is needed.")
    return x


def _is_never_negative(x: Value) -> bool:
    """Whether x is, but for pooling, movement and positive factors, a Relu or made of codes from the zero point on."""
    keeps = (ops.AveragePool, ops.MaxPool, ops.ReduceMean, ops.ReduceSum, ops.ReduceMax, ops.Reshape, ops.Transpose)
    while True:
        node = x.node
        match node:
            case ops.Unary(function="Relu" | "Sigmoid"):
                return True
            case ops.DequantizeLinear(x=codes) if codes.type.quant is not None and codes.type.quant.is_static:
                return codes.type.quant.qmin >= int(codes.type.quant.static()[1].max())
            case ops.Mul(a=a, b=b) | ops.Div(a=a, b=b) if _is_positive(b):
                x = a
            case ops.Mul(a=a, b=b) if _is_positive(a):
                x = b
            case _ if isinstance(node, keeps):
                x = node.operands[0]
            case _:
                return False


def _is_positive(value: Value) -> bool:
    numbers = known(value)
    return numbers is not None and bool((numbers > 0).all())
