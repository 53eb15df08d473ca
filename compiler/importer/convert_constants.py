"""Constants, shapes, and operators that are read only where all their operands are known while compiling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import BOOL, FLOAT32, INT64
from subbyte.compiler.importer.operator import Operator, converts, described
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.shapes import broadcast


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


def _broadcast_size(op: Operator, *arrays: NDArray[Any]) -> None:
    shape: tuple[int, ...] = ()
    for array in arrays:
        shape = broadcast(shape, array.shape)
    op.check_folded_size(shape, max(array.itemsize for array in arrays))


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
}


@converts(*_COMPARISONS)
def convert_comparison(op: Operator) -> Value:
    a, b = _known(op, 2)
    _same_dtype(op, a, b)
    _broadcast_size(op, a, b)
    return op.computed(_COMPARISONS[op.op_type](a, b), BOOL)


def _same_dtype(op: Operator, a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.dtype != b.dtype:
        raise op.broken(f"has operands of types {a.dtype} and {b.dtype}; one type is needed.")


@converts("Not")
def convert_not(op: Operator) -> Value:
    (x,) = _known(op, 1)
    return op.computed(np.logical_not(x), BOOL)


@converts("Mod")
def convert_mod(op: Operator) -> Value:
    """The remainder with the sign of the divisor; with that of the dividend for fmod=1."""
    a, b = _known(op, 2)
    _same_dtype(op, a, b)
    _broadcast_size(op, a, b)
    if b.dtype.kind in "iu" and not b.all():
        raise op.broken("divides by zero.")
    return op.computed(np.fmod(a, b) if op.flag("fmod", False) else np.mod(a, b))


@converts("Where")
def convert_where(op: Operator) -> Value:
    condition, a, b = _known(op, 3)
    _same_dtype(op, a, b)
    _broadcast_size(op, condition, a, b)
    return op.computed(np.where(condition.astype(bool), a, b), op.operand(1).type.dtype)


@converts("Expand")
def convert_expand(op: Operator) -> Value:
    x, shape = op.operand(0), op.integers(1, "shape") or ()
    if any(extent < 0 for extent in shape):
        raise op.broken(f"expands to the shape {list(shape)}, which has a negative extent.")
    result = broadcast(x.type.shape, shape)
    if result == x.type.shape:
        return op.same(x)
    (array,) = _known(op, 1)
    op.check_folded_size(result, array.itemsize)
    return op.computed(np.broadcast_to(array, result), x.type.dtype)


@converts("Tile")
def convert_tile(op: Operator) -> Value:
    x, repeats = op.operand(0), op.integers(1, "repeats") or ()
    if len(repeats) != x.type.rank or any(count < 0 for count in repeats):
        raise op.broken(f"repeats {x.type} by {list(repeats)}; a number from 0 on is needed for each axis.")
    if all(count == 1 for count in repeats):
        return op.same(x)
    (array,) = _known(op, 1)
    op.check_folded_size(tuple(a * b for a, b in zip(array.shape, repeats, strict=True)), array.itemsize)
    return op.computed(np.tile(array, repeats), x.type.dtype)


@converts("NonZero")
def convert_non_zero(op: Operator) -> Value:
    (x,) = _known(op, 1)
    op.check_folded_size((x.ndim, x.size), 8)
    return op.computed(np.array(np.nonzero(np.atleast_1d(x)), np.int64)[: x.ndim], INT64)


@converts("ReduceProd")
def convert_reduce_prod(op: Operator) -> Value:
    """The product of the elements along axes, of constants: shape arithmetic."""
    from_input = op.opset >= 18
    axes = op.integers(1, "axes") if from_input else op.integer_list("axes")
    (x,) = _known(op, 1)
    if not axes and from_input and op.flag("noop_with_empty_axes", False):
        return op.same(op.operand(0))
    reduced = op.axes(axes, x.ndim) if axes else tuple(range(x.ndim))
    product = np.prod(x, axis=reduced, dtype=x.dtype, keepdims=op.flag("keepdims", True))
    return op.computed(np.asarray(product), op.operand(0).type.dtype)
