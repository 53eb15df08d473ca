"""Let an operation write its result, or read its operand, in the order in which a Repack would store it."""

from __future__ import annotations

from collections.abc import Callable

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target
from subbyte.passes.layout.orders import is_view


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def fuse_repacks(graph: Graph, target: Target) -> Graph:
    """Repack(op(x)) -> op(x) stored as the Repack would store it, and op(Repack(x)) -> op(x), where a kernel does that.

    The first where nothing else reads op(x), the second whoever else reads the Repack; each where the kernel costs less
    than the two that it replaces. Exact: the layout of a tensor is no part of its meaning.
    """
    users = graph.users()
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        if isinstance(node, ops.Repack) and not is_view(node):
            alone = node.x not in shown and len(users.get(node.x, [])) == 1
            current = (_written_so(current, target) if alone else None) or current
        else:
            current = _read_so(current, target)
        rewriter.replace(node, current)
    return rewriter.finish()


def _written_so(repack: Node, target: Target) -> Node | None:
    """The producer of what is repacked, writing in the order of the Repack; None where the target cannot, or slower."""
    value = repack.operands[0]
    producer = value.node
    if isinstance(producer, (Input, Constant)) or is_view(producer) or len(producer.types) != 1:
        return None
    candidate = producer.replace(layout=repack.layout, tensor=producer.tensor or repack.tensor)
    return candidate if _is_cheaper(candidate, (producer, repack), target) else None


def _read_so(node: Node, target: Target) -> Node:
    """`node` reading what a Repack reads, where the target can and that is faster."""
    for value in dict.fromkeys(node.operands):
        repack = value.node
        if not isinstance(repack, ops.Repack) or is_view(repack):
            continue
        candidate = node.map_operands(_exchange(value, repack.x))
        if _is_cheaper(candidate, (node, repack), target):
            node = candidate
    return node


def _exchange(old: Value, new: Value) -> Callable[[Value], Value]:
    return lambda value: new if value == old else value


def _is_cheaper(candidate: Node, replaced: tuple[Node, ...], target: Target) -> bool:
    cost, costs = target.cost(candidate), [target.cost(node) for node in replaced]
    return cost is not None and cost < sum(float("inf") if one is None else one for one in costs)
