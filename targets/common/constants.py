"""Constants as kernels hold them: weights less their zero point, in the narrowest type; biases."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.affine import to_integers
from subbyte.compiler.target import ConstantArray, Integer, OperandPointer, as_array
from subbyte.targets.common.c_types import has_integers, is_affine, is_signed_byte


def is_constant(value: Value) -> bool:
    return isinstance(value.node, Constant)


def constant_of(value: Value) -> NDArray[Any]:
    """The array of a constant operand, in logical order."""
    if value.constant is None:
        raise GraphError(f"{value.type} is computed at run time; this kernel packs constants")
    return value.constant


def operand(op: Node, value: Value) -> OperandPointer:
    """The pointer to an operand of `op`, constant or not."""
    return OperandPointer(op.operands.index(value))


def zero_points(of_type: TensorType, axis: int) -> NDArray[np.int64]:
    """The zero points of codes, one for each entry of `axis`; 0 where they have no scale."""
    channels = of_type.shape[axis]
    if of_type.quant is None:
        return np.zeros(channels, np.int64)
    return np.broadcast_to(of_type.quant.static()[1], (channels,)).astype(np.int64)


def zero_point(of_type: TensorType) -> int:
    """The zero point of a tensor quantized as a whole; 0 where its codes have no scale."""
    return 0 if of_type.quant is None else of_type.quant.scalar()[1]


def has_one_zero_point(of_type: TensorType) -> bool:
    """Whether `zero_point` answers."""
    quant = of_type.quant
    return quant is None or (is_affine(quant) and quant.is_per_tensor)


def centred(value: Value, axis: int) -> NDArray[np.int64]:
    """The constant codes less their zero point, per tensor or along `axis`; of a codebook the levels, whole numbers."""
    codes, quant = constant_of(value).astype(np.int64), value.type.quant
    if quant is not None and quant.levels is not None:
        return to_integers(codes, quant)
    zeros = zero_points(value.type, axis)
    return codes - zeros.reshape([-1 if k == axis else 1 for k in range(codes.ndim)])


def centred_range(of_type: TensorType) -> tuple[int, int]:
    """The smallest and largest code less the zero point; 0 is counted, since padding holds it."""
    low, high = of_type.code_range()
    zero = zero_point(of_type)
    return min(low - zero, 0), max(high - zero, 0)


def narrowest(low: int, high: int, widths: tuple[int, ...] = (8, 16, 32)) -> DType:
    """The narrowest signed integer type that holds low and high."""
    for bits in widths:
        dtype = DType("int", bits)
        if dtype.min <= low and high <= dtype.max:
            return dtype
    raise GraphError(f"values {low}..{high} do not fit int{widths[-1]}")


def bias_array(bias: Value | None, dtype: DType) -> ConstantArray | Integer:
    """The bias in the type of the accumulator; the null pointer where there is none."""
    if bias is None:
        return Integer(0)
    return ConstantArray("bias", as_array(constant_of(bias), dtype.numpy))


def is_signed_weights(weights: Value) -> bool:
    """Constant signed bytes less zero points of their own, or a codebook of signed bytes."""
    of_type = weights.type
    if not is_constant(weights) or not has_integers(of_type):
        return False
    if of_type.quant is not None and of_type.quant.levels is not None:
        return min(of_type.quant.levels) >= -128 and max(of_type.quant.levels) <= 127
    return is_signed_byte(of_type.dtype)
