"""Keep float weights of a few values as indices and a table of floats: the kernel makes floats of them, row by row."""

from __future__ import annotations

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.qops_codebooks import CodebookMatMul
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.quantization.blocks import finished_gemm
from subbyte.passes.quantization.few_floats import as_indices, codebook_conv
from subbyte.passes.quantization.known import constants_of


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def keep_codebooks(graph: Graph) -> Graph:
    """Conv, MatMul and Gemm with float weights of at most 16 values -> CodebookConv, CodebookMatMul.

    Exact: the same floats in the same tree. What lies on a grid of 8 bits is integer by now; this is for what is not,
    and stays float by N11. A bundle then holds 16 values in 4 bits each, not in 32.
    """
    return rewrite(graph, _keep)


def _keep(node: Node, _: Graph) -> Node | None:
    match node:
        case ops.Conv(w=w):
            codes = as_indices(w)
            return None if codes is None else codebook_conv(node, codes)
        case ops.MatMul(a=a, b=b):
            return _product(a, b, node)
        case ops.Gemm(a=a, b=b, transpose_a=False):
            columns = _transposed(b) if node.transpose_b else b
            product = _product(a, columns, node)
            return None if product is None else finished_gemm(node, product)
    return None


def _product(a: Value, b: Value, node: Node) -> Node | None:
    if a.type.dtype != FLOAT32 or a.constant is not None or b.type.rank != 2:
        return None
    codes = as_indices(b)
    return None if codes is None else CodebookMatMul(a, codes, sources=node.sources, tensor=node.tensor)


def _transposed(b: Value) -> Value:
    return constants_of(ops.Transpose(b, (1, 0)))[0] if isinstance(b.node, Constant) else b
