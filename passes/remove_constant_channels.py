"""Compute no channel whose result is known, or is not used: constant-channel and zero-weight elimination."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ranges import code_ranges
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.channels.cut import Cut
from subbyte.passes.channels.needs import gone_channels, intake
from subbyte.passes.channels.spaces import Spaces


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def remove_constant_channels(graph: Graph) -> Graph:
    """w * [x, k] + b -> w' * x + (b + w'' * (k - zero point)): no filters, taps and tables for constant channels.

    A channel goes, from all operations that it runs through, when every product that reads it either finds it constant
    by the range analysis (`compiler.ir.ranges`), or has only zero weights for it. A padded convolution pads with the
    zero point, so that only that constant leaves it; a padded depthwise convolution hands on a constant that it makes
    uniform again, by its clamp or its rounding, and keeps one that shows at its borders. Inputs and outputs of the
    graph keep all of theirs. Exact: sums of products are sums of integers.

    The work saved is `compiler.explain`'s to report.
    """
    spaces = Spaces.of(graph)
    ranges = code_ranges(graph)
    found = {product: intake(product, spaces, ranges) for product in spaces.products}
    gone = gone_channels(spaces, [one for one in found.values() if one is not None])
    if not gone.any():
        return graph

    def kept(value: Value) -> NDArray[np.bool_] | None:
        channels = spaces.channels.get(value)
        return None if channels is None or not gone[channels.labels].any() else ~gone[channels.labels]

    rewriter = Rewriter(graph)
    cut = Cut(rewriter.__getitem__, kept)
    for node in graph.nodes():
        channels = spaces.channels.get(Value(node, 0))
        if channels is None or not any(kept(value) is not None for value in (node.out, *node.operands)):
            rewriter.replace(node, rewriter.rebuilt(node))
            continue
        one = found.get(node)  # type: ignore[call-overload]
        extra = None if one is None else one.sums[:, gone[one.taken]].sum(axis=1)
        rewriter.replace(node, cut(node, channels.axis, extra))
    return rewriter.finish()
