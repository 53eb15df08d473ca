"""What codes stand for: quantization parameters as a model gives them, checked, and the same codes with other ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT16, FLOAT32, DType
from subbyte.compiler.importer.operator import Operator, described
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.qops import Lookup
from subbyte.compiler.ir.types import QuantParams, TensorType

_MAX_TABLE_BITS = 16


def quant_params(
    op: Operator,
    scale: Value,
    zero_point: Value | None,
    dtype: DType,
    shape: tuple[int, ...],
    axis: int | None,
    what: str = "",
) -> QuantParams:
    """Scale and zero point of codes of `dtype` and `shape`, checked: positive, finite, one or one along `axis`.

    A scale of one element is per tensor whatever its shape; axis None allows no other. `what` names the tensor where
    the operator has several.
    """
    of = f" of {what}" if what else ""
    scales, zeros = _constant(op, scale, f"scale{of}"), _constant(op, zero_point, f"zero point{of}")
    if scales is None or scale.type.dtype not in (FLOAT16, FLOAT32):
        raise op.broken(f"has a scale{of} of type {scale.type.dtype}; float32 or float16 is needed.")
    scales = scales.astype(np.float32)
    if zeros is None:
        zeros = np.zeros((), np.int64)
    elif zero_point is not None and zero_point.type.dtype != dtype:
        raise op.broken(
            f"has a zero point{of} of type {zero_point.type.dtype} for codes of type {dtype}; they are equal."
        )
    zeros = zeros.astype(np.int64)
    wrong = ~(np.isfinite(scales) & (scales > 0))
    if wrong.any():
        raise op.broken(f"has {float(scales[wrong].flat[0])} as a scale{of}; scales are finite and above zero.")
    if dtype.bits > 16 and zeros.any():
        raise op.broken(
            f"has the zero point {int(zeros[zeros != 0].flat[0])} for codes{of} of type {dtype}; it must be 0."
        )
    if scales.size == 1 and zeros.size == 1:
        return QuantParams(scales.reshape(()), zeros.reshape(()), dtype.min, dtype.max)
    if scales.size == 1:
        scales = scales.reshape(())
    if zeros.size == 1:
        zeros = zeros.reshape(())
    if axis is None:
        raise op.unsupported(
            f"has a scale or zero point{of} with {max(scales.size, zeros.size)} entries; one for the whole tensor is "
            "read. Quantize it per tensor."
        )
    axis = op.axis(axis, len(shape))
    extent = (shape[axis],)
    if any(found.shape not in ((), extent) for found in (scales, zeros)):
        raise op.broken(
            f"has a scale{of} of shape {list(scales.shape)} and a zero point of shape {list(zeros.shape)} along axis "
            f"{axis} of {dtype}{list(shape)}; [] or [{extent[0]}] is needed."
        )
    return QuantParams(np.broadcast_to(scales, extent), np.broadcast_to(zeros, extent), dtype.min, dtype.max, axis)


def _constant(op: Operator, value: Value | None, what: str) -> NDArray[Any] | None:
    return None if value is None else known_constant(op, value, what)


def known_constant(op: Operator, value: Value, what: str) -> NDArray[Any]:
    """The array of an operand that must be known while compiling."""
    if value.constant is None:
        raise op.unsupported(
            f"takes its {what} from {described(value)}, which is known at run time only (dynamic quantization); "
            "constants are read. Quantize the model statically, with calibration data."
        )
    return value.constant


def with_quant(op: Operator, value: Value, quant: QuantParams | None) -> Value:
    """The same codes with another meaning: a constant is made anew, computed codes go through an identity table."""
    old, dtype = value.type.quant, value.type.dtype
    if old is quant or (old is not None and quant is not None and old.same_grid(quant)):
        return value
    meant = TensorType(dtype, value.type.shape, quant)
    node = value.node
    if isinstance(node, Constant):
        key = (node, quant)
        if key not in op.shared.with_quant:
            sources = (*node.sources, *op.shared.dropped.get(node, ()))
            op.shared.with_quant[key] = Constant(node.value, meant, sources=sources, tensor=node.tensor).out
        return op.shared.with_quant[key]
    if dtype.kind not in ("int", "uint") or dtype.bits > _MAX_TABLE_BITS:
        raise op.unsupported(
            f"gives a scale of its own to {value.type}, made by {described(value)}; that is read for codes of at most "
            f"{_MAX_TABLE_BITS} bits. Remove the DequantizeLinear, or convert with Cast and Mul."
        )
    table = np.arange(dtype.min, dtype.max + 1).astype(dtype.numpy)
    return op.emit(Lookup(value, table, dtype, quant, **op.inner))


def plain(op: Operator, value: Value) -> Value:
    """`value` as numbers without a scale, for operators that compute with the codes themselves."""
    return with_quant(op, value, None)


def movable(op: Operator, value: Value) -> Value:
    """`value` fit to be moved about: codes with a scale per axis lose it; a DequantizeLinear after gives it back."""
    quant = value.type.quant
    return value if quant is None or quant.is_per_tensor else plain(op, value)
