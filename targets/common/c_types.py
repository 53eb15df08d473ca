"""What kernels/codes.h calls the element types, and its description of what the codes of a tensor mean."""

from __future__ import annotations

from subbyte.compiler.dtype import FLOAT16, FLOAT32, INT32, UINT32, DType
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.target import ConstantStruct

_INTEGERS = ("uint8_t", "int8_t", "uint16_t", "int16_t", "uint32_t", "int32_t", "uint64_t", "int64_t")


def type_code(dtype: DType) -> int:
    """The enumerator of `enum subbyte_type` for one element of `dtype` in memory."""
    if dtype.is_float:
        return {FLOAT16: 8, FLOAT32: 9}[dtype]
    return _INTEGERS.index(dtype.c_type)


def storage_code(of_type: TensorType) -> int:
    """The enumerator of `enum subbyte_type` for a tensor as it is stored: one element, or codes that share bytes."""
    bits = None if of_type.layout is None else of_type.layout.bits
    if bits is None:
        return type_code(of_type.dtype)
    return 10 + (1, 2, 4).index(bits) + (3 if of_type.dtype.is_signed else 0)


def is_short_code(dtype: DType) -> bool:
    """Integers of at most 16 bits: what N2 and N4 give."""
    return dtype.is_integer and dtype.container_bits <= 16


def is_code(dtype: DType) -> bool:
    """Integers that a block of int32 holds and compares."""
    return dtype.is_integer and dtype.container_bits <= 32 and dtype != UINT32


def is_real(dtype: DType) -> bool:
    """Floats that are computed in float32."""
    return dtype in (FLOAT16, FLOAT32)


def is_affine(quant: QuantParams) -> bool:
    """Whether the scales are known, per tensor or per axis, and codes are not those of a codebook."""
    return quant.is_static and quant.block is None and quant.levels is None


def has_integers(of_type: TensorType) -> bool:
    """Whether its codes stand for known integers times known scales: codes less zero points, or those of a codebook."""
    quant = of_type.quant
    return quant is None or (quant.is_static and quant.block is None)


def has_grid(of_type: TensorType) -> bool:
    """Whether `grid` describes it: float32 or float16, or codes of one scale that fit int32 less their zero point."""
    if is_real(of_type.dtype):
        return True
    quant = of_type.quant
    if quant is None or not is_affine(quant) or not quant.is_per_tensor:
        return False
    zero = quant.scalar()[1]
    low, high = of_type.dtype.min - zero, of_type.dtype.max - zero
    return is_code(of_type.dtype) and INT32.min <= low <= high <= INT32.max


def grid(of_type: TensorType) -> ConstantStruct:
    """The struct subbyte_grid of codes with one scale, or of floats."""
    scale, zero, qmin, qmax = 1.0, 0, 0, 0
    if of_type.quant is not None:
        scale, zero = of_type.quant.scalar()
        qmin, qmax = of_type.code_range()
    return ConstantStruct(
        "subbyte_grid",
        (
            ("type", type_code(of_type.dtype)),
            ("scale", scale),
            ("zero_point", zero),
            ("qmin", qmin),
            ("qmax", qmax),
        ),
    )


def is_unsigned_byte(dtype: DType) -> bool:
    """Codes 0..255 or fewer, one a byte."""
    return dtype.kind == "uint" and dtype.container_bits == 8


def is_signed_byte(dtype: DType) -> bool:
    """Codes -128..127 or fewer, one a byte."""
    return dtype.is_integer and dtype.is_signed and dtype.container_bits == 8
