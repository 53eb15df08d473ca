"""Multiply a scale instead of a tensor: factors before a QuantizeLinear move into its scale, where that is exact."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.accumulators import SumOfProducts
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ops import Div, Mul, QuantizeLinear
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.pass_manager import graph_pass

_SMALLEST, _LARGEST = 2.0**-100, 2.0**100  # scales and factors stay far from where float32 loses digits


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def fuse_scales(graph: Graph) -> Graph:
    """QuantizeLinear(x * c, s) -> QuantizeLinear(x, s / c) for a power of two c > 0; so for x / c.

    Only where sums of products alone read the codes: these know the zero point of their operands, and have the scales
    in their multipliers. Any other reader would see the codes stand for other numbers.

    Exact: x * c only moves the exponent of x, so both divisions round the same number. Where x * c overflows, both
    saturate; where it underflows, both are 0. Other factors round, and stay: this pass moves no number. (fold_qdq has
    already made factors after a sum of products part of its multiplier, and factors of narrow tensors part of a table.)
    """
    users = graph.users()
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        new = rewriter.rebuilt(node)
        if isinstance(new, QuantizeLinear):
            codes = Value(node, 0)
            if codes not in shown and all(isinstance(user, SumOfProducts) for user in users.get(codes, ())):
                new = _moved(new) or new
        rewriter.replace(node, new)
    return rewriter.finish()


def _moved(node: QuantizeLinear) -> QuantizeLinear | None:
    if not node.quant.is_static:
        return None
    x, factor, sources = node.x, 1.0, node.sources
    while (found := _factor(x)) is not None and _SMALLEST <= factor * found[1] <= _LARGEST:
        sources = union_sources(x.node, node.replace(sources=sources))
        x, factor = found[0], factor * found[1]
    scale = node.quant.static()[0].astype(np.float64) / factor
    if x is node.x or not ((scale >= _SMALLEST) & (scale <= _LARGEST)).all():
        return None
    return node.replace(x=x, quant=replace(node.quant, scale=scale.astype(np.float32)), sources=sources)


def _factor(value: Value) -> tuple[Value, float] | None:
    """(x, c) where `value` is x * c, c one power of two above zero."""
    match value.node:
        case Mul(a=a, b=b):
            pairs = [(a, b, 1), (b, a, 1)]
        case Div(a=a, b=b):
            pairs = [(a, b, -1)]
        case _:
            return None
    for x, constant, power in pairs:
        c = constant.constant
        if c is None or c.size != 1 or x.type.shape != value.type.shape or x.type.dtype != FLOAT32:
            continue
        number = float(c.reshape(()))
        if number > 0 and math.isfinite(number) and math.frexp(number)[0] == 0.5:
            return x, number**power
    return None
