"""What QONNX's operands say of a quantization: bit width, range, rounding, and scales that are broadcast against x."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import BIPOLAR, DType
from subbyte.compiler.importer.operator import Operator
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.ops import DequantizeLinear
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.numerics.rounding import Rounding

_ROUNDINGS = {"ROUND": Rounding.HALF_EVEN} | {mode.name: mode for mode in Rounding if mode is not Rounding.BIPOLAR}


def known(value: Value) -> NDArray[Any] | None:
    """The numbers of a constant, written as such or as codes with a scale (a quantized scale); else None."""
    node = value.node
    if isinstance(node, DequantizeLinear) and isinstance(node.x.node, Constant) and node.x.type.quant is not None:
        return to_real(node.x.node.value, node.x.type.quant)
    return value.constant


def code_type(bits: int, signed: bool, narrow: bool, *, bipolar: bool = True) -> tuple[DType, int, int]:
    """(dtype, smallest code, largest code); one signed bit is bipolar, unless told otherwise."""
    if signed and bits == 1 and bipolar:
        return BIPOLAR, -1, 1
    dtype = DType("int" if signed else "uint", bits)
    if narrow:
        return (dtype, dtype.min + 1, dtype.max) if signed else (dtype, dtype.min, dtype.max - 1)
    return dtype, dtype.min, dtype.max


def bit_width(op: Operator, index: int, what: str, most: int) -> int:
    """An operand that is the number of bits: one whole number from 1 to `most`."""
    array = op.constant(index, what)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise op.broken(f"has the {what} as {array.dtype}{list(array.shape)}; one number for the tensor is needed.")
    number = float(array.reshape(()))
    if not 1 <= number <= most or number != int(number):
        raise op.broken(f"has the {what} {number:g}; a whole number from 1 to {most} is needed here.")
    return int(number)


def rounding_mode(op: Operator, default: str) -> Rounding:
    """The attribute rounding_mode, in either case of letters."""
    name = op.word("rounding_mode", default)
    if name.upper() not in _ROUNDINGS:
        raise op.broken(f"has the rounding mode '{name}'; QONNX has {', '.join(_ROUNDINGS)}.")
    return _ROUNDINGS[name.upper()]


def qonnx_grid(
    op: Operator, scale_index: int, zero_index: int | None, dtype: DType, shape: tuple[int, ...]
) -> QuantParams:
    """Scale and zero point, broadcast against x of `shape` as in NumPy: one of each, or as many as an axis is long."""
    scales = _numbers(op, scale_index, "scale", shape).astype(np.float32)
    wrong = ~(np.isfinite(scales) & (scales > 0))
    if wrong.any():
        raise op.broken(f"has {float(scales[wrong].flat[0])} as a scale; scales are finite and above zero.")
    zeros = np.zeros(()) if zero_index is None else _numbers(op, zero_index, "zero point", shape)
    stray = zeros[~((zeros >= dtype.min) & (zeros <= dtype.max) & (np.floor(zeros) == zeros))]
    if stray.size:
        raise op.broken(
            f"has the zero point {float(stray.flat[0]):g} for {dtype} codes; a whole number from {dtype.min} to "
            f"{dtype.max} is needed."
        )
    axis = _axis(op, shape, scales, zeros)
    if axis is None:
        return QuantParams(scales.reshape(-1)[0], zeros.reshape(-1)[0], dtype.min, dtype.max)
    along = (shape[axis],)
    scale = np.broadcast_to(scales.reshape(-1), along)
    zero_point = np.broadcast_to(zeros.reshape(-1).astype(np.int64), along)
    return QuantParams(scale, zero_point, dtype.min, dtype.max, axis)


def _numbers(op: Operator, index: int, what: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """A constant operand that broadcasts to `shape`, at least one number; one where all are the same."""
    value = op.operand(index)
    array = known(value)
    if array is None:
        array = op.constant(index, what)  # which says what it found instead
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise op.broken(f"has a {what} of type {array.dtype}{list(array.shape)}; one number or more are needed.")
    ends = zip(reversed(array.shape), reversed(shape), strict=False)
    if array.size > 1 and (array.ndim > len(shape) or any(n not in (1, extent) for n, extent in ends)):
        raise op.broken(
            f"has a {what} of shape {list(array.shape)} for a tensor of shape {list(shape)}; one that broadcasts to it "
            "is needed."
        )
    return array.reshape(-1)[:1].reshape(()) if (array == array.reshape(-1)[0]).all() else array


def flag(op: Operator, name: str, default: bool) -> bool:
    """An attribute that is 0 or 1."""
    number = op.integer(name, int(default))
    if number not in (0, 1):
        raise op.broken(f"has {name} {number}; 0 or 1 is needed.")
    return bool(number)


def _axis(op: Operator, shape: tuple[int, ...], *parts: NDArray[Any]) -> int | None:
    """The axis of x along which scales or zero points differ; None where they are one for the whole tensor."""
    wide = ((1,) * (len(shape) - part.ndim) + part.shape for part in parts)
    found = {axis for extents in wide for axis, n in enumerate(extents) if n > 1}
    if len(found) > 1:
        raise op.unsupported(
            f"has scales or zero points that differ along the axes {sorted(found)}; one axis is read. Quantize per "
            "tensor or per channel."
        )
    return found.pop() if found else None
