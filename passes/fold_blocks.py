"""Multiply codes by weights in blocks as integers, a sum for each block."""

from __future__ import annotations

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops_blocks import QBlockGemm
from subbyte.compiler.ir.qops_dynamic import Centre
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.quantization.blocks import Weights, with_product


@graph_pass(
    requires=Stage.QUANTIZED,
    ensures=Stage.QUANTIZED,
    exactness=Within(
        steps=1, reason="the sum of a block is exact, and the blocks are added in order, not in a tree of 8 lanes"
    ),
)
def fold_blocks(graph: Graph) -> Graph:
    """MatMul(DequantizeLinear(a), DequantizeLinear(b in blocks)) -> QBlockGemm(a, b), and so for Gemm.

    a has one scale, known or (with its zero point) computed at run time, as DynamicQuantizeLinear's codes have; b is
    constant with one for each block of a column. Source: design.md N9 and N10.
    """
    return rewrite(graph, _fold)


def _fold(node: Node, _: Graph) -> Node | None:
    return with_product(node, _product)


def _product(a: Value, weights: Weights) -> Node | None:
    if not weights.has_blocks:
        return None
    match a.node:
        case ops.Mul(a=Value(node=ops.DequantizeLinear(x=Value(node=Centre() as centred))), b=scale) if (
            not scale.type.rank
        ):
            return QBlockGemm(centred.x, scale, weights.value(), centred.zero_point)
        case ops.DequantizeLinear(x=codes) if codes.constant is None:
            quant = codes.type.quant
            plain = quant is not None and quant.is_static and quant.is_per_tensor and quant.levels is None
            return QBlockGemm(codes, None, weights.value()) if plain and codes.type.dtype.bits <= 16 else None
    return None
