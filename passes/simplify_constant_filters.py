"""Make filters whose result never changes small: zero weights, and a bias that gives that result."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import INT32
from subbyte.compiler.ir import qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Node
from subbyte.compiler.ir.ranges import code_ranges
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.requantize import Requantization, requantize
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.channels.spaces import Product, is_depthwise, is_product

_NEAR = np.array([0, 1, -1, 2, -2])  # N4 rounds twice: sums a little off the quotient are tried as well


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def simplify_constant_filters(graph: Graph) -> Graph:
    """requantize(w * x + b) -> requantize(0 * x + b'), for channels that are one code whatever x holds.

    Such a channel stays where something needs it, an addition or an output. Its bias is often huge (a dead filter
    behind a folded batch normalization), and a huge bias makes all channels of the layer sum in 64 bits. Exact: b' is
    checked by N4 itself, and a channel for which none is found stays as it is.
    """
    ranges = code_ranges(graph)
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if is_product(current) or (isinstance(current, qops.QConv) and is_depthwise(current)):
            low, high = ranges[node.out].along(1 if isinstance(node, qops.QConv) else node.type.rank - 1)
            current = _simplified(current, np.where(low == high, low, current.type.dtype.min - 1))
        rewriter.replace(node, current)
    return rewriter.finish()


def _simplified(node: Product, codes: Codes) -> Product:
    """`node` with smaller parameters in the channels of which `codes` knows the code."""
    weights, axis = (node.b, 1) if isinstance(node, qops.QGemm) else (node.w, 0)
    if node.requantization is None:
        return node
    w = np.asarray(weights.constant)
    quant = weights.type.quant
    zero = 0 if quant is None else spread(quant.static()[1], w.shape, quant.axis)
    zeros = np.moveaxis(np.broadcast_to(np.asarray(zero, np.int64), w.shape), axis, 0)
    rows = np.moveaxis(w.astype(np.int64), axis, 0).copy()
    bias = np.zeros(len(rows), np.int64) if node.bias is None else np.asarray(node.bias.constant, np.int64).copy()
    before = rows.copy(), bias.copy()
    allowed = weights.type.stray_code(zeros) is None  # bipolar weights have no zero
    for channel in np.flatnonzero(codes >= node.type.dtype.min):
        total = _sum_of(int(codes[channel]), node.requantization.channel(int(channel)))
        if total is not None and allowed:
            rows[channel], bias[channel] = zeros[channel], total
    if (rows == before[0]).all() and (bias == before[1]).all():
        return node
    array = np.ascontiguousarray(np.moveaxis(rows, 0, axis).astype(w.dtype))
    value = Constant(array, weights.type, sources=weights.node.sources).out
    fits = INT32.min <= bias.min() and bias.max() <= INT32.max
    dtype = INT32 if fits or node.bias is None else node.bias.type.dtype
    shift = Constant.of(bias, dtype).out
    if isinstance(node, qops.QGemm):
        return node.replace(b=value, bias=shift)
    return node.replace(w=value, bias=shift)


def _sum_of(code: int, r: Requantization) -> int | None:
    """A small sum that requantizes to `code`; None where none was found."""
    steps = code - r.zero_point - (0.0 if r.shift is None else float(r.shift))
    quotient = round(float(np.clip(steps / float(r.multiplier), INT32.min // 2, INT32.max // 2)))
    found = [int(total) for total in (0, *(quotient + _NEAR)) if int(requantize(total, r)) == code]
    return found[0] if found else None
