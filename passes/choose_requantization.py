"""Say how sums become codes: by thresholds, where the codes are few, and N4 in float32 elsewhere."""

from __future__ import annotations

from dataclasses import replace

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import result_range_of
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QConvTranspose, QGemm
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.numerics.thresholds import staircase
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def choose_requantization(graph: Graph, target: Target) -> Graph:
    """requantize(sum) -> the same with its thresholds, where the sums that can occur take few steps.

    The target's facts say how many are few. Exact: the thresholds are found by binary search on N4 itself over the
    reachable sums, and compared with it at both ends of every stair. A kernel that has no thresholds computes N4.
    Source: design.md N5.
    """
    most = target.facts.threshold_steps
    return rewrite(graph, lambda node, _: _by_thresholds(node, most)) if most else graph


def _by_thresholds(node: Node, most: int) -> Node | None:
    if not isinstance(node, (QConv, QConvTranspose, QGemm)) or node.requantization is None:
        return None
    try:
        found = staircase(node.requantization, *result_range_of(node), most)
    except NumericsError:  # sums without a bound
        return None
    return None if found is None else node.replace(requantization=replace(node.requantization, staircase=found))
