"""How many multiply-accumulates an operation takes, padding counted like everything else."""

from __future__ import annotations

import math

from subbyte.compiler.ir import ops, qops, qops_blocks, qops_codebooks
from subbyte.compiler.ir.lowered import Wrapper
from subbyte.compiler.ir.node import Node


def multiply_accumulates(node: Node) -> int:
    """MACs of a convolution or matrix product; 0 for everything else."""
    match node:
        case Wrapper(op=op):
            return multiply_accumulates(op)
        case qops.QConv() | ops.Conv() | qops_codebooks.CodebookConv():
            return node.type.elements * math.prod(node.w.type.shape[1:])
        case qops.QConvTranspose() | ops.ConvTranspose():
            return node.x.type.elements * math.prod(node.w.type.shape[1:])
        case qops.QGemm() | ops.MatMul() | qops_blocks.WeightOnlyMatMul() | qops_blocks.QBlockGemm():
            return node.type.elements * node.a.type.shape[-1]
        case qops_codebooks.CodebookMatMul():
            return node.type.elements * node.a.type.shape[-1]
        case ops.Gemm():
            return node.type.elements * node.a.type.shape[0 if node.transpose_a else 1]
    return 0
