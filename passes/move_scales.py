"""Move scales up to the sums that they belong to, across Relu and MaxPool, where that is exact."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass

_PRODUCTS = (ops.Conv, ops.ConvTranspose, ops.MatMul, ops.Gemm)


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED)
def move_scales(graph: Graph) -> Graph:
    """Relu(u) * c -> Relu(u * c), MaxPool(u) * c -> MaxPool(u * c), for c > 0; BatchNormalization across MaxPool.

    fold_qdq then makes the factor part of the requantization of u, a sum of products; only of those are scales moved.
    Exact: x * c and x / c never decrease, nor does a normalization whose scales are all above zero, so each gives the
    same to the largest element before as after; and 0 * c is 0. A shift does not cross a Relu, nor a negative scale
    anything. Only where nobody else reads what lies between.
    """
    users = graph.users()
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        x = _scaled(node)
        between: list[Node] = []
        bottom = x
        while bottom is not None and len(users[bottom]) == 1 and bottom not in shown and _crosses(node, bottom.node):
            between.append(bottom.node)
            bottom = bottom.node.operands[0]
        if x is None or bottom is None or not between or not _is_sum(bottom):
            rewriter.replace(node, rewriter.rebuilt(node))
            continue
        moved = _over(node, {x: rewriter[bottom]})
        for step in reversed(between):
            moved = _over(step, {step.operands[0]: moved.out})
        rewriter.replace(node, moved.replace(tensor=node.tensor))
    return rewriter.finish()


def _over(node: Node, operands: dict[Value, Value]) -> Node:
    """`node` over other operands; its result is no tensor of the model any more."""
    return node.map_operands(lambda operand: operands.get(operand, operand)).replace(tensor="")


def _scaled(node: Node) -> Value | None:
    """What `node` scales by constants above zero; None where it does something else."""
    if len(node.types) != 1 or node.type.dtype != FLOAT32:
        return None
    match node:
        case ops.Mul(a=a, b=b):
            for x, constant in ((a, b), (b, a)):
                if _is_positive(constant) and x.constant is None and x.type.shape == node.type.shape:
                    return x
        case ops.Div(a=a, b=b) if _is_positive(b) and a.constant is None and a.type.shape == node.type.shape:
            return a
        case ops.BatchNormalization(x=x, scale=scale) if _is_positive(scale):
            finite = (v.constant is not None and np.isfinite(v.constant).all() for v in node.operands[1:])
            return x if all(finite) else None
    return None


def _is_positive(value: Value) -> bool:
    array = value.constant
    return array is not None and bool((np.isfinite(array) & (array > 0)).all())


def _crosses(scaling: Node, step: Node) -> bool:
    """Whether `scaling` may be done before `step`."""
    match step:
        case ops.Unary(function="Relu"):
            return not isinstance(scaling, ops.BatchNormalization)
        case ops.MaxPool():
            normalizes, spatial = isinstance(scaling, ops.BatchNormalization), step.type.rank - 2
            return normalizes or all(_is_per_channel(operand, spatial) for operand in scaling.operands)
    return False


def _is_per_channel(operand: Value, spatial: int) -> bool:
    """Whether a constant operand is the same at every place of an image [N, C, spatial...]."""
    array = operand.constant
    return array is None or array.size == 1 or (array.ndim > spatial and set(array.shape[-spatial:]) == {1})


def _is_sum(value: Value) -> bool:
    """Whether `value` is a sum of products, but for constants that are added or multiplied."""
    while not isinstance(value.node, _PRODUCTS):
        match value.node:
            case ops.Add(a=a, b=b) | ops.Sub(a=a, b=b) | ops.Mul(a=a, b=b) | ops.Div(a=a, b=b):
                if (a.constant is None) == (b.constant is None):
                    return False
                value = a if b.constant is not None else b
            case ops.BatchNormalization(x=x):
                value = x
            case _:
                return False
    return True
