"""Replace float islands by integer functions of a stated distance, where the user wants integers only."""

from __future__ import annotations

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.quantization.row_functions import row_function
from subbyte.passes.quantization.whole_functions import whole_function
from subbyte.passes.quantization.wide_functions import wide_function


@graph_pass(
    requires=Stage.QUANTIZED,
    ensures=Stage.QUANTIZED,
    exactness=Within(
        steps=1,
        reason="each result is at most one step from the real function, rounded once; the float32 operations may be "
        "farther from it, where a row hardly varies",
    ),
)
def replace_islands(graph: Graph) -> Graph:
    """QuantizeLinear(f(DequantizeLinear(codes))) -> an integer form of f, for what has no table of 256 entries.

    f is LayerNormalization or RMSNormalization of codes of up to 16 bits with constant scale and bias, Softmax of codes
    of 9 to 16 bits, or any chain of elementwise functions of one such tensor and constants; a clamp may follow. A
    monotone function of whole numbers without a scale, as attention masks have, becomes a table. What is left is for
    `refuse_islands`.  Source: design.md N8.
    """
    return rewrite(graph, _replaced)


def _replaced(node: Node, _: Graph) -> Node | None:
    if not isinstance(node, ops.QuantizeLinear) or node.x.type.dtype != FLOAT32:
        return None
    try:
        return row_function(node) or wide_function(node) or whole_function(node)
    except GraphError:  # `islands` says what it was
        return None
