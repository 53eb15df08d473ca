"""Let codes of 1, 2 and 4 bits share bytes between layers, where the kernels on both sides can do it."""

from __future__ import annotations

from dataclasses import replace

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Node
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import Layout
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target

_WIDTHS = (1, 2, 4)


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def pack_activations(graph: Graph, target: Target) -> Graph:
    """op(x) of 4 bits, a byte for each code -> op(x) of 4 bits, two codes a byte; and so for 2 bits and 1.

    Only where the target's facts ask for it, and it has kernels that write the result so and read it so, everywhere it
    is read; inputs and outputs stay as they are. Exact: the codes are the same. The arena becomes smaller, unpacking
    takes time.
    """
    if not target.facts.packs_activations:
        return graph
    users = graph.users()
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        layout = _packed(node)
        if layout is not None and node.out not in shown and _can_pack(node, layout, users.get(node.out, []), target):
            current = current.replace(layout=layout)
        rewriter.replace(node, current)
    return rewriter.finish()


def _packed(node: Node) -> Layout | None:
    """How the only result of `node` is stored in the bits that its codes need; None where that saves nothing."""
    if len(node.types) != 1 or isinstance(node, (Input, Constant)):
        return None
    of_type = node.types[0]
    if of_type.dtype.kind not in ("int", "uint") or of_type.dtype.bits > max(_WIDTHS) or not of_type.rank:
        return None
    bits = next(width for width in _WIDTHS if of_type.dtype.bits <= width)
    layout = of_type.layout or Layout(of_type.order)
    return None if layout.bits is not None or layout.lanes != 1 else replace(layout, bits=bits)


def _can_pack(node: Node, layout: Layout, readers: list[Node], target: Target) -> bool:
    """Whether the target writes the result of `node` packed, and every reader reads it so, and as its data alone."""
    if target.cheapest(node.replace(layout=layout)) is None:
        return False
    stand_in = Input("packed", node.types[0].with_layout(layout)).out

    def reads(reader: Node) -> bool:
        if list(reader.operands).count(node.out) != 1:
            return False
        return target.cheapest(reader.map_operands(lambda v: stand_in if v == node.out else v)) is not None

    return all(map(reads, readers))
