"""One graph for n samples at once: the graph of one sample with axis 0 of its inputs n times as long.

Every value is followed from the inputs on: either it does not depend on them, or one of its axes, the batch axis, holds
the n samples one after the other, each with the extent that one sample has. An operation is taken over only where it
works on the samples apart along that axis: `_AXIS_OF` says, for each kind, where the samples lie in its results.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.compiler.ir import ops, ops_indexing, ops_logic, ops_normalization
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams, TensorType

Axes = Mapping[Value, int]  # the batch axis of every value that has one


def with_batch(graph: Graph, n: int) -> Graph:
    """`graph` for n samples behind each other along axis 0 of every input, and of every output that depends on one.

    Outputs keep their order and names.
    Raises UnsupportedError: an operation mixes the samples, or is not known to keep them apart; the text names it. Then
        samples go through the network one by one.
    """
    if n == 1:
        return graph
    rewriter = Rewriter(graph)
    axes: dict[Value, int] = {}
    for node in graph.nodes():
        if isinstance(node, Input):
            if not node.type.rank:
                raise UnsupportedError(f"input '{node.name}' has no axis along which samples could be laid")
            axes[node.out] = 0
            rewriter.replace(node, node.replace(of_type=_longer(node.type, 0, n)))
        elif any(operand in axes for operand in node.operands):
            axis, new = _for_samples(node, axes, rewriter, n)
            rewriter.replace(node, new)
            axes.update((Value(node, index), axis) for index in range(len(node.types)))
    for name, value in graph.outputs:
        if axes.get(value, 0):
            raise UnsupportedError(f"'{name}' holds the samples along axis {axes[value]}; axis 0 is needed")
    return rewriter.finish()


def _longer(of_type: TensorType, axis: int, n: int) -> TensorType:
    shape = of_type.shape
    return TensorType(of_type.dtype, (*shape[:axis], shape[axis] * n, *shape[axis + 1 :]), of_type.quant)


def _for_samples(node: Node, axes: Axes, rewriter: Rewriter, n: int) -> tuple[int, Node]:
    """(the batch axis of the results, the node for n samples)."""
    rule = next((rule for kinds, rule in _AXIS_OF if isinstance(node, kinds)), None)
    axis = rule(node, axes) if rule is not None else None
    if axis is None:
        raise UnsupportedError(f"{node.label} mixes samples that lie behind each other, or is not known to do without")
    try:
        new = _rebuilt(node, axis, axes, rewriter, n)
    except GraphError as error:
        raise UnsupportedError(f"{node.label} does not take {n} samples at once: {error}") from None
    if [made.shape for made in new.types] != [_longer(made, axis, n).shape for made in node.types]:
        raise UnsupportedError(
            f"{node.label} makes {', '.join(map(str, new.types))} of {n} samples and {', '.join(map(str, node.types))} "
            f"of one; axis {axis} should be {n} times as long"
        )
    return axis, new


def _rebuilt(node: Node, axis: int, axes: Axes, rewriter: Rewriter, n: int) -> Node:
    """The node over the operands for n samples, with the attributes that name the extent of the batch axis adapted."""

    def operand(old: Value) -> Value:
        shared = old not in axes and isinstance(node, (*_ELEMENTWISE, ops.Concat))
        own = old.type.rank - node.types[0].rank + axis  # broadcasting aligns axes from the right
        if not shared or own < 0 or (old.type.shape[own] == 1 and not isinstance(node, ops.Concat)):
            return rewriter[old]
        return _repeated(old, own, n)

    changes: dict[str, Any] = {}
    for field in dataclasses.fields(node):
        match getattr(node, field.name):
            case Value() as value:
                changes[field.name] = operand(value)
            case (Value(), *_) as values:
                changes[field.name] = tuple(map(operand, values))
            case QuantParams(is_static=False):
                raise GraphError("its scale is computed from the samples")
    return node.replace(**changes, **_attributes(node, axis, n))


def _attributes(node: Node, axis: int, n: int) -> dict[str, Any]:
    match node:
        case ops.Reshape(shape=shape) | ops_indexing.Expand(shape=shape):
            return {"shape": (*shape[:axis], shape[axis] * n, *shape[axis + 1 :])}
        case ops.ResizeNearest(sizes=sizes) | ops.ResizeLinear(sizes=sizes):
            return {"sizes": (sizes[0] * n, *sizes[1:])}
        case ops.Slice(ends=ends):
            return {"ends": (*ends[:axis], ends[axis] * n, *ends[axis + 1 :])}
    return {}


def _repeated(value: Value, axis: int, n: int) -> Value:
    """A constant once for each sample."""
    if value.constant is None:
        raise GraphError(f"an operand {value.type} is the same for all samples, and is no constant")
    array = np.concatenate([value.constant] * n, axis=axis)
    return Constant.of(array, value.type.dtype, quant=value.type.quant, sources=value.node.sources).out


# Where the samples lie in the results of each kind: the axis, or None where it mixes them -----------------------------


def _elementwise(node: Node, axes: Axes) -> int | None:
    places = {axes[operand] - operand.type.rank for operand in node.operands if operand in axes}  # from the right
    axis = node.types[0].rank + places.pop()
    per_axis = [v.type.quant.axis for v in (*node.operands, node.out) if v.type.quant is not None]
    return None if places or axis in per_axis else axis


def _images(node: Node, axes: Axes) -> int | None:
    """Axis 0 of the first operand; the others are the same for all samples."""
    x, *others = node.operands
    return 0 if axes.get(x) == 0 and not any(other in axes for other in others) else None


def _resize(node: ops.ResizeNearest | ops.ResizeLinear, axes: Axes) -> int | None:
    kept = node.scales[0] == 1 and node.sizes[0] == node.x.type.shape[0]
    return 0 if kept and axes[node.x] == 0 else None


def _gemm(node: ops.Gemm, axes: Axes) -> int | None:
    c_apart = node.c is None or node.c not in axes or (axes[node.c] == 0 and node.c.type.rank == 2)
    return 0 if c_apart and axes.get(node.a) == 0 and not node.transpose_a and node.b not in axes else None


def _matmul(node: ops.MatMul, axes: Axes) -> int | None:
    a, b = (axes[v] - v.type.rank if v in axes else None for v in (node.a, node.b))  # from the right
    if a is not None and b is not None:
        return node.type.rank + a if a == b <= -3 else None
    place = a if a is not None else b
    contracted = -1 if a is not None else -2
    return None if place is None or place == contracted else node.type.rank + place


def _along_others(node: Any, axes: Axes) -> int | None:
    """Kinds that work along one axis, `axis`, each position of the others for itself."""
    operands = [operand for operand in node.operands if operand in axes]
    found = {axes[operand] for operand in operands}
    axis = found.pop()
    return None if found or axis == node.axis else axis


def _arg_extreme(node: ops_indexing.ArgExtreme, axes: Axes) -> int | None:
    axis = _along_others(node, axes)
    return axis if axis is None or node.keepdims or axis < node.axis else axis - 1


def _only_x(node: Any, axes: Axes) -> int | None:
    """_along_others for kinds whose other operands are parameters."""
    return _along_others(node, axes) if all(o == node.x for o in node.operands if o in axes) else None


def _reduce(node: ops.Reduce, axes: Axes) -> int | None:
    axis = axes[node.x]
    if axis in node.axes:
        return None
    return axis if node.keepdims else axis - sum(reduced < axis for reduced in node.axes)


def _normalization(node: ops_normalization.Normalization, axes: Axes) -> int | None:
    others = any(operand in axes for operand in (node.scale, node.bias) if operand is not None)
    return None if others or axes[node.x] >= node.axis else axes[node.x]


def _transpose(node: ops.Transpose, axes: Axes) -> int | None:
    return node.perm.index(axes[node.x])


def _reshape(node: ops.Reshape, axes: Axes) -> int | None:
    """The axis before which as many elements lie as before: samples stay whole, in row-major order."""
    before = math.prod(node.x.type.shape[: axes[node.x]])
    fitting = [axis for axis in range(len(node.shape)) if math.prod(node.shape[:axis]) == before]
    return fitting[0] if fitting else None


def _expand(node: ops_indexing.Expand, axes: Axes) -> int | None:
    axis = len(node.shape) - node.x.type.rank + axes[node.x]
    return axis if node.shape[axis] == node.x.type.shape[axes[node.x]] else None


def _slice(node: ops.Slice, axes: Axes) -> int | None:
    axis = axes[node.x]
    whole = (node.starts[axis], node.ends[axis], node.steps[axis]) == (0, node.x.type.shape[axis], 1)
    return axis if whole else None


def _pad(node: ops.Pad, axes: Axes) -> int | None:
    axis = axes[node.x]
    return None if node.pads[axis] or node.pads[node.x.type.rank + axis] else axis


def _gather(node: ops.Gather, axes: Axes) -> int | None:
    """Samples in x keep their axis, those in the indices lie where the indices come to lie; both at once mix."""
    if node.x in axes and node.indices in axes:
        return None
    if node.indices in axes:
        return node.axis + axes[node.indices]
    axis = axes[node.x]
    if axis == node.axis:
        return None
    return axis if axis < node.axis else axis - 1 + node.indices.type.rank


_ELEMENTWISE: tuple[type[Node], ...] = (
    ops.Unary,
    ops.Binary,
    ops.PRelu,
    ops.Cast,
    ops.QuantizeLinear,
    ops.DequantizeLinear,
    ops_logic.Compare,
    ops_logic.Where,
)
_ON_IMAGES: tuple[type[Node], ...] = (
    ops.Conv,
    ops.ConvTranspose,
    ops.BatchNormalization,
    ops.MaxPool,
    ops.AveragePool,
    ops.DepthToSpace,
    ops.SpaceToDepth,
)
_AXIS_OF: tuple[tuple[type[Node] | tuple[type[Node], ...], Callable[[Any, Axes], int | None]], ...] = (
    (_ELEMENTWISE, _elementwise),
    (_ON_IMAGES, _images),
    ((ops.ResizeNearest, ops.ResizeLinear), _resize),
    (ops.Gemm, _gemm),
    (ops.MatMul, _matmul),
    ((ops.Softmax, ops.LogSoftmax, ops.Split, ops_indexing.TopK), _along_others),
    (ops.Concat, _along_others),
    (ops_indexing.ArgExtreme, _arg_extreme),
    (ops_indexing.Cumulate, _only_x),
    (ops.Reduce, _reduce),
    (ops_normalization.Normalization, _normalization),
    (ops.Transpose, _transpose),
    (ops.Reshape, _reshape),
    (ops_indexing.Expand, _expand),
    (ops.Slice, _slice),
    (ops.Pad, _pad),
    (ops.Gather, _gather),
)
