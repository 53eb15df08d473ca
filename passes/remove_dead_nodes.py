"""Remove nodes that do nothing: what computes its operand. (What no output reads is not part of a graph at all.)"""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.quantization.coded import all_codes


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, keeps_stage=True)
def remove_dead_nodes(graph: Graph) -> Graph:
    """op(x) -> x, where all elements keep value, place and type; Reshape(Reshape(x)) -> Reshape(x), so Transpose."""
    return rewrite(graph, _shorter)


def _shorter(node: Node, _: Graph) -> Node | Value:
    merged = _merged(node) or node
    return _same_as_operand(merged) or merged


def _same_as_operand(node: Node) -> Value | None:
    """The operand that `node` hands on, or None."""
    x = node.operands[0] if node.operands else None
    if x is None or len(node.types) != 1 or x.type != node.type or node.layout is not None:
        return None
    match node:
        case ops.Reshape() | ops.Cast() | ops.Split():
            return x
        case ops.Transpose(perm=perm) if perm == tuple(range(len(perm))):
            return x
        case ops.Concat(values=(_,)):
            return x
        case ops.Pad(pads=pads) if not any(pads):
            return x
        case ops.Slice(steps=steps) if all(step == 1 for step in steps):
            return x
        case ops.MaxPool(kernel=kernel) if all(k == 1 for k in kernel):
            return x
        case ops.Reduce(axes=axes) if not axes or all(x.type.shape[axis] == 1 for axis in axes):
            return x
        case ops.DepthToSpace(block=1) | ops.SpaceToDepth(block=1):
            return x
        case qops.Clamp(low=low, high=high) if low <= x.type.code_range()[0] and x.type.code_range()[1] <= high:
            return x
        case qops.Lookup(table=table, axis=None) if np.array_equal(table, all_codes(x.type.dtype)):
            return x
    return None


def _merged(node: Node) -> Node | None:
    """Reshape(Reshape(x)) -> Reshape(x); Transpose(Transpose(x)) -> Transpose(x)."""
    match node:
        case ops.Reshape(x=Value(node=ops.Reshape() as inner)) if (
            inner.type.quant is None or inner.type.quant.is_per_tensor
        ):
            return node.replace(x=inner.x)
        case ops.Transpose(x=Value(node=ops.Transpose() as inner), perm=perm):
            return node.replace(x=inner.x, perm=tuple(inner.perm[axis] for axis in perm))
    return None
