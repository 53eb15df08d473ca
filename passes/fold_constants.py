"""Evaluate while compiling what does not depend on the inputs."""

from __future__ import annotations

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Node
from subbyte.compiler.ir.ops import DequantizeLinear
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.quantization.known import constants_of

LARGEST_GROWTH = 1 << 16  # elements that a constant may have more than all it was made of


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED)
def fold_constants(graph: Graph) -> Graph:
    """op(constants) -> constant, by the interpreter.

    DequantizeLinear of a constant stays: its codes are the weights of integer operations. So does what would make a
    constant much larger than its operands (a broadcast of a scalar).
    """
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        rewriter.replace(node, constants_of(current) if is_foldable(current) else current)
    return rewriter.finish()


def is_foldable(node: Node) -> bool:
    """Whether all operands are constants and the result is not much larger; not a DequantizeLinear."""
    if isinstance(node, (Input, Constant, DequantizeLinear)) or not node.operands:
        return False
    if any(operand.constant is None for operand in node.operands):
        return False
    given = sum(operand.type.elements for operand in node.operands)
    return sum(t.elements for t in node.types) <= given + LARGEST_GROWTH
