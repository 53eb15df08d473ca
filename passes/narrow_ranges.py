"""Say what is proved: results whose codes fill only a part of their range get the range that they fill."""

from __future__ import annotations

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ranges import code_ranges
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.fuse_activation import narrowed


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def narrow_ranges(graph: Graph) -> Graph:
    """op(x) in qmin..qmax -> op(x) in low..high, the codes that can occur.

    Exact: no code leaves the narrower range. Whatever asks a type for its range gains: accumulators get narrower,
    tables shorter to prove, and a Clamp behind that cuts nothing any more is one for remove_dead_nodes.
    """
    ranges = code_ranges(graph)
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        found = ranges.get(Value(node, 0))
        if found is not None and node.types[0].quant is not None and node.types[0].elements:
            low, high = int(found.low.min()), int(found.high.max())
            qmin, qmax = current.types[0].code_range()
            if qmin < low or high < qmax:
                current = narrowed(current, max(low, qmin), min(high, qmax)) or current
        rewriter.replace(node, current)
    return rewriter.finish()
