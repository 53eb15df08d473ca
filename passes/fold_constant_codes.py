"""Store what never changes: values that the range analysis knows element by element become constants."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ranges import code_ranges
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def fold_constant_codes(graph: Graph) -> Graph:
    """f(x) -> k, where every code of the result is one number whatever the inputs hold.

    Such are products with zero weights, and sums beyond their clamp. What an output shows is computed all the same.
    """
    ranges = code_ranges(graph)
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        found = ranges.get(Value(node, 0))
        foldable = len(node.types) == 1 and node.out not in shown and not isinstance(node, (Input, Constant))
        if foldable and found is not None and found.is_known:
            codes = np.ascontiguousarray(np.broadcast_to(found.low, node.type.shape))
            current = Constant(codes, node.type, sources=node.sources, tensor=node.tensor)
        rewriter.replace(node, current)
    return rewriter.finish()
