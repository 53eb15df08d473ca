"""Choose the kernel of every operation: the cheapest one of the target that accepts it."""

from __future__ import annotations

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target
from subbyte.passes.layout.orders import is_view


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.LOWERED)
def lower_to_kernels(graph: Graph, target: Target) -> Graph:
    """op -> KernelCall(op, kernel), or View(op) where the result is its operand's bytes.

    Of the target's kernels that accept an operation the one of the lowest cost wins, and of several the one that stands
    first in the table; those of `portable` stand last.
    Raises UnsupportedError: some operations have no kernel; it lists all of them.
    """
    rewriter = Rewriter(graph)
    missing: list[str] = []
    for node in graph.nodes():
        if isinstance(node, (Input, Constant)):
            continue
        op = rewriter.rebuilt(node)
        if is_view(op):
            rewriter.replace(node, View(op, sources=op.sources, tensor=op.tensor))
            continue
        kernel = target.cheapest(op)
        if kernel is None:
            missing.append(_without_kernel(op, target))
        else:
            call = KernelCall(op, kernel.symbol, target.name, sources=op.sources, tensor=op.tensor)
            rewriter.replace(node, call)
    if missing:
        raise UnsupportedError(
            f"target '{target.name}' has no kernel for {len(missing)} of {len(graph.operations())} operations of graph "
            f"'{graph.name}': {'; '.join(missing)}. Quantize these to 8 bits per tensor, or try --target portable."
        )
    return rewriter.finish(Stage.LOWERED)


def fallbacks(graph: Graph, target: Target) -> list[KernelCall]:
    """The calls of a lowered graph whose kernel is not of the target's own family, but of `portable`."""
    calls = (node for node in graph.nodes() if isinstance(node, KernelCall))
    return [call for call in calls if target.kernel(type(call.op), call.kernel).family != target.family]


def _without_kernel(op: Node, target: Target) -> str:
    operands = ", ".join(str(operand.type) for operand in op.operands)
    known = list(dict.fromkeys(kernel.operands for kernel in target.kernels_for(type(op))))
    offered = f"its kernels take {', '.join(known)}" if known else "there is none for the operation"
    return f"{op.label} of {operands} ({offered})"
