"""Let convolutions pad: a Pad with the zero point before one becomes part of its own pads."""

from __future__ import annotations

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops import Pad, Transpose
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.pass_manager import graph_pass


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def fuse_padding(graph: Graph) -> Graph:
    """QConv(Pad(x, pads, zero point)) -> QConv(x) with these pads added, where only convolutions read the Pad.

    Only constant padding of spatial axes, and no cropping. Exact: a convolution pads with the zero point of x. On its
    way down a Pad passes a Transpose: Transpose(Pad(x)) -> Pad(Transpose(x)).
    """
    users = graph.users()
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if isinstance(node, QConv) and node.x not in shown and all(isinstance(user, QConv) for user in users[node.x]):
            current = _fused(current) or current
        if isinstance(node, Transpose) and isinstance(current, Transpose) and len(users[node.x]) == 1:
            current = (_below(current) if node.x not in shown else None) or current
        rewriter.replace(node, current)
    return rewriter.finish()


def _below(node: Transpose) -> Pad | None:
    """Transpose(Pad(x)) as Pad(Transpose(x))."""
    match node.x.node:
        case Pad(x=x, pads=pads) as pad if x.type.quant is None or x.type.quant.is_per_tensor:
            begins, ends = pads[: x.type.rank], pads[x.type.rank :]
            moved = tuple(part[axis] for part in (begins, ends) for axis in node.perm)
            return pad.replace(x=node.replace(x=x, tensor="").out, pads=moved, tensor=node.tensor)
    return None


def _fused(node: Node) -> QConv | None:
    match node:
        case QConv(x=Value(node=Pad(x=x, pads=pads, mode="constant", value=value) as pad)) if node.x != node.w:
            rank, quant = x.type.rank, x.type.quant
            begins, ends = pads[:rank], pads[rank:]
            zero_point = 0 if quant is None else quant.scalar()[1] if quant.is_static and quant.is_per_tensor else None
            if value != zero_point or any((*begins[:2], *ends[:2])) or min(pads) < 0:
                return None
            added = (*begins[2:], *ends[2:])
            sums = tuple(a + b for a, b in zip(node.pads, added, strict=True))
            return node.replace(x=x, pads=sums, sources=union_sources(pad, node))
    return None
