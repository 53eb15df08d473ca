"""Write quantized weights out as floats where a float operation reads them, not at every run but once."""

from __future__ import annotations

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.ops import DequantizeLinear
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.fold_constants import is_foldable
from subbyte.passes.quantization.known import constants_of


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def dequantize_constants(graph: Graph) -> Graph:
    """DequantizeLinear(constant) -> float constant, and what is computed from it alone.

    It runs for a target, after the model's meaning is settled: `explain` has seen that these weights were quantized.
    """
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        of_codes = isinstance(current, DequantizeLinear) and current.x.constant is not None
        rewriter.replace(node, constants_of(current) if of_codes or is_foldable(current) else current)
    return rewriter.finish()
