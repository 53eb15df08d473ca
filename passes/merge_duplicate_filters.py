"""Read equal channels once: the weights for a channel that equals another one move there."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir import qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.channels.spaces import Product, Spaces, is_product, summed_axis
from subbyte.passes.channels.twins import twins


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def merge_duplicate_filters(graph: Graph) -> Graph:
    """w1 * x + w2 * x -> (w1 + w2) * x + 0 * x, where two channels are always equal and w1 + w2 still is a weight.

    Equal channels come from filters with equal weights, bias and scales. What then meets only zeros is for
    remove_constant_channels to take away. Exact: sums of products are sums of integers; weights stay in their range.
    """
    spaces = Spaces.of(graph)
    firsts = twins(graph, spaces)
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if is_product(node) and is_product(current):
            data = node.a if isinstance(node, qops.QGemm) else node.x
            channels = spaces.channels.get(data)
            if channels is not None and channels.axis == summed_axis(node):
                current = _merged(current, firsts[data])
        rewriter.replace(node, current)
    return rewriter.finish()


def _merged(node: Product, firsts: Codes) -> Product:
    """`node` with the weights of each channel moved to the first that equals it, as far as they fit there."""
    weights, axis = (node.b, 0) if isinstance(node, qops.QGemm) else (node.w, 1)
    codes, zero_point = _codes(weights)
    low, high = weights.type.code_range()
    centred = np.moveaxis(codes - zero_point, axis, 0)
    zeros = np.moveaxis(np.broadcast_to(zero_point, codes.shape), axis, 0)
    moved = centred.copy()
    for channel, first in enumerate(firsts.tolist()):
        if first == channel or not moved[channel].any():
            continue
        total = moved[first] + moved[channel]
        if (total + zeros[first] >= low).all() and (total + zeros[first] <= high).all():
            moved[first], moved[channel] = total, 0
    array = np.ascontiguousarray(np.moveaxis(moved + zeros, 0, axis).astype(weights.type.dtype.numpy))
    if (moved == centred).all() or weights.type.stray_code(array) is not None:  # bipolar weights have no zero
        return node
    value = Constant(array, weights.type, sources=weights.node.sources).out
    return node.replace(b=value) if isinstance(node, qops.QGemm) else node.replace(w=value)


def _codes(weights: Value) -> tuple[Codes, Codes]:
    """(codes, zero point that broadcasts against them) of constant weights, as int64."""
    codes = np.asarray(weights.constant).astype(np.int64)
    quant = weights.type.quant
    zero_point = 0 if quant is None else spread(quant.static()[1], codes.shape, quant.axis)
    return codes, np.asarray(zero_point, np.int64)
