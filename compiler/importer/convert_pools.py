"""Pools, reductions, normalisation and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

from subbyte.compiler.importer.codes import movable, plain
from subbyte.compiler.importer.operator import Marks, Operator, converts
from subbyte.compiler.importer.windows import Window, check_no_empty_window, per_axis, spatial_rank, window
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops_logic import Compare, Where
from subbyte.compiler.ir.shapes import Shape

_MOST_AXES = 3  # over which pools are read


def _kernel(op: Operator, rank: int) -> Shape:
    if not op.integer_list("kernel_shape"):
        raise op.broken("does not say its kernel_shape.")
    return per_axis(op, "kernel_shape", rank, 1)


@converts("MaxPool")
def convert_max_pool(op: Operator) -> Value:
    """On floats or codes; the second output, the indices of the largest elements, is not read."""
    x = movable(op, op.operand(0))
    kernel = _kernel(op, spatial_rank(op, x.type.shape, _MOST_AXES))
    found = window(op, x.type.shape[2:], kernel)
    check_no_empty_window(op, x.type.shape[2:], kernel, found)
    # With SAME and VALID, ONNX gives the number of windows directly: that of the floor rule over the pads found.
    ceil_mode = op.flag("ceil_mode", False) and found.explicit_pads
    return _pooled(op, x, kernel, found, lambda v, k, w, m: _max_pool(v, k, w, ceil_mode, m), op.marks)


def _max_pool(x: Value, kernel: Shape, found: Window, ceil_mode: bool, marks: Marks) -> Node:
    return ops.MaxPool(x, kernel, found.strides, found.pads, found.dilations, ceil_mode, **marks)


def _pooled(
    op: Operator,
    x: Value,
    kernel: Shape,
    found: Window,
    pool: Callable[[Value, Shape, Window, Marks], Node],
    marks: Marks,
) -> Value:
    """`pool` over one or two axes; over three: first over the planes [N, C * D, H, W], then over their depth.

    The largest of the largest is the same element. A mean of means counts the same elements, and rounds twice.
    """
    if len(kernel) < _MOST_AXES:
        return op.emit(pool(x, kernel, found, marks))
    n, channels, depth, height, width = x.type.shape
    (s, *strides), (d, *dilations), pads = found.strides, found.dilations, found.pads
    plane = Window(tuple(strides), tuple(dilations), (*pads[1:3], *pads[4:]), found.explicit_pads)
    line = Window((s, 1), (d, 1), (pads[0], 0, pads[3], 0), found.explicit_pads)
    planes = op.emit(ops.Reshape(x, (n, channels * depth, height, width), **op.inner))
    flat = op.emit(pool(planes, kernel[1:], plane, op.inner))
    rows, columns = flat.type.shape[2:]
    lines = op.emit(ops.Reshape(flat, (n, channels, depth, rows * columns), **op.inner))
    result = op.emit(pool(lines, (kernel[0], 1), line, op.inner))
    return op.emit(ops.Reshape(result, (n, channels, result.type.shape[2], rows, columns), **marks))


@converts("AveragePool")
def convert_average_pool(op: Operator) -> Value:
    return build_average_pool(op, op.operand(0), op.marks)


def build_average_pool(op: Operator, x: Value, marks: Marks) -> Value:
    """The mean over the windows of `op`'s attributes."""
    kernel = _kernel(op, spatial_rank(op, x.type.shape, _MOST_AXES))
    found = window(op, x.type.shape[2:], kernel)
    check_no_empty_window(op, x.type.shape[2:], kernel, found)
    ceil_mode = op.flag("ceil_mode", False) and found.explicit_pads
    include = op.flag("count_include_pad", False)
    return _pooled(op, x, kernel, found, lambda v, k, w, m: _average_pool(v, k, w, ceil_mode, include, m), marks)


def _average_pool(x: Value, kernel: Shape, found: Window, ceil_mode: bool, include: bool, marks: Marks) -> Node:
    return ops.AveragePool(x, kernel, found.strides, found.pads, found.dilations, ceil_mode, include, **marks)


@converts("LpPool")
def convert_lp_pool(op: Operator) -> Value:
    """The p-th root of the sum of |x| ** p over each window, as the mean with pads, times the size of the window."""
    x, p = plain(op, op.operand(0)), op.integer("p", 2)
    if p < 1 or op.flag("ceil_mode", False):
        raise op.unsupported(f"has p {p} or ceil_mode; p from 1 on and whole windows are read. Pad before instead.")
    kernel = _kernel(op, spatial_rank(op, x.type.shape, _MOST_AXES))
    found = window(op, x.type.shape[2:], kernel)
    parts = op.emit(ops.Mul(x, x, **op.inner)) if p == 2 else absolute(op, x, op.inner)
    if p > 2:
        parts = op.emit(ops.Pow(parts, op.part(p, x.type.dtype), **op.inner))
    mean = _pooled(op, parts, kernel, found, lambda v, k, w, m: _average_pool(v, k, w, False, True, m), op.inner)
    size = op.part(math.prod(kernel), x.type.dtype)
    total = op.emit(ops.Mul(mean, size, **(op.marks if p == 1 else op.inner)))
    if p == 2:
        return op.emit(ops.Unary(total, "Sqrt", (), **op.marks))
    return total if p == 1 else op.emit(ops.Pow(total, op.part(1 / p, x.type.dtype), **op.marks))


@converts("GlobalAveragePool")
def convert_global_average_pool(op: Operator) -> Value:
    return build_global_average_pool(op, op.operand(0), op.marks)


def build_global_average_pool(op: Operator, x: Value, marks: Marks) -> Value:
    """The mean over the whole image: a pool whose kernel is the image."""
    rank = spatial_rank(op, x.type.shape)
    ones = (1,) * rank
    return op.emit(ops.AveragePool(x, x.type.shape[2:], ones, (0,) * (2 * rank), ones, False, False, **marks))


@converts("GlobalMaxPool")
def convert_global_max_pool(op: Operator) -> Value:
    x = movable(op, op.operand(0))
    rank = spatial_rank(op, x.type.shape)
    ones = (1,) * rank
    return op.emit(ops.MaxPool(x, x.type.shape[2:], ones, (0,) * (2 * rank), ones, False, **op.marks))


# Reductions -----------------------------------------------------------------------------------------------------------

_REDUCTIONS: dict[str, type[ops.Reduce]] = {
    "ReduceSum": ops.ReduceSum,
    "ReduceMean": ops.ReduceMean,
    "ReduceMax": ops.ReduceMax,
    "ReduceMin": ops.ReduceMin,
    "ReduceProd": ops.ReduceProd,
}


@converts(*_REDUCTIONS)
def convert_reduction(op: Operator) -> Value:
    x = op.operand(0)
    kind = _REDUCTIONS[op.op_type]
    x = movable(op, x) if issubclass(kind, (ops.ReduceMax, ops.ReduceMin)) else plain(op, x)
    axes, nothing = _reduced_axes(op)
    return op.same(x) if nothing else build_reduction(op, kind, x, axes, op.marks)


def _reduced_axes(op: Operator) -> tuple[Shape | None, bool]:
    """(axes, whether nothing is reduced): an attribute up to opset 12 (ReduceSum) or 17, an operand from then on."""
    from_operand = op.opset >= (13 if op.op_type == "ReduceSum" else 18)
    axes = op.integers(1, "axes") if from_operand else op.integer_list("axes")
    return axes, not axes and from_operand and op.flag("noop_with_empty_axes", False)


@converts("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
def convert_composed_reduction(op: Operator) -> Value:
    """A ReduceSum of |x|, x * x or x, then its root or logarithm; of exp as max + log(sum of exp(x - max))."""
    x = plain(op, op.operand(0))
    axes, nothing = _reduced_axes(op)
    after = {"ReduceL2": "Sqrt", "ReduceLogSum": "Log", "ReduceLogSumExp": "Log"}.get(op.op_type)
    if after is not None and not x.type.dtype.is_float:
        raise op.unsupported(f"is applied to {x.type}; floats are read. Cast the operand before.")
    before = x
    if op.op_type == "ReduceL1":
        before = absolute(op, x, op.inner)
    elif op.op_type in ("ReduceL2", "ReduceSumSquare"):
        before = op.emit(ops.Mul(x, x, **op.inner))
    elif op.op_type == "ReduceLogSumExp" and not nothing:
        return _log_sum_exp(op, x, axes)
    total = before if nothing else build_reduction(op, ops.ReduceSum, before, axes, op.inner)
    if op.op_type == "ReduceLogSumExp":
        return op.same(x)  # log(exp(x))
    return op.same(total) if after is None else op.emit(ops.Unary(total, after, (), **op.marks))


def absolute(op: Operator, x: Value, marks: Marks) -> Value:
    """|x| of floats or integers; the smallest integer stays."""
    if x.type.dtype.is_float:
        return op.emit(ops.Unary(x, "Abs", (), **marks))
    negative = op.emit(ops.Sub(op.part(0, x.type.dtype), x, **op.inner))
    return op.emit(ops.Maximum(x, negative, **marks))


def _log_sum_exp(op: Operator, x: Value, axes: Shape | None) -> Value:
    reduced = op.axes(axes, x.type.rank) if axes else tuple(range(x.type.rank))
    largest = op.emit(ops.ReduceMax(x, reduced, True, **op.inner))
    size = op.emit(ops.Unary(largest, "Abs", (), **op.inner))
    endless = op.emit(Compare(size, op.part(math.inf, x.type.dtype), "equal", **op.inner))
    largest = op.emit(Where(endless, op.part(0, x.type.dtype), largest, **op.inner))  # inf - inf is not 0
    difference = op.emit(ops.Sub(x, largest, **op.inner))
    total = op.emit(ops.ReduceSum(op.emit(ops.Unary(difference, "Exp", (), **op.inner)), reduced, True, **op.inner))
    logarithm = op.emit(ops.Unary(total, "Log", (), **op.inner))
    if op.flag("keepdims", True):
        return op.emit(ops.Add(logarithm, largest, **op.marks))
    shape = tuple(extent for i, extent in enumerate(x.type.shape) if i not in reduced)
    return op.emit(ops.Reshape(op.emit(ops.Add(logarithm, largest, **op.inner)), shape, **op.marks))


def build_reduction(op: Operator, kind: type[ops.Reduce], x: Value, axes: Shape | None, marks: Marks) -> Value:
    """`kind` over `axes`, all of them where there are none; keepdims is an attribute of `op`."""
    if x.type.elements == 0:
        raise op.broken(f"reduces {x.type}, which has no element.")
    reduced = op.axes(axes, x.type.rank) if axes else tuple(range(x.type.rank))
    return op.emit(kind(x, reduced, op.flag("keepdims", True), **marks))


# Normalisation and softmax --------------------------------------------------------------------------------------------


@converts("BatchNormalization")
def convert_batch_normalization(op: Operator) -> Value:
    """Inference only: training mode, or a reader of the running statistics, is refused."""
    if op.flag("training_mode", False):
        raise op.unsupported("is in training mode. Export the model for inference.")
    x, scale, bias, mean, variance = (op.operand(i) for i in range(5))
    epsilon = op.real("epsilon", 1e-5)
    return op.emit(ops.BatchNormalization(x, scale, bias, mean, variance, epsilon, **op.marks))


@converts("Softmax")
def convert_softmax(op: Operator) -> Value:
    return build_softmax(op, op.operand(0), op.opset, op.marks)


def build_softmax(op: Operator, x: Value, opset: int, marks: Marks) -> Value:
    """Along one axis from opset 13 on; before, over all axes from `axis` to the last together."""
    axis = op.axis(op.integer("axis", -1 if opset >= 13 else 1), max(x.type.rank, 1))
    if opset >= 13 or math.prod(x.type.shape[axis + 1 :]) == 1:
        return op.emit(ops.Softmax(x, axis, **marks))
    flat = op.emit(ops.Reshape(x, flattened(x.type.shape, axis), **op.inner))
    return op.emit(ops.Reshape(op.emit(ops.Softmax(flat, 1, **op.inner)), x.type.shape, **marks))


def flattened(shape: Shape, axis: int) -> Shape:
    """[the extents before `axis` multiplied, the rest multiplied]."""
    return (math.prod(shape[:axis]), math.prod(shape[axis:]))


@converts("LogSoftmax")
def convert_log_softmax(op: Operator) -> Value:
    """d - log(sum(exp(d))), d = x - max(x), along one axis; before opset 13 over all axes from `axis` on together."""
    x = op.operand(0)
    axis = op.axis(op.integer("axis", -1 if op.opset >= 13 else 1), max(x.type.rank, 1))
    axes = (axis,) if op.opset >= 13 else tuple(range(axis, x.type.rank))
    largest = op.emit(ops.ReduceMax(x, axes, True, **op.inner))
    difference = op.emit(ops.Sub(x, largest, **op.inner))
    total = op.emit(ops.ReduceSum(op.emit(ops.Unary(difference, "Exp", (), **op.inner)), axes, True, **op.inner))
    return op.emit(ops.Sub(difference, op.emit(ops.Unary(total, "Log", (), **op.inner)), **op.marks))
