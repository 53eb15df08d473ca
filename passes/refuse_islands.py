"""Refuse float islands, where the user wants integers only."""

from __future__ import annotations

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.quantization.islands import float_islands
from subbyte.passes.quantization.remedies import remedy


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def refuse_islands(graph: Graph) -> Graph:
    """The graph itself; UnsupportedError, naming each float operation and its reason, where one is left."""
    islands = float_islands(graph)
    if islands:
        named = "; ".join(f"{island.node.label}: {island.reason} ({remedy(island)})" for island in islands)
        raise UnsupportedError(
            f"graph '{graph.name}' shall be integers only, but {len(islands)} operations compute in float: {named}. "
            "Quantize what they read and write, or leave --integer-only out."
        )
    return graph
