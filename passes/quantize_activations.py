"""Quantize the activations of weight-only matrix products to 8 bits while the model runs, because the user asked."""

from __future__ import annotations

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops_blocks import QBlockGemm, QuantizeBlocks
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.pass_manager import Requested, graph_pass
from subbyte.passes.quantization.blocks import Weights, is_weight_only, with_product


@graph_pass(
    requires=Stage.QUANTIZED,
    ensures=Stage.QUANTIZED,
    exactness=Requested("each block of a row moves by up to half of its largest magnitude / 127"),
)
def quantize_activations(graph: Graph) -> Graph:
    """MatMul(a, DequantizeLinear(constant)) -> QBlockGemm(QuantizeBlocks(a), constant), and so for Gemm.

    Integer sums, as in MatMulNBits with accuracy_level 4: blocks of a as long as those of the weights, each with the
    scale f32(largest magnitude / 127). Weights with one scale for a column make one block of a row.
    Source: design.md N10 and N11; numerics/dynamic.quantize_blocks.
    """
    return rewrite(graph, _quantize)


def _quantize(node: Node, _: Graph) -> Node | None:
    return with_product(node, _product) if is_weight_only(node) else None


def _product(a: Value, weights: Weights) -> Node:
    held = weights.value()
    quant = held.type.quant
    assert quant is not None, "weights are codes"
    assert quant.block is not None, "weights.value() has blocks"
    codes = QuantizeBlocks(a, quant.block)
    return QBlockGemm(Value(codes, 0), Value(codes, 1), held)
