"""One form of quantizations before they are written: weights as codes, the range of a Clip in its QuantizeLinear."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Node
from subbyte.compiler.ir.ops import QuantizeLinear
from subbyte.compiler.ir.qops import Clamp
from subbyte.compiler.ir.rewrite import Rewriter, union_sources


def with_codes(graph: Graph) -> Graph:
    """QuantizeLinear(constant) -> the constant codes: QONNX keeps weights in float, with their quantizer behind."""
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        if isinstance(current, QuantizeLinear) and isinstance(current.x.node, Constant) and current.quant.is_static:
            weights = current.x.node
            (codes,) = evaluate_node(current, [weights.value])
            sources, tensor = current.sources or weights.sources, current.tensor or weights.tensor
            current = Constant(np.ascontiguousarray(codes), current.type, sources=sources, tensor=tensor)
        rewriter.replace(node, current)
    return rewriter.finish()


def without_clamps(graph: Graph) -> Graph:
    """Clamp(QuantizeLinear(x)) -> QuantizeLinear(x) of the narrower range, where nobody else reads the wider codes."""
    readers = graph.users()
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if isinstance(node, Clamp) and isinstance(node.x.node, QuantizeLinear) and isinstance(current, Clamp):
            quantizer = current.x.node
            if isinstance(quantizer, QuantizeLinear) and len(readers[node.x]) == 1 and node.x not in shown:
                sources = union_sources(quantizer, current)
                current = quantizer.replace(quant=current.type.quant, sources=sources, tensor=current.tensor)
        rewriter.replace(node, current)
    return rewriter.finish()
