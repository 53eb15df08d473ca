"""Choose the kernel of every operation: the cheapest one of the target that accepts it."""

from __future__ import annotations

import difflib

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
    first in the table; those of `portable` stand last. A tuning record of the target decides for the node it names.
    Raises UnsupportedError: some operations have no kernel (it lists all of them), or a tuning record does not apply.
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
        chosen = target.choose(op)
        if chosen is None:
            missing.append(_without_kernel(op, target))
        else:
            kernel, setting = chosen
            call = KernelCall(op, kernel.symbol, target.name, setting, sources=op.sources, tensor=op.tensor)
            rewriter.replace(node, call)
    if missing:
        raise UnsupportedError(
            f"target '{target.name}' has no kernel for {len(missing)} of {len(graph.operations())} operations of graph "
            f"'{graph.name}': {'; '.join(missing)}. Quantize these to 8 bits per tensor, or try --target portable."
        )
    lowered = rewriter.finish(Stage.LOWERED)
    _refuse_unused(lowered, target)
    return lowered


def fallbacks(graph: Graph, target: Target) -> list[KernelCall]:
    """The calls of a lowered graph whose kernel is not of the target's own family, but of `portable`."""
    calls = (node for node in graph.nodes() if isinstance(node, KernelCall))
    return [call for call in calls if target.kernel(type(call.op), call.kernel).family != target.family]


def _refuse_unused(graph: Graph, target: Target) -> None:
    """Raises UnsupportedError: a tuning record is of no use, which its author would not find out otherwise."""
    if not target.tuning:
        return
    ops = tuple(node.op for node in graph.nodes() if isinstance(node, KernelCall))
    record = target.unused_tuning(ops)
    if record is None:
        return
    of_node = sorted({type(op).__name__ for op in ops if record.node in op.sources})
    if of_node:
        found = f"the node is computed by {', '.join(of_node)}, for which target '{target.name}' has no such kernel"
    else:
        names = sorted({name for op in ops for name in op.sources})
        near = difflib.get_close_matches(record.node, names, n=1)
        found = "no operation of the compiled graph computes such a node"
        found += f"; the nearest is '{near[0]}'" if near else ""
    raise UnsupportedError(
        f"the tuning record for node '{record.node}' and kernel '{record.kernel}' is of no use: {found}"
    )


def _without_kernel(op: Node, target: Target) -> str:
    operands = ", ".join(str(operand.type) for operand in op.operands)
    known = list(dict.fromkeys(kernel.operands for kernel in target.kernels_for(type(op))))
    offered = f"its kernels take {', '.join(known)}" if known else "there is none for the operation"
    return f"{op.label} of {operands} ({offered})"
