"""Write limits of Clip as constants, one for each channel, so that scales can pass."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.layers import is_layer
from subbyte.compiler.ir.node import Constant, Node
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED)
def split_clips(graph: Graph) -> Graph:
    """Clip(x, 0, 6) -> Minimum(Relu(x), [6, 6, ...]) behind a convolution or matrix product: 6 for each channel.

    `equalize_layers` then divides the limits by the scales of their channels, and keeps the network's function exactly.
    What that costs when compiled: the limits of channels differ, so they are no clamp of the product before but one
    table look-up for each element, and that only where the product is quantized before Minimum; else it is a float
    island. Where the samples tell that the limit is not reached, `relax_clips` is free. Exact.
    """
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if isinstance(current, ops.Unary) and current.function == "Clip" and is_layer(node.operands[0].node):
            current = _split(current)
        rewriter.replace(node, current)
    return rewriter.finish()


def _split(node: ops.Unary) -> Node:
    low, high = node.parameters
    if low != 0 or not 0 < high < math.inf or node.type.dtype != FLOAT32:
        return node
    axis = node.type.rank - 1 if isinstance(node.x.node, ops.MatMul) else 1
    shape = [node.type.shape[axis], *(1,) * (node.type.rank - 1 - axis)]
    limits = Constant.of(np.full(shape, high, np.float32), FLOAT32)
    relu = ops.Unary(node.x, "Relu", sources=node.sources)
    return ops.Minimum(relu.out, limits.out, sources=node.sources, tensor=node.tensor)
