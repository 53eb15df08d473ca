"""Refuse kernels of `portable` that stand in for missing ones of the target, where the user asked to be strict."""

from __future__ import annotations

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target
from subbyte.passes.lower_to_kernels import fallbacks


@graph_pass(requires=Stage.LOWERED, ensures=Stage.LOWERED)
def refuse_fallbacks(graph: Graph, target: Target) -> Graph:
    """The graph itself; UnsupportedError, naming each call, where a kernel is not of the target's own family."""
    found = fallbacks(graph, target)
    if found:
        named = "; ".join(f"{call.op.label} runs {call.kernel}" for call in found)
        raise UnsupportedError(
            f"target '{target.name}' has no kernel of its own for {len(found)} operations: {named}. "
            "Leave --strict out to let them run."
        )
    return graph
