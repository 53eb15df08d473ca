"""Matrix products with constant weights that have one scale for each block of a column, under all their spellings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType

WEIGHT_BITS = 8


@dataclass(frozen=True, eq=False)
class Weights:
    """Constant codes that a DequantizeLinear makes floats of, as written: [K, N], or [N, K] where transposed."""

    codes: Constant
    transposed: bool

    @property
    def quant(self) -> QuantParams:
        quant = self.codes.type.quant
        assert quant is not None, "a DequantizeLinear reads codes with a scale"
        return quant

    @property
    def has_blocks(self) -> bool:
        """Whether a column has several scales, one for each block along K."""
        return self.quant.block is not None

    def value(self) -> Value:
        """The codes as [K, N] in blocks along axis 0; one block where a column has one scale."""
        held, of_type, quant = self._as_rows(self.codes.value), self.codes.type, self.quant
        depth, columns = held.shape
        scale, zero_point = quant.static()
        if quant.block is not None:
            scale, zero_point = self._as_rows(scale), self._as_rows(zero_point)
        else:
            scale = np.broadcast_to(scale, (columns,)).reshape(1, columns)
            zero_point = np.broadcast_to(zero_point, (columns,)).reshape(1, columns)
        blocks = quant.replace(scale=scale, zero_point=zero_point, axis=0, block=quant.block or depth)
        codes = TensorType(of_type.dtype, held.shape, blocks)
        return Constant(np.ascontiguousarray(held), codes, sources=self.codes.sources).out

    def _as_rows(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.T if self.transposed else array


def weights_of(value: Value, transposed: bool) -> Weights | None:
    """The weights behind a float matrix, DequantizeLinear or its Transpose; None where they are not of that kind.

    Read are matrices of at most 8 bits with a scale for the tensor, for each column, or for each block of a column.
    """
    if isinstance(value.node, ops.Transpose) and value.node.perm == (1, 0):
        value, transposed = value.node.x, not transposed
    match value.node:
        case ops.DequantizeLinear(x=Value(node=Constant() as codes), dtype=dtype) if dtype == FLOAT32:
            found = Weights(codes, transposed)
        case _:
            return None
    quant, along_depth = found.quant, 1 if transposed else 0
    known = quant.is_static and quant.levels is None and codes.type.dtype.kind in ("int", "uint")
    if codes.type.rank != 2 or codes.type.dtype.bits > WEIGHT_BITS or 0 in codes.type.shape or not known:
        return None
    if quant.axis is not None and (quant.axis == along_depth) != (quant.block is not None):
        return None  # a scale for each row, or blocks along a row: no factor of a column's sums
    return found


def with_product(node: Node, make: Callable[[Value, Weights], Node | None]) -> Node | None:
    """MatMul or Gemm with the product that `make` gives for its data and its weights; None where there is none.

    The product stands for the tree of N8, so alpha, beta and c follow as ops.Gemm says.
    """
    match node:
        case ops.MatMul(a=a, b=b) if (weights := weights_of(b, False)) is not None:
            made = make(a, weights)
            return None if made is None else made.replace(sources=node.sources, tensor=node.tensor)
        case ops.Gemm(a=a, b=b, transpose_a=False) if (weights := weights_of(b, node.transpose_b)) is not None:
            made = make(a, weights)
            return None if made is None else finished_gemm(node, made)
    return None


def is_weight_only(node: Node) -> bool:
    """Whether a product of float activations and quantized weights could have quantized activations as well."""
    match node:
        case ops.MatMul(a=a, b=b):
            weights = weights_of(b, False)
        case ops.Gemm(a=a, b=b, transpose_a=False):
            weights = weights_of(b, node.transpose_b)
        case _:
            return False
    return weights is not None and a.type.dtype == FLOAT32 and a.constant is None and a.type.rank > 1


def finished_gemm(gemm: ops.Gemm, product: Node) -> Node:
    """alpha * product + beta * c, as ops.Gemm says; the product has no tensor of its own then."""
    result = product.replace(sources=gemm.sources)
    if np.float32(gemm.alpha) != 1:
        result = ops.Mul(_number(gemm.alpha), result.out, sources=gemm.sources)
    if gemm.c is not None:
        c = gemm.c
        if np.float32(gemm.beta) != 1:
            c = ops.Mul(_number(gemm.beta), c, sources=gemm.sources).out
        result = ops.Add(result.out, c, sources=gemm.sources)
    return result.replace(tensor=gemm.tensor)


def _number(value: float) -> Value:
    return Constant.of(np.float32(value), FLOAT32).out
