"""What operations with run-time scales and with scales of blocks mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import qops_blocks, qops_dynamic
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.affine import quantize, spread, to_real
from subbyte.compiler.numerics.dynamic import block_products, dynamic_range, quantize_blocks
from subbyte.compiler.numerics.float32 import tree_matmul

Array = NDArray[Any]


@interprets(qops_dynamic.DynamicRange)
def find_range(node: qops_dynamic.DynamicRange, x: Array) -> tuple[Array, Array]:
    scale, zero_point = dynamic_range(x)
    return np.asarray(scale), np.asarray(zero_point)


@interprets(qops_dynamic.DynamicQuantize)
def quantize_at_run_time(node: qops_dynamic.DynamicQuantize, x: Array, scale: Array, zero_point: Array) -> Array:
    return quantize(x, scale, zero_point, 0, 255)


@interprets(qops_dynamic.Centre)
def centre(node: qops_dynamic.Centre, x: Array, zero_point: Array) -> Array:
    return x.astype(np.int64) - zero_point.astype(np.int64)


@interprets(qops_blocks.WeightOnlyMatMul)
def multiply_by_weights(node: qops_blocks.WeightOnlyMatMul, a: Array, b: Array) -> Array:
    return tree_matmul(a, to_real(b, _quant(node.b)))


@interprets(qops_blocks.QuantizeBlocks)
def quantize_by_blocks(node: qops_blocks.QuantizeBlocks, x: Array) -> tuple[Array, Array]:
    return quantize_blocks(x, node.block)


@interprets(qops_blocks.QBlockGemm)
def multiply_blocks(node: qops_blocks.QBlockGemm, a: Array, *others: Array) -> Array:
    rest = list(others)
    a_scales = rest.pop(0) if node.a_scale is not None else np.float32(_quant(node.a).scalar()[0])
    b, weights = rest.pop(0), _quant(node.b)
    a_zero = rest.pop().astype(np.int64) if node.a_zero is not None else _quant(node.a).scalar()[1]
    b_scales, b_zeros = weights.static()
    centred = b.astype(np.int64) - spread(b_zeros, b.shape, weights.axis, weights.block)
    return block_products(a.astype(np.int64) - a_zero, a_scales, centred, b_scales, weights.block or 1)


def _quant(value: Value) -> QuantParams:
    if value.type.quant is None:
        raise GraphError(f"{value.type} has no scale, so its codes stand for no real numbers")
    return value.type.quant
