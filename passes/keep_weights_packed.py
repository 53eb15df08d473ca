"""Keep quantized weights of float matrix products as codes: the kernel makes floats of them, column by column."""

from __future__ import annotations

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops_blocks import WeightOnlyMatMul
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.quantization.blocks import Weights, with_product


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def keep_weights_packed(graph: Graph) -> Graph:
    """MatMul(a, DequantizeLinear(constant)) -> WeightOnlyMatMul(a, constant), and so for Gemm.

    Exact: the same products in the same tree. A bundle then holds weights of 4 bits in 4 bits, not in 32.
    Source: design.md N11.
    """
    return rewrite(graph, _keep)


def _keep(node: Node, _: Graph) -> Node | None:
    return with_product(node, _product)


def _product(a: Value, weights: Weights) -> Node | None:
    return WeightOnlyMatMul(a, weights.value()) if a.type.dtype == FLOAT32 and a.constant is None else None
