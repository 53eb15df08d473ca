"""Take limits of Clip away that no sample reaches, so that scales can pass."""

from __future__ import annotations

import math

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.observers import MinMax
from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import Requested, graph_pass


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Requested("the same on the samples; of other inputs, what lies beyond a limit taken away is not cut off"),
)
def relax_clips(graph: Graph, data: Data) -> Graph:
    """Clip(x, 0, 6) -> Relu(x), where x stays below 6 in all samples; a Clip that cuts nothing off goes away.

    `equalize_layers` moves scales through what is left without a limit above. Quantization brings a limit back, that of
    the calibrated range.
    """
    ranges = {
        node.x: MinMax()
        for node in graph.nodes()
        if isinstance(node, ops.Unary) and node.function == "Clip" and node.type.dtype == FLOAT32
    }
    if not ranges:
        return graph
    data.observe(graph, ranges)
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if isinstance(node, ops.Unary) and isinstance(current, ops.Unary) and node.x in ranges:
            rewriter.replace(node, _relaxed(current, float(ranges[node.x].low), float(ranges[node.x].high)))
        else:
            rewriter.replace(node, current)
    return rewriter.finish()


def _relaxed(node: ops.Unary, low: float, high: float) -> Node | Value:
    """The Clip without the limits that values in low..high do not reach."""
    if node.function != "Clip":
        return node
    below, above = node.parameters
    below, above = (-math.inf if low >= below else below), (math.inf if high <= above else above)
    if (below, above) == node.parameters:
        return node
    if math.isinf(below) and math.isinf(above):
        return node.x
    if below == 0 and math.isinf(above):
        return node.replace(function="Relu", parameters=())
    return node.replace(parameters=(below, above))
