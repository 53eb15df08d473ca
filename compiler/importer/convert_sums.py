"""Sums of products: convolutions and matrix products."""

from __future__ import annotations

from subbyte.compiler.importer.operator import Marks, Operator, converts
from subbyte.compiler.importer.windows import (
    Window,
    auto_pad,
    explicit_pads,
    per_axis,
    spatial_rank,
    split_pad,
    window,
)
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.shapes import Shape


def conv_geometry(op: Operator, x: Value, w: Value) -> tuple[Window, int]:
    """Window and group of a convolution; kernel_shape, where given, must be that of the weights."""
    rank = spatial_rank(op, x.type.shape)
    if w.type.rank != x.type.rank:
        raise op.broken(f"has x {x.type} and weights {w.type}; both have the same rank.")
    kernel = w.type.shape[2:]
    declared = op.integer_list("kernel_shape")
    if declared and declared != kernel:
        raise op.broken(f"has kernel_shape {list(declared)}, but its weights are {w.type}.")
    if len(kernel) != rank or 0 in w.type.shape:
        raise op.broken(f"has weights {w.type}; extents above 0 are needed.")
    return window(op, x.type.shape[2:], kernel), op.integer("group", 1)


def build_conv(op: Operator, x: Value, w: Value, b: Value | None, marks: Marks) -> Value:
    """The float convolution of `op`."""
    found, group = conv_geometry(op, x, w)
    return op.emit(ops.Conv(x, w, b, found.strides, found.pads, found.dilations, group, **marks))


@converts("Conv")
def convert_conv(op: Operator) -> Value:
    return build_conv(op, op.operand(0), op.operand(1), op.optional(2), op.marks)


@converts("ConvTranspose")
def convert_conv_transpose(op: Operator) -> Value:
    """output_shape and auto_pad become pads, in total stride * (in - 1) + output_padding + reach - out."""
    x, w, b = op.operand(0), op.operand(1), op.optional(2)
    rank = spatial_rank(op, x.type.shape)
    if w.type.rank != x.type.rank or 0 in w.type.shape:
        raise op.broken(f"has x {x.type} and weights {w.type}; both have the same rank, and extents above 0.")
    kernel, extents = w.type.shape[2:], x.type.shape[2:]
    declared = op.integer_list("kernel_shape")
    if declared and declared != kernel:
        raise op.broken(f"has kernel_shape {list(declared)}, but its weights are {w.type}.")
    strides, dilations = per_axis(op, "strides", rank, 1), per_axis(op, "dilations", rank, 1)
    extra = per_axis(op, "output_padding", rank, 0)
    mode, wanted = auto_pad(op), op.integer_list("output_shape")
    pads = explicit_pads(op, rank)
    if wanted or mode in ("SAME_UPPER", "SAME_LOWER"):
        target = wanted or tuple(extent * stride for extent, stride in zip(extents, strides, strict=True))
        if len(target) == rank + 2:
            target = target[2:]  # some exporters write the batch and the channels too
        if len(target) != rank or min(target) < 1:
            raise op.broken(f"has output_shape {list(target)}; {rank} numbers above 0 are needed.")
        spans = zip(extents, strides, extra, kernel, dilations, strict=True)
        reached = tuple(s * (n - 1) + more + (k - 1) * d + 1 for n, s, more, k, d in spans)
        pads = _transposed_pads(op, reached, target, upper=mode == "SAME_UPPER")
    elif mode == "VALID":
        pads = (0,) * (2 * rank)
    group = op.integer("group", 1)
    return op.emit(ops.ConvTranspose(x, w, b, strides, pads, dilations, group, extra, **op.marks))


def _transposed_pads(op: Operator, reached: Shape, target: Shape, *, upper: bool) -> Shape:
    """Pads that cut the extents `reached` down to `target`."""
    begins, ends = [], []
    for axis, (most, wanted) in enumerate(zip(reached, target, strict=True)):
        if most < wanted:
            raise op.unsupported(
                f"makes {most} elements along spatial axis {axis}, but its output_shape asks for {wanted}. "
                "Ask for fewer, or give output_padding."
            )
        begin, end = split_pad(most - wanted, upper=upper)
        begins.append(begin)
        ends.append(end)
    return (*begins, *ends)


@converts("Gemm")
def convert_gemm(op: Operator) -> Value:
    return build_gemm(op, op.operand(0), op.operand(1), op.optional(2), op.marks)


def build_gemm(op: Operator, a: Value, b: Value, c: Value | None, marks: Marks) -> Value:
    """alpha * op(a) @ op(b) + beta * c by the attributes of `op`."""
    alpha, beta = op.real("alpha", 1.0), op.real("beta", 1.0)
    return op.emit(ops.Gemm(a, b, c, alpha, beta, op.flag("transA", False), op.flag("transB", False), **marks))


@converts("MatMul")
def convert_matmul(op: Operator) -> Value:
    return build_matmul(op, op.operand(0), op.operand(1), op.marks)


def build_matmul(op: Operator, a: Value, b: Value, marks: Marks) -> Value:
    """a @ b; an operand of rank 1 becomes a row or a column, and its axis leaves the result again."""
    left, right = as_row(op, a), as_column(op, b)
    if left is a and right is b:
        return op.emit(ops.MatMul(a, b, **marks))
    return drop_vector_axes(op, ops.MatMul(left, right, **op.inner), a, b, marks)


def as_row(op: Operator, a: Value) -> Value:
    return op.emit(ops.Reshape(a, (1, *a.type.shape), **op.inner)) if a.type.rank == 1 else a


def as_column(op: Operator, b: Value) -> Value:
    return op.emit(ops.Reshape(b, (*b.type.shape, 1), **op.inner)) if b.type.rank == 1 else b


def drop_vector_axes(op: Operator, product: Node, a: Value, b: Value, marks: Marks) -> Value:
    """The result of `product` without the axes that `as_row` and `as_column` added to a and b."""
    shape = product.type.shape
    shape = shape[:-1] if b.type.rank == 1 else shape
    if a.type.rank == 1:
        shape = (*shape[:-1],) if b.type.rank == 1 else (*shape[:-2], shape[-1])
    return op.emit(ops.Reshape(op.emit(product), shape, **marks))
