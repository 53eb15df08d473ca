"""Constants, shapes, and operators that are read only where all their operands are known while compiling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, INT64
from subbyte.compiler.importer.operator import Operator, converts, described
from subbyte.compiler.ir.node import Value


@converts("Constant")
def convert_constant(op: Operator) -> Value:
    """Every form of the attribute but sparse tensors and strings."""
    tensor = op.tensor_attribute("value")
    if tensor is not None:
        array, dtype = tensor
        return op.computed(array, dtype)
    for name, dtype in (("value_float", FLOAT32), ("value_int", INT64)):
        if name in op.attributes:
            scalar = op.real(name, 0.0) if dtype is FLOAT32 else op.integer(name, 0)
            return op.computed(np.array(scalar, dtype.numpy), dtype)
    reals, integers = op.real_list("value_floats"), op.integer_list("value_ints")
    if reals is not None:
        return op.computed(np.array(reals, np.float32), FLOAT32)
    if integers is not None:
        return op.computed(np.array(integers, np.int64), INT64)
    form = ", ".join(sorted(op.attributes)) or "none"
    raise op.unsupported(f"has its value in the attribute {form}; dense tensors, floats and integers are read.")


@converts("Shape")
def convert_shape(op: Operator) -> Value:
    """The extents from axis `start` to `end` (opset 15), clipped as in Python."""
    shape = op.operand(0).type.shape
    start, end = op.integer("start", 0), op.integer("end", len(shape))
    return op.computed(np.array(shape[start:end], np.int64), INT64)


@converts("Size")
def convert_size(op: Operator) -> Value:
    return op.computed(np.array(op.operand(0).type.elements, np.int64), INT64)


@converts("ConstantOfShape")
def convert_constant_of_shape(op: Operator) -> Value:
    shape = op.integers(0, "shape") or ()
    array, dtype = op.tensor_attribute("value") or (np.zeros(1, np.float32), FLOAT32)
    if array.size != 1 or any(extent < 0 for extent in shape):
        raise op.broken(
            f"fills the shape {list(shape)} with {array.size} values; extents from 0 on and one value are needed."
        )
    op.check_folded_size(shape, array.itemsize)
    return op.computed(np.full(shape, array.reshape(())[()], array.dtype), dtype)


@converts("Range")
def convert_range(op: Operator) -> Value:
    """start + i * delta for i in 0 .. max(ceil((limit - start) / delta), 0) - 1."""
    start, limit, delta = (op.constant(i, what) for i, what in enumerate(("start", "limit", "delta")))
    if not start.dtype == limit.dtype == delta.dtype or start.size != 1 or limit.size != 1 or delta.size != 1:
        raise op.broken("has start, limit and delta that are not three scalars of one type.")
    first, last, step = (array.reshape(-1)[0].item() for array in (start, limit, delta))
    if step == 0 or not all(math.isfinite(number) for number in (first, last, step)):
        raise op.broken(f"counts from {first} to {last} by {step}, which never ends.")
    count = max(math.ceil((last - first) / step), 0)
    op.check_folded_size((count,), start.itemsize)
    if start.dtype.kind in "iu":
        return op.computed((first + np.arange(count) * step).astype(start.dtype))
    work = np.dtype(np.float32) if start.dtype == np.float16 else start.dtype
    steps = np.arange(count).astype(work) * work.type(step)
    return op.computed((work.type(first) + steps).astype(start.dtype))


# Operators of constants only ------------------------------------------------------------------------------------------


def _known(op: Operator, count: int) -> list[NDArray[Any]]:
    """The arrays of the first `count` operands, which must all be constants."""
    arrays: list[NDArray[Any]] = []
    for index in range(count):
        value = op.operand(index)
        if value.constant is None:
            raise op.unsupported(
                f"depends on {described(value)}, which is known at run time only; {op.op_type} is read where all its "
                "operands are constants. Express it by other operators ('subbyte list ops' shows those that are read)."
            )
        arrays.append(value.constant)
    return arrays


@converts("EyeLike")
def convert_eye_like(op: Operator) -> Value:
    """Ones on diagonal `k` of a matrix of the operand's shape, which alone is read."""
    x = op.operand(0)
    if x.type.rank != 2:
        raise op.broken(f"takes the shape of {x.type}; a matrix is needed.")
    dtype = op.dtype_attribute("dtype") or x.type.dtype
    rows, columns = x.type.shape
    op.check_folded_size(x.type.shape, dtype.numpy.itemsize)
    diagonal = np.arange(columns) - np.arange(rows)[:, None] == op.integer("k", 0)
    return op.computed(diagonal.astype(dtype.numpy), dtype)


@converts("NonZero")
def convert_non_zero(op: Operator) -> Value:
    (x,) = _known(op, 1)
    op.check_folded_size((x.ndim, x.size), 8)
    return op.computed(np.array(np.nonzero(np.atleast_1d(x)), np.int64)[: x.ndim], INT64)
