"""What float sums of products with codebooks mean: those with the floats that the indices stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops_codebooks
from subbyte.compiler.ir.interpret_float_sums import convolve as convolve_floats
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.numerics.float32 import tree_matmul

Array = NDArray[Any]


@interprets(qops_codebooks.CodebookConv)
def convolve(node: qops_codebooks.CodebookConv, x: Array, w: Array, b: Array | None = None) -> Array:
    reals = _reals(node.w, w)
    same = ops.Conv(node.x, Constant.of(reals).out, node.b, node.strides, node.pads, node.dilations, node.group)
    return convolve_floats(same, x, reals, b)


@interprets(qops_codebooks.CodebookMatMul)
def multiply_matrices(node: qops_codebooks.CodebookMatMul, a: Array, b: Array) -> Array:
    return tree_matmul(a, _reals(node.b, b))


def _reals(value: Value, codes: Array) -> NDArray[np.float32]:
    if value.type.quant is None:
        raise GraphError(f"{value.type} has no levels, so its codes stand for no real numbers")
    return to_real(codes, value.type.quant)
