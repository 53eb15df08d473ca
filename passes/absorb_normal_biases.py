"""Absorb high biases without samples, by what BatchNormalization tells of its results."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.pass_manager import Requested, graph_pass
from subbyte.passes.equalization.absorption import absorbed, rectified

_DEVIATIONS = 3


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Requested("what lies more than 3 deviations below its mean is cut off: 0.13 % of a normal distribution"),
)
def absorb_normal_biases(graph: Graph) -> Graph:
    """W relu(BatchNorm(x)) + b  ->  W relu(BatchNorm(x) - c) + (b + W c), c = max(0, beta - 3 |gamma|).

    As `absorb_biases`, with the bound that normal results N(beta, gamma^2) rarely pass in place of the smallest sample.
    The network's function changes where they do. Runs before `fold_batch_norm`.
    Source: Nagel et al., 2019, section 4.1.2.
    """
    constants = {}
    for one in rectified(graph):
        node = one.made.node
        if isinstance(node, ops.BatchNormalization) and node.scale.constant is not None:
            beta = np.asarray(node.bias.constant, np.float64)
            constants[one] = np.maximum(beta - _DEVIATIONS * np.abs(node.scale.constant.astype(np.float64)), 0.0)
    return absorbed(graph, constants)
