"""Normalisations that exporters write out in their parts become one operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.ir.rewrite import Rewriter, inherit, union_sources
from subbyte.compiler.pass_manager import graph_pass


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED)
def recognize_normalization(graph: Graph) -> Graph:
    """d / Sqrt(ReduceMean(d * d) + epsilon) -> LayerNormalization(x), d = x - ReduceMean(x); RMSNormalization of x = d.

    d * d may be Pow(d, 2), and the quotient d * Reciprocal(root) or d * (1 / root): the operation says which, so that
    every number stays what it was. A product with a row and the sum with another that follow become scale and bias
    where nothing else reads what is between. Over trailing axes that stay with extent 1, in float32.
    Source: how PyTorch before opset 17, and tf2onnx, write LayerNorm.
    """
    rewriter, users = Rewriter(graph), graph.users()
    shown = {output.value for output in graph.outputs}

    def inner(value: Value) -> bool:
        return value not in shown and len(users[value]) == 1

    for node in graph.nodes():
        new = _normalization(node, rewriter) or _with_row(node, rewriter, inner)
        rewriter.replace(node, rewriter.rebuilt(node) if new is None else inherit(new, node))
    return rewriter.finish()


# The quotient ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Difference:
    """x less its mean over `axes`, or x itself where there are none; `parts` are the nodes that compute it."""

    x: Value
    axes: tuple[int, ...] = ()
    parts: tuple[Node, ...] = field(default=(), compare=False)


def _normalization(node: Node, rewriter: Rewriter) -> Normalization | None:
    """The operation that `node`, the quotient of its parts, stands for."""
    found = _quotient(node)
    if found is None or node.type.dtype != FLOAT32:
        return None
    d, root, divides, parts = found
    match root.node:
        case ops.Unary(function="Sqrt", x=Value(node=ops.Add() as shifted)):
            a, b = shifted.a, shifted.b
        case _:
            return None
    variance, epsilon = (a.node, b.constant) if b.constant is not None else (b.node, a.constant)
    if epsilon is None or epsilon.size != 1 or not isinstance(variance, ops.ReduceMean) or not _trailing(variance):
        return None
    squared, apart = _squared(variance.x), _difference(d)
    if squared is None or root.type.shape != variance.type.shape:
        return None
    if apart.axes != variance.axes or _difference(squared) != apart:
        apart = _Difference(d)  # the squares are of d itself, whatever it is
        if squared != d:
            return None
    kind = LayerNormalization if apart.axes else RMSNormalization
    sources = union_sources(*apart.parts, variance.x.node, variance, shifted, root.node, *parts, node)
    real = float(epsilon.reshape(()))
    return kind(rewriter[apart.x], None, None, variance.axes[0], real, divides, sources=sources)


def _quotient(node: Node) -> tuple[Value, Value, bool, tuple[Node, ...]] | None:
    """(d, root, whether d is divided by it, the node of its inverse) where `node` computes d / root."""
    match node:
        case ops.Div(a=d, b=root):
            return d, root, True, ()
        case ops.Mul(a=a, b=b):
            for d, inverse in ((a, b), (b, a)):
                match inverse.node:
                    case ops.Unary(function="Reciprocal", x=root):
                        return d, root, False, (inverse.node,)
                    case ops.Div(a=one, b=root) if one.constant is not None and (one.constant == 1).all():
                        return d, root, False, (inverse.node,)
    return None


def _squared(value: Value) -> Value | None:
    """d where `value` is d * d."""
    match value.node:
        case ops.Mul(a=a, b=b) if _difference(a) == _difference(b):
            return a
        case ops.Pow(a=a, b=b) if b.constant is not None and b.constant.size == 1 and (b.constant == 2).all():
            return a if a.type.shape == value.type.shape else None
    return None


def _difference(d: Value) -> _Difference:
    """`d` as the difference from a mean; two that are written twice are equal."""
    match d.node:
        case ops.Sub(a=x, b=Value(node=ops.ReduceMean() as mean)) if mean.x == x and _trailing(mean):
            return _Difference(x, mean.axes, (mean, d.node))
    return _Difference(d)


def _trailing(mean: ops.ReduceMean) -> bool:
    """Whether the mean is over the last axes, one or more, which stay with extent 1."""
    rank = mean.x.type.rank
    return mean.keepdims and bool(mean.axes) and mean.axes == tuple(range(mean.axes[0], rank))


# The rows that follow -------------------------------------------------------------------------------------------------


def _with_row(node: Node, rewriter: Rewriter, inner: Callable[[Value], bool]) -> Normalization | None:
    """The normalization before `node` with the row that `node` multiplies it by, or adds to it."""
    if not isinstance(node, (ops.Mul, ops.Add)):
        return None
    for value, row in ((node.a, node.b), (node.b, node.a)):
        before = rewriter[value].node
        if not isinstance(before, Normalization) or not inner(value) or before.type.shape != node.type.shape:
            continue
        part = _row(rewriter[row], before)
        if part is None:
            continue
        sources = union_sources(before, node)
        if isinstance(node, ops.Mul) and before.scale is None:
            return before.replace(scale=part, sources=sources, tensor="")
        if isinstance(node, ops.Add) and before.scale is not None and before.bias is None:
            return before.replace(bias=part, sources=sources, tensor="")
    return None


def _row(value: Value, before: Normalization) -> Value | None:
    """A factor or addend as a row of `before`: of its shape, or a constant that all rows share."""
    shape = before.type.shape[before.axis :]
    if value.type.shape == shape:
        return value
    array = value.constant
    if array is None or array.ndim > before.type.rank:
        return None
    full = np.broadcast_to(array, (1,) * before.axis + shape) if _fits(array.shape, shape, before.axis) else None
    return None if full is None else Constant.of(full.reshape(shape), FLOAT32, sources=value.node.sources).out


def _fits(found: tuple[int, ...], shape: tuple[int, ...], before: int) -> bool:
    """Whether an array of extents `found` is one row, repeated over the `before` axes ahead of it."""
    wide = (1,) * (before + len(shape) - len(found)) + found
    return all(n == 1 for n in wide[:before]) and all(
        n in (1, extent) for n, extent in zip(wide[before:], shape, strict=True)
    )
