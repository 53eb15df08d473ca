"""Keep quantized weights of float sums of products as codes: the kernel makes floats of them as it multiplies."""

from __future__ import annotations

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops_blocks import WeightOnlyMatMul
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.quantization.blocks import Weights, with_product
from subbyte.passes.quantization.few_floats import as_looked_up, codebook_conv


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def keep_weights_packed(graph: Graph) -> Graph:
    """MatMul(a, DequantizeLinear(constant)) -> WeightOnlyMatMul(a, constant), and so for Gemm; Conv -> CodebookConv.

    The table of a CodebookConv holds each code less the zero point, which is one for all output channels.
    Exact: the same products in the same tree. A bundle then holds weights of 4 bits in 4 bits, not in 32.
    Source: design.md N11.
    """
    return rewrite(graph, _keep)


def _keep(node: Node, _: Graph) -> Node | None:
    match node:
        case ops.Conv(w=Value(node=ops.DequantizeLinear(x=x, dtype=dtype))) if dtype == FLOAT32:
            codes = as_looked_up(x)
            return None if codes is None else codebook_conv(node, codes)
    return with_product(node, _product)


def _product(a: Value, weights: Weights) -> Node | None:
    return WeightOnlyMatMul(a, weights.value()) if a.type.dtype == FLOAT32 and a.constant is None else None
