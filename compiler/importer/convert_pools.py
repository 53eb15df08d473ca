"""Pools, reductions, normalisation and softmax."""

from __future__ import annotations

import math

from subbyte.compiler.importer.codes import movable, plain
from subbyte.compiler.importer.operator import Marks, Operator, converts
from subbyte.compiler.importer.windows import check_no_empty_window, per_axis, spatial_rank, window
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.shapes import Shape


def _kernel(op: Operator, rank: int) -> Shape:
    if not op.integer_list("kernel_shape"):
        raise op.broken("does not say its kernel_shape.")
    return per_axis(op, "kernel_shape", rank, 1)


@converts("MaxPool")
def convert_max_pool(op: Operator) -> Value:
    """On floats or codes; the second output, the indices of the largest elements, is not read."""
    x = movable(op, op.operand(0))
    kernel = _kernel(op, spatial_rank(op, x.type.shape))
    found = window(op, x.type.shape[2:], kernel)
    check_no_empty_window(op, x.type.shape[2:], kernel, found)
    # With SAME and VALID, ONNX gives the number of windows directly: that of the floor rule over the pads found.
    ceil_mode = op.flag("ceil_mode", False) and found.explicit_pads
    return op.emit(ops.MaxPool(x, kernel, found.strides, found.pads, found.dilations, ceil_mode, **op.marks))


@converts("AveragePool")
def convert_average_pool(op: Operator) -> Value:
    return build_average_pool(op, op.operand(0), op.marks)


def build_average_pool(op: Operator, x: Value, marks: Marks) -> Value:
    """The mean over the windows of `op`'s attributes."""
    kernel = _kernel(op, spatial_rank(op, x.type.shape))
    found = window(op, x.type.shape[2:], kernel)
    check_no_empty_window(op, x.type.shape[2:], kernel, found)
    ceil_mode = op.flag("ceil_mode", False) and found.explicit_pads
    include = op.flag("count_include_pad", False)
    return op.emit(ops.AveragePool(x, kernel, found.strides, found.pads, found.dilations, ceil_mode, include, **marks))


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
}


@converts(*_REDUCTIONS)
def convert_reduction(op: Operator) -> Value:
    """Axes are an attribute up to opset 12 (ReduceSum) or 17 (the others), an operand from then on."""
    x = op.operand(0)
    kind = _REDUCTIONS[op.op_type]
    x = movable(op, x) if issubclass(kind, (ops.ReduceMax, ops.ReduceMin)) else plain(op, x)
    from_operand = op.opset >= (13 if op.op_type == "ReduceSum" else 18)
    axes = op.integers(1, "axes") if from_operand else op.integer_list("axes")
    if not axes and from_operand and op.flag("noop_with_empty_axes", False):
        return op.same(x)
    return build_reduction(op, kind, x, axes, op.marks)


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
