"""Compute products with powers of the square root of two as two products with powers of two."""

from __future__ import annotations

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.pass_manager import Requested, graph_pass
from subbyte.passes.logarithms.codes import MOST_BITS, find_logarithm, split_by_parity


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Requested("sums are rounded in two parts; the float function is kept to 1e-5 of its largest output"),
)
def split_logarithms_by_parity(graph: Graph) -> Graph:
    """MatMul(f(a), v) -> MatMul(even, v) + MatMul(odd, v), f as in `quantize_softmax`; even and odd are uint8 codes.

    Where q is even, f is a power of two times the scale; where it is odd, one times the scale and sqrt(2). Each part is
    0 where the other is not, and lies on a grid of its own without any rounding: a shift by q / 2 and a scale that the
    parity selects.
    Source: Li et al. 2023, RepQ-ViT, eq. 14 to 16.
    """
    return rewrite(graph, split_product)


def split_product(node: Node, graph: Graph) -> Node | Value | None:
    """The rule of the pass."""
    match node:
        case ops.MatMul(a=a, b=b):
            found = find_logarithm(a)
            if found is None or found.bits > MOST_BITS:
                return None
            parts = split_by_parity(found, a.node.sources)
            products = [ops.MatMul(part, b, sources=node.sources).out for part in parts]
            return ops.Add(*products, sources=node.sources, tensor=node.tensor)
    return None
