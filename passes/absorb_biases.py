"""Absorb high biases: what a channel has in every sample moves from its layer to the next."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.observers import MinMax
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.pass_manager import Requested, graph_pass
from subbyte.passes.equalization.absorption import absorbed, rectified


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Requested("the same on the samples; of other inputs, what lies below the smallest value seen is cut off"),
)
def absorb_biases(graph: Graph, data: Data) -> Graph:
    """W2 relu(W1 x + b1) + b2  ->  W2 relu(W1 x + (b1 - c)) + (b2 + W2 c), c = max(0, min over samples of W1 x + b1).

    relu(u) = relu(u - c) + c holds for u >= c >= 0, so the samples keep their results; the ranges of activations become
    smaller by c. Between the two may lie pools and data movement. Only where the next layers do not pad (their borders
    would not be smaller by c), all readers are such layers, and no other layer shares the weights.
    Source: Nagel et al., 2019, section 4.1.2; c of the paper is `absorb_normal_biases`.
    """
    found = rectified(graph)
    if not found:
        return graph
    ranges = {one: MinMax(one.made.type.rank - 1 if isinstance(one.made.node, ops.MatMul) else 1) for one in found}
    data.observe(graph, {one.made: observer for one, observer in ranges.items()})
    return absorbed(graph, {one: np.maximum(ranges[one].low.astype(np.float64), 0.0) for one in found})
